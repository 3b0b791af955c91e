"""Layers that somebody made to do harm, and what becomes of each: a table for all tests that need some.

`HOSTILE` maps a name to a `Hostile`: `build()` gives the blob; `limits` are those it is read with. It either fails
(*error*, a class of `ingest.errors`), or is read in part: *paths* are the entries that are found, *unread* is in the
words that say why the rest was not read, each of *limits_told* in one of the lines of `LayerFacts.limits`.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from ingest.errors import (
    CompressionDamaged,
    CompressionUnknown,
    LayerTruncated,
    LayerUnreadable,
    LimitBroken,
    NotAnArchive,
)
from ingest.limits import ReadLimits
from tests.ingest.tars import (
    END,
    GNU,
    PAX_GLOBAL,
    PAX_MEMBER,
    Member,
    Members,
    block,
    device,
    entry,
    file,
    gnu_sparse,
    gzip,
    hard_link,
    header,
    opaque,
    pax_header,
    pax_record,
    pax_sparse,
    skippable,
    symlink,
    tar,
    zstd,
)

MIB = 1 << 20

#: Small enough for tests to reach.
SMALL = ReadLimits(raw=64 * MIB, ratio=200, ratio_from=8 * MIB, entries=10_000, holes=64 * MIB, seconds=60)

DPKG = "var/lib/dpkg/status"
STATUS = b"Package: x\nStatus: install ok installed\nVersion: 1\n\n"


@dataclass(frozen=True)
class Hostile:
    build: Callable[[], bytes]
    error: type[LayerUnreadable] | None = None
    paths: frozenset[str] | None = None
    unread: str = ""
    limits_told: tuple[str, ...] = ()
    limits: ReadLimits = field(default=SMALL)


def _fails(build: Callable[[], bytes], error: type[LayerUnreadable], limits: ReadLimits = SMALL) -> Hostile:
    return Hostile(build, error=error, limits=limits)


def _partly(
    build: Callable[[], bytes], *paths: str, unread: str = "", told: tuple[str, ...] = (), limits: ReadLimits = SMALL
) -> Hostile:
    return Hostile(build, paths=frozenset(paths), unread=unread, limits_told=told, limits=limits)


def _members(members: Members, form: str = "pax") -> Callable[[], bytes]:
    return lambda: gzip(tar(members, form=form))


def _raw(*parts: bytes, end: bytes = END) -> Callable[[], bytes]:
    return lambda: gzip(b"".join([*parts, end]))


def _gzip_bomb() -> bytes:
    return gzip(tar({"zeros": bytes(100 * MIB)}), level=9)


def _zstd_bomb() -> bytes:
    return zstd(tar({"zeros": bytes(100 * MIB)}), level=19)


def _zstd_ratio() -> bytes:
    return zstd(tar({"zeros": bytes(32 * MIB)}), level=19)


def _wide_zstd_window() -> bytes:
    # A frame header that asks for a window of 1 GiB (RFC 8878, 3.1.1.1.2), and a block of one repeated byte.
    return b"\x28\xb5\x2f\xfd" + bytes([0x00, (30 - 10) << 3]) + struct.pack("<I", 1 | 1 << 1 | 100 << 3)[:3] + b"a"


def _empty_members() -> bytes:
    return gzip(tar({"a": b"1"})) + gzip(b"") * 20_000


def _damaged_gzip() -> bytes:
    blob = bytearray(gzip(tar({"a": bytes(range(256)) * 400})))
    blob[len(blob) // 2] ^= 0xFF
    return bytes(blob)


def _wrong_crc() -> bytes:
    blob = gzip(tar({"a": b"1"}))
    return blob[:-8] + struct.pack("<I", zlib.crc32(b"other")) + blob[-4:]


def _wrong_zstd_checksum() -> bytes:
    import zstandard

    blob = zstandard.ZstdCompressor(write_checksum=True).compress(tar({"a": b"1"}))
    return blob[:-1] + bytes([blob[-1] ^ 1])


def _deep(parts: int) -> str:
    return "/".join("d" * parts)


def _circle(length: int) -> list[tuple[str, Member]]:
    return [(f"l{number}", hard_link(f"l{(number + 1) % length}")) for number in range(length)]


def _late_chain(length: int) -> list[tuple[str, Member]]:
    links = [(f"l{number:04}", hard_link(f"l{number + 1:04}")) for number in range(length)]
    return [*links, (f"l{length:04}", file("end"))]


def _pairs(count: int, form: bytes = b"comment") -> bytes:
    return b"".join(pax_record(b"%s%d" % (form, number), b"x") for number in range(count))


def _extended(content: bytes, kind: bytes = PAX_MEMBER) -> bytes:
    return block(header("x", kind, size=len(content)) + content)


_A = entry("a", b"1")
_Z = entry("z", b"2")

HOSTILE: dict[str, Hostile] = {
    # What decompresses to too much.
    "a gzip bomb": _fails(_gzip_bomb, LimitBroken),
    "a zstandard bomb": _fails(_zstd_bomb, LimitBroken),
    "a ratio that no honest layer has": _fails(_zstd_ratio, LimitBroken),
    "a window of a gibibyte": _fails(_wide_zstd_window, LimitBroken),
    "a bomb within the second gzip member": _fails(lambda: gzip(_A) + _gzip_bomb(), LimitBroken),
    "a bomb within the second zstandard frame": _fails(lambda: zstd(_A) + _zstd_bomb(), LimitBroken),
    "a gzip in a gzip": _fails(lambda: gzip(gzip(tar({"a": b"1"}))), NotAnArchive),
    "twenty thousand empty gzip members": _partly(_empty_members, "a"),
    # What is cut off or damaged.
    "nothing at all": _partly(lambda: b""),
    "one byte": _fails(lambda: b"x", NotAnArchive),
    "gzip cut off in its header": _fails(lambda: gzip(tar({"a": b"1"}))[:6], LayerTruncated),
    "gzip cut off in its middle": _fails(lambda: gzip(tar({"a": bytes(range(256)) * 99}))[:60], LayerTruncated),
    "gzip cut off in its checksum": _fails(lambda: gzip(tar({"a": b"1"}))[:-5], LayerTruncated),
    "gzip with a name without end": _fails(
        lambda: b"\x1f\x8b\x08\x08\0\0\0\0\0\xff" + b"n" * 4 * MIB, CompressionDamaged
    ),
    "gzip with a damaged byte": _fails(_damaged_gzip, CompressionDamaged),
    "gzip with a wrong checksum": _fails(_wrong_crc, CompressionDamaged),
    "gzip whose second member is cut off": _fails(lambda: gzip(_A) + gzip(END)[:12], LayerTruncated),
    "zstandard cut off in its header": _fails(lambda: zstd(tar({"a": b"1"}))[:5], LayerTruncated),
    "zstandard cut off in a block": _fails(lambda: zstd(tar({"a": bytes(range(256)) * 99}))[:-9], LayerTruncated),
    "zstandard cut off between blocks": _fails(lambda: zstd(bytes(300_000))[:-7], LayerTruncated),
    "zstandard cut off in a skippable frame": _fails(
        lambda: zstd(_A + END) + skippable(b"x" * 99)[:50], LayerTruncated
    ),
    "zstandard with a wrong checksum": _fails(_wrong_zstd_checksum, CompressionDamaged),
    "xz": _fails(lambda: b"\xfd7zXZ\0" + bytes(100), CompressionUnknown),
    "bzip2": _fails(lambda: b"BZh91AY&SY" + bytes(100), CompressionUnknown),
    "a tar that says it is gzip by nothing but its media type": _partly(lambda: tar({"a": b"1"}), "a"),
    "text": _fails(lambda: b"This is no layer.\n" * 100, NotAnArchive),
    "a tar cut off in a file": _partly(
        _raw(_A, entry("z", b"2" * 3000)[:1000], end=b""), "a", unread="ends within a file"
    ),
    "a tar cut off in a header": _partly(_raw(_A, _Z[:300], end=b""), "a", unread="ends within the header"),
    "a tar cut off in a long file": _partly(
        _raw(_A, entry("z", b"2" * MIB)[:-4000], end=b""), "a", unread="ends within a file"
    ),
    "a tar cut off in an extended header": _partly(
        _raw(_A, pax_header({"comment": "c" * 2000})[:1000], end=b""), "a", unread="extended header"
    ),
    "a tar without its end": _partly(_raw(_A, _Z, end=b""), "a", "z"),
    "a first header with a wrong checksum": _fails(_raw(header("a", checksum=1)), NotAnArchive),
    "a second header with a wrong checksum": _partly(_raw(_A, header("z", checksum=1)), "a", unread="checksum"),
    "garbage behind the archive": _partly(_raw(_A, END, b"garbage" * 999), "a", told=("behind the end",)),
    "garbage behind the gzip stream": _partly(
        lambda: gzip(_A + END) + b"garbage", "a", told=("behind the compressed data",)
    ),
    "garbage behind the zstandard frames": _partly(
        lambda: zstd(_A + END) + b"garbage", "a", told=("behind the compressed data",)
    ),
    "two archives, one behind the other": _partly(_raw(_A, END, _Z), "a", told=("behind the end",)),
    "a lone block of zeros, then more": _partly(_raw(_A, bytes(512), _Z), "a", told=("behind the end",)),
    # Names.
    "names that go up and out": _partly(
        _members({"a": b"1", "../z": b"2", "b/../../z": b"3", "..": b"4"}), "a", told=("leads out of the root",)
    ),
    "absolute names": _partly(_members({"/etc/passwd": b"1", "//srv//x": b"2"}), "etc/passwd", "srv/x"),
    "names that go up and stay within": _partly(_members({"a/../b/./c": b"1"}), "b/c"),
    "files in place of the root": _partly(_members({".": b"1", "/": symlink("a"), "./": None}), told=("the root",)),
    "a byte 0 in a pax path": _partly(
        _members({"x": Member(content=b"1", records={"path": b"a\0b"}), "a": b"2"}), "a", told=("byte 0",)
    ),
    "names that are not UTF-8": _partly(
        _members([(b"caf\xe9", b"1"), (b"\xff\xfe/x", b"2")]), "caf\\xe9", "\\xff\\xfe/x"
    ),
    "a name with line breaks and controls": _partly(_members({"a\nb\x1b[2J": b"1"}), "a\nb\x1b[2J"),
    "a name of ten thousand bytes": _partly(_members({"n" * 10_000: b"1", "a": b"2"}), "a", told=("longer than",)),
    "a target of ten thousand bytes": _partly(
        _members({"l": symlink("n" * 10_000), "a": b"2"}), "a", told=("longer than",)
    ),
    "two thousand directories, one in the other": _partly(_members({_deep(2000): b"1"}), _deep(2000)),
    "names that fill the memory": _partly(
        _members({f"{number:04}/" + "n" * 3000: b"" for number in range(500)}),
        *(f"{number:04}/" + "n" * 3000 for number in range(350)),
        unread="its names have more than",
        limits=ReadLimits(names=350 * 3005 - 1),
    ),
    "more entries than the limit": _partly(
        lambda: gzip(b"".join(header(f"{number:06}") for number in range(30_000)) + END),
        *(f"{number:06}" for number in range(10_000)),
        unread="more than 10000 members",
    ),
    "one path, ten thousand times": _partly(_members([("a", f"{number}") for number in range(9_999)]), "a"),
    # Headers.
    "a size below zero": _partly(_raw(_A, header("z", size=-1), _Z), "a", unread="below zero"),
    "a size of eight exbibytes": _partly(
        _raw(_A, header("z", size=(1 << 63) - 1), _Z), "a", unread="ends within a file"
    ),
    "a size of 95 bits": _partly(_raw(_A, header("z", size=b"\xbf" + b"\xff" * 11), _Z), "a", unread="a number"),
    "a size that is no number": _partly(_raw(_A, header("z", size=b"0o17_1-9"), _Z), "a", unread="a number"),
    "a pax size that lies": _partly(_raw(pax_header({"size": "9999999"}), _A, _Z), unread="ends within a file"),
    "a pax size below zero": _partly(_raw(_A, pax_header({"size": "-512"}), _Z), "a", unread="below zero"),
    "a pax size of a thousand digits": _partly(_raw(_A, pax_header({"size": "9" * 1000}), _Z), "a", unread="a number"),
    "a pax header of two mebibytes": _partly(
        _raw(_A, pax_header({"comment": "c" * 2 * MIB}), _Z), "a", unread="extended header"
    ),
    "a hundred thousand pax records": _partly(_raw(_A, _extended(_pairs(50_000)), _Z), "a", "z"),
    "a pax record that is longer than its header": _partly(
        _raw(_A, _extended(b"99 path=x\n"), _Z), "a", unread="extended header"
    ),
    "a pax record of length 0": _partly(_raw(_A, _extended(b"0 path=x\n"), _Z), "a", unread="extended header"),
    "a pax record whose length is negative": _partly(
        _raw(_A, _extended(b"-9 path=x\n"), _Z), "a", unread="extended header"
    ),
    "a thousand global headers": _partly(_raw(*[pax_header({"path": "evil"}, PAX_GLOBAL)] * 1000, _A), "a"),
    "a global header that gives sizes": _partly(_raw(pax_header({"size": "0"}, PAX_GLOBAL), _A, _Z), "a", "z"),
    "pax headers without a member": _partly(_raw(_A, pax_header({"path": "evil"}) * 1000), "a"),
    "a long name of two mebibytes": _partly(
        _raw(_A, block(header("././@LongLink", b"L", size=2 * MIB, gnu=True) + b"n" * 2 * MIB), _Z),
        "a",
        unread="extended header",
    ),
    "times beyond all calendars": _partly(
        _members({"a": Member(content=b"1", records={"mtime": "9" * 400}), "b": file(b"2", modified=-(1 << 40))}),
        "a",
        "b",
    ),
    "a kind that no runtime knows": _partly(_members({"m": Member(b"M", b"1"), "a": b"2"}), "a", told=("of a kind",)),
    # Sparse files.
    "a sparse file of eight exbibytes": _partly(
        _raw(_A, pax_sparse("s", [(0, b"x")], (1 << 63) - 1)), "a", "s", told=("holes",)
    ),
    "many sparse files": _partly(
        _raw(*[gnu_sparse(f"s{number}", [(0, b"x")], 30 * MIB) for number in range(5)]),
        *[f"s{number}" for number in range(5)],
        told=("holes",),
    ),
    "a sparse map that goes back": _partly(
        _raw(_A, gnu_sparse("s", [(5000, b"x" * 512), (0, b"y" * 512)], 9000)), "a", unread="does not fit"
    ),
    "a sparse map that claims more than there is": _partly(
        _raw(_A, gnu_sparse("s", [(0, b"x")], 9000, claimed=[(0, 5000)])), "a", unread="does not fit"
    ),
    "a sparse map of a billion pieces": _partly(
        _raw(
            _A,
            pax_header({"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "1"}),
            entry("s", b"1000000000\n" + b"0\n" * 600_000),
        ),
        "a",
        unread="map",
    ),
    # Links.
    "a symlink to itself, and one that leads out": _partly(
        _members({"l": symlink("l"), "m": symlink("../../../etc/passwd"), "n": symlink("/n/n")}), "l", "m", "n"
    ),
    "a hard link to itself": _partly(_members({"l": hard_link("l"), "a": b"1"}), "a", told=("to itself",)),
    "hard links in a circle": _partly(_members(_circle(1000)), told=("in a circle",)),
    "a hard link that leads out": _partly(
        _members({"l": hard_link("../../etc/shadow"), "a": b"1"}), "a", told=("out of",)
    ),
    "a hard link to nothing": _partly(_members({"l": hard_link("nowhere")}), "l"),
    "a hard link to a directory": _partly(_members({"d": None, "l": hard_link("d")}), "d", told=("to a directory",)),
    "a chain of hard links, all too early": _partly(
        _members(_late_chain(2000)), *(f"l{number:04}" for number in range(2001))
    ),
    "a thousand hard links to a package database": _partly(
        _members([(f"{DPKG}.d/x", STATUS * 500), *((f"{DPKG}.d/{n}", hard_link(f"{DPKG}.d/x")) for n in range(1000))]),
        f"{DPKG}.d/x",
        *(f"{DPKG}.d/{number}" for number in range(1000)),
        limits=ReadLimits(contents=MIB),
        told=(f"not read, after {MIB} bytes",),
    ),
    "what stands below a file": _partly(_members([("f", b"1"), ("f/x", b"2"), ("g/x", b"3"), ("g", b"4")]), "f/x", "g"),
    # Whiteouts.
    "whiteouts of nothing": _partly(
        _members({".wh.": b"", ".wh..": b"", ".wh...": b"", "d/.wh.": b"", "a": b"1"}), "a", told=("names nothing",)
    ),
    "whiteouts with files below them": _partly(_members({".wh.d/x": b"1", "a": b"2"}), "a", told=("no directory",)),
    "what aufs leaves": _partly(
        _members({".wh..wh.plnk/1.2": b"x", ".wh..wh.aufs": b"", ".wh..wh.orph/": None, "a": b"1"}), "a"
    ),
    "an opaque root, twice": _partly(_members([*opaque("").items(), *opaque("").items()]), ""),
    # Devices, and what belongs to nobody.
    "devices": _partly(
        _members({"dev/sda": device(8, 0, of_blocks=True), "dev/mem": device(1, 1)}), "dev/sda", "dev/mem"
    ),
    "negative owners": _partly(_members({"a": file(b"1", uid=-2, gid=-2)}, GNU), "a"),
    # Files that catalogers ask for.
    "a package database of fifty megabytes": _partly(
        _members({DPKG: STATUS * 1_000_000}),
        DPKG,
        limits=ReadLimits(content=16 * MIB),
        told=("larger than",),
    ),
    "deep JSON": _partly(
        _members({"node_modules/x/package.json": "[" * 100_000}), "node_modules/x/package.json", told=("npm",)
    ),
    "huge JSON": _partly(
        _members({"node_modules/x/package.json": json.dumps({"name": "x" * 5 * MIB, "version": "1"})}),
        "node_modules/x/package.json",
        told=("npm",),
    ),
    "a database that is a directory": _partly(
        _members({DPKG: None, "lib/apk/db/installed": symlink("/dev/zero")}), DPKG, "lib/apk/db/installed"
    ),
    "an os-release of a mebibyte": _partly(
        _members({"etc/os-release": "ID=x\n" * 300_000}), "etc/os-release", told=("not kept",)
    ),
}
