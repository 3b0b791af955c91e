"""The members of a tar, one after another, from chunks of its bytes: headers are read, content is handed over.

    header  512 bytes: name 100 · mode 8 · uid 8 · gid 8 · size 12 · mtime 12 · checksum 8 · kind 1 · target 100
            · magic and version 8 · names and devices 80 · prefix 155 · 12 (POSIX.1-1988 "ustar"; GNU and v7 differ)
    x, g    extended headers of POSIX.1-2001 "pax" · L, K  GNU's long name and target · S and GNU.sparse.*  sparse files

Wherever programs differ in how they read an archive, Go's archive/tar is followed, for container runtimes unpack with
it, and another reading would show files that nobody has: of two ``x`` headers in a row the last counts, a long name of
GNU's outdoes a pax path, and a global header changes nothing.

Nothing here touches a file. Names are bytes, as the archive has them.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator
from zlib import adler32

import msgspec

from ingest.errors import ArchiveDamaged, NotAnArchive
from ingest.limits import ReadLimits

FILE, HARD_LINK, SYMLINK, CHARACTER, BLOCK, DIRECTORY, PIPE = b"0", b"1", b"2", b"3", b"4", b"5", b"6"

_BLOCK = 512
_FIELDS = struct.Struct("100s24s12s12s8sc100s8s80x155s12x")
_ZERO_BLOCK = bytes(_BLOCK)
_ZEROS = memoryview(bytes(1 << 20))

_PAX, _GLOBAL, _LONG_NAME, _LONG_TARGET, _SPARSE = b"x", b"g", b"L", b"K", b"S"
_ABOUT_OTHERS = frozenset((_PAX, _GLOBAL, _LONG_NAME, _LONG_TARGET))
_WITHOUT_CONTENT = frozenset((HARD_LINK, SYMLINK, CHARACTER, BLOCK, DIRECTORY, PIPE))
#: v7's kind of a file, and of a directory, whose name ends with a slash; and a file laid out in one piece.
_OLD_FILE, _CONTIGUOUS = b"\0", b"7"
_OTHER_FILES = frozenset((_OLD_FILE, _CONTIGUOUS))

#: Fields whose numbers are remembered.
_REMEMBERED = 10_000

_PLACES = struct.Struct("12s12s")
#: Numbers in extended headers, of which none needs more than 64 bits.
_DECIMAL = re.compile(rb"-?[0-9]{1,19}")
_TIME = re.compile(rb"(-?)([0-9]{1,18})(?:\.([0-9]*))?")
_LARGEST = (1 << 63) - 1


class Member(msgspec.Struct, gc=False):
    """A member: *kind* is one of the letters above, or another that no runtime knows. *size* counts a file's bytes as
    programs see it; *holes* of them are none of the archive's, but zeros of a sparse file."""

    name: bytes
    kind: bytes
    mode: int
    uid: int
    gid: int
    size: int
    modified: int
    target: bytes
    holes: int = 0


