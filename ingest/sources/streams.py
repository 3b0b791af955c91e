"""Blobs of sources, opened: what the pool reads layers from."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import BinaryIO, Self

from cas import BlobReader, Digest
from ingest.sources.source import SourceUnreadable

_PIECE = 1024 * 1024


class FileStream:
    """A `BlobReader` over a file of this machine, or over a part of one, read once from its beginning."""

    def __init__(self, file: BinaryIO, start: int, size: int, *, whole: bool) -> None:
        self.size = size
        self._file = file
        self._start = start
        self._whole = whole

    async def pieces(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """See `BlobReader.pieces`."""
        self._file.seek(self._start + start)
        while start < stop and (piece := await asyncio.to_thread(self._file.read, min(_PIECE, stop - start))):
            start += len(piece)
            yield piece

    def fileno(self) -> int | None:
        """See `BlobReader.fileno`: only a file that holds the blob and nothing else has one."""
        return self._file.fileno() if self._whole else None

    async def warm(self, start: int, stop: int) -> None:
        """There is no need."""

    async def aclose(self) -> None:
        self._file.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class NetworkStream:
    """A `BlobReader` over bytes that come once: they can be read from the beginning alone."""

    def __init__(self, pieces: AsyncIterator[bytes], size: int, close: Callable[[], Awaitable[None]]) -> None:
        self.size = size
        self._pieces = pieces
        self._close = close

    async def pieces(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """See `BlobReader.pieces`; *start* is 0."""
        async for piece in self._pieces:
            yield piece

    def fileno(self) -> int | None:
        """There is none."""
        return None

    async def warm(self, start: int, stop: int) -> None:
        """There is no need."""

    async def aclose(self) -> None:
        await self._close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class Verified:
    """Another `BlobReader`, whose bytes are held against the digest and size that a manifest names it by.

    Bytes that pass through here are hashed on their way; a file that its reader reads by itself is hashed beside that,
    in a thread.
    """

    def __init__(self, blob: BlobReader, digest: Digest, size: int) -> None:
        self.size = blob.size
        self._blob = blob
        self._digest = digest
        self._expected = size
        self._running = hashlib.new(digest.algorithm)
        self._beside: asyncio.Future[None] | None = None

    async def pieces(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """See `BlobReader.pieces`; *start* is 0. Bytes beyond *stop* are never handed on."""
        left = stop
        async for piece in self._blob.pieces(start, stop):
            left -= len(piece)
            if left < 0:
                raise SourceUnreadable(str(self._digest), f"has more than the {self._expected} bytes that are said")
            self._running.update(piece)
            yield piece

    def fileno(self) -> int | None:
        """See `BlobReader.fileno`."""
        descriptor = self._blob.fileno()
        if descriptor is not None and self._beside is None:
            self._beside = asyncio.ensure_future(asyncio.to_thread(self._hash, descriptor))
        return descriptor

    def _hash(self, descriptor: int) -> None:
        offset = 0
        while piece := os.pread(descriptor, _PIECE, offset):  # the reader's own place in the file stays where it is
            self._running.update(piece)
            offset += len(piece)

    async def check(self, read: int) -> None:
        """Hold what was read, *read* bytes of it, against its names.

        Raises:
            SourceUnreadable: it is something else.
        """
        if self._beside is not None:
            await self._beside
        if self.size != self._expected or read != self._expected:
            raise SourceUnreadable(str(self._digest), f"has {read} bytes, and the manifest says {self._expected}")
        if Digest.finish(self._running) != self._digest:
            raise SourceUnreadable(str(self._digest), "is the name of other bytes")

    async def warm(self, start: int, stop: int) -> None:
        """There is no need."""

    async def aclose(self) -> None:
        if self._beside is not None:
            await asyncio.wait([self._beside])  # it reads from what is closed next
        await self._blob.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
