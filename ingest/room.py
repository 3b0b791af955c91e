"""Room for a number of bytes, which those take turns in who have something large in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Room:
    """Room for *most* bytes, given out in the order in which it is asked for. What is larger than all of it has it to
    itself; what has no more than *beside* bytes needs none, and waits for nobody."""

    def __init__(self, most: int, beside: int = 0) -> None:
        self._most = most
        self._beside = beside
        self._held = 0
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def hold(self, size: int) -> AsyncIterator[None]:
        """Wait for room for *size* bytes, and have it until the end of the block."""
        if size <= self._beside:
            yield
            return
        size = min(size, self._most)
        async with self._turn:
            while self._held + size > self._most:
                self._freed.clear()
                await self._freed.wait()
            self._held += size
        try:
            yield
        finally:
            self._held -= size
            self._freed.set()
