"""What one question may cost the owner of the layer index."""

from __future__ import annotations

import time
from collections.abc import Callable

#: Keys that are looked at for one question, at most: half a second's work or so.
MOST_KEYS = 200_000
#: Seconds of a processor that one question may take.
MOST_SECONDS = 1.0
#: Seconds that one question may take by the clock, with all that it waits for others.
LONGEST = 2.0

#: Keys between two looks at the clock.
_SLICE = 256


class Effort:
    """Keys that were looked at for one question. It is given up after *keys* of them, *seconds* of a processor or
    *longest* seconds in all, and as soon as nobody waits for the answer any more (`stop`, from another thread). *pause*
    is called now and then: it lets others go first."""

    def __init__(
        self,
        keys: int = MOST_KEYS,
        seconds: float = MOST_SECONDS,
        pause: Callable[[], None] | None = None,
        longest: float = LONGEST,
    ) -> None:
        self.looked_at = 0
        self._most = keys
        self._seconds = seconds
        self._pause = pause
        self._longest = longest
        self._until: tuple[float, float] | None = None
        self._stopped = False

    def stop(self) -> None:
        """Have it given up."""
        self._stopped = True

    def another(self) -> bool:
        """Count a key; tell whether it may be looked at. To be asked in the one thread that does the work."""
        if self.looked_at >= self._most or (self.looked_at % _SLICE == 0 and self._is_over()):
            return False
        self.looked_at += 1
        return True

    def _is_over(self) -> bool:
        worked, now = time.thread_time(), time.monotonic()
        if self._until is None:
            self._until = worked + self._seconds, now + self._longest
        if self._pause is not None:
            self._pause()
            worked, now = time.thread_time(), time.monotonic()
        return self._stopped or worked > self._until[0] or now > self._until[1]
