"""Uploads of the local driver: files that grow.

    <root>/uploads/<upload id>    the staged bytes and nothing else: the size of the file is the size of the upload
    <root>/uploads.lock           always empty; a byte of it is locked for each upload that is being written to

Nothing here is synchronised: an upload survives the death of its process and not a power cut. Whoever turns it into a
blob (`cas.directory`) sees to that.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import struct
from collections import OrderedDict
from collections.abc import AsyncIterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cas.digest import Digest
from cas.errors import InvalidUploadId, OffsetMismatch, UploadBusy
from cas.filesystem import FileSystem, names, room
from cas.store import PIECE, StagedUpload, UploadId
from cas.threads import Threads, finish

if TYPE_CHECKING:
    from asyncio import Future
    from hashlib import _Hash

#: The algorithm that is computed while bytes arrive. An upload that is published under another one is read once more.
_RUNNING = "sha256"

#: How many uploads' running hashes are kept, some 500 bytes each. What falls out is computed again at the end.
_MOST_RUNNING = 1024

#: How many chunks the kernel takes in one call (IOV_MAX).
_MOST_CHUNKS = 1024

#: How much is written before the disk is told to begin.
_WRITE_OUT = 8 * PIECE


@dataclass(frozen=True, slots=True)
class Running:
    """The hash of all that a file held when this process left it.

    It counts only while the file is the same one and unchanged since: another process may have added to the upload.
    """

    hash: _Hash
    inode: int
    size: int
    modified: int

    def covers(self, found: os.stat_result) -> bool:
        return (self.inode, self.size, self.modified) == (found.st_ino, found.st_size, found.st_mtime_ns)


class Staging:
    """The uploads under one root.

    Exclusion, between processes too, is by a lock on one byte of a common file, at a place made of the upload's id.
    Such a lock costs 3 µs and never waits for the disk, so it may be taken on the event loop; to make a file there may
    not, which waits behind the uploads that are being synchronised. The kernel drops it when its process dies. And it
    is a name that is locked and not a file, so no rename pulls a file away under somebody who has just opened it.
    """

    def __init__(self, root: str, filesystem: FileSystem, threads: Threads) -> None:
        self.root = root
        self._directory = f"{root}/uploads"
        self._locks = f"{root}/uploads.lock"
        self.filesystem = filesystem
        self._threads = threads
        self._running: OrderedDict[UploadId, Running] = OrderedDict()

    def path(self, upload: UploadId) -> str:
        """Where the upload's bytes are."""
        return f"{self._directory}/{upload.text}"

    def size(self, upload: UploadId) -> int:
        """Tell how many bytes are staged; 0 when nothing is."""
        found = self._found(upload)
        return 0 if found is None else found.st_size

    def _found(self, upload: UploadId) -> os.stat_result | None:
        try:
            return os.stat(self.path(upload))  # noqa: PTH116 - a Path would cost as much again
        except FileNotFoundError:
            return None

    @contextmanager
    def exclusive(self, upload: UploadId) -> Iterator[None]:
        """Keep everybody else from the upload, in this process and in others.

        Raises:
            UploadBusy: somebody else has it.
        """
        file = self._open_locks()
        try:
            # The lock belongs to the open file, not to the process as a lock by lockf does: two stores in one process
            # exclude each other. Offsets have 63 bits; 60 of the id's 128 random ones do.
            place = int(upload.text[:15], 16)
            lock = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0)
            try:
                fcntl.fcntl(file, fcntl.F_OFD_SETLK, lock)
            except (BlockingIOError, PermissionError):  # POSIX allows EAGAIN and EACCES
                raise UploadBusy(upload) from None
            yield
        finally:
            os.close(file)

    def _open_locks(self) -> int:
        try:
            return os.open(self._locks, os.O_RDWR)
        except FileNotFoundError:
            with room("the store", self.root):
                self.filesystem.make_directory(self.root)
                return self.filesystem.open_for_append(self._locks)

    async def append(self, upload: UploadId, offset: int, chunks: AsyncIterable[bytes]) -> int:
        """Do what `BlobStore.append` says.

        A thread hashes and writes one piece while the network brings the next. An upload that is no larger than a piece
        takes one call to a thread in all.
        """
        with self.exclusive(upload):
            found = self._found(upload)
            if found is not None and not found.st_mode & stat.S_IWUSR:
                raise UploadBusy(upload)  # it is being published, and its file may be a blob's
            size = 0 if found is None else found.st_size
            if size != offset:
                raise OffsetMismatch(upload, offset, size)
            growing = _GrowingFile(self, upload)
            gathered: list[bytes] = []
            held = 0
            writing: Future[None] | None = None
            try:
                async for chunk in chunks:
                    if not chunk:
                        continue
                    gathered.append(chunk)
                    held += len(chunk)
                    if held >= PIECE or len(gathered) == _MOST_CHUNKS:
                        if writing is not None:
                            await finish(writing)
                        writing = self._threads.start(growing.write, gathered)
                        gathered, held = [], 0
            finally:
                # When the client has vanished, too, or the task is cancelled: what was received is kept.
                if gathered or writing is not None:
                    await self._close(growing, writing, gathered)
            return size + growing.written

    async def _close(self, growing: _GrowingFile, writing: Future[None] | None, gathered: list[bytes]) -> None:
        try:
            if writing is not None:
                await finish(writing)
        finally:
            try:
                await self._threads.run(growing.close, gathered)
            finally:
                self._remember(growing.upload, growing.running)

    def running(self, upload: UploadId) -> Running | None:
        """The hash of the upload's bytes, if all of them came through this process. Ask while having it exclusively."""
        return self._running.get(upload)

    def _remember(self, upload: UploadId, running: Running | None) -> None:
        self._running.pop(upload, None)
        if running is not None:
            self._running[upload] = running
            if len(self._running) > _MOST_RUNNING:
                self._running.popitem(last=False)

    def forget(self, upload: UploadId) -> None:
        """Drop what is remembered of an upload that is no more."""
        self._running.pop(upload, None)

    # From here on: to be called in a thread.

    def open(self, upload: UploadId) -> int:
        """Open an upload's file for append, making it where there is none."""
        path = self.path(upload)
        try:
            return self.filesystem.open_for_append(path)
        except FileNotFoundError:
            self.filesystem.make_directory(self._directory)
            return self.filesystem.open_for_append(path)

    def open_complete(self, upload: UploadId) -> int:
        """Open an upload's file to publish it, making an empty one where there is none."""
        try:
            return self.filesystem.open(self.path(upload))
        except FileNotFoundError:
            return self.open(upload)

    def digest(self, upload: UploadId, algorithm: str, running: Running | None) -> tuple[Digest, int]:
        """Tell the digest and the size of what is staged, reading it only where *running* does not cover it."""
        try:
            with Path(self.path(upload)).open("rb", buffering=0) as file:
                found = os.fstat(file.fileno())
                if algorithm == _RUNNING and running is not None and running.covers(found):
                    return Digest.finish(running.hash), found.st_size
                return Digest.finish(hashlib.file_digest(file, algorithm)), found.st_size
        except FileNotFoundError:
            return Digest.of(b"", algorithm), 0

    def remove(self, upload: UploadId) -> None:
        """Remove an upload's file, if it has one."""
        with suppress(FileNotFoundError):
            self.filesystem.unlink(self.path(upload))

    def walk(self) -> Iterator[StagedUpload]:
        """List the uploads in the order of their ids. A process killed before its first write leaves one of size 0."""
        for name in names(self._directory):
            with suppress(InvalidUploadId, FileNotFoundError):
                upload = UploadId.parse(name)
                found = os.stat(self.path(upload))  # noqa: PTH116
                if stat.S_ISREG(found.st_mode):
                    yield StagedUpload(upload, found.st_size, found.st_mtime)


