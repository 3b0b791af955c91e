"""Blobs of the local driver, opened for reading."""

from __future__ import annotations

import errno
import os
from asyncio import Future
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from cas.store import PIECE
from cas.threads import Threads, finish

#: What is read on the event loop. To ask a thread takes longer than to read this much; to read more from a cold disk
#: would keep the other requests waiting.
_ON_THE_LOOP = 64 * 1024


class FileReader:
    """A `BlobReader` of an open file: its name may be replaced or removed meanwhile, its bytes stay."""

    def __init__(self, file: int, threads: Threads) -> None:
        self.size = os.fstat(file).st_size
        self._file = file
        self._threads = threads
        self._reading: set[Future[bytes]] = set()
        self._closed = False

    async def pieces(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Read as `BlobReader.pieces` says; a thread, where there is one, keeps a piece ahead of the network."""
        if stop - start <= _ON_THE_LOOP:
            while start < stop:
                self._require_open()
                piece = self._read(start, stop)
                start += len(piece)
                yield piece
            return
        self._require_open()
        os.posix_fadvise(self._file, start, stop - start, os.POSIX_FADV_SEQUENTIAL)
        ahead = self._read_ahead(start, stop)
        while start < stop:
            piece = await finish(ahead)
            start += len(piece)
            if start < stop:
                ahead = self._read_ahead(start, stop)
            yield piece

    def fileno(self) -> int:
        """See `BlobReader.fileno`."""
        self._require_open()
        return self._file

    async def warm(self, start: int, stop: int) -> None:
        """See `BlobReader.warm`. The kernel says at once whether it has the last byte; if not, a thread reads."""
        while start < stop:
            try:
                os.preadv(self._file, [bytearray(1)], min(start + PIECE, stop) - 1, os.RWF_NOWAIT)
                start = min(start + PIECE, stop)
            except OSError:  # not in memory, or a file system that cannot say
                piece = await finish(self._read_ahead(start, stop))
                start += len(piece)

    def _require_open(self) -> None:
        if self._closed:
            raise ValueError("the blob is closed")

    def _read(self, start: int, stop: int) -> bytes:
        piece = os.pread(self._file, min(PIECE, stop - start), start)
        if not piece:
            raise OSError(errno.EIO, "the blob ends before its size")
        return piece

    def _read_ahead(self, start: int, stop: int) -> Future[bytes]:
        self._require_open()
        reading = self._threads.start(self._read, start, stop)
        self._reading.add(reading)
        reading.add_done_callback(self._done)
        return reading

    def _done(self, reading: Future[bytes]) -> None:
        if not reading.cancelled():
            reading.exception()  # looked at: the piece may be one that nobody waits for any more
        self._reading.discard(reading)
        if self._closed and not self._reading:
            os.close(self._file)

    async def aclose(self) -> None:
        """Close the file, once no thread reads from it: by then the descriptor could be another file's."""
        if not self._closed:
            self._closed = True
            if not self._reading:
                os.close(self._file)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
