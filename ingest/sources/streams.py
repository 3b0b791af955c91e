"""Blobs of sources, opened: what the pool reads layers from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import BinaryIO, Self

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
