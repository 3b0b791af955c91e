"""The way to the first administrator: a link that works once, for a day, and only while there is none."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import BigInteger, bindparam, select, update

from auth.errors import NameTaken, SetUpLinkInvalid
from auth.fingerprints import Fingerprints, new_secret, well_formed
from auth.names import PersonName
from auth.passwords import Passwords, check_new_password
from auth.people import Person, has_administrator, insert_person
from auth.tables import setup_links
from database import Conflict, Database, Query, Transaction, insert_or

#: Seconds that a link lives.
LIFETIME = 24 * 3600
#: Seconds within which processes that ask for a link are taken to be starting together: the first one gets it.
STARTING_TOGETHER = 10

_THE_LINK = 1

_insert = insert_or(setup_links)
_REPLACE = Query(
    _insert.on_conflict_do_update(
        index_elements=["id"],
        set_={
            "fingerprint": _insert.excluded.fingerprint,
            "created": _insert.excluded.created,
            "expires": _insert.excluded.expires,
            "used": None,
        },
        where=~setup_links.c.created.between(
            bindparam("before", type_=BigInteger), bindparam("after", type_=BigInteger)
        ),
    ),
    "id",
    "fingerprint",
    "created",
    "expires",
)
_OPEN = (
    (setup_links.c.fingerprint == bindparam("fingerprint"))
    & setup_links.c.used.is_(None)
    & (setup_links.c.expires > bindparam("now", type_=BigInteger))
)
_IS_OPEN = Query(select(setup_links.c.id).where(_OPEN))
_USE = Query(update(setup_links).where(_OPEN).values(used=bindparam("now", type_=BigInteger)))


class SetUp:
    """Gives out the link's secret and takes it back. Only its fingerprint is stored: print it, never log it."""

    def __init__(
        self,
        database: Database,
        fingerprints: Fingerprints,
        passwords: Passwords,
        default_namespace: str = "library",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._fingerprints = fingerprints
        self._passwords = passwords
        self._default_namespace = default_namespace
        self._clock = clock

    async def needed(self) -> bool:
        """Tell whether nobody was made an administrator yet."""
        return not await has_administrator(self._database)

    async def issue(self) -> str | None:
        """Return a new link's secret; the link before it is void.

        None where there is an administrator, or where another process that is starting too was given a link just now.
        """
        secret = new_secret()
        now = int(self._clock())
        fingerprint = self._fingerprints.of(secret)

        async def work(tx: Transaction) -> bool:
            if await has_administrator(tx):
                return False
            replaced = await tx.run(
                _REPLACE,
                id=_THE_LINK,
                fingerprint=fingerprint,
                created=now,
                expires=now + LIFETIME,
                before=now - STARTING_TOGETHER,
                after=now + STARTING_TOGETHER,
            )
            return replaced == 1

        return secret if await self._database.write(work) else None

    async def is_open(self, secret: str) -> bool:
        """Tell whether `redeem` would accept *secret* at this moment: a page asks before it shows its form."""
        if not well_formed(secret) or await has_administrator(self._database):
            return False
        now = int(self._clock())
        return await self._database.one(_IS_OPEN, fingerprint=self._fingerprints.of(secret), now=now) is not None

    async def redeem(self, secret: str, name: str, password: str) -> Person:
        """Make the first administrator. Whoever comes second with the same secret is refused, however close behind.

        What is wrong with *name* or *password* leaves the link as it was.

        Raises:
            SetUpLinkInvalid: *secret* was used, has expired, was replaced; or there is an administrator.
            InvalidPersonName: *name* does not follow the grammar, or is reserved.
            InvalidPassword: *password* cannot be one.
            NameTaken: there is a person or a namespace of that name.
        """
        if not await self.is_open(secret):  # before anything slow is done for a stranger
            raise SetUpLinkInvalid
        chosen = PersonName.choose(name, self._default_namespace)
        hashed = await self._passwords.hash(check_new_password(password, chosen.text))
        fingerprint = self._fingerprints.of(secret)
        now = int(self._clock())

        async def work(tx: Transaction) -> Person:
            if not await tx.run(_USE, fingerprint=fingerprint, now=now) or await has_administrator(tx):
                raise SetUpLinkInvalid
            return await insert_person(tx, chosen, hashed, administrator=True)

        try:
            return await self._database.write(work)
        except Conflict:
            raise NameTaken(chosen.text) from None
