"""The keys that access tokens are signed with (ES256, RFC 7518 section 3.4), named by their thumbprints (RFC 7638).

One key signs. When it is rotated out its private half is deleted at once; its public half verifies what it signed
until the last of that has expired. Whoever only verifies reads the public halves and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from joserfc.jwk import ECKey
from sqlalchemy import BigInteger, bindparam, delete, or_, select, update

from auth.tables import signing_keys
from database import Database, Query, Transaction, insert_or
from database.protocol import Reader

ALGORITHM = "ES256"
#: Seconds for which a retired key still verifies: more than a token's life, a signer's memory and the leeway together.
KEPT = 900
#: Seconds for which a process believes that the key it signs with is still the one to sign with.
_BELIEVED = 10
#: Seconds after which public keys are read again, so that one that is gone does not verify for ever.
_READ_AGAIN = 60

_NEWEST = Query(
    select(signing_keys.c.kid, signing_keys.c.private, signing_keys.c.generation)
    .where(signing_keys.c.retired.is_(None))
    .order_by(signing_keys.c.generation.desc())
    .limit(1)
)
_INSERT = Query(
    insert_or(signing_keys).on_conflict_do_nothing(),
    "kid",
    "generation",
    "public",
    "private",
    "created",
    "retired",
)
_RETIRE = Query(
    update(signing_keys)
    .where(signing_keys.c.generation < bindparam("current"), signing_keys.c.retired.is_(None))
    .values(retired=bindparam("now"), private=None)
)
_FORGET = Query(delete(signing_keys).where(signing_keys.c.retired < bindparam("before")))
_PUBLIC = Query(
    select(signing_keys.c.kid, signing_keys.c.public)
    .where(
        or_(signing_keys.c.retired.is_(None), signing_keys.c.retired >= bindparam("since", type_=BigInteger)),
    )
    .order_by(signing_keys.c.generation.desc())
)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and its name. Its text form shows the name alone."""

    kid: str
    key: ECKey = field(repr=False)


class Keys(Protocol):
    """Where a verifier finds public keys."""

    async def find(self, kid: str) -> ECKey | None:
        """Return the public key called *kid*, None when there is none that verifies today."""


class SigningKeys:
    """The key that signs, read from the database now and then, for another process may rotate it."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.time) -> None:
        self._database = database
        self._clock = clock
        self._key: SigningKey | None = None
        self._believed_until = 0.0

    @classmethod
    async def open(cls, database: Database, clock: Callable[[], float] = time.time) -> SigningKeys:
        """Read the key, which the first process to come here makes, however many come at once."""
        keys = cls(database, clock)
        if await database.one(_NEWEST) is None:
            made = ECKey.generate_key("P-256")

            async def work(tx: Transaction) -> None:
                if await tx.one(_NEWEST) is None:
                    await _insert(tx, made, 1, int(clock()))

            await database.write(work)
        await keys.current()
        return keys

    async def current(self) -> SigningKey:
        """Return the key to sign with."""
        if self._key is None or self._clock() >= self._believed_until:
            self._key = await _newest(self._database)
            self._believed_until = self._clock() + _BELIEVED
        return self._key

    async def rotate(self) -> SigningKey:
        """Make a new key, which signs from now on, and retire the one before. Two at once make one new key.

        Other processes go over to it within seconds.
        """
        made = ECKey.generate_key("P-256")
        now = int(self._clock())

        async def work(tx: Transaction) -> SigningKey:
            row = await tx.one(_NEWEST)
            generation = 1 if row is None else int(row[2]) + 1
            if await _insert(tx, made, generation, now):
                await tx.run(_RETIRE, current=generation, now=now)
                await tx.run(_FORGET, before=now - KEPT)
            return await _newest(tx)

        self._key = await self._database.write(work)
        self._believed_until = self._clock() + _BELIEVED
        return self._key


class PublicKeys:
    """`Keys` from the database's table: its public half alone."""

    def __init__(self, reader: Reader, clock: Callable[[], float] = time.time) -> None:
        self._reader = reader
        self._clock = clock
        self._keys: dict[str, ECKey] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def find(self, kid: str) -> ECKey | None:
        """See `Keys.find`. A name that is not known is looked for in the table, at most once a second."""
        if self._is_stale(kid):
            async with self._reading:  # whoever comes meanwhile waits for the answer too
                if self._is_stale(kid):
                    await self._read()
        return self._keys.get(kid)

    def _is_stale(self, kid: str) -> bool:
        age = self._clock() - self._read_at
        return age >= _READ_AGAIN or (kid not in self._keys and age >= 1)

    async def jwks(self) -> dict[str, list[dict[str, Any]]]:
        """Return a JWK Set (RFC 7517, section 5) of the keys that verify today."""
        await self.find("")
        return {
            "keys": [
                {**key.as_dict(private=False), "kid": kid, "use": "sig", "alg": ALGORITHM}
                for kid, key in self._keys.items()
            ]
        }

    async def _read(self) -> None:
        now = self._clock()
        rows = await self._reader.all(_PUBLIC, since=int(now) - KEPT)
        self._read_at = now
        self._keys = {kid: self._keys.get(kid) or ECKey.import_key(json.loads(public)) for kid, public in rows}


async def _newest(reader: Reader) -> SigningKey:
    row = await reader.one(_NEWEST)
    assert row is not None, "SigningKeys.open makes one"
    return SigningKey(row[0], ECKey.import_key(json.loads(row[1])))


async def _insert(tx: Transaction, key: ECKey, generation: int, now: int) -> int:
    return await tx.run(
        _INSERT,
        kid=key.thumbprint(),
        generation=generation,
        public=json.dumps(key.as_dict(private=False)),
        private=json.dumps(key.as_dict(private=True)),
        created=now,
        retired=None,
    )
