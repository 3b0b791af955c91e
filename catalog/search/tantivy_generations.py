"""Where tantivy's files are.

    search/
    ├── lock                        held by the writer, let go by its death
    ├── CURRENT                     a symbolic link to the generation that answers
    └── FINGERPRINT-RANDOM/         a generation: the schema's fingerprint, and a name that never comes again
        └── meta.json …             tantivy's

A generation is made whole beside the others; then the link is replaced. Who reads follows the link on each request:
one look at `meta.json` tells whether there is a newer commit, or another generation.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import IO

import tantivy

from catalog.search.errors import SearchUnavailable, WriterBusy
from catalog.search.tantivy_schema import build_schema, fingerprint, register

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Commit:
    """Which commit of which generation: `meta.json` is a new file after each."""

    device: int
    inode: int
    modified: int


class Generations:
    """The directory above."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._current = directory / "CURRENT"
        self._meta = self._current / "meta.json"
        self._fingerprint = fingerprint()

    def lock(self) -> IO[bytes]:
        """Become the writer, until the file is closed.

        Raises:
            WriterBusy: another process is.
        """
        self._directory.mkdir(parents=True, exist_ok=True)
        lock = (self._directory / "lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise WriterBusy(str(self._directory)) from None
        return lock

    def commit(self) -> Commit:
        """Tell which commit is the newest; two system calls' worth of time.

        Raises:
            SearchUnavailable: there is none.
        """
        try:
            found = self._meta.stat()
        except OSError as error:
            raise SearchUnavailable("there is no search index") from error
        return Commit(found.st_dev, found.st_ino, found.st_mtime_ns)

    def current(self) -> Path:
        """Return the generation that answers.

        Raises:
            SearchUnavailable: there is none, or it was written by a program with other fields.
        """
        path = self.pointer()
        if path is None:
            raise SearchUnavailable("there is no search index")
        if not path.name.startswith(f"{self._fingerprint}-"):
            raise SearchUnavailable("the search index is another version's and has to be rebuilt")
        return path

    def pointer(self) -> Path | None:
        """Return the generation that `CURRENT` names, whoever wrote it."""
        try:
            return self._directory / self._current.readlink().name
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EINVAL):  # the last: a copy of what it led to
                return None
            raise

    def create(self) -> Path:
        """Make an empty generation, which is not the current one."""
        path = self._directory / f"{self._fingerprint}-{token_hex(8)}"
        path.mkdir(parents=True)
        index = tantivy.Index(build_schema(), str(path))
        register(index)
        index.writer(15_000_000, 1).commit()
        return path

    def switch(self, generation: Path) -> None:
        """Make *generation*, whose files are synced, the one that answers: at once, and durably."""
        link = self._directory / f"CURRENT.{token_hex(8)}"
        link.symlink_to(generation.name)
        link.replace(self._current)
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sweep(self) -> None:
        """Remove what a dead writer left: generations that were not finished or not removed, temporary files. To be
        called by the writer alone."""
        current = self.pointer()
        for entry in self._directory.iterdir():
            if entry.name.startswith("CURRENT."):
                entry.unlink(missing_ok=True)
            elif entry.is_dir() and not entry.is_symlink() and entry != current:
                shutil.rmtree(entry, ignore_errors=True)
        if current is not None:
            for leftover in current.glob(".tmp*"):
                leftover.unlink(missing_ok=True)

    def remove(self, generation: Path) -> None:
        """Remove *generation*; who has it open may go on reading."""
        shutil.rmtree(generation, ignore_errors=True)


def open_index(generation: Path) -> tantivy.Index:
    """Open *generation*, as it is at this moment: it is reloaded by who opened it, never by itself.

    Raises:
        SearchUnavailable: it cannot be read; it may have been removed a moment ago.
    """
    try:
        index = tantivy.Index.open(str(generation))
    except (OSError, ValueError) as error:
        _log.info("the search index in %s cannot be opened: %s", generation, error)
        raise SearchUnavailable("the search index cannot be opened") from error
    register(index)
    index.config_reader("manual")
    reload_index(index)
    return index


def reload_index(index: tantivy.Index) -> None:
    """Let *index* answer from its newest commit.

    Raises:
        SearchUnavailable: it cannot be read.
    """
    try:
        index.reload()
    except (OSError, ValueError) as error:
        _log.info("the search index cannot be read: %s", error)
        raise SearchUnavailable("the search index cannot be read") from error
