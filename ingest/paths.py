"""From the names in an archive to paths of a layer (`cas.entries.Entry.path`)."""

from __future__ import annotations


class NameRefused(Exception):
    """The name is no path within a layer: *reason* in words."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def path_of(name: bytes) -> str:
    """Return the path that *name* means: empty for the root.

    A leading slash says no more than that the root is meant, and ``..`` goes up within what stands before it, as
    runtimes have it.

    Raises:
        NameRefused: it leads out of the root, or holds a byte 0.
    """
    if b"/." not in name and b"//" not in name and b"\0" not in name and name[:1] not in (b".", b"/"):
        plain = name[:-1] if name[-1:] == b"/" else name
    else:
        plain = _plain(name)
    try:
        return plain.decode()
    except UnicodeDecodeError:
        return plain.decode("utf-8", "backslashreplace")


def _plain(name: bytes) -> bytes:
    if b"\0" in name:
        raise NameRefused("a name holds a byte 0")
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if not parts:
                raise NameRefused("a name leads out of the root")
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)
