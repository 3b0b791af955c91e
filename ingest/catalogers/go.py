"""Modules that a Go program was built from: what `go version -m` shows (Go's package debug/buildinfo).

The linker writes it among the program's variables, after a mark at a multiple of sixteen:

    \\xff Go buildinf:   14 bytes      then the size of a pointer, then flags
    flags & 2           since 1.18     two strings follow at 32, each after its length (an unsigned varint): Go's
                                       version, and the modules
    otherwise           until 1.17     two pointers follow at 16, each to a string's header (pointer, length); flags & 1
                                       is the byte order

What the pointers of the older form lead to may lie anywhere in the program, of which only some megabytes are asked for:
it is found in all but large programs, and where it is not, that is told as a limit. Programs for several processors in
one file, archives, and packed programs are not read.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator

from catalog.images.facts import Evidence, PackageFacts
from ingest.catalogers.cataloger import Unreadable
from ingest.catalogers.executables import ELF, MACH_O, PE, Region, read_executable
from ingest.catalogers.stanzas import word

_MAGIC = b"\xff Go buildinf:"
_ALIGNED = 16
_INLINE, _BIG_ENDIAN = 2, 1
#: The ELF note that Go's own linker writes (owner and type): such programs keep their constants in one segment.
_NOTES = (b"\x04\0\0\0Go\0\0", b"\0\0\0\x04Go\0\0")

#: Bytes that are asked for: in all; of variables, where constants are wanted too; of what is not the likeliest place.
_MOST = 4 << 20
_MOST_VARIABLES = 3 << 19
_MOST_SEALED = 64 << 10
#: Bytes of a list of modules at most, and how many it may name.
_LONGEST = 1 << 20
_MOST_MODULES = 20_000

_DEVELOPED = "(devel)"
_VERSION = re.compile(r"go(\d\S*)")
#: Sixteen bytes that mark where the list of modules begins and ends.
_SENTINEL = 16


class GoCataloger:
    """Reads the build information of Go programs: the main module, those it depends on, and the standard library."""

    name = "go"
    version = 1
    magics: tuple[bytes, ...] = (ELF, PE, *MACH_O)
    head = 4096

    def ranges(self, size: int, head: bytes) -> list[tuple[int, int]]:
        """Ask for the program's variables, and for constants where an older program may keep its strings there."""
        executable = read_executable(head)
        if executable is None:
            return []
        wants_constants = not head.startswith(ELF) or any(note in head for note in _NOTES)
        room = _MOST_VARIABLES if wants_constants else _MOST
        asked: list[tuple[int, int]] = []
        for number, region in enumerate(executable.variables):
            room = _ask(asked, region, size, room, room if number == 0 else max(_MOST_SEALED, room // 2))
        if wants_constants:
            room += _MOST - _MOST_VARIABLES
            for region in executable.constants:
                room = _ask(asked, region, size, room, room)
        return _merged(asked)

    def read(self, path: str, size: int, head: bytes, parts: list[bytes]) -> Evidence | None:
        """Find the mark in the parts that `ranges` asked for, and read what follows it."""
        # Nearly all executables are no Go programs.
        if not any(_MAGIC in part for part in parts):
            return None
        executable = read_executable(head)
        ranges = self.ranges(size, head)
        if executable is None or [stop - start for start, stop in ranges] != [len(part) for part in parts]:
            raise Unreadable("not as long as its headers say")
        pieces = [(start, part) for (start, _), part in zip(ranges, parts, strict=True)]
        regions = [*executable.variables, *executable.constants]

        def at(address: int, length: int) -> bytes | None:
            return _at(regions, pieces, address, length)

        unreachable = False
        for start, part in pieces:
            for mark in _marks(regions, start, part):
                told = _told(part, mark, at)
                if told is None:
                    unreachable = True
                elif told[0].startswith(("go", "devel ")):
                    return self._evidence(path, *told)
        if unreachable:
            raise Unreadable("a Go program whose list of modules could not be reached")
        return None

    def _evidence(self, path: str, version: str, modules: bytes) -> Evidence:
        number = _VERSION.match(version)
        packages = [_module("stdlib", number[1] if number else "devel")]
        packages += _modules(modules)
        # One module may be named twice: by hostile bytes.
        return Evidence(self.name, path, list({(p.namespace, p.name, p.version): p for p in packages}.values()))


def _ask(asked: list[tuple[int, int]], region: Region, size: int, room: int, most: int) -> int:
    """Ask for the beginning of *region*, at most *room* and *most* bytes; return the room that is left."""
    stop = min(region.start + min(region.size, room, most), size)
    if stop <= region.start:
        return room
    asked.append((region.start, stop))
    return room - (stop - region.start)


def _merged(asked: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, stop in sorted(asked):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(stop, merged[-1][1]))
        else:
            merged.append((start, stop))
    return merged


def _at(regions: list[Region], pieces: list[tuple[int, bytes]], address: int, length: int) -> bytes | None:
    """Read at an address; None where that was not asked for."""
    for region in regions:
        if not region.address <= address < region.address + region.size:
            continue
        place = region.start + address - region.address
        for start, part in pieces:
            if start <= place and place + length <= start + len(part):
                return part[place - start : place - start + length]
    return None


def _marks(regions: list[Region], start: int, part: bytes) -> Iterator[int]:
    """Yield where the mark stands at an address that is a multiple of sixteen, as Go's linker puts it."""
    at = part.find(_MAGIC)
    while at >= 0:
        place = start + at
        address = next((r.address + place - r.start for r in regions if r.start <= place < r.start + r.size), place)
        if address % _ALIGNED == 0:
            yield at
        at = part.find(_MAGIC, at + 1)


def _told(part: bytes, mark: int, at: Callable[[int, int], bytes | None]) -> tuple[str, bytes] | None:
    """Return Go's version and the list of modules; None where what stands there leads nowhere."""
    if mark + 32 > len(part):
        return None
    width, flags = part[mark + 14], part[mark + 15]
    if flags & _INLINE:
        strings = _inline(part, mark + 32)
    elif width in (4, 8):
        strings = _pointed(part, mark + 16, width, ">" if flags & _BIG_ENDIAN else "<", at)
    else:
        return None
    if strings is None:
        return None
    version, modules = strings
    if len(modules) >= 2 * _SENTINEL + 1 and modules[-_SENTINEL - 1 : -_SENTINEL] == b"\n":
        modules = modules[_SENTINEL:-_SENTINEL]
    else:
        modules = b""
    return version.decode("utf-8", "replace"), modules


def _inline(part: bytes, at: int) -> tuple[bytes, bytes] | None:
    found = []
    for _ in range(2):
        length = shift = 0
        while True:
            if at >= len(part) or shift > 28:
                return None
            byte = part[at]
            length |= (byte & 0x7F) << shift
            at += 1
            shift += 7
            if byte < 0x80:
                break
        if length > _LONGEST or at + length > len(part):
            return None
        found.append(part[at : at + length])
        at += length
    return found[0], found[1]


def _pointed(
    part: bytes, at: int, width: int, order: str, read: Callable[[int, int], bytes | None]
) -> tuple[bytes, bytes] | None:
    form = order + ("QQ" if width == 8 else "II")
    found = []
    for pointer in struct.unpack_from(form, part, at):
        header = read(pointer, 2 * width)
        if header is None:
            return None
        place, length = struct.unpack(form, header)
        text = b"" if length == 0 else read(place, length) if length <= _LONGEST else None
        if text is None:
            return None
        found.append(text)
    return found[0], found[1]


def _modules(modules: bytes) -> list[PackageFacts]:
    """Read the lines ``path``, ``mod``, ``dep`` and ``=>`` (which replaces the module of the line before it)."""
    lines = modules.split(b"\n")
    if len(lines) > _MOST_MODULES:
        raise Unreadable(f"more than {_MOST_MODULES} modules")
    found: list[tuple[str, str]] = []
    program = ""
    has_main = False
    for line in lines:
        kind, *fields = line.split(b"\t")
        name, version = (*map(word, fields[:2]), "", "")[:2]
        if kind == b"path":
            program = name
        elif kind in (b"mod", b"dep") and name:
            found.append((name, version or _DEVELOPED))
            has_main = has_main or kind == b"mod"
        elif kind == b"=>" and found and name:
            found[-1] = _replaced(found[-1], name, version)
    if program and not has_main and program != "command-line-arguments":
        found.append((program, _DEVELOPED))
    return [_module(name, version) for name, version in found]


def _replaced(module: tuple[str, str], name: str, version: str) -> tuple[str, str]:
    """Return what a module was replaced by; a folder has no name of its own, nor a version."""
    if name.startswith((".", "/")) or name[1:2] == ":":
        return module[0], _DEVELOPED
    return name, version or _DEVELOPED


def _module(name: str, version: str) -> PackageFacts:
    namespace, _, last = name.rpartition("/")
    return PackageFacts("golang", last, version, namespace=namespace)
