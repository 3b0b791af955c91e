"""From blobs to the tars within: what layers are compressed with in the wild, and what no layer is."""

from __future__ import annotations

import io
import os
import struct
import threading
import zlib
from itertools import pairwise

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.decompression import Compression, Decompressed
from ingest.errors import CompressionDamaged, CompressionUnknown, LayerTruncated, LayerUnreadable, LimitBroken
from ingest.limits import ReadLimits
from tests.ingest.tars import gzip, skippable, tar, zstd

LIMITS = ReadLimits()
ARCHIVE = tar({f"file{number}": os.urandom(700) + bytes(2000) for number in range(500)})


class Drops:
    """A source that gives a few bytes at a time, as a pipe may."""

    def __init__(self, content: bytes, size: int) -> None:
        self._file = io.BytesIO(content)
        self._size = size

    def read(self, size: int) -> bytes:
        return self._file.read(min(size, self._size))


def read(blob: bytes, limits: ReadLimits = LIMITS) -> bytes:
    return b"".join(Decompressed(io.BytesIO(blob), limits))


def split(content: bytes, size: int) -> list[bytes]:
    places = [*range(0, len(content), size), len(content)]
    return [content[start:stop] for start, stop in pairwise(places)]


def zstd_frame(content: bytes, *, checksum: bool, sized: bool) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=checksum, write_content_size=sized).compress(content)


BLOBS = {
    "gzip": (gzip(ARCHIVE), Compression.GZIP),
    "gzip in many members": (b"".join(gzip(piece) for piece in split(ARCHIVE, 5000)), Compression.GZIP),
    "gzip with an empty member first": (gzip(b"") + gzip(ARCHIVE), Compression.GZIP),
    "gzip, padded": (gzip(ARCHIVE) + bytes(100_000), Compression.GZIP),
    "gzip, stored": (gzip(ARCHIVE, level=0), Compression.GZIP),
    "zstandard": (zstd(ARCHIVE), Compression.ZSTD),
    "zstandard without its size": (zstd(ARCHIVE, sized=False), Compression.ZSTD),
    "zstandard in many frames": (b"".join(zstd(piece) for piece in split(ARCHIVE, 5000)), Compression.ZSTD),
    "zstandard with checksums": (
        b"".join(
            zstd_frame(piece, checksum=bool(number % 2), sized=bool(number % 3))
            for number, piece in enumerate(split(ARCHIVE, 100_000))
        ),
        Compression.ZSTD,
    ),
    "zstd:chunked": (
        b"".join(zstd(piece) for piece in split(ARCHIVE, 50_000))
        + skippable(zstd(b"a table of contents"))
        + skippable(b"GNUlInUx" * 8),
        Compression.ZSTD,
    ),
    "zstandard behind a skippable frame": (skippable(b"", 0x184D2A5F) + zstd(ARCHIVE), Compression.ZSTD),
    "zstandard, padded": (zstd(ARCHIVE) + bytes(5000), Compression.ZSTD),
    "plain": (ARCHIVE, Compression.NONE),
}


@pytest.mark.parametrize(("blob", "compression"), BLOBS.values(), ids=BLOBS.keys())
@pytest.mark.parametrize("size", [7, 1000, 1 << 30])
def test_what_layers_are_compressed_with(blob: bytes, compression: Compression, size: int) -> None:
    opened = Decompressed(Drops(blob, size), LIMITS)
    assert opened.compression == compression
    assert b"".join(opened) == ARCHIVE
    assert (opened.size, opened.compressed, opened.trailing) == (len(ARCHIVE), len(blob), 0)


@pytest.mark.parametrize("flags", range(0, 32, 2))
def test_a_gzip_header_may_hold_anything_its_format_has(flags: int) -> None:
    """Among them estargz's extra field, and a checksum of the header."""
    head = struct.pack("<BBBBIBB", 0x1F, 0x8B, 8, flags, 0, 0, 255)
    if flags & 4:
        head += struct.pack("<H", 26) + b"SG\x16\x00" + b"0" * 22
    if flags & 8:
        head += b"layer.tar\0"
    if flags & 16:
        head += b"comment " * 1000 + b"\0"
    if flags & 2:
        head += struct.pack("<H", zlib.crc32(head) & 0xFFFF)
    blob = head + gzip(ARCHIVE[:20_000])[10:]
    for size in (1, 100, 1 << 30):
        assert b"".join(Decompressed(Drops(blob + gzip(b"more"), size), LIMITS)) == ARCHIVE[:20_000] + b"more"


