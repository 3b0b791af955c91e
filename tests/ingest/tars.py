"""Layers made in code: members, tars of them, and the blobs that they are pushed as.

    layer({
        "etc/": None,                            # a directory (mode 0755)
        "etc/hostname": b"here\\n",               # a file (mode 0644); text is written as UTF-8
        "etc/mtab": symlink("../proc/mounts"),
        "etc/other": hard_link("etc/hostname"),
        "etc/.wh.passwd": b"",                   # a whiteout is a file of that name; or:
        **whiteout("etc/shadow"),
        **opaque("var/cache"),
        "usr/bin/tool": file(b"...", mode=0o755, uid=7, modified=1_700_000_000),
    })

gives a `Layer` with its blob (gzip by default), its diff_id, its digest. A list of `(path, content)` pairs stands in
for the dict where order or repeats matter; `tar` gives the bare archive; parent directories are never invented.

`tar(members, form=…)` writes ``v7``, ``ustar``, ``gnu`` or ``pax`` (the default), the latter two with long names,
large numbers and names that are not ASCII as those formats do. For archives that no program would write there are the
parts: `header` (any field as given), `block` (padding to 512), `pax_header`, `END`.
"""

from __future__ import annotations

import gzip as python_gzip
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import zstandard

from cas import Digest

V7, USTAR, GNU, PAX = "v7", "ustar", "gnu", "pax"

#: Two blocks of zeros.
END = bytes(1024)

FILE, HARD_LINK, SYMLINK, CHARACTER, BLOCK, DIRECTORY, PIPE = b"0", b"1", b"2", b"3", b"4", b"5", b"6"
LONG_NAME, LONG_LINK, GNU_SPARSE = b"L", b"K", b"S"
PAX_MEMBER, PAX_GLOBAL = b"x", b"g"

MEDIA_TYPES = {
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
    "plain": "application/vnd.oci.image.layer.v1.tar",
}


@dataclass(frozen=True)
class Member:
    """What stands at a path. *records* are further records of a PAX header; *claimed_size* lies about the size."""

    kind: bytes = FILE
    content: bytes = b""
    target: str | bytes = ""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    modified: float = 0
    device: tuple[int, int] = (0, 0)
    records: Mapping[str, str | bytes] = field(default_factory=dict)
    claimed_size: int | None = None


Content = Member | bytes | str | None
Members = Mapping[str, Content] | Iterable[tuple[str | bytes, Content]]


def file(content: bytes | str = b"", *, mode: int = 0o644, uid: int = 0, gid: int = 0, modified: float = 0) -> Member:
    return Member(FILE, _bytes(content), mode=mode, uid=uid, gid=gid, modified=modified)


def directory(*, mode: int = 0o755, uid: int = 0, gid: int = 0, modified: float = 0) -> Member:
    return Member(DIRECTORY, mode=mode, uid=uid, gid=gid, modified=modified)


def symlink(target: str | bytes) -> Member:
    return Member(SYMLINK, target=target, mode=0o777)


def hard_link(target: str | bytes) -> Member:
    return Member(HARD_LINK, target=target)


def pipe() -> Member:
    return Member(PIPE)


def device(major: int, minor: int, *, of_blocks: bool = False) -> Member:
    return Member(BLOCK if of_blocks else CHARACTER, device=(major, minor))


def whiteout(path: str) -> dict[str, Content]:
    """Hide *path*: to be spread into the members of a layer."""
    parent, slash, name = path.rpartition("/")
    return {f"{parent}{slash}.wh.{name}": b""}


def opaque(path: str) -> dict[str, Content]:
    """Hide all that lower layers hold in the directory *path* (``""`` is the root)."""
    return {f"{path}/.wh..wh..opq" if path else ".wh..wh..opq": b""}


@dataclass(frozen=True)
class Layer:
    """A layer as it is pushed. *tar* is what the blob decompresses to."""

    blob: bytes
    tar: bytes
    media_type: str

    @property
    def digest(self) -> Digest:
        return Digest.of(self.blob)

    @property
    def diff_id(self) -> Digest:
        return Digest.of(self.tar)


def layer(members: Members, *, form: str = PAX, compression: str = "gzip") -> Layer:
    """Make a layer; *compression* is ``gzip``, ``zstd`` or ``plain``."""
    archive = tar(members, form=form)
    blob = {"gzip": gzip, "zstd": zstd, "plain": bytes}[compression](archive)
    return Layer(blob, archive, MEDIA_TYPES[compression])


def tar(members: Members, *, form: str = PAX, end: bytes = END) -> bytes:
    """Write an archive; *end* is what follows its last member."""
    pairs = members.items() if isinstance(members, Mapping) else members
    return b"".join([*(entry(path, content, form=form) for path, content in pairs), end])


