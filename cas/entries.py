"""What a layer says of one path: the form in which entries of layers are kept and handed around."""

from __future__ import annotations

import msgspec

FILE = "f"
DIRECTORY = "d"
SYMLINK = "l"
#: A hard link whose target is not in the same layer (one whose target is, is a file of its own).
HARD_LINK = "h"
CHARACTER_DEVICE = "c"
BLOCK_DEVICE = "b"
PIPE = "p"
#: The path is hidden in the layers below (``.wh.NAME``; OCI image specification, "Whiteouts").
WHITEOUT = "w"
#: Everything that the layers below hold in this directory is hidden (``.wh..wh..opq``).
OPAQUE = "o"


class Entry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One path of a layer.

    *path* is relative to the root, with ``/`` between its parts, without ``.``, ``..`` or empty parts; the root itself
    has no entry but may be `OPAQUE` (path ``""``). Bytes of a name that are not UTF-8 are written ``\\xNN``.
    *kind* is one of the letters above. *size* is in bytes, *modified* in seconds since 1970. *target* is where a link
    points, as the archive says. *digest* is the SHA-256 of a file's content as 32 bytes, empty for an empty file and
    for what is no file.
    """

    path: str
    kind: str = FILE
    mode: int = 0
    uid: int = 0
    gid: int = 0
    size: int = 0
    modified: int = 0
    target: str = ""
    digest: bytes = b""
