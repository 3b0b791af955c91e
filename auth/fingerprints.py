"""Random secrets, and the fingerprints by which they are found again.

A token or a link is 256 random bits, so nobody guesses it, and a slow hash would protect nothing: the database keeps an
HMAC of it, whose key is in the database too, once for the installation. A fingerprint found in a query's log or a
backup of one table is no credential, and comparing by look-up tells an attacker nothing, who cannot compute one.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets as random
import time
import zlib

from sqlalchemy import bindparam, select

from auth.tables import secrets
from database import Database, Query, Transaction, insert_or

_NAME = "fingerprints"
_ENSURE = Query(insert_or(secrets).on_conflict_do_nothing(), "name", "value", "created")
_VALUE = Query(select(secrets.c.value).where(secrets.c.name == bindparam("name")))

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_LENGTH = 43  # 256 bits in base 62
_CHECK_LENGTH = 6  # 32 bits in base 62


class Fingerprints:
    """Computes fingerprints with the installation's key."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    async def open(cls, database: Database) -> Fingerprints:
        """Read the key, which the first process to come here makes, however many come at once."""

        async def ensure(tx: Transaction) -> str:
            await tx.run(_ENSURE, name=_NAME, value=random.token_hex(32), created=int(time.time()))
            row = await tx.one(_VALUE, name=_NAME)
            assert row is not None
            return str(row[0])

        row = await database.one(_VALUE, name=_NAME)
        return cls(bytes.fromhex(row[0] if row is not None else await database.write(ensure)))

    def of(self, secret: str) -> str:
        """Return the fingerprint of *secret* in hexadecimal."""
        return hmac.digest(self._key, secret.encode(), hashlib.sha256).hex()


def new_secret(prefix: str = "") -> str:
    """Make a secret: *prefix*, 256 random bits, and a check of both, so that a slip of the pen is found by anyone."""
    body = prefix + _base62(random.randbits(256), _RANDOM_LENGTH)
    return body + _base62(zlib.crc32(body.encode()), _CHECK_LENGTH)


def well_formed(secret: str, prefix: str = "") -> bool:
    """Tell whether *secret* is one that `new_secret` could have made; no secret of ours fails this."""
    body, check = secret[:-_CHECK_LENGTH], secret[-_CHECK_LENGTH:]
    return (
        len(secret) == len(prefix) + _RANDOM_LENGTH + _CHECK_LENGTH
        and secret.isascii()
        and secret.startswith(prefix)
        and check == _base62(zlib.crc32(body.encode()), _CHECK_LENGTH)
    )


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