def gzip(content: bytes, level: int = 1) -> bytes:
    """One gzip member, the same bytes each time."""
    return python_gzip.compress(content, level, mtime=0)


def zstd(content: bytes, level: int = 1, *, sized: bool = True) -> bytes:
    """One zstandard frame; unless *sized*, its header does not say how large the content is, as in a stream's."""
    return zstandard.ZstdCompressor(level=level, write_content_size=sized).compress(content)


def skippable(content: bytes, magic: int = 0x184D2A50) -> bytes:
    """A zstandard frame that decoders pass over (RFC 8878, 3.1.2)."""
    return magic.to_bytes(4, "little") + len(content).to_bytes(4, "little") + content


def entry(path: str | bytes, content: Content = b"", *, form: str = PAX) -> bytes:
    """One member: its headers, its content, padding."""
    name = _bytes(path)
    member = content if isinstance(content, Member) else _member(name, content)
    target = _bytes(member.target)
    before = b""
    records = {key: _bytes(value) for key, value in member.records.items()}
    size = len(member.content) if member.claimed_size is None else member.claimed_size
    prefix = b""
    if form == GNU:
        if len(name) > 100:
            before += block(header(b"././@LongLink", LONG_NAME, size=len(name) + 1, gnu=True) + name + b"\0")
        if len(target) > 100:
            before += block(header(b"././@LongLink", LONG_LINK, size=len(target) + 1, gnu=True) + target + b"\0")
    elif form == PAX:
        if len(name) > 100 or not name.isascii():
            records.setdefault("path", name)
        if len(target) > 100 or not target.isascii():
            records.setdefault("linkpath", target)
        for key, number, digits in (("size", size, 11), ("uid", member.uid, 7), ("gid", member.gid, 7)):
            if not 0 <= number < 8**digits:
                records.setdefault(key, b"%d" % number)
        if member.modified != int(member.modified) or not 0 <= member.modified < 8**11:
            records.setdefault("mtime", repr(member.modified).encode())
    elif form == USTAR and len(name) > 100:
        prefix, name = _split(name)
    if form in (V7, USTAR) and max(len(name), len(target)) > 100:
        raise ValueError(f"too long for {form}: {path!r}")
    if records:
        before += pax_header(records)
    return before + block(
        header(
            name[:100],
            member.kind if form != V7 or member.kind in (HARD_LINK, SYMLINK) else b"\0",
            size=size,
            target=target[:100],
            mode=member.mode,
            uid=member.uid,
            gid=member.gid,
            modified=int(member.modified),
            device=member.device,
            prefix=prefix,
            gnu=form == GNU,
            magic=form != V7,
            binary=form == GNU,
        )
        + member.content
    )


def header(
    name: str | bytes,
    kind: bytes = FILE,
    *,
    size: int | bytes = 0,
    target: bytes = b"",
    mode: int | bytes = 0o644,
    uid: int | bytes = 0,
    gid: int | bytes = 0,
    modified: int | bytes = 0,
    device: tuple[int, int] = (0, 0),
    prefix: bytes = b"",
    gnu: bool = False,
    magic: bool = True,
    binary: bool = True,
    checksum: int | None = None,
    last: bytes = b"",
) -> bytes:
    """Write a header block. Numbers given as bytes are taken as they are; others are octal, or base 256 where they do
    not fit and *binary* allows (else their low digits). *checksum* replaces the right one; *last* what lies from byte
    345 on (prefix or sparse map)."""
    numbers = b"".join(
        (_number(mode, 8, binary), _number(uid, 8, binary), _number(gid, 8, binary), _number(size, 12, binary))
    )
    devices = b"".join(_number(part, 8, binary) for part in device) if magic else bytes(16)
    mark = (b"ustar  \0" if gnu else b"ustar\x0000") if magic else bytes(8)
    written = b"".join(
        (
            _bytes(name).ljust(100, b"\0"),
            numbers,
            _number(modified, 12, binary),
            b" " * 8,
            kind,
            target.ljust(100, b"\0"),
            mark,
            bytes(64),
            devices,
            (last or prefix).ljust(167, b"\0"),
        )
    )
    if len(written) != 512:
        raise ValueError(f"a field is too long: {len(written)} bytes in all")
    total = sum(written) if checksum is None else checksum
    return written[:148] + b"%06o\0 " % total + written[156:]


def pax_header(records: Mapping[str, str | bytes], kind: bytes = PAX_MEMBER) -> bytes:
    """Write an extended header (*kind* ``x``, for the next member, or ``g``, for all that follow)."""
    content = b"".join(pax_record(key, value) for key, value in records.items())
    return block(header(b"PaxHeaders/next", kind, size=len(content)) + content)


