"""Executables with Go's build information, put together byte by byte: forms that no compiler here makes any more.

elf(writable, constants, …)     a program of up to three segments, in either width and byte order
pe(…), mach_o(…)                the same for Windows and macOS
inline(version, modules)        build information as Go writes it since 1.18
pointed(version, modules, …)    as it was written before: with pointers to strings that lie elsewhere
"""

from __future__ import annotations

import struct

MAGIC = b"\xff Go buildinf:"
_SENTINELS = (bytes.fromhex("3077af0c9274080241e1c107e6d618e6"), bytes.fromhex("f932433186182072008242104116d8f2"))

#: Where the segments of these programs are loaded.
CONSTANTS_ADDRESS, VARIABLES_ADDRESS = 0x500000, 0x600000
_START = 0x1000


def modules(*lines: str) -> bytes:
    """Write a list of modules between the marks that Go puts around it."""
    return _SENTINELS[0] + "".join(f"{line}\n" for line in lines).encode() + _SENTINELS[1]


def inline(version: bytes, listed: bytes) -> bytes:
    return (MAGIC + b"\x00\x02").ljust(32, b"\0") + _varint(len(version)) + version + _varint(len(listed)) + listed


def pointed(version: bytes, listed: bytes, *, wide: bool = True, order: str = "<") -> tuple[bytes, bytes]:
    """Return what stands among the variables and what among the constants."""
    width, form = (8, f"{order}QQ") if wide else (4, f"{order}II")
    headers = VARIABLES_ADDRESS + 32
    mark = MAGIC + bytes([width, int(order == ">")]) + struct.pack(form, headers, headers + 2 * width)
    strings = struct.pack(form, CONSTANTS_ADDRESS + 16, len(version))
    strings += struct.pack(form, CONSTANTS_ADDRESS + 16 + len(version), len(listed))
    return mark.ljust(32, b"\0") + strings, bytes(16) + version + listed


def elf(
    variables: bytes,
    constants: bytes = b"",
    *,
    wide: bool = True,
    order: str = "<",
    sealed: int = 0,
    note: bool = True,
    variables_address: int = VARIABLES_ADDRESS,
) -> bytes:
    """Write an ELF executable. *sealed* bytes of zeros that only the loader writes stand before the *variables*."""
    constants_at, variables_at = _START, _START + len(constants)
    headers = [
        (1, 4, constants_at, CONSTANTS_ADDRESS, len(constants)),
        (1, 6, variables_at, variables_address - sealed, sealed + len(variables)),
        *([(0x6474E552, 4, variables_at, variables_address - sealed, sealed)] if sealed else []),
    ]
    first = 64 if wide else 52
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1 if order == "<" else 2, 1]).ljust(12, b"\0")
    if wide:
        start = struct.pack(order + "HHIQQQIHHHHHH", 2, 62, 1, 0, first, 0, 0, 64, 56, len(headers), 0, 0, 0)
        table = [struct.pack(order + "IIQQQQQQ", k, f, o, a, a, n, n, 4096) for k, f, o, a, n in headers]
    else:
        start = struct.pack(order + "HHIIIIIHHHHHH", 2, 3, 1, 0, first, 0, 0, 52, 32, len(headers), 0, 0, 0)
        table = [struct.pack(order + "IIIIIIII", k, o, a, a, n, n, f, 4096) for k, f, o, a, n in headers]
    head = ident + start + b"".join(table)
    if note:
        head += struct.pack(order + "III", 4, 8, 4) + b"Go\0\0" + b"built-it"
    return head.ljust(_START, b"\0") + constants + bytes(sealed) + variables


def pe(variables: bytes, constants: bytes = b"", *, wide: bool = True) -> bytes:
    """Write a Windows executable; its base is zero, so that addresses are those of the segments."""
    constants_at, variables_at = _START, _START + len(constants)
    optional = struct.pack("<H", 0x20B if wide else 0x10B).ljust(240 if wide else 224, b"\0")
    sections = b"".join(
        name.ljust(8, b"\0") + struct.pack("<IIIIIIHHI", size, address, size, start, 0, 0, 0, 0, flags)
        for name, size, address, start, flags in (
            (b".text", 0, 0x1000, _START, 0x60000020),
            (b".rdata", len(constants), CONSTANTS_ADDRESS, constants_at, 0x40000040),
            (b".data", len(variables), VARIABLES_ADDRESS, variables_at, 0xC0000040),
        )
    )
    head = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x80)
    head = head.ljust(0x80, b"\0") + b"PE\0\0" + struct.pack("<HHIIIHH", 0x8664, 3, 0, 0, 0, len(optional), 2)
    return (head + optional + sections).ljust(_START, b"\0") + constants + variables


def mach_o(
    variables: bytes, constants: bytes = b"", *, wide: bool = True, order: str = "<", named: bool = False
) -> bytes:
    """Write a macOS executable; *named* gives the variables a section of the name that Go's linker uses."""
    constants_at, variables_at = _START, _START + len(constants)
    form = "QQQQ" if wide else "IIII"
    commands = []
    for name, address, start, size in (
        (b"__TEXT", CONSTANTS_ADDRESS, constants_at, len(constants)),
        (b"__DATA", VARIABLES_ADDRESS, variables_at, len(variables)),
    ):
        sections = b""
        if named and name == b"__DATA":
            sections = b"__go_buildinfo".ljust(16, b"\0") + name.ljust(16, b"\0")
            sections += struct.pack(order + ("QQI" if wide else "III"), address, size, start)
            sections = sections.ljust(80 if wide else 68, b"\0")
        body = name.ljust(16, b"\0") + struct.pack(order + form, address, size, start, size)
        body += struct.pack(order + "IIII", 7, 3, int(bool(sections)), 0) + sections
        commands.append(struct.pack(order + "II", 0x19 if wide else 0x1, 8 + len(body)) + body)
    magic = struct.pack(order + "I", 0xFEEDFACF if wide else 0xFEEDFACE)
    told = struct.pack(order + "6I", 7, 3, 2, len(commands), sum(map(len, commands)), 0)
    head = magic + told + (bytes(4) if wide else b"") + b"".join(commands)
    return head.ljust(_START, b"\0") + constants + variables


def _varint(number: int) -> bytes:
    written = bytearray()
    while number >= 0x80:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    written.append(number)
    return bytes(written)
