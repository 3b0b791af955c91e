"""Limits on wrong passwords, for each name from each address."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import NamedTuple

from auth.errors import Throttled

#: Wrong passwords that cost nothing.
FREE = 5
#: The wait after the first that does; it doubles each time, up to LONGEST.
FIRST_WAIT = 2
LONGEST_WAIT = 300
#: Seconds without a wrong password after which all are forgotten.
FORGOTTEN_AFTER = 900


class _Failures(NamedTuple):
    number: int
    last: float
    blocked_until: float


class Attempts:
    """Counts wrong passwords in memory: each process for itself, and forgotten when it ends.

    Names and addresses that were seen last are kept, at most *most*.
    """

    def __init__(self, most: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        self._failures: dict[tuple[str, str], _Failures] = {}
        self._most = most
        self._clock = clock

    def check(self, name: str, address: str) -> None:
        """Do nothing, unless an attempt at *name* from *address* is not to be heard now.

        Raises:
            Throttled: there were too many wrong ones.
        """
        found = self._failures.get((name, address))
        if found is None:
            return
        left = found.blocked_until - self._clock()
        if left > 0:
            raise Throttled(max(1, math.ceil(left)))

    def failed(self, name: str, address: str) -> None:
        """Note a wrong password."""
        now = self._clock()
        before = self._failures.pop((name, address), None)
        count = 1 if before is None or now - before.last > FORGOTTEN_AFTER else before.number + 1
        wait = 0 if count < FREE else min(LONGEST_WAIT, FIRST_WAIT << min(count - FREE, 16))
        while len(self._failures) >= self._most:
            del self._failures[next(iter(self._failures))]
        self._failures[name, address] = _Failures(count, now, now + wait)

    def succeeded(self, name: str, address: str) -> None:
        """Forget the wrong passwords that came before the right one."""
        self._failures.pop((name, address), None)
