"""What was tried in vain, remembered for a while, so that nobody has it tried again and again."""

from __future__ import annotations

import time
from collections.abc import Hashable

#: Seconds after which it may be tried again.
_REMEMBERED = 86_400.0
#: Things that are remembered, some 300 bytes each; of more the oldest are forgotten.
_MOST = 10_000


class InVain:
    """What was tried in vain in this process, for a day."""

    def __init__(self, seconds: float = _REMEMBERED, most: int = _MOST) -> None:
        self._seconds = seconds
        self._most = most
        self._tried: dict[Hashable, float] = {}

    def add(self, thing: Hashable) -> None:
        """Remember that *thing* was tried just now."""
        self._tried.pop(thing, None)
        self._tried[thing] = time.monotonic()
        if len(self._tried) > self._most:
            del self._tried[next(iter(self._tried))]

    def __contains__(self, thing: Hashable) -> bool:
        tried = self._tried.get(thing)
        return tried is not None and time.monotonic() < tried + self._seconds
