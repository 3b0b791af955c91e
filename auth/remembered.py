"""Passwords that were right a moment ago.

docker and its kin send the password with every request for a token. What was checked against the slow hash is
remembered for a minute as an HMAC, with a key that this process alone has and that is in no file. The password's
generation is part of it, so one that was changed is not found again.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import time
from collections.abc import Callable

#: Seconds for which a right password is remembered.
SECONDS = 60


class RememberedPasswords:
    """At most *most* passwords, the oldest forgotten first."""

    def __init__(self, most: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._key = os.urandom(32)
        self._until: dict[bytes, float] = {}
        self._most = most
        self._clock = clock

    def add(self, person_id: str, generation: int, password: str) -> None:
        """Remember that *password* is the person's."""
        mark = self._mark(person_id, generation, password)
        self._until.pop(mark, None)
        while len(self._until) >= self._most:
            del self._until[next(iter(self._until))]
        self._until[mark] = self._clock() + SECONDS

    def has(self, person_id: str, generation: int, password: str) -> bool:
        """Tell whether *password* was the person's within the last minute."""
        until = self._until.get(self._mark(person_id, generation, password))
        return until is not None and until > self._clock()

    def _mark(self, person_id: str, generation: int, password: str) -> bytes:
        text = f"{person_id}\0{generation}\0{password}"
        return hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), hashlib.sha256)
