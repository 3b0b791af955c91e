"""Work that would stop the event loop: hashing, writing, synchronising, reading large files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Threads:
    """A pool of threads whose work is always waited for.

    A thread cannot be stopped. A task that is cancelled while its thread still writes must not let go of the file, so
    `finish` sees the work through before it lets the cancellation pass.

    The default limit is above the number of processors because most of the work waits for the disk: threads that
    synchronise together share one journal commit, and sixteen of them do three times what one does.
    """

    def __init__(self, limit: int = 32) -> None:
        self._executor = ThreadPoolExecutor(limit, thread_name_prefix="blobs")

    def start(self, work: Callable[[*Ts], T], *arguments: *Ts) -> asyncio.Future[T]:
        """Begin *work* in a thread. Whoever starts it also calls `finish`."""
        return asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)

    async def run(self, work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """Do *work* in a thread."""
        return await finish(self.start(work, *arguments))

    async def run_stoppable(self, stop: Callable[[], None], work: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """Do *work* in a thread. Where the waiting task is cancelled, *stop* tells the work to end soon."""
        begun = self.start(work, *arguments)
        try:
            await asyncio.wait([begun])
        except asyncio.CancelledError:
            stop()
            with suppress(Exception):
                await finish(begun)
            raise
        return begun.result()

    async def iterate(self, items: Iterator[T], batch: int = 256) -> AsyncIterator[T]:
        """Draw *items* in a thread, *batch* of them at a time."""

        def draw() -> list[T]:
            return list(islice(items, batch))

        while True:
            drawn = await self.run(draw)
            for item in drawn:
                yield item
            if len(drawn) < batch:
                return


async def finish(work: asyncio.Future[T]) -> T:
    """Wait until *work* has ended, even if the waiting task is cancelled, which is then raised at the end."""
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError as cancellation:
            cancelled = cancellation
    if cancelled is not None:
        if not work.cancelled():
            work.exception()  # looked at, so that asyncio does not report it as lost
        raise cancelled
    return work.result()
