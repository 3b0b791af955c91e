"""Generations: the directories that the layer index lives in, one after the other.

    <root>.lock             locked by the owner as long as it lives; beside the directory, which may be removed
    <root>/CURRENT          the name of the generation that answers, in a line; no such file: none does
    <root>/BUILDING         the name of the one that is being built
    <root>/<form>-<hex>/    a generation (`cas.layer_index.tables`); *form* is that of `cas.layer_index.keys`

A generation answers from the moment when CURRENT names it, which is renamed into place after all that the generation
holds is durable. So at any cut of whatever kind there is the old one or the new one. With one that was being built the
next rebuild goes on: what is in it already is not written again.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

from cas.filesystem import room
from cas.layer_index import keys

_NAME = re.compile(rf"{keys.FORM}-[0-9a-f]{{16}}")


class Generations:
    """The directories under *root*. Every method but `intact` is to be called in a thread, one at a time.

    Methods raise `StorageFull` where no room is left, and `OSError`.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._current = self._root / "CURRENT"
        self._building = self._root / "BUILDING"
        self._lock: int | None = None
        self._identity: tuple[int, int] | None = None

    def lock(self) -> bool:
        """Make this process the owner; tell whether it is. Another one may be, or one that is about to end."""
        with room("the layer index", str(self._root)):
            self._root.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(f"{self._root}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._lock = file
        return True

    def unlock(self) -> None:
        """Let another process become the owner."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def current(self) -> Path | None:
        """Return the directory of the generation that answers."""
        return self._named_by(self._current)

    def building(self) -> Path:
        """Return the directory of the generation that is being built; a new one where none is."""
        found = self._named_by(self._building)
        if found is None:
            found = self._root / f"{keys.FORM}-{secrets.token_hex(8)}"
            self._point(self._building, found)
        return found

    def discard_building(self) -> None:
        """Give up the generation that is being built: it is damaged. The next one begins from nothing."""
        found = self._named_by(self._building)
        self._building.unlink(missing_ok=True)
        if found is not None:
            shutil.rmtree(found, ignore_errors=True)

    def discard_current(self) -> None:
        """Give up the generation that answers: it is damaged."""
        self._current.unlink(missing_ok=True)
        self._identity = None

    def finish_building(self, built: Path) -> None:
        """Let the generation *built*, which is durable, be the one that answers. BUILDING may not name it: whoever
        removes all that is here may do so between that name and the generation itself."""
        self._point(self._current, built)
        self._building.unlink(missing_ok=True)
        self._identity = self._seen()

    def adopt(self) -> None:
        """Remember CURRENT as it is now, so that `intact` can tell whether it is still the same."""
        self._identity = self._seen()

    def remove_leftovers(self) -> None:
        """Remove every directory and file that is neither the generation that answers nor the one that is built."""
        kept = {self._current, self._building, self._named_by(self._current), self._named_by(self._building)}
        with suppress(FileNotFoundError):
            for path in list(self._root.iterdir()):
                if path in kept:
                    continue
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)

    def intact(self, generation: Path, *, answers: bool) -> bool:
        """Tell whether *generation*, which is open, is still where it was (and, if it *answers*, CURRENT too).

        This is two look-ups in directories that the kernel has in memory, some microseconds: no thread is needed.
        """
        if answers and (self._identity is None or self._seen() != self._identity):
            return False
        return os.access(generation / "CURRENT", os.F_OK)  # RocksDB's own, which it always has

    def _seen(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._current)  # noqa: PTH116 - a Path would cost as much again
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def _named_by(self, pointer: Path) -> Path | None:
        try:
            name = pointer.read_text("utf-8").strip()
        except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
            return None
        found = self._root / name
        return found if _NAME.fullmatch(name) is not None and found.is_dir() else None

    def _point(self, pointer: Path, generation: Path) -> None:
        """Let *pointer* name *generation*, atomically and durably."""
        with room("the layer index", str(self._root)):
            generation.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = pointer.with_name(f".{pointer.name}.new")
            with new.open("w", encoding="utf-8") as file:
                file.write(f"{generation.name}\n")
                file.flush()
                os.fsync(file.fileno())
            new.rename(pointer)
            directory = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