class Walker:
    """Iterate once for the members. While one is at hand, `whole` or `pieces` give its content."""

    def __init__(self, chunks: Iterable[bytes], limits: ReadLimits) -> None:
        self._chunks = iter(chunks)
        self._limits = limits
        self._chunk = b""
        self._at = 0
        #: Bytes of the chunks before this one.
        self._before = 0
        #: Bytes from `_at` to the next header; of these, bytes of content.
        self._left = 0
        self._content = 0
        self._sparse: list[tuple[int, int]] | None = None
        self._size = 0
        #: Fields that were read before, for most members share theirs with others: time and memory are saved.
        self._owners: dict[bytes, tuple[int, int, int]] = {}
        self._numbers: dict[bytes, int] = {}

    def whole(self) -> memoryview | None:
        """Return the content of the member at hand, where it lies in one piece in memory."""
        at, end = self._at, self._at + self._content
        if end > len(self._chunk) or self._sparse is not None:
            return None
        return memoryview(self._chunk)[at:end]

    def pieces(self) -> Iterator[memoryview]:
        """Take the content of the member at hand piece by piece, holes included.

        Raises:
            ArchiveDamaged: the archive ends before it does.
        """
        if self._sparse is None:
            yield from self._take_pieces(self._content)
            return
        place = 0
        for offset, length in self._sparse:
            yield from _zeros(offset - place)
            yield from self._take_pieces(length)
            place = offset + length
        yield from _zeros(self._size - place)

    def rest(self) -> Iterator[bytes]:
        """Take what stands behind the last member, or behind where iterating was left off."""
        yield self._chunk[self._at :]
        while self._next():
            yield self._chunk

    def __iter__(self) -> Iterator[Member]:
        """
        Raises:
            NotAnArchive: it does not begin as a tar does.
            ArchiveDamaged: there is no next header where it should be.
        """
        unpack = _FIELDS.unpack
        owners, numbers = self._owners, self._numbers
        records: dict[bytes, bytes] = {}
        long_name = long_target = None
        while True:
            at = self._at + self._left
            end = at + _BLOCK
            if end <= len(self._chunk):
                header = self._chunk[at:end]
                self._at = end
            else:
                self._skip()
                header = self._take(_BLOCK)
                if len(header) < _BLOCK and header.count(0) == len(header):
                    return
            self._left = self._content = 0
            self._sparse = None
            if header == _ZERO_BLOCK:
                return
            if len(header) < _BLOCK or not _is_sum_right(header):
                self._refuse(header)

            name, owner, size_field, time_field, _, kind, target, magic, prefix = unpack(header)
            try:
                mode, uid, gid = owners.get(owner) or self._owner(owner)
                if (size := numbers.get(size_field)) is None:
                    size = self._read_number(size_field)
                if (modified := numbers.get(time_field)) is None:
                    modified = self._read_number(time_field)
            except ValueError:
                raise ArchiveDamaged(f"a number in the header at byte {self._start()} is none") from None

            if kind in _ABOUT_OTHERS:
                content = self._about_others(size)
                if kind == _PAX:
                    records = self._records(content)
                elif kind == _LONG_NAME:
                    long_name = content.split(b"\0", 1)[0]
                elif kind == _LONG_TARGET:
                    long_target = content.split(b"\0", 1)[0]
                else:
                    self._records(content)
                    records, long_name, long_target = {}, None, None
                continue

            name = name.split(b"\0", 1)[0]
            target = target.split(b"\0", 1)[0] if target[0] else b""
            if prefix[0] and magic.startswith(b"ustar\0"):
                if header[508:] == b"tar\0":
                    prefix = prefix[:131]
                name = prefix.split(b"\0", 1)[0] + b"/" + name
            if kind in _OTHER_FILES:
                kind = FILE
                if header[156:157] == _OLD_FILE and (long_name or records.get(b"path") or name).endswith(b"/"):
                    kind = DIRECTORY
            member = Member(name, kind, mode, uid, gid, size, modified, target)
            if records:
                self._merge(member, records)
            if long_name:
                member.name = long_name
            if long_target:
                member.target = long_target
            if kind in _WITHOUT_CONTENT:
                member.size = 0
            elif member.size < 0:
                raise ArchiveDamaged(f"the header at byte {self._start()} gives a size below zero")
            else:
                size = self._size = member.size
                self._content = size
                self._left = size + (-size & 511)
                if kind == _SPARSE:
                    member.kind = FILE
                    self._old_sparse(member, header)
                elif records and any(key.startswith(b"GNU.sparse.") for key in records):
                    self._pax_sparse(member, records)
            if records or long_name or long_target:
                records, long_name, long_target = {}, None, None
            yield member

    # The bytes.

    def _start(self) -> int:
        """Return where the header that was taken last begins."""
        return self._before + self._at - _BLOCK

    def _next(self) -> bool:
        self._before += len(self._chunk)
        self._at = 0
        self._chunk = next(self._chunks, b"")
        return bool(self._chunk)

    def _take(self, size: int) -> bytes:
        """Take *size* bytes; fewer at the end of the archive."""
        end = self._at + size
        if end <= len(self._chunk):
            taken = self._chunk[self._at : end]
            self._at = end
            return taken
        gathered = [self._chunk[self._at :]]
        missing = end - len(self._chunk)
        while missing and self._next():
            gathered.append(self._chunk[:missing])
            self._at = len(gathered[-1])
            missing -= self._at
        return b"".join(gathered)

    def _take_pieces(self, size: int) -> Iterator[memoryview]:
        while size:
            if self._at == len(self._chunk) and not self._next():
                raise ArchiveDamaged(f"it ends within a file, after {self._before} bytes")
            piece = memoryview(self._chunk)[self._at : self._at + size]
            length = len(piece)
            self._at += length
            self._left -= length
            self._content -= length
            size -= length
            yield piece

    def _skip(self) -> None:
        """Pass over what was not taken of the member at hand."""
        while self._left:
            if self._at == len(self._chunk) and not self._next():
                if self._content:
                    raise ArchiveDamaged(f"it ends within a file, after {self._before} bytes")
                return
            step = min(self._left, len(self._chunk) - self._at)
            self._at += step
            self._left -= step
            self._content = max(self._content - step, 0)

    # Headers.

    def _refuse(self, header: bytes) -> None:
        """
        Raises:
            NotAnArchive, ArchiveDamaged
        """
        start = self._before + self._at - len(header)
        if start == 0:
            raise NotAnArchive("it does not begin as a tar does")
        if len(header) < _BLOCK:
            raise ArchiveDamaged(f"it ends within the header at byte {start}")
        raise ArchiveDamaged(f"the checksum of the header at byte {start} is wrong")

    def _read_number(self, field: bytes) -> int:
        """Read a size or a time."""
        if len(self._numbers) > _REMEMBERED:
            self._numbers.clear()
        digits = field.rstrip(b" \0")
        number = self._numbers[field] = int(digits, 8) if digits.isdigit() else _number(field)
        return number

    def _owner(self, field: bytes) -> tuple[int, int, int]:
        """Read mode, uid and gid."""
        if len(self._owners) > _REMEMBERED:
            self._owners.clear()
        found = _number(field[:8]), _number(field[8:16]), _number(field[16:])
        self._owners[field] = found
        return found

    def _about_others(self, size: int) -> bytes:
        """Take the content of a member that tells about the next one."""
        start = self._start()
        if not 0 <= size <= self._limits.header:
            raise ArchiveDamaged(f"the extended header at byte {start} has {size} bytes")
        content = self._take(size)
        if len(content) < size:
            raise ArchiveDamaged(f"it ends within the extended header at byte {start}")
        self._left = -size & 511
        return content

    def _records(self, content: bytes) -> dict[bytes, bytes]:
        """Read ``LENGTH KEY=VALUE\\n``, again and again (POSIX pax, "Extended Header")."""
        records: dict[bytes, bytes] = {}
        places: list[bytes] = []
        at = 0
        while at < len(content):
            space = content.find(b" ", at, at + 12)
            length = content[at:space]
            end = at + int(length) if space > at and length.isdigit() else 0
            key, equals, value = content[space + 1 : end - 1].partition(b"=")
            if not at < space < end <= len(content) or content[end - 1] != 0x0A or not key or not equals:
                raise ArchiveDamaged(
                    f"a record of the extended header that ends at byte {self._before + self._at} is none"
                )
            if key in (b"GNU.sparse.offset", b"GNU.sparse.numbytes"):
                if key != (b"GNU.sparse.offset", b"GNU.sparse.numbytes")[len(places) % 2]:
                    raise ArchiveDamaged("the map of a sparse file is out of order")
                places.append(value)
            else:
                records[key] = value
            at = end
        if places:
            records[b"GNU.sparse.map"] = b",".join(places)
        return records

    def _merge(self, member: Member, records: dict[bytes, bytes]) -> None:
        """Let *records* outdo the header; an empty value does not."""
        member.name = records.get(b"path") or member.name
        member.target = records.get(b"linkpath") or member.target
        if size := records.get(b"size"):
            member.size = self._decimal(size)
        if uid := records.get(b"uid"):
            member.uid = self._decimal(uid)
        if gid := records.get(b"gid"):
            member.gid = self._decimal(gid)
        if (time := records.get(b"mtime")) and (found := _TIME.fullmatch(time)):
            sign, seconds, fraction = found.groups()
            below = bool(sign and fraction and fraction.strip(b"0"))
            member.modified = (-int(seconds) if sign else int(seconds)) - below

    def _decimal(self, text: bytes) -> int:
        if _DECIMAL.fullmatch(text) is None or abs(number := int(text)) > _LARGEST:
            raise ArchiveDamaged(f"a number in the extended header before byte {self._start()} is none")
        return number

    # Sparse files.

    def _old_sparse(self, member: Member, header: bytes) -> None:
        """Read the map of GNU's old form, which goes on in blocks behind the header."""
        try:
            member.size = _number(header[483:495])
            places = _places(header[386:482])
            more, read = header[482], 0
            while more:
                block = self._take(_BLOCK)
                read += _BLOCK
                if len(block) < _BLOCK or read > self._limits.header:
                    raise ValueError
                places += _places(block[:504])
                more = block[504]
        except ValueError:
            raise ArchiveDamaged(f"the map of the sparse file before byte {self._before + self._at} is none") from None
        self._lay_out(member, places)

    def _pax_sparse(self, member: Member, records: dict[bytes, bytes]) -> None:
        """Read the map of one of the forms 0.0, 0.1 and 1.0 (GNU tar manual, "PAX Format, Version …")."""
        version = records.get(b"GNU.sparse.major", b""), records.get(b"GNU.sparse.minor", b"")
        in_content = version == (b"1", b"0")
        written = records.get(b"GNU.sparse.map", b"")
        if not in_content and not (version in ((b"0", b"0"), (b"0", b"1")) or (version == (b"", b"") and written)):
            return
        member.name = records.get(b"GNU.sparse.name") or member.name
        size = records.get(b"GNU.sparse.size") or records.get(b"GNU.sparse.realsize")
        if size:
            member.size = self._decimal(size)
        if in_content:
            numbers = self._map_in_content()
        else:
            numbers = [self._decimal(number) for number in written.split(b",")] if written else []
            if len(numbers) % 2:
                raise ArchiveDamaged(f"the map of the sparse file before byte {self._start()} is none")
        self._lay_out(member, list(zip(numbers[::2], numbers[1::2], strict=True)))

    def _map_in_content(self) -> list[int]:
        """Take lines of decimal numbers off the content's start: how many pairs, then these; padded to a block."""
        lines: list[bytes] = []
        due, rest, read = 1, b"", 0
        while len(lines) < due:
            block = self._take(_BLOCK) if self._content >= _BLOCK and read < self._limits.header else b""
            if len(block) < _BLOCK:
                raise ArchiveDamaged(f"the map of the sparse file before byte {self._before + self._at} is none")
            read += _BLOCK
            self._content -= _BLOCK
            self._left -= _BLOCK
            *ended, rest = (rest + block).split(b"\n")
            if len(rest) > _BLOCK:
                raise ArchiveDamaged(f"the map of the sparse file before byte {self._before + self._at} is none")
            lines += ended
            if due == 1 and lines:
                due += 2 * max(self._decimal(lines[0]), 0)
        return [self._decimal(line) for line in lines[1:due]]

    def _lay_out(self, member: Member, places: list[tuple[int, int]]) -> None:
        """Take *places* (offset, length) as the member's map, once it is found to fit."""
        place = stored = 0
        for offset, length in places:
            if offset < place or length < 0:
                place = -1
                break
            place = offset + length
            stored += length
        if not 0 <= place <= member.size <= _LARGEST or stored != self._content:
            raise ArchiveDamaged(f"the map of the sparse file before byte {self._before + self._at} does not fit it")
        self._size = member.size
        self._sparse = places
        member.holes = member.size - stored


