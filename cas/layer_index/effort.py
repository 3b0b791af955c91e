"""What one question may cost the owner of the layer index."""

from __future__ import annotations

import time
from collections.abc import Callable

#: Keys that are looked at for one question, at most: half a second's work or so.
MOST_KEYS = 200_000
#: Seconds of a processor that one question may take.
MOST_SECONDS = 1.0

#: Keys between two looks at the clock.
_SLICE = 256


class Effort:
    """Keys that were looked at for one question. It is given up after *keys* of them or *seconds* of a processor, and
    as soon as nobody waits for the answer any more (`stop`, from another thread). *pause* is called now and then: it
    lets others go first."""

    def __init__(
        self, keys: int = MOST_KEYS, seconds: float = MOST_SECONDS, pause: Callable[[], None] | None = None
    ) -> None:
        self.looked_at = 0
        self._most = keys
        self._seconds = seconds
        self._pause = pause
        self._until: float | None = None
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
        if self._pause is not None:
            self._pause()
        now = time.thread_time()
        if self._until is None:
            self._until = now + self._seconds
        return self._stopped or now > self._until
