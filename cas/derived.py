"""The derived area of a store: objects by name, each of which can be made again from the blobs.

    <root>/derived/<name>               an object
    <root>/derived/.putting/<random>    one that is being put; locked by its process while that lives

Beside the blobs, on the same medium, and never truth: whoever reads an object must be able to do without it.

What `put` has returned for is there after a power cut too. It need not be, but whoever puts facts goes on to write down
that they are done, and to synchronise a file and its directory costs a thousandth of reading a layer. A file that took
its place before its bytes were durable would be worse than none: ext4 and XFS may leave it there empty, or cut off.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cas.errors import DerivedUnknown, InvalidDerivedName
from cas.filesystem import FileSystem, PosixFileSystem, names, room
from cas.memory import Bucket
from cas.threads import Threads

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9_-]+)*(?:/[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9_-]+)*)*")

#: No part of a name begins with a dot, so nothing that is put can come here.
_PUTTING = ".putting"

#: How often directories are made again that somebody removes while an object is put into them.
_TRIES = 5


@dataclass(frozen=True, slots=True, order=True)
class DerivedName:
    """The name of a derived object: parts of lower-case letters, digits, ``-``, ``_`` and ``.``, between ``/``."""

    text: str

    @classmethod
    def parse(cls, text: str) -> DerivedName:
        """Read a name.

        Raises:
            InvalidDerivedName: *text* is none.
        """
        if len(text) > 255 or _NAME.fullmatch(text) is None:
            raise InvalidDerivedName(text)
        return cls(text)

    def __str__(self) -> str:
        return self.text


class Derived(Protocol):
    """Where derived objects live. `tests/contracts/derived.py` is the executable form of this docstring.

    No object's name is the beginning of another's (``a`` and ``a/b``): a directory could not keep both.
    """

    async def put(self, name: DerivedName, content: bytes) -> None:
        """Keep *content* under *name*, atomically in place of what was there: a reader sees the one or the other whole,
        after a power cut too.

        Raises:
            StorageFull: no room is left; what was there before is still there.
        """

    async def get(self, name: DerivedName) -> bytes:
        """Return an object.

        Raises:
            DerivedUnknown: there is none of that name.
        """

    async def mark(self, name: DerivedName) -> str:
        """Return what tells an object from the one that takes its place: cheaper than reading it, so that whoever
        remembers an object can look whether it is still that one. Whoever asks before reading has, at worst, read what
        is newer than the mark.

        Raises:
            DerivedUnknown: there is none of that name.
        """

    async def delete(self, name: DerivedName) -> None:
        """Remove an object; none being there is no error."""

    def names(self, prefix: str) -> AsyncIterator[DerivedName]:
        """List the names that begin with *prefix* (whole parts: ``facts/v1``; empty: all), in the order of their text.

        Raises:
            InvalidDerivedName: *prefix* is neither empty nor a name.
        """


class DirectoryDerived:
    """The derived area in the directory *root*, which is made when it is first needed; its parent has to be there.

    Any number of processes may work on one root, and somebody may remove all of it meanwhile.
    """

    def __init__(self, root: Path, filesystem: FileSystem | None = None) -> None:
        self._root = str(root.absolute())
        self._derived = f"{self._root}/derived"
        self._putting = f"{self._derived}/{_PUTTING}"
        self._filesystem = filesystem or PosixFileSystem()
        self._threads = Threads()
        # Directories that this process has made durable; see `cas.directory`.
        self._durable: set[str] = set()
        self._swept = False

    async def put(self, name: DerivedName, content: bytes) -> None:
        await self._threads.run(self._put, name, content)

    def _put(self, name: DerivedName, content: bytes) -> None:
        with room("the store", self._root):
            if not self._swept:
                self._sweep()
                self._swept = True
            for _ in range(_TRIES - 1):
                with suppress(FileNotFoundError, BlockingIOError):
                    return self._put_once(f"{self._derived}/{name}", content)
                self._durable.clear()  # somebody has removed directories under a running service
            return self._put_once(f"{self._derived}/{name}", content)

    def _put_once(self, place: str, content: bytes) -> None:
        new = self._make_directories(place)
        self._filesystem.make_directory(self._putting)
        putting = f"{self._putting}/{secrets.token_hex(16)}"
        file = self._filesystem.open_for_append(putting)
        try:
            # Whoever sweeps before this line takes the lock, and the file away: then it is put again.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left = content
            while left:
                left = left[self._filesystem.write(file, [left]) :]
            self._filesystem.sync(file)
            self._filesystem.rename(putting, place)
        except BaseException:
            with suppress(FileNotFoundError):
                self._filesystem.unlink(putting)
            raise
        finally:
            self._filesystem.close(file)
        self._filesystem.sync_directory(_parent(place))
        for directory in reversed(new):
            self._filesystem.sync_directory(_parent(directory))
        self._durable.update(new)

    def _make_directories(self, place: str) -> list[str]:
        """Make the directories that lead to *place*; return those whose entries may not be durable, the root first."""
        wanted = []
        directory = _parent(place)
        while directory != _parent(self._root):
            wanted.append(directory)
            directory = _parent(directory)
        new = [directory for directory in reversed(wanted) if directory not in self._durable]
        for directory in new:
            self._filesystem.make_directory(directory)
        return new

    def _sweep(self) -> None:
        """Remove what killed processes were putting. The kernel dropped their locks."""
        for name in names(self._putting):
            putting = f"{self._putting}/{name}"
            with suppress(FileNotFoundError, BlockingIOError):
                file = os.open(putting, os.O_RDWR)
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    self._filesystem.unlink(putting)
                finally:
                    os.close(file)

    async def get(self, name: DerivedName) -> bytes:
        return await self._threads.run(self._get, name)

    def _get(self, name: DerivedName) -> bytes:
        try:
            return Path(self._derived, name.text).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            raise DerivedUnknown(name.text) from None

    async def mark(self, name: DerivedName) -> str:
        return self._mark(name)  # on the event loop: a look-up costs less than any way of handing it over

    def _mark(self, name: DerivedName) -> str:
        """Each object is a file of its own, that stands beside the one whose place it takes before it does so."""
        try:
            found = Path(self._derived, name.text).stat()
        except (FileNotFoundError, NotADirectoryError):
            raise DerivedUnknown(name.text) from None
        if not stat.S_ISREG(found.st_mode):
            raise DerivedUnknown(name.text)
        return f"{found.st_ino}-{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}"

    async def delete(self, name: DerivedName) -> None:
        await self._threads.run(self._delete, name)

    def _delete(self, name: DerivedName) -> None:
        with room("the store", self._root), suppress(FileNotFoundError, NotADirectoryError):
            self._filesystem.unlink(f"{self._derived}/{name}")

    def names(self, prefix: str) -> AsyncIterator[DerivedName]:
        return self._threads.iterate(self._walk(_parsed(prefix)))

    def _walk(self, prefix: str) -> Iterator[DerivedName]:
        if prefix and Path(self._derived, prefix).is_file():
            yield DerivedName(prefix)
        yield from self._walk_directory(prefix)

    def _walk_directory(self, directory: str) -> Iterator[DerivedName]:
        # A directory sorts as its objects do, whose names go on with a slash.
        for name, is_directory in sorted(self._list(directory)):
            path = f"{directory}/{name}".lstrip("/")
            if is_directory:
                yield from self._walk_directory(path.removesuffix("/"))
            else:
                with suppress(InvalidDerivedName):
                    yield DerivedName.parse(path)

    def _list(self, directory: str) -> list[tuple[str, bool]]:
        try:
            with os.scandir(f"{self._derived}/{directory}") as entries:
                return [
                    (f"{entry.name}/" if entry.is_dir(follow_symlinks=False) else entry.name, entry.is_dir())
                    for entry in entries
                    if entry.name != _PUTTING
                ]
        except (FileNotFoundError, NotADirectoryError):
            return []


class MemoryDerived:
    """The derived area as an object store keeps it: whole objects, each put and listed at once."""

    def __init__(self, bucket: Bucket | None = None) -> None:
        self._bucket = Bucket() if bucket is None else bucket

    async def put(self, name: DerivedName, content: bytes) -> None:
        await self._bucket.put(f"derived/{name}", content)

    async def get(self, name: DerivedName) -> bytes:
        try:
            return await self._bucket.get(f"derived/{name}")
        except KeyError:
            raise DerivedUnknown(name.text) from None

    async def mark(self, name: DerivedName) -> str:
        try:
            return await self._bucket.etag(f"derived/{name}")
        except KeyError:
            raise DerivedUnknown(name.text) from None

    async def delete(self, name: DerivedName) -> None:
        await self._bucket.delete(f"derived/{name}")

    async def names(self, prefix: str) -> AsyncIterator[DerivedName]:
        wanted = _parsed(prefix)
        async for found in self._bucket.under(f"derived/{wanted}"):
            name = found.key.removeprefix("derived/")
            if not wanted or name == wanted or name.startswith(f"{wanted}/"):
                yield DerivedName(name)


def _parsed(prefix: str) -> str:
    return prefix and DerivedName.parse(prefix).text


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"