def _is_sum_right(header: bytes) -> bool:
    """Compare the checksum: the sum of all bytes, its own eight taken as spaces.

    The low half of Adler-32 is that sum plus one, modulo 65521, and costs a hundredth of adding up in Python.
    """
    field = header[148:156]
    try:
        written = _number(field)
    except ValueError:
        return False
    total = written + sum(field) - 256 + 1
    if adler32(header) & 0xFFFF == total % 65521:
        return True
    # Some programs of old took bytes for signed numbers.
    high = sum(byte >= 128 for byte in header[:148] + header[156:])
    return bool(high) and adler32(header) & 0xFFFF == (total + 256 * high) % 65521


def _number(field: bytes) -> int:
    """Read a number: octal digits between spaces and zeros, or base 256, marked by its first bit (GNU).

    Raises:
        ValueError: it is neither, or needs more than 64 bits.
    """
    if field[0] & 0x80:
        negative = field[0] & 0x40
        size = 8 * len(field) - 1
        number = int.from_bytes(field, "big") & ((1 << size) - 1)
        if negative:
            number -= 1 << size
        if not -_LARGEST <= number <= _LARGEST:
            raise ValueError
        return number
    text = field.strip(b" \0").split(b"\0", 1)[0]
    if not text:
        return 0
    if not text.isdigit():
        raise ValueError
    return int(text, 8)


def _places(packed: bytes) -> list[tuple[int, int]]:
    """Read pairs of offset and length; they end where one begins with a zero byte."""
    places = []
    for offset, length in _PLACES.iter_unpack(packed):
        if not offset[0]:
            break
        places.append((_number(offset), _number(length)))
    return places


def _zeros(size: int) -> Iterator[memoryview]:
    while size > 0:
        piece = _ZEROS[:size]
        size -= len(piece)
        yield piece