class _GrowingFile:
    """One append to one upload. Its methods run in threads, one at a time, in order."""

    def __init__(self, staging: Staging, upload: UploadId) -> None:
        self.written = 0
        #: What the upload's hash was before, and from `close` on is; None where that has to be computed from the file.
        self.running = staging.running(upload)
        self._staging = staging
        self.upload = upload
        self._filesystem = staging.filesystem
        self._file: int | None = None
        self._hash: _Hash | None = None
        self._end = 0
        self._under_way = 0
        self._failed = False

    def write(self, chunks: Sequence[bytes]) -> None:
        """Hash and write *chunks*. Where that fails, what was written stays, and nothing is written any more."""
        if self._failed:
            return  # what follows a gap is not part of the upload
        self._failed = True
        with room("the store", self._staging.root):
            if self._file is None:
                self._file = self._open()
            for chunk in chunks:
                if self._hash is not None:
                    self._hash.update(chunk)
            self._write(self._file, chunks)
        self._failed = False

    def _open(self) -> int:
        file = self._staging.open(self.upload)
        found = os.fstat(file)
        self._end = self._under_way = found.st_size
        if found.st_size == 0:
            self._hash = hashlib.new(_RUNNING)
        elif self.running is not None and self.running.covers(found):
            self._hash = self.running.hash
        return file

    def _write(self, file: int, chunks: Sequence[bytes]) -> None:
        left = chunks
        while left:
            taken = self._filesystem.write(file, left)
            self.written += taken
            self._end += taken
            left = _after(left, taken)
        if self._end - self._under_way >= _WRITE_OUT:
            self._filesystem.write_out(file, self._under_way, self._end - self._under_way)
            self._under_way = self._end

    def close(self, chunks: Sequence[bytes]) -> None:
        """Write the last *chunks* and close the file."""
        try:
            if chunks:
                self.write(chunks)
        finally:
            self.running = None
            if self._file is not None:
                if self._hash is not None and not self._failed:
                    found = os.fstat(self._file)
                    self.running = Running(self._hash, found.st_ino, found.st_size, found.st_mtime_ns)
                self._filesystem.close(self._file)


def _after(chunks: Sequence[bytes], taken: int) -> Sequence[bytes]:
    """Drop the first *taken* bytes of *chunks*."""
    for place, chunk in enumerate(chunks):
        if taken < len(chunk):
            return [chunk[taken:], *chunks[place + 1 :]]
        taken -= len(chunk)
    return ()
