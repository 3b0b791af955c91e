"""From the bytes of a blob to the bytes of its tar, a chunk at a time.

What a blob is compressed with is told by how it begins, never by its media type, which is the pusher's claim:

    1f 8b                        gzip (RFC 1952), any number of members; estargz is that
    28 b5 2f fd, 5x 2a 4d 18     zstandard (RFC 8878), frames and skippable frames; zstd:chunked is that
    anything else                a bare tar

Zeros, or anything else that begins no further member or frame, after the compressed data are passed over, as gzip does.
A stream that ends in its middle, and one whose checksum is wrong, are errors: their digest would mean nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from enum import StrEnum
from typing import IO, Protocol, cast

import zstandard
from isal import igzip_lib

from ingest.errors import CompressionDamaged, CompressionUnknown, LayerTruncated, LimitBroken
from ingest.limits import ReadLimits

#: Bytes that are read from the source at once, and that a chunk has at most. Larger ones leave the processor's cache
#: between being decompressed, hashed and walked.
_READ = 128 << 10
_CHUNK = 256 << 10
_FIRST = 8 << 10

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
#: Begins what others compress layers with, which no runtime accepts.
_OTHERS = {b"\xfd7zXZ\0": "xz", b"BZh": "bzip2", b"\x04\x22\x4d\x18": "lz4", b"PK\x03\x04": "zip"}

#: Of one gzip header, with its name and comment.
_GZIP_HEADER = 256 << 10


class Source(Protocol):
    """What a blob is read from: a file opened without a buffer, a pipe, `io.BytesIO`. It need not give all it is asked
    for, and gives ``b""`` at the end alone."""

    def read(self, size: int, /) -> bytes | None: ...


class Compression(StrEnum):
    GZIP = "gzip"
    ZSTD = "zstd"
    NONE = "none"


class Decompressed:
    """The tar within a blob: iterate once for its chunks, none of which is empty.

    *compression* is known from the start; *compressed*, how many bytes of the blob were read, and *trailing*, how many
    of these come after the compressed data and are not zeros' padding, when the last chunk has been taken.

    Raises (while iterating):
        CompressionDamaged, LayerTruncated, LimitBroken
    """

    def __init__(self, source: Source, limits: ReadLimits) -> None:
        """
        Raises:
            CompressionUnknown: it is compressed in a way that layers are not.
        """
        self._input = _Input(source)
        self._limits = limits
        self.trailing = 0
        self.size = 0
        first = self._input.peek(6)
        for magic, name in _OTHERS.items():
            if first.startswith(magic):
                raise CompressionUnknown(f"it is compressed with {name}, which layers are not")
        if first.startswith(_GZIP):
            self.compression = Compression.GZIP
        elif first.startswith(_ZSTD) or _is_skippable(first[:4]):
            self.compression = Compression.ZSTD
        else:
            self.compression = Compression.NONE

    @property
    def compressed(self) -> int:
        return self._input.count

    def __iter__(self) -> Iterator[bytes]:
        limits = self._limits
        started = time.monotonic()
        chunks = {Compression.GZIP: self._gzip, Compression.ZSTD: self._zstd, Compression.NONE: self._plain}
        for chunk in chunks[self.compression]():
            self.size += len(chunk)
            if self.size > limits.raw:
                raise LimitBroken("raw", f"it is larger than {limits.raw} bytes when decompressed")
            if self.size > limits.ratio_from and self.size > self._input.count * limits.ratio:
                raise LimitBroken("ratio", f"it decompresses to more than {limits.ratio} times its size")
            if time.monotonic() - started > limits.seconds:
                raise LimitBroken("seconds", f"it could not be read within {limits.seconds:g} seconds")
            if chunk:
                yield chunk

    def _plain(self) -> Iterator[bytes]:
        while chunk := self._input.take(_READ):
            yield chunk

    def _gzip(self) -> Iterator[bytes]:
        while True:
            self._gzip_header()
            # The header is read here because the library refuses one with a checksum that comes in two pieces.
            member = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP_NO_HDR_VER)
            # What a member leaves over is copied: one of many small members (estargz) is given little at first.
            most = _FIRST
            while not member.eof:
                piece = b""
                if member.needs_input:
                    piece = self._input.take(most)
                    most = min(2 * most, _READ)
                    if not piece:
                        raise LayerTruncated("the gzip stream ends before its end")
                try:
                    yield member.decompress(piece, _CHUNK)
                except igzip_lib.error as error:  # type: ignore[misc]  # its stub gives the class as an instance
                    raise CompressionDamaged(f"the gzip stream is damaged: {error}") from error
            self._input.put_back(len(member.unused_data))
            if self._input.peek(2) != _GZIP:
                self._pass_over()
                return

    def _gzip_header(self) -> None:
        start = self._input.peek(10)
        if len(start) < 10:
            raise LayerTruncated("the gzip stream ends before its end")
        flags = start[3]
        if start[2] != 8 or flags & 0xE0:
            raise CompressionDamaged("the gzip header asks for what the format does not have")
        length = 10
        if flags & 4:
            extra = self._input.peek(12)[10:]
            length += 2 + int.from_bytes(extra, "little")
        for flag in (8, 16):
            if flags & flag:
                length = self._after_zero(length)
        if flags & 2:
            length += 2
        if len(self._input.peek(length)) < length:
            raise LayerTruncated("the gzip stream ends before its end")
        self._input.take(length)

    def _after_zero(self, start: int) -> int:
        """Return where the text that begins *start* bytes ahead ends, its zero included."""
        looked = 512
        while True:
            ahead = self._input.peek(start + looked)
            end = ahead.find(b"\0", start)
            if end >= 0:
                return end + 1
            if len(ahead) < start + looked:
                raise LayerTruncated("the gzip stream ends before its end")
            if looked > _GZIP_HEADER:
                raise CompressionDamaged(f"the gzip header is larger than {_GZIP_HEADER} bytes")
            looked *= 8

    def _zstd(self) -> Iterator[bytes]:
        frames = _Frames(self._input)
        decompressor = zstandard.ZstdDecompressor(max_window_size=self._limits.window)
        try:
            # It asks for no more of a file than `read`.
            file = cast(IO[bytes], frames)
            with decompressor.stream_reader(file, read_size=_READ, read_across_frames=True, closefd=False) as reader:
                while chunk := reader.read(_CHUNK):
                    yield chunk
        except zstandard.ZstdError as error:
            if "too much memory" in str(error):
                most = self._limits.window
                raise LimitBroken("window", f"decompressing it would take more than {most} bytes of memory") from error
            raise CompressionDamaged(f"the zstandard stream is damaged: {error}") from error
        if not frames.whole:
            raise LayerTruncated("the zstandard stream ends before its end")
        self._pass_over()

    def _pass_over(self) -> None:
        """Count what follows the compressed data, all of it unless it is zeros alone."""
        count, padding = 0, True
        while piece := self._input.take(_READ):
            count += len(piece)
            padding = padding and piece.count(0) == len(piece)
        self.trailing = 0 if padding else count


class _Input:
    """The compressed bytes, with a way to look ahead."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._buffer = b""
        self._at = 0
        #: Bytes that were taken so far.
        self.count = 0

    def peek(self, size: int) -> bytes:
        """Return the next *size* bytes, fewer where there are no more, without taking them."""
        while len(self._buffer) - self._at < size:
            piece = self._source.read(_READ)
            if not piece:
                break
            self._buffer = self._buffer[self._at :] + piece
            self._at = 0
        return self._buffer[self._at : self._at + size]

    def take(self, size: int) -> bytes:
        """Take up to *size* bytes; none at the end alone."""
        if self._at == len(self._buffer):
            self._buffer = self._source.read(_READ) or b""
            self._at = 0
        taken = self._buffer[self._at : self._at + size]
        self._at += len(taken)
        self.count += len(taken)
        return taken

    def put_back(self, size: int) -> None:
        """Untake the last *size* bytes of what was taken last."""
        self._at -= size
        self.count -= size


