"""Byte ranges of a blob: what a Range header asks for, and how several are sent (RFC 9110, 14)."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from typing import NamedTuple

from cas import BlobReader
from catalog.registry.messages import Headers

_RANGE = re.compile(r"\s*(\d*)-(\d*)\s*")


class ByteRange(NamedTuple):
    """Bytes *start* to *stop*, exclusive."""

    start: int
    stop: int


class Unsatisfiable(Exception):
    """No byte of what was asked for exists."""


def parse_ranges(header: str, size: int, most: int) -> list[ByteRange] | None:
    """Read a Range header for a blob of *size* bytes; None means that the whole blob is the answer.

    That is so for other units, for what cannot be parsed (RFC 9110 lets a server ignore it), for more than *most*
    ranges, and for ranges that together are more than the blob: several small requests must not cost a large answer.

    Raises:
        Unsatisfiable: no range of it lies within the blob; one that runs backwards never does.
    """
    unit, _, specification = header.partition("=")
    if unit.strip().lower() != "bytes":
        return None
    parts = specification.split(",", most)
    if len(parts) > most:
        return None
    found: list[ByteRange] = []
    for part in parts:
        match = _RANGE.fullmatch(part)
        if match is None or len(part) > 64:
            return None
        first, last = match.groups()
        if not first and not last:
            return None
        start = int(first) if first else max(size - int(last), 0)
        stop = min(int(last) + 1, size) if first and last else size
        if start < stop:
            found.append(ByteRange(start, stop))
    if not found:
        raise Unsatisfiable
    if len(found) > 1 and sum(stop - start for start, stop in found) > size:
        return None
    return found


class Multipart:
    """Several ranges of one blob as ``multipart/byteranges`` (RFC 9110, 14.6)."""

    def __init__(self, reader: BlobReader, ranges: list[ByteRange], content_type: str) -> None:
        boundary = secrets.token_hex(16)
        self._reader = reader
        self._ranges = ranges
        self._heads = [
            f"\r\n--{boundary}\r\nContent-Type: {content_type}\r\n"
            f"Content-Range: bytes {start}-{stop - 1}/{reader.size}\r\n\r\n".encode()
            for start, stop in ranges
        ]
        self._tail = f"\r\n--{boundary}--\r\n".encode()
        length = sum(map(len, self._heads)) + sum(stop - start for start, stop in ranges) + len(self._tail)
        self.headers: Headers = [
            (b"content-type", f"multipart/byteranges; boundary={boundary}".encode()),
            (b"content-length", str(length).encode()),
        ]

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body."""
        for head, (start, stop) in zip(self._heads, self._ranges, strict=True):
            yield head
            async for piece in self._reader.pieces(start, stop):
                yield piece
        yield self._tail