def pax_record(key: str | bytes, value: str | bytes) -> bytes:
    """Write ``LENGTH KEY=VALUE\\n``, whose length counts its own digits (POSIX pax, "Extended Header")."""
    rest = b" %s=%s\n" % (_bytes(key), _bytes(value))
    length = len(rest)
    while len(b"%d" % length) + len(rest) != length:
        length = len(b"%d" % length) + len(rest)
    return b"%d%s" % (length, rest)


def gnu_sparse(
    name: str, pieces: Iterable[tuple[int, bytes]], real_size: int, *, claimed: list[tuple[int, int]] | None = None
) -> bytes:
    """A sparse file in GNU's old form: *pieces* are (offset, content); *claimed* replaces the map that is written."""
    parts = list(pieces)
    numbers = claimed if claimed is not None else [(offset, len(content)) for offset, content in parts]
    stored = b"".join(content for _, content in parts)

    def places(some: list[tuple[int, int]], count: int) -> bytes:
        return b"".join(_number(a, 12, True) + _number(b, 12, True) for a, b in some).ljust(24 * count, b"\0")

    here, rest = numbers[:4], numbers[4:]
    last = bytes(41) + places(here, 4) + (b"\1" if rest else b"\0") + _number(real_size, 12, True)
    written = header(name, GNU_SPARSE, size=len(stored), gnu=True, last=last)
    while rest:
        here, rest = rest[:21], rest[21:]
        written += (places(here, 21) + (b"\1" if rest else b"\0")).ljust(512, b"\0")
    return block(written + stored)


def pax_sparse(name: str, pieces: Iterable[tuple[int, bytes]], real_size: int, version: str = "1.0") -> bytes:
    """A sparse file in one of GNU's three forms over PAX (``0.0``, ``0.1``, ``1.0``)."""
    parts = list(pieces)
    stored = b"".join(content for _, content in parts)
    if version == "1.0":
        numbers = [len(parts), *(number for offset, content in parts for number in (offset, len(content)))]
        stored = block(b"".join(b"%d\n" % number for number in numbers)) + stored
        before = pax_header(
            {
                "GNU.sparse.major": "1",
                "GNU.sparse.minor": "0",
                "GNU.sparse.name": name,
                "GNU.sparse.realsize": str(real_size),
            }
        )
    elif version == "0.1":
        places = ",".join(f"{offset},{len(content)}" for offset, content in parts)
        before = pax_header(
            {
                "GNU.sparse.size": str(real_size),
                "GNU.sparse.numblocks": str(len(parts)),
                "GNU.sparse.name": name,
                "GNU.sparse.map": places,
            }
        )
    else:
        records = pax_record("GNU.sparse.size", str(real_size)) + pax_record("GNU.sparse.numblocks", str(len(parts)))
        for offset, content in parts:
            records += pax_record("GNU.sparse.offset", str(offset))
            records += pax_record("GNU.sparse.numbytes", str(len(content)))
        before = block(header(b"PaxHeaders/next", PAX_MEMBER, size=len(records)) + records)
    shown = name if version == "0.0" else f"GNUSparseFile.0/{name}"
    return before + block(header(shown, FILE, size=len(stored)) + stored)


def block(content: bytes) -> bytes:
    """Pad to a multiple of 512."""
    return content + bytes(-len(content) % 512)


def sha256(content: bytes) -> bytes:
    """The digest of a file as `cas.entries.Entry` holds it: empty for an empty file."""
    return hashlib.sha256(content).digest() if content else b""


def _member(name: bytes, content: bytes | str | None) -> Member:
    if content is None:
        return directory()
    if name.endswith(b"/"):
        raise ValueError(f"a directory has no content: {name!r}")
    return file(content)


def _bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


def _split(name: bytes) -> tuple[bytes, bytes]:
    """Divide a name between the fields prefix (155 bytes) and name (100) of a ustar header."""
    for at in range(min(len(name) - 1, 155), 0, -1):
        if name[at : at + 1] == b"/" and len(name) - at - 1 <= 100:
            return name[:at], name[at + 1 :]
    raise ValueError(f"too long for ustar: {name!r}")


def _number(value: int | bytes, width: int, binary: bool) -> bytes:
    if isinstance(value, bytes):
        return value.ljust(width, b"\0")
    if 0 <= value < 8 ** (width - 1):
        return b"%0*o\0" % (width - 1, value)
    if not binary:
        return b"%0*o\0" % (width - 1, value % 8 ** (width - 1))
    first = 0x80 if value >= 0 else 0xFF
    low = (value % 256**width).to_bytes(width, "big")
    return bytes([low[0] | first]) + low[1:]