class _Frames:
    """The frames at the start of an input, and nothing after them, for a decoder to read from.

    The decoder does not tell a stream that was cut off from one that ended, nor data that follow from a damaged frame:
    so the frames' own structure is followed here (RFC 8878, 3.1: headers and the lengths of blocks), without decoding.
    """

    def __init__(self, source: _Input) -> None:
        self._input = source
        #: Bytes to hand over before the next structure begins.
        self._due = 0
        self._next = self._frame
        self._checksum = False
        self._ended = False
        #: Whether the input ended at the end of a frame. Says so once the decoder has seen the end.
        self.whole = False

    def read(self, size: int) -> bytes:
        """Return up to *size* bytes, none at the end of the frames."""
        gathered: list[bytes] = []
        room = size
        while room and not self._ended:
            if not self._due:
                self._due = self._next()
                if not self._due:
                    self._ended = True
                    break
            piece = self._input.take(min(self._due, room))
            if not piece:
                self._ended, self.whole = True, False
                break
            self._due -= len(piece)
            room -= len(piece)
            gathered.append(piece)
        return b"".join(gathered)

    def _frame(self) -> int:
        """Return the length of a frame's header, or of a whole skippable frame; 0 where none begins."""
        start = self._input.peek(8)
        self.whole = True
        if len(start) == 8 and _is_skippable(start[:4]):
            return 8 + int.from_bytes(start[4:8], "little")
        if not start.startswith(_ZSTD):
            return 0
        self.whole = False
        self._next = self._block
        if len(start) < 5:
            return len(start)
        descriptor = start[4]
        single = bool(descriptor & 0x20)
        self._checksum = bool(descriptor & 0x04)
        size_of_content = (1 if single else 0, 2, 4, 8)[descriptor >> 6]
        return 5 + (0 if single else 1) + (0, 1, 2, 4)[descriptor & 3] + size_of_content

    def _block(self) -> int:
        """Return the length of a block with its header, and of the frame's checksum after the last one."""
        start = self._input.peek(3)
        if len(start) < 3:
            return 0
        header = int.from_bytes(start, "little")
        last, kind, size = header & 1, header >> 1 & 3, header >> 3
        length = 3 + (1 if kind == 1 else size)
        if last:
            length += 4 if self._checksum else 0
            self._next = self._frame
        return length


def _is_skippable(magic: bytes) -> bool:
    return len(magic) == 4 and magic[0] & 0xF0 == 0x50 and magic[1:] == b"\x2a\x4d\x18"
