"""Passwords: what a new one must be, and their hashes."""

from __future__ import annotations

import asyncio
import os
import secrets
import unicodedata
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from auth.errors import InvalidPassword, Throttled

SHORTEST = 10
#: In bytes of UTF-8.
LONGEST = 1024
#: What personal and refresh tokens begin with (`auth.tokens`). No password does, so the two are never mistaken.
TOKEN_PREFIXES = ("ptl_", "ptr_")
#: Hashes that may wait for a thread, as a multiple of the threads; who comes later is told to try again.
_QUEUE = 50


def check_new_password(password: str, name: str) -> str:
    """Return *password* as it is to be hashed, for the person called *name*.

    Raises:
        InvalidPassword: too short, too long, the name itself, or nothing that a client could send.
    """
    password = _normalised(password)
    try:
        size = len(password.encode())
    except UnicodeEncodeError:
        raise InvalidPassword("a password is text that can be written in UTF-8") from None
    if len(password) < SHORTEST:
        raise InvalidPassword(f"a password has at least {SHORTEST} characters")
    if size > LONGEST:
        raise InvalidPassword(f"a password has at most {LONGEST} bytes")
    if any(unicodedata.category(character) == "Cc" for character in password):
        raise InvalidPassword("a password holds no control characters (RFC 7617, section 2)")
    if password.startswith(TOKEN_PREFIXES):
        raise InvalidPassword("a password does not begin as a token does")
    if password.casefold() == name:
        raise InvalidPassword("a password is not the person's name")
    return password


class Passwords:
    """Makes and checks argon2id hashes in threads of its own, at most as many at a time as there are processors.

    One check takes about 130 ms and 64 MiB with argon2-cffi's defaults (RFC 9106, the second recommended option).
    """

    def __init__(self, hasher: PasswordHasher | None = None, threads: int | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._threads = threads or os.cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="argon2")
        self._waiting = 0
        self._nobodys: str | None = None

    async def hash(self, password: str) -> str:
        """Return a hash of *password*, with its parameters and salt, as text.

        Raises:
            Throttled: too many wait already.
        """
        return await self._in_thread(password, None)

    async def matches(self, hashed: str | None, password: str) -> bool:
        """Tell whether *password* is the one that was hashed.

        Where there is no hash (no such person, or one without a password) the answer is no, and takes as long.

        Raises:
            Throttled: too many wait already.
        """
        if self._nobodys is None:
            self._nobodys = await self.hash(secrets.token_hex(16))
        answer = await self._in_thread(_normalised(password), hashed or self._nobodys)
        return answer == "yes" and hashed is not None

    async def close(self) -> None:
        """End the threads once they have finished what they are doing."""
        await asyncio.to_thread(self._pool.shutdown, cancel_futures=True)

    async def _in_thread(self, password: str, hashed: str | None) -> str:
        if self._waiting >= self._threads * _QUEUE:
            raise Throttled(retry_after=1)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._work, password, hashed)
        finally:
            self._waiting -= 1

    def _work(self, password: str, hashed: str | None) -> str:
        if hashed is None:
            return self._hasher.hash(password)
        try:
            self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return "no"
        return "yes"


def _normalised(password: str) -> str:
    """Spell accented letters in one way, whatever the keyboard sent (RFC 8265, section 4.2: NFC)."""
    return password if password.isascii() else unicodedata.normalize("NFC", password)
