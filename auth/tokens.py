"""Personal and refresh tokens: random secrets that stand for a person, of which only fingerprints are kept.

    ptl_…   personal: made by a person, for a machine of theirs; shown once
    ptr_…   refresh: given to a client that asked for offline access, in exchange for a password or a personal token

A token ends when it expires, is revoked, or the token that it was made with ends. A refresh token ends with the
password too: it keeps the password's generation, and another generation refuses it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import BigInteger, Text, bindparam, delete, func, insert, or_, select, update

from auth.callers import Caller
from auth.errors import BadCredentials, NotPermitted, TokenUnknown, TooManyTokens
from auth.fingerprints import Fingerprints, new_secret, well_formed
from auth.last_use import LastUse
from auth.limits import Limits, stored_limits
from auth.tables import people, tokens
from database import Database, Query, Row, Transaction, new_id

PERSONAL = "ptl_"
REFRESH = "ptr_"

#: Live tokens of one person. Of refresh tokens the oldest make room: each sign-in of a client makes one.
MOST_PERSONAL = 200
MOST_REFRESH = 1000
#: Seconds that a refresh token lives.
REFRESH_LIFETIME = 180 * 24 * 3600
#: Seconds for which ended tokens are kept, for whoever asks what was there.
KEPT = 30 * 24 * 3600
LONGEST_NAME = 100

_ID = re.compile(r"[0-9a-f-]{36}")

_BY_FINGERPRINT = Query(
    select(
        tokens.c.id,
        tokens.c.kind,
        tokens.c.scopes,
        tokens.c.service,
        tokens.c.expires,
        tokens.c.revoked,
        tokens.c.generation,
        people.c.id,
        people.c.name,
        people.c.administrator,
        people.c.disabled,
        people.c.generation,
    )
    .join(people, people.c.id == tokens.c.person_id)
    .where(tokens.c.fingerprint == bindparam("fingerprint"))
)
_LIVE = tokens.c.revoked.is_(None) & or_(
    tokens.c.expires.is_(None), tokens.c.expires > bindparam("now", type_=BigInteger)
)
_LIST = Query(
    select(
        tokens.c.id,
        tokens.c.kind,
        tokens.c.name,
        tokens.c.scopes,
        tokens.c.created,
        tokens.c.expires,
        tokens.c.last_used,
    )
    .where(tokens.c.person_id == bindparam("person"), _LIVE)
    .order_by(tokens.c.id)
    .limit(MOST_PERSONAL + MOST_REFRESH)
)
_COUNT = Query(
    select(func.count())
    .select_from(tokens)
    .where(tokens.c.person_id == bindparam("person"), tokens.c.kind == "personal", _LIVE)
)
# Making and revoking tokens takes turns, person by person: none can be made with one that is being revoked.
_LOCK_PERSON = Query(
    select(people.c.disabled, people.c.generation).where(people.c.id == bindparam("person")).with_for_update()
)
_STILL_LIVE = Query(
    select(tokens.c.id).where(tokens.c.id == bindparam("row"), tokens.c.person_id == bindparam("person"), _LIVE)
)
_INSERT = Query(
    insert(tokens),
    "id",
    "kind",
    "person_id",
    "parent_id",
    "name",
    "fingerprint",
    "scopes",
    "service",
    "generation",
    "created",
    "expires",
)
_MAKE_ROOM = Query(
    delete(tokens).where(
        tokens.c.id.in_(
            select(tokens.c.id)
            .where(tokens.c.person_id == bindparam("person"), tokens.c.kind == "refresh")
            .order_by(tokens.c.id.desc())
            .limit(MOST_REFRESH * 10)  # SQL has no OFFSET without a LIMIT
            .offset(MOST_REFRESH - 1)
        )
    )
)
_FAMILY = select(tokens.c.id).where(tokens.c.id == bindparam("row", type_=Text)).cte("family", recursive=True)
_FAMILY = _FAMILY.union_all(select(tokens.c.id).join(_FAMILY, tokens.c.parent_id == _FAMILY.c.id))
_REVOKE = Query(
    update(tokens)
    .where(tokens.c.id.in_(select(_FAMILY.c.id)), tokens.c.revoked.is_(None))
    .values(revoked=bindparam("at", type_=BigInteger))
)
_PRUNE = Query(
    delete(tokens).where(
        or_(tokens.c.revoked < bindparam("before", type_=BigInteger), tokens.c.expires < bindparam("before"))
    )
)


@dataclass(frozen=True, slots=True)
class Token:
    """A live token, without its secret. Times are in seconds since 1970."""

    id: str
    kind: Literal["personal", "refresh"]
    name: str
    limits: Limits | None
    created: int
    expires: int | None
    last_used: int | None = None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was made just now, and its secret, which nobody can read again."""

    token: Token
    secret: str = field(repr=False)