def test_a_pipe_is_read_to_its_end() -> None:
    read_end, write_end = os.pipe()
    blob = gzip(ARCHIVE) + b"behind"

    def feed() -> None:
        with open(write_end, "wb") as pipe:  # noqa: PTH123 - a descriptor
            pipe.write(blob)

    feeding = threading.Thread(target=feed)
    feeding.start()
    with open(read_end, "rb", buffering=0) as pipe:  # noqa: PTH123
        opened = Decompressed(pipe, LIMITS)
        assert b"".join(opened) == ARCHIVE
    feeding.join()
    assert (opened.compressed, opened.trailing) == (len(blob), len(b"behind"))


@pytest.mark.parametrize("blob", [gzip(ARCHIVE), zstd(ARCHIVE), zstd_frame(ARCHIVE, checksum=True, sized=False)])
def test_a_stream_that_is_cut_off_anywhere_is_an_error(blob: bytes) -> None:
    for length in [*range(2, 40), *range(40, len(blob) - 40, 20_011), *range(len(blob) - 40, len(blob))]:
        if length < 4 and blob[0] == 0x28:
            continue  # these are not enough to tell zstandard by
        with pytest.raises(LayerTruncated):
            read(blob[:length])


@given(st.sampled_from(["gzip", "zstd"]), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
@settings(deadline=None, max_examples=60)
def test_a_damaged_stream_never_passes_for_another(compression: str, where: float, flipped: int) -> None:
    archive = ARCHIVE[:100_000]
    damaged = bytearray(gzip(archive) if compression == "gzip" else zstd_frame(archive, checksum=True, sized=True))
    place = int(where * len(damaged))
    damaged[place] ^= flipped
    try:
        found = read(bytes(damaged))
    except LayerUnreadable as error:
        assert error.reason
    else:
        # What makes it no gzip at all, and a gzip header's time and system, are covered by no checksum.
        assert found == archive or place < 10


@given(st.binary(max_size=300), st.sampled_from([b"", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18"]))
@settings(deadline=None)
def test_any_bytes_end_in_a_tar_or_an_error_of_ours(tail: bytes, magic: bytes) -> None:
    try:
        read(magic + tail)
    except LayerUnreadable as error:
        assert error.reason


def test_what_follows_is_counted_and_not_read() -> None:
    for blob in (gzip(ARCHIVE), zstd(ARCHIVE)):
        opened = Decompressed(io.BytesIO(blob + b"\0\0\0behind"), LIMITS)
        assert b"".join(opened) == ARCHIVE
        assert opened.trailing == 9


def test_other_compressions_are_named() -> None:
    with pytest.raises(CompressionUnknown) as failure:
        read(b"\xfd7zXZ\0\0\4" + bytes(100))
    assert "xz" in failure.value.reason


def test_a_gzip_method_that_does_not_exist() -> None:
    with pytest.raises(CompressionDamaged):
        read(b"\x1f\x8b\x07\0" + bytes(100))


def test_the_limit_of_size() -> None:
    blob = gzip(bytes(3000))
    assert len(read(blob, ReadLimits(raw=3000))) == 3000
    with pytest.raises(LimitBroken) as failure:
        read(blob, ReadLimits(raw=2999))
    assert failure.value.limit == "raw"


def test_the_limit_of_ratio_is_for_what_is_large() -> None:
    blob = gzip(bytes(2_000_000), level=9)
    assert len(read(blob, ReadLimits(ratio=10, ratio_from=2_000_000))) == 2_000_000
    with pytest.raises(LimitBroken) as failure:
        read(blob, ReadLimits(ratio=10, ratio_from=1_000_000))
    assert failure.value.limit == "ratio"


def test_the_limit_of_time() -> None:
    with pytest.raises(LimitBroken) as failure:
        read(gzip(ARCHIVE), ReadLimits(seconds=0))
    assert failure.value.limit == "seconds"


def test_a_bomb_is_given_up_long_before_it_has_gone_off() -> None:
    taken = 0
    with pytest.raises(LimitBroken):
        for chunk in Decompressed(io.BytesIO(gzip(bytes(50 << 20))), ReadLimits(raw=1 << 20)):
            taken += len(chunk)
    assert taken <= 1 << 20
