"""Layers made of real folders: whole ones, and what a command changed in one.

packed(folder, "usr/lib/x")     a layer that holds the folder at that path
Changing(root)                  a root that commands change; `layer()` gives what changed since it was last asked
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from tests.end_to_end.images import Blob, Layer
from tests.ingest import tars


def as_layer(members: tars.Members) -> Layer:
    """Make a layer of members, as images are made of."""
    return of_archive(tars.tar(members))


def of_archive(archive: bytes) -> Layer:
    """Make a layer of a tar, not compressed: nothing is gained where it is read on the same machine."""
    blob = Blob(tars.MEDIA_TYPES["plain"], archive)
    return Layer(blob, f"sha256:{hashlib.sha256(archive).hexdigest()}")


def packed(folder: Path, path: str, wanted: Callable[[str], bool] = lambda path: True) -> Layer:
    """Make a layer of the files of *folder* whose path below it is *wanted*."""
    found = {name: member for name, member in _members(folder).items() if name.endswith("/") or wanted(name)}
    return as_layer({f"{path}/{name}": member for name, member in found.items()})


class Changing:
    """A root file system that commands change."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._before: dict[str, tars.Content] = {}

    def layer(self) -> Layer:
        """Make a layer of what was added and changed since the last one, with whiteouts for what is gone."""
        now = _members(self.root)
        changed = {path: member for path, member in now.items() if self._before.get(path) != member}
        gone: list[str] = []
        for path in sorted(self._before.keys() - now.keys()):
            if not gone or not path.startswith(gone[-1]):
                gone.append(path if path.endswith("/") else path + "\0")
        whiteouts = {name: mark for path in gone for name, mark in tars.whiteout(path.rstrip("/\0")).items()}
        self._before = now
        return as_layer({**changed, **whiteouts})


def _members(root: Path) -> dict[str, tars.Content]:
    found: dict[str, tars.Content] = {}
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in [*folders, *sorted(files)]:
            path = Path(folder, name)
            inside = str(path.relative_to(root))
            if path.is_symlink():
                found[inside] = tars.symlink(str(path.readlink()))
            elif path.is_dir():
                found[f"{inside}/"] = tars.directory()
            elif path.is_file():
                found[inside] = tars.file(path.read_bytes(), mode=path.stat().st_mode & 0o7777)
    return found