class Tokens:
    """Makes, finds, lists and revokes tokens."""

    def __init__(
        self,
        database: Database,
        fingerprints: Fingerprints,
        last_use: LastUse,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._fingerprints = fingerprints
        self._last_use = last_use
        self._clock = clock

    async def personal(self, secret: str) -> Caller:
        """Return whom the personal token *secret* stands for.

        Raises:
            BadCredentials: there is no such token, or it has ended, or its person is disabled.
        """
        caller, _, _ = await self._find(secret, PERSONAL, "personal")
        return caller

    async def refresh(self, secret: str, service: str) -> Caller:
        """Return whom the refresh token *secret*, given out for *service*, stands for.

        Raises:
            BadCredentials: there is no such token, or it has ended, or it is for another service.
        """
        caller, bound_to, generation = await self._find(secret, REFRESH, "refresh")
        if bound_to != service or generation != caller.generation:
            raise BadCredentials
        return caller

    async def add_personal(
        self, caller: Caller, name: str, limits: Limits | None = None, expires: int | None = None
    ) -> NewToken:
        """Make a personal token for *caller*; without *limits* it may do all that the person may.

        A caller who shows a token gets no more than that one has, and no more time: left out, *limits* and *expires*
        are that one's.

        Raises:
            NotPermitted: *limits* or *expires* go beyond those of the caller.
            TooManyTokens: the person holds `MOST_PERSONAL`.
            BadCredentials: the password was changed, the caller's token has ended, or the person was disabled,
                meanwhile.
        """
        if caller.limits is not None:
            limits = caller.limits if limits is None else limits
            if not caller.limits.cover(limits):
                raise NotPermitted("a scope that the token in use does not have")
        if caller.expires is not None:
            expires = caller.expires if expires is None else expires
            if expires > caller.expires:
                raise NotPermitted("a token that outlives the one in use")
        return await self._add("personal", caller, name, limits, expires)

    async def add_refresh(self, caller: Caller, client: str, service: str) -> NewToken:
        """Make a refresh token for a *client* that signed in as *caller*; it allows what the caller may.

        Raises:
            BadCredentials: the password was changed, the caller's token has ended, or the person was disabled,
                meanwhile.
        """
        expires = int(self._clock()) + REFRESH_LIFETIME
        if caller.expires is not None:
            expires = min(expires, caller.expires)
        return await self._add("refresh", caller, client, caller.limits, expires, service)

    async def of_person(self, person_id: str) -> list[Token]:
        """List a person's live tokens, the oldest first."""
        rows = await self._database.all(_LIST, person=person_id, now=int(self._clock()))
        return [_token(row) for row in rows]

    async def revoke(self, person_id: str, token_id: str) -> None:
        """End one of a person's tokens, and all that were made with it. It is refused from now on, everywhere.

        Raises:
            TokenUnknown: the person has no live token of that id.
        """
        if _ID.fullmatch(token_id) is None:
            raise TokenUnknown(token_id)
        now = int(self._clock())

        async def work(tx: Transaction) -> None:
            await tx.one(_LOCK_PERSON, person=person_id)
            if await tx.one(_STILL_LIVE, row=token_id, person=person_id, now=now) is None:
                raise TokenUnknown(token_id)
            await tx.run(_REVOKE, row=token_id, at=now)

        await self._database.write(work)

    async def prune(self) -> int:
        """Delete what ended long ago; return how many tokens that were. To be called now and then, daily is enough."""
        before = int(self._clock()) - KEPT

        async def work(tx: Transaction) -> int:
            return await tx.run(_PRUNE, before=before)

        return await self._database.write(work)

    async def _find(self, secret: str, prefix: str, kind: str) -> tuple[Caller, str | None, int | None]:
        if not well_formed(secret, prefix):
            raise BadCredentials
        row = await self._database.one(_BY_FINGERPRINT, fingerprint=self._fingerprints.of(secret))
        if row is None:
            raise BadCredentials
        token_id, found_kind, scopes, service, expires, revoked, bound_generation, *of_person = row
        person_id, name, administrator, disabled, generation = of_person
        now = int(self._clock())
        if found_kind != kind or revoked is not None or disabled or (expires is not None and expires <= now):
            raise BadCredentials
        self._last_use.note(token_id, now)
        limits = None if scopes is None else stored_limits(scopes)
        caller = Caller(person_id, name, bool(administrator), generation, limits, token_id, expires)
        return caller, service, bound_generation

    async def _add(
        self,
        kind: Literal["personal", "refresh"],
        caller: Caller,
        name: str,
        limits: Limits | None,
        expires: int | None,
        service: str | None = None,
    ) -> NewToken:
        now = int(self._clock())
        token = Token(new_id(), kind, name[:LONGEST_NAME], limits, now, expires)
        secret = new_secret(PERSONAL if kind == "personal" else REFRESH)
        fingerprint = self._fingerprints.of(secret)
        person_id, parent_id = caller.person_id, caller.token_id

        async def work(tx: Transaction) -> None:
            person = await tx.one(_LOCK_PERSON, person=person_id)
            if person is None or person[0] or person[1] != caller.generation:
                raise BadCredentials
            if parent_id is not None and await tx.one(_STILL_LIVE, row=parent_id, person=person_id, now=now) is None:
                raise BadCredentials
            if kind == "refresh":
                await tx.run(_MAKE_ROOM, person=person_id)
            elif (await tx.all(_COUNT, person=person_id, now=now))[0][0] >= MOST_PERSONAL:
                raise TooManyTokens(MOST_PERSONAL)
            await tx.run(
                _INSERT,
                id=token.id,
                kind=kind,
                person_id=person_id,
                parent_id=parent_id,
                name=token.name,
                fingerprint=fingerprint,
                scopes=None if limits is None else str(limits),
                service=service,
                generation=caller.generation if kind == "refresh" else None,
                created=now,
                expires=expires,
            )

        await self._database.write(work)
        return NewToken(token, secret)


def _token(row: Row) -> Token:
    token_id, kind, name, scopes, created, expires, last_used = row
    limits = None if scopes is None else stored_limits(scopes)
    return Token(token_id, kind, name, limits, created, expires, last_used)
