"""The pool of processes that read layers.

    work ──► waiting ──► a process that is idle ──► its answer
                              │ ▲
              killed, too slow, too large, too old: ended, and another one started in its place

Decompressing and parsing what anybody may push is done in processes of their own: what a hostile layer does to one of
them ends that work alone, with an error that says why. Each is started anew and imports what it needs (a fork would
copy the threads and secrets of its parent), before it is needed. Nothing is pickled: see `ingest.frames`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cas import BlobReader
from ingest.errors import LayerUnreadable, NotStarted, ProgramFault
from ingest.frames import Request
from ingest.readers import Gone, Reader
from ingest.starting import Started

_log = logging.getLogger(__name__)

#: Works after which a process is replaced: what libraries lose in memory is lost for a while only.
_MOST_WORKS = 500
#: Bytes in memory, between two works, above which a process is replaced.
_MOST_RESIDENT = 160 << 20
#: Seconds before a process is started anew after one could not be, at first and at most.
_FIRST_WAIT = 0.1
_LONGEST_WAIT = 30.0


class _Work(NamedTuple):
    request: Request
    parts: Sequence[bytes]
    blob: BlobReader | None
    seconds: float
    done: asyncio.Future[list[bytes]]


class Pool:
    """Processes that do the works of a module, one each at a time."""

    def __init__(self, processes: int, memory: int, module: str = "ingest.works", first: Started | None = None) -> None:
        """Have *processes* of them, each with *memory* bytes at most, doing what `WORKS` of *module* lists; *first* is
        one that was started already."""
        self.processes = processes
        self._memory = memory
        self._module = module
        self._first = first
        self._waiting: deque[_Work] = deque()
        self._idle: deque[asyncio.Future[None]] = deque()
        self._readers: set[Reader] = set()

    @property
    def pids(self) -> list[int]:
        """The processes that are ready or at work."""
        return sorted(reader.pid for reader in self._readers)

    async def run(
        self,
        work: str,
        parameters: Mapping[str, object],
        parts: Sequence[bytes] = (),
        blob: BlobReader | None = None,
        *,
        seconds: float,
    ) -> list[bytes]:
        """Have *work* done with its *parameters*, *parts* and *blob* (which stays open until then); it may take
        *seconds* once it has begun.

        Raises:
            LayerUnreadable: the bytes are not what they should be.
            ReaderFailed: the process that did it was given up: why.
            Exception: what reading *blob* raised.
        """
        done: asyncio.Future[list[bytes]] = asyncio.get_running_loop().create_future()
        self._put(_Work(Request(work, dict(parameters)), parts, blob, seconds, done))
        return await done

    async def keep(self) -> None:
        """Keep the processes running until cancelled; they end with it."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self.processes):
                group.create_task(self._keep_one())

    def _put(self, work: _Work) -> None:
        self._waiting.append(work)
        self._wake_one()

    async def _keep_one(self) -> None:
        wait = _FIRST_WAIT
        while True:
            try:
                first, self._first = self._first, None
                reader = await Reader.start(self._memory, self._module, first)
            except NotStarted as error:
                _log.error("no process could be started to read layers: %s", error.error)
                self._refuse_one(error)
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - nothing hangs on its being guessed
                wait = min(wait * 2, _LONGEST_WAIT)
                continue
            wait = _FIRST_WAIT
            self._readers.add(reader)
            try:
                await self._serve(reader)
            finally:
                self._readers.discard(reader)
                await reader.end()

    def _refuse_one(self, error: NotStarted) -> None:
        """Tell whoever waits longest, so that the reason is seen where it is looked for."""
        if self._waiting:
            work = self._waiting.popleft()
            if not work.done.done():
                work.done.set_exception(error)

    async def _serve(self, reader: Reader) -> None:
        """Give *reader* work until it is to be replaced."""
        while reader.works < _MOST_WORKS and reader.resident() < _MOST_RESIDENT:
            while not self._waiting:
                idle = asyncio.get_running_loop().create_future()
                self._idle.append(idle)
                await asyncio.wait([idle, reader.ended], return_when=asyncio.FIRST_COMPLETED)
                if reader.ended.done():
                    if not idle.cancel():  # it was woken, and cannot: somebody else is to do it
                        self._wake_one()
                    return
            work = self._waiting.popleft()
            if not work.done.done() and not await self._do(reader, work):
                return

    def _wake_one(self) -> None:
        while self._idle:
            idle = self._idle.popleft()
            if not idle.done():
                idle.set_result(None)
                return

    async def _do(self, reader: Reader, work: _Work) -> bool:
        """Do *work*; tell whether *reader* is good for more."""
        try:
            found = await reader.do(work.request, work.parts, work.blob, work.seconds)
        except Gone:
            self._waiting.appendleft(work)
            return False
        except LayerUnreadable as error:
            _settle(work, error)
            return True
        except ProgramFault as error:
            _log.error("the work %r failed: %s\n%s", work.request.work, error.error, error.trace)
            _settle(work, error)
            return False
        except Exception as error:  # noqa: BLE001 - it is told to whoever asked for the work
            _settle(work, error)
            return False
        if not work.done.done():
            work.done.set_result(found)
        return True


def _settle(work: _Work, error: Exception) -> None:
    if not work.done.done():
        work.done.set_exception(error)
