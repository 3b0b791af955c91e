"""Databases in stanzas, as dpkg, opkg and apk write them: lines of ``Name: value``, an empty line between packages.

They are read as bytes, by searching, because such a database may hold tens of megabytes of what nobody asks for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_GAP = re.compile(rb"\n\n+")
_WORD = re.compile(rb"[!-~]{1,256}")


def unix_lines(content: bytes) -> bytes:
    """Return *content* with the line ends of Unix: whoever made or edited a database on another system may have left
    its own, and then no line is empty that should stand between two packages."""
    return content.replace(b"\r\n", b"\n") if b"\r\n" in content else content


def stanzas(content: bytes) -> Iterator[bytes]:
    """Yield each stanza, with one newline before it and one after it: `value` counts on them."""
    start = 0
    for gap in _GAP.finditer(content):
        if gap.start() > start:
            yield b"\n%b\n" % content[start : gap.start()]
        start = gap.end()
    if start < len(content):
        yield b"\n%b\n" % content[start:]


def value(stanza: bytes, field: bytes) -> bytes:
    """Return the first line of a field's value, without blanks around it; empty where there is no such field.

    *field* is its name with the newline before and the colon after it: ``b"\\nVersion:"``. Writers of these databases
    spell names in one way, so case is not folded.
    """
    start = stanza.find(field)
    if start < 0:
        return b""
    start += len(field)
    return stanza[start : stanza.find(b"\n", start)].strip()


def word(raw: bytes) -> str:
    """Return a name or a version as text; empty where it is none: longer than 256 characters, or with characters that
    no ecosystem has in its names (blanks, control characters, anything but ASCII)."""
    return raw.decode("ascii") if _WORD.fullmatch(raw) else ""


def path(raw: bytes) -> str:
    """Return a path as `cas.entries.Entry` writes it."""
    return raw.decode("utf-8", "backslashreplace")
