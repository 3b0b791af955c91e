"""The one seam between the local driver and the disk.

Every operation of the driver that changes what is on a disk goes through a `FileSystem`. The test of power cuts puts a
recorder in its place; nothing else needs to. Reading goes to the kernel directly.
"""
# The seam speaks in the kernel's own calls and plain strings: a Path for each call would cost more than the call.
# ruff: noqa: PTH102, PTH104, PTH108

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Protocol

from cas.errors import StorageFull

_log = logging.getLogger(__name__)

_DIRECTORY_MODE = 0o750  # blobs may be private: the group may be let in, others may not
_STAGED_MODE = 0o640
_BLOB_MODE = 0o444


class FileSystem(Protocol):
    """What the local driver asks of a file system. Each method is one call to the kernel and raises `OSError`.

    Nothing is durable until it is synchronised: the bytes and the size of a file by `sync`, the entries of a directory
    (what was made, linked or renamed into it, or unlinked) by `sync_directory`.
    """

    def make_directory(self, path: str) -> None:
        """Make a directory; one being there is no error."""

    def open_for_append(self, path: str) -> int:
        """Open a file so that writes go to its end, making it if there is none; return its descriptor."""

    def open(self, path: str) -> int:
        """Open a file that is there, to synchronise or to protect it; return its descriptor."""

    def write(self, file: int, pieces: Sequence[bytes]) -> int:
        """Write *pieces* (at most `os.sysconf("SC_IOV_MAX")` of them); return how many bytes were taken."""

    def write_out(self, file: int, start: int, length: int) -> None:
        """Begin to carry a range to the disk, so that `sync` has less to wait for. Promises nothing."""

    def protect(self, file: int) -> None:
        """Make a file read-only for everybody."""

    def sync(self, file: int) -> None:
        """Return when the file's bytes and size are durable."""

    def close(self, file: int) -> None: ...

    def link(self, source: str, target: str) -> None:
        """Give a file a second name; one that is taken is an error."""

    def rename(self, source: str, target: str) -> None:
        """Move a file, atomically taking the place of what is at *target*."""

    def unlink(self, path: str) -> None: ...

    def sync_directory(self, path: str) -> None:
        """Return when the directory's entries are durable."""


class PosixFileSystem:
    """The file system of the machine."""

    def make_directory(self, path: str) -> None:
        with suppress(FileExistsError):
            os.mkdir(path, _DIRECTORY_MODE)

    def open_for_append(self, path: str) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, _STAGED_MODE)

    def open(self, path: str) -> int:
        return os.open(path, os.O_RDONLY)

    def write(self, file: int, pieces: Sequence[bytes]) -> int:
        return os.writev(file, pieces)

    def write_out(self, file: int, start: int, length: int) -> None:
        # Linux starts the write-back of a range that is said to be no longer needed, and drops only pages that are
        # clean already. It is the one way to ask for that which Python offers; a quarter is saved on large uploads.
        os.posix_fadvise(file, start, length, os.POSIX_FADV_DONTNEED)

    def protect(self, file: int) -> None:
        os.fchmod(file, _BLOB_MODE)

    def sync(self, file: int) -> None:
        os.fsync(file)

    def close(self, file: int) -> None:
        os.close(file)

    def link(self, source: str, target: str) -> None:
        os.link(source, target)

    def rename(self, source: str, target: str) -> None:
        os.rename(source, target)

    def unlink(self, path: str) -> None:
        os.unlink(path)

    def sync_directory(self, path: str) -> None:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


@contextmanager
def room(what: str, place: str) -> Iterator[None]:
    """Raise `StorageFull` where the disk under *place*, or what the account may use of it, is full."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            _log.warning("no room is left in %s, %s", what, place)
            raise StorageFull(what, place) from error
        raise


def names(directory: str) -> list[str]:
    """List the names in a directory in order; none where there is no such directory."""
    try:
        with os.scandir(directory) as entries:
            return sorted(entry.name for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
