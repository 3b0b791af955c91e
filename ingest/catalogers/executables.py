"""Where in an executable its variables and its constants lie, told by its beginning alone.

    ELF       program headers   writable PT_LOAD segments; what PT_GNU_RELRO covers is written by the loader alone
    PE        section table     .data and its like; .rdata
    Mach-O    load commands     __DATA,__go_buildinfo where there is one, else __DATA; __TEXT

Everything in it is hostile: tables are short, and numbers are only ever compared and added.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

ELF = b"\x7fELF"
PE = b"MZ"
MACH_O = (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xfe\xed\xfa\xce")

_MOST_HEADERS = 256

_PT_LOAD, _PT_GNU_RELRO = 1, 0x6474E552
_EXECUTE, _WRITE, _READ = 1, 2, 4
_PE_CODE, _PE_DATA, _PE_READ, _PE_WRITE = 0x20, 0x40, 0x40000000, 0x80000000
_LC_SEGMENT, _LC_SEGMENT_64 = 0x1, 0x19


class Region(NamedTuple):
    """A piece of the file, and the address that it is loaded at. All in bytes."""

    start: int
    size: int
    address: int


class Executable(NamedTuple):
    """*variables* are where such regions are likely to begin with what is looked for, the likeliest first."""

    variables: list[Region]
    constants: list[Region]


def read_executable(head: bytes) -> Executable | None:
    """Read the headers; None where they are broken, or of no form that is known here."""
    try:
        if head.startswith(ELF):
            return _elf(head)
        if head.startswith(MACH_O):
            return _mach_o(head)
        if head.startswith(PE):
            return _pe(head)
    except struct.error:
        pass
    return None


def _elf(head: bytes) -> Executable | None:
    wide, order = head[4:5] == b"\x02", {b"\x01": "<", b"\x02": ">"}.get(head[5:6], "")
    if not order or head[4:5] not in (b"\x01", b"\x02"):
        return None
    (table,) = struct.unpack_from(order + ("Q" if wide else "I"), head, 32 if wide else 28)
    size, number = struct.unpack_from(order + "HH", head, 54 if wide else 42)
    headers = head[table : table + number * size]
    if number > _MOST_HEADERS or size != (56 if wide else 32) or len(headers) != number * size:
        return None
    writable: list[Region] = []
    constants: list[Region] = []
    # Where the loader is the last to write, and the program's own variables begin.
    sealed: list[Region] = []
    for header in struct.iter_unpack(order + ("IIQQ8xQ16x" if wide else "III4xI4xI4x"), headers):
        if wide:
            kind, flags, start, address, length = header
        else:
            kind, start, address, length, flags = header
        if kind == _PT_GNU_RELRO:
            sealed.append(Region(start, length, address))
        elif kind == _PT_LOAD and flags & _WRITE:
            writable.append(Region(start, length, address))
        elif kind == _PT_LOAD and flags & _READ and not flags & _EXECUTE:
            constants.append(Region(start, length, address))
    return Executable([*_after(writable, sealed), *writable], constants)


def _after(writable: list[Region], sealed: list[Region]) -> list[Region]:
    """Return what of the writable regions stands behind what is sealed."""
    found = []
    for region in writable:
        skipped = max((r.start + r.size - region.start for r in sealed if region.start <= r.start), default=0)
        if skipped < region.size:
            skipped = max(skipped, 0)
            found.append(Region(region.start + skipped, region.size - skipped, region.address + skipped))
    return found


def _pe(head: bytes) -> Executable | None:
    (at,) = struct.unpack_from("<I", head, 0x3C)
    if head[at : at + 4] != b"PE\0\0":
        return None
    (number,) = struct.unpack_from("<H", head, at + 6)
    (optional, magic) = struct.unpack_from("<HxxH", head, at + 20)
    if number > _MOST_HEADERS or magic not in (0x10B, 0x20B):
        return None
    (base,) = struct.unpack_from("<Q", head, at + 48) if magic == 0x20B else struct.unpack_from("<I", head, at + 52)
    variables: list[Region] = []
    constants: list[Region] = []
    table = at + 24 + optional
    for section in range(table, table + 40 * number, 40):
        address, size, start = struct.unpack_from("<III", head, section + 12)
        (flags,) = struct.unpack_from("<I", head, section + 36)
        if flags & _PE_CODE or not flags & _PE_DATA or not flags & _PE_READ:
            continue
        (variables if flags & _PE_WRITE else constants).append(Region(start, size, base + address))
    return Executable(variables, constants)


def _mach_o(head: bytes) -> Executable | None:
    order = "<" if head[3:4] == b"\xfe" else ">"
    wide = b"\xcf" in (head[0:1], head[3:4])
    (number,) = struct.unpack_from(order + "I", head, 16)
    if number > _MOST_HEADERS:
        return None
    named: list[Region] = []
    variables: list[Region] = []
    constants: list[Region] = []
    at = 32 if wide else 28
    for _ in range(number):
        command, length = struct.unpack_from(order + "II", head, at)
        if length < 8:
            return None
        if command in (_LC_SEGMENT, _LC_SEGMENT_64):
            name = head[at + 8 : at + 24].rstrip(b"\0")
            form = "QQQQ" if command == _LC_SEGMENT_64 else "IIII"
            address, _, start, size = struct.unpack_from(order + form, head, at + 24)
            named += _section(head[at : at + length], order, command == _LC_SEGMENT_64)
            if name.startswith(b"__DATA"):
                variables.append(Region(start, size, address))
            elif name == b"__TEXT":
                constants.append(Region(start, size, address))
        at += length
    return Executable([*named, *variables], constants)


def _section(command: bytes, order: str, wide: bool) -> list[Region]:
    """Find the section that Go's linker makes for what it tells of a program."""
    first, step = (72, 80) if wide else (56, 68)
    for at in range(first, len(command) - step + 1, step):
        if command[at : at + 16].rstrip(b"\0") == b"__go_buildinfo":
            address, size, start = struct.unpack_from(order + ("QQI" if wide else "III"), command, at + 32)
            return [Region(start, size, address)]
    return []
