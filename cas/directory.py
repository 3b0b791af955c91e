"""The local driver: blobs in sharded directories.

    <root>/blobs/<algorithm>/ab/cd/abcd…    a blob, read-only; its name is the hexadecimal part of its digest
    <root>/uploads/…                        what grows (`cas.staging`)

A blob comes into being in one order, whatever happens: the staged bytes are verified, their file is synchronised and
made read-only, its digest's place becomes a second name of it, and every directory on the way there that gained an
entry is synchronised. So at a power cut a blob is there with all its bytes or is not there; and where `publish` had
returned, it is there. The first name goes when the upload is discarded.
"""

from __future__ import annotations

import errno
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

from cas.digest import ALGORITHMS, Digest
from cas.errors import BlobUnknown, DigestMismatch, InvalidDigest
from cas.filesystem import FileSystem, PosixFileSystem, names, room
from cas.reading import FileReader
from cas.staging import Running, Staging
from cas.store import BlobReader, StagedUpload, UploadId
from cas.threads import Threads

#: What a file system says that knows no second names (or has too many of one file already).
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}


class DirectoryStore:
    """A `BlobStore` in the directory *root*, which is made when it is first needed; its parent has to be there.

    Any number of processes may work on one root. What one of them keeps in memory only saves it time.
    """

    def __init__(self, root: Path, filesystem: FileSystem | None = None) -> None:
        self._root = str(root.absolute())
        self._blobs = f"{self._root}/blobs"
        self._filesystem = filesystem or PosixFileSystem()
        self._threads = Threads()
        self._staging = Staging(self._root, self._filesystem, self._threads)
        # Directories that this process has made durable. One that merely exists may have been made a moment ago by
        # another process that has not come to synchronise it yet.
        self._durable: set[str] = set()

    async def append(self, upload: UploadId, offset: int, chunks: AsyncIterable[bytes]) -> int:
        return await self._staging.append(upload, offset, chunks)

    async def size(self, upload: UploadId) -> int:
        return self._staging.size(upload)

    async def publish(self, upload: UploadId, digest: Digest) -> int:
        with self._staging.exclusive(upload):
            return await self._threads.run(self._publish, upload, digest, self._staging.running(upload))

    def _publish(self, upload: UploadId, digest: Digest, running: Running | None) -> int:
        computed, size = self._staging.digest(upload, digest.algorithm, running)
        if computed != digest:
            raise DigestMismatch(digest, computed)
        with room("the store", self._root):
            file = self._staging.open_complete(upload)
            try:
                self._sync(upload, file)
                self._put_in_place(upload, file, digest)
            finally:
                self._filesystem.close(file)
        return size

    def _sync(self, upload: UploadId, file: int) -> None:
        try:
            self._filesystem.sync(file)
        except OSError:
            # The kernel tells of bytes that it could not write once, and then calls the pages clean. A second attempt
            # would succeed without the bytes, so there must be none.
            self._staging.remove(upload)
            raise

    def _put_in_place(self, upload: UploadId, file: int, digest: Digest) -> None:
        self._filesystem.protect(file)
        try:
            new = self._link(upload, digest)
        except FileNotFoundError:
            self._durable.clear()  # somebody has removed directories under a running service
            new = self._link(upload, digest)
        self._filesystem.sync_directory(self._directories(digest)[-1])
        for directory in reversed(new):
            self._filesystem.sync_directory(_parent(directory))
        self._durable.update(new)

    def _link(self, upload: UploadId, digest: Digest) -> list[str]:
        """Give an upload its digest's place as well; return the directories there whose entries may not be durable."""
        directories = self._directories(digest)
        new = [directory for directory in directories if directory not in self._durable]
        for directory in new:
            self._filesystem.make_directory(directory)
        staged, place = self._staging.path(upload), self._path(digest)
        try:
            self._filesystem.link(staged, place)
        except FileExistsError:
            self._replace(staged, place)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            self._filesystem.rename(staged, place)
        return new

    def _replace(self, staged: str, place: str) -> None:
        if not os.path.samefile(staged, place):  # noqa: PTH121 - it was published before, and is again
            aside = self._staging.path(UploadId.new())
            self._filesystem.link(staged, aside)
            self._filesystem.rename(aside, place)

    def _directories(self, digest: Digest) -> tuple[str, ...]:
        """The directories that lead to a blob, the root first."""
        algorithm = f"{self._blobs}/{digest.algorithm}"
        first = f"{algorithm}/{digest.hex[:2]}"
        return self._root, self._blobs, algorithm, first, f"{first}/{digest.hex[2:4]}"

    async def discard(self, upload: UploadId) -> None:
        with self._staging.exclusive(upload):
            await self._threads.run(self._staging.remove, upload)
            self._staging.forget(upload)

    async def stat(self, digest: Digest) -> int:
        try:
            return os.stat(self._path(digest)).st_size  # noqa: PTH116 - a Path would cost as much again
        except (FileNotFoundError, NotADirectoryError):
            raise BlobUnknown(digest) from None

    async def open(self, digest: Digest) -> BlobReader:
        try:
            return FileReader(os.open(self._path(digest), os.O_RDONLY), self._threads)
        except (FileNotFoundError, NotADirectoryError):
            raise BlobUnknown(digest) from None

    def _path(self, digest: Digest) -> str:
        name = digest.hex
        return f"{self._blobs}/{digest.algorithm}/{name[:2]}/{name[2:4]}/{name}"

    async def delete(self, digest: Digest) -> None:
        await self._threads.run(self._delete, digest)

    def _delete(self, digest: Digest) -> None:
        path = self._path(digest)
        with room("the store", self._root):
            with suppress(FileNotFoundError):
                self._filesystem.unlink(path)
            # Also where nothing was found: another process may have removed it and not have synchronised yet.
            with suppress(FileNotFoundError):
                self._filesystem.sync_directory(_parent(path))

    def digests(self) -> AsyncIterator[Digest]:
        return self._threads.iterate(self._walk())

    def _walk(self) -> Iterator[Digest]:
        for algorithm in sorted(ALGORITHMS):
            top = f"{self._blobs}/{algorithm}"
            for first in names(top):
                for second in names(f"{top}/{first}"):
                    for name in names(f"{top}/{first}/{second}"):
                        with suppress(InvalidDigest):
                            digest = Digest.parse(f"{algorithm}:{name}")
                            if name.startswith(first + second):
                                yield digest

    def uploads(self) -> AsyncIterator[StagedUpload]:
        return self._threads.iterate(self._staging.walk())

    async def free(self) -> int | None:
        """Tell the bytes that this account may still fill; the superuser's reserve is not among them."""
        try:
            found = os.statvfs(self._root)
        except FileNotFoundError:
            found = os.statvfs(_parent(self._root))
        return found.f_bavail * found.f_frsize


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"
