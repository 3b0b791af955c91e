"""Sessions: browsers that somebody signed in with on the pages.

A browser holds a random secret in a cookie; the database holds its fingerprint. A session ends when it is signed out,
when it was not used for `IDLE`, after `LIFETIME` in any case, with the password that it was begun with, and rests while
its person is disabled. Signing in always begins a new one: a secret that was in the browser before is never taken over.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import BigInteger, bindparam, delete, insert, or_, select, update

from auth.callers import Caller
from auth.errors import BadCredentials
from auth.fingerprints import Fingerprints, new_secret, well_formed
from auth.tables import people, sessions
from database import Database, DatabaseError, Query, Transaction

PREFIX = "pts_"

#: Seconds that a session lives, however much it is used, and seconds without use after which it ends.
LIFETIME = 30 * 24 * 3600
IDLE = 7 * 24 * 3600
#: Seconds for which a use is not written down again.
USED_EVERY = 60
#: Live sessions of one person; the least used make room.
MOST = 100
LONGEST_AGENT = 200

_FIND = Query(
    select(
        sessions.c.generation,
        sessions.c.used,
        sessions.c.expires,
        people.c.id,
        people.c.name,
        people.c.administrator,
        people.c.disabled,
        people.c.generation,
    )
    .join(people, people.c.id == sessions.c.person_id)
    .where(sessions.c.fingerprint == bindparam("fingerprint"))
)
_LIST = Query(
    select(sessions.c.fingerprint, sessions.c.agent, sessions.c.created, sessions.c.used)
    .join(people, people.c.id == sessions.c.person_id)
    .where(
        sessions.c.person_id == bindparam("person"),
        sessions.c.generation == people.c.generation,
        sessions.c.expires > bindparam("now", type_=BigInteger),
        sessions.c.used > bindparam("idle_since", type_=BigInteger),
    )
    .order_by(sessions.c.used.desc(), sessions.c.fingerprint)
    .limit(MOST)
)
# Beginning a session and changing a password take turns, person by person.
_LOCK_PERSON = Query(
    select(people.c.disabled, people.c.generation).where(people.c.id == bindparam("person")).with_for_update()
)
_INSERT = Query(insert(sessions), "fingerprint", "person_id", "generation", "agent", "created", "used", "expires")
_MAKE_ROOM = Query(
    delete(sessions).where(
        sessions.c.fingerprint.in_(
            select(sessions.c.fingerprint)
            .where(sessions.c.person_id == bindparam("person"))
            .order_by(sessions.c.used.desc(), sessions.c.fingerprint)
            .limit(MOST * 10)  # SQL has no OFFSET without a LIMIT
            .offset(MOST - 1)
        )
    )
)
_USED = Query(
    update(sessions)
    .where(
        sessions.c.fingerprint == bindparam("session"),
        sessions.c.used < bindparam("now", type_=BigInteger),
    )
    .values(used=bindparam("now", type_=BigInteger))
)
_END = Query(delete(sessions).where(sessions.c.fingerprint == bindparam("fingerprint")))
_END_OTHERS = Query(
    delete(sessions).where(
        sessions.c.person_id == bindparam("person"), sessions.c.fingerprint != bindparam("fingerprint")
    )
)
_PRUNE = Query(
    delete(sessions).where(
        or_(
            sessions.c.expires <= bindparam("now", type_=BigInteger),
            sessions.c.used <= bindparam("idle_since", type_=BigInteger),
            sessions.c.generation
            != select(people.c.generation).where(people.c.id == sessions.c.person_id).scalar_subquery(),
        )
    )
)


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that was begun just now; *expires* is in seconds since 1970."""

    secret: str = field(repr=False)
    expires: int


@dataclass(frozen=True, slots=True)
class Session:
    """A live session, without its secret: what the browser called itself, and when. *own* is the one that asks."""

    agent: str
    created: int
    used: int
    own: bool


class Sessions:
    """Begins, finds, lists and ends sessions."""

    def __init__(self, database: Database, fingerprints: Fingerprints, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._fingerprints = fingerprints
        self._clock = clock

    async def begin(self, caller: Caller, agent: str = "") -> NewSession:
        """Begin a session for somebody who has just shown their password.

        Raises:
            BadCredentials: the password was changed, or the person disabled, meanwhile; or a token was shown, which
                would be widened by this.
        """
        if caller.anonymous or caller.limits is not None or caller.token_id is not None or not caller.account:
            raise BadCredentials
        now = int(self._clock())
        made = NewSession(new_secret(PREFIX), now + LIFETIME)
        fingerprint = self._fingerprints.of(made.secret)

        async def work(tx: Transaction) -> None:
            person = await tx.one(_LOCK_PERSON, person=caller.person_id)
            if person is None or person[0] or person[1] != caller.generation:
                raise BadCredentials
            await tx.run(_MAKE_ROOM, person=caller.person_id)
            await tx.run(
                _INSERT,
                fingerprint=fingerprint,
                person_id=caller.person_id,
                generation=caller.generation,
                agent="".join(letter for letter in agent if letter.isprintable())[:LONGEST_AGENT],
                created=now,
                used=now,
                expires=made.expires,
            )

        await self._database.write(work)
        return made

    async def caller(self, secret: str) -> Caller | None:
        """Return whose session *secret* is the key to, as their row is now; None where it has ended or never was.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        if not well_formed(secret, PREFIX):
            return None
        fingerprint = self._fingerprints.of(secret)
        row = await self._database.one(_FIND, fingerprint=fingerprint)
        if row is None:
            return None
        begun_with, used, expires, person_id, name, administrator, disabled, generation = row
        now = int(self._clock())
        if disabled or begun_with != generation or expires <= now or used <= now - IDLE:
            return None
        if used <= now - USED_EVERY:
            await self._note_use(fingerprint, now)
        return Caller(person_id, name, bool(administrator), generation)

    async def of_person(self, person_id: str, secret: str) -> list[Session]:
        """List a person's live sessions, those that were used last first; *secret* is the one that asks."""
        own = self._fingerprints.of(secret)
        now = int(self._clock())
        rows = await self._database.all(_LIST, person=person_id, now=now, idle_since=now - IDLE)
        return [Session(agent, created, used, fingerprint == own) for fingerprint, agent, created, used in rows]

    async def end(self, secret: str) -> None:
        """End a session, if there is one: its secret is refused from now on."""
        fingerprint = self._fingerprints.of(secret)

        async def work(tx: Transaction) -> None:
            await tx.run(_END, fingerprint=fingerprint)

        await self._database.write(work)

    async def end_others(self, person_id: str, secret: str) -> int:
        """End all sessions of a person but the one that *secret* is the key to; return how many those were."""
        fingerprint = self._fingerprints.of(secret)

        async def work(tx: Transaction) -> int:
            return await tx.run(_END_OTHERS, person=person_id, fingerprint=fingerprint)

        return await self._database.write(work)

    async def prune(self) -> int:
        """Delete what has ended; return how many sessions that were. To be called now and then, daily is enough."""
        now = int(self._clock())

        async def work(tx: Transaction) -> int:
            return await tx.run(_PRUNE, now=now, idle_since=now - IDLE)

        return await self._database.write(work)

    def form_token(self, secret: str) -> str:
        """Return what forms carry that are sent within the session: whoever lacks its secret cannot make it."""
        return self._fingerprints.of(f"form {secret}")

    async def _note_use(self, fingerprint: str, now: int) -> None:
        async def work(tx: Transaction) -> None:
            await tx.run(_USED, session=fingerprint, now=now)

        try:
            await self._database.write(work)
        except DatabaseError:  # a full disk keeps nobody from reading
            return
