"""The local driver: the contract, and what only files can show."""

from __future__ import annotations

import asyncio
import errno
import os
import stat
import sys
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from cas.digest import Digest
from cas.directory import DirectoryStore
from cas.errors import DigestMismatch, StorageFull, UploadBusy
from cas.filesystem import PosixFileSystem
from cas.store import PIECE, UploadId
from tests.contracts.blob_store import (
    HELLO,
    HELLO_DIGEST,
    BlobStoreContract,
    Damage,
    OpenStore,
    chunks,
    content_of,
    push,
)


def place_of(root: Path, digest: Digest) -> Path:
    """Where the layout puts a blob."""
    return root / "blobs" / digest.algorithm / digest.hex[:2] / digest.hex[2:4] / digest.hex


def files_under(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


class TestDirectoryStore(BlobStoreContract):
    @pytest.fixture
    def open_store(self, root: Path) -> OpenStore:
        return lambda: DirectoryStore(root)

    @pytest.fixture
    def damage(self, root: Path) -> Damage:
        async def damage(digest: Digest, content: bytes) -> None:
            place_of(root, digest).chmod(0o644)
            place_of(root, digest).write_bytes(content)

        return damage


async def test_the_layout_is_the_documented_one(root: Path) -> None:
    store, upload = DirectoryStore(root), UploadId.new()
    await store.append(upload, 0, chunks(HELLO))
    assert (root / "uploads" / upload.text).read_bytes() == HELLO

    await store.publish(upload, HELLO_DIGEST)

    blob = place_of(root, HELLO_DIGEST)
    assert blob.samefile(root / "uploads" / upload.text)
    await store.discard(upload)
    assert files_under(root) == {str(blob.relative_to(root)), "uploads.lock"}
    assert stat.S_IMODE(blob.stat().st_mode) == 0o444
    assert stat.S_IMODE(blob.parent.stat().st_mode) & 0o007 == 0


async def test_what_is_no_blob_and_no_upload_is_not_listed(root: Path) -> None:
    store = DirectoryStore(root)
    await push(store, HELLO)
    shard = place_of(root, HELLO_DIGEST).parent
    (shard / "a note").write_text("left by somebody")
    (shard / Digest.of(b"in the wrong shard").hex).write_text("left by somebody")
    (root / "blobs" / "sha256" / "a note").write_text("left by somebody")
    (root / "blobs" / "md5").mkdir()
    (root / "uploads" / "a note").write_text("left by somebody")
    (root / "uploads" / UploadId.new().text).mkdir()

    assert [digest async for digest in store.digests()] == [HELLO_DIGEST]
    assert [staged async for staged in store.uploads()] == []


async def test_removed_directories_are_made_again(root: Path) -> None:
    """As after a restored backup, under a running service."""
    store = DirectoryStore(root)
    await push(store, HELLO)
    await store.delete(HELLO_DIGEST)
    place_of(root, HELLO_DIGEST).parent.rmdir()
    upload = UploadId.new()
    await store.append(upload, 0, chunks(HELLO))

    assert await store.publish(upload, HELLO_DIGEST) == len(HELLO)

    assert await content_of(store, HELLO_DIGEST) == HELLO


# Full and failing disks


class SmallDisk(PosixFileSystem):
    """A disk with room for some bytes, and a kernel that takes few at a time."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, file: int, pieces: Sequence[bytes]) -> int:
        if self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = super().write(file, [b"".join(pieces)[: min(self.room, 100_000)]])
        self.room -= taken
        return taken


@pytest.mark.parametrize("room", [0, 5, 2_500_000])
async def test_a_full_disk_is_told_and_what_fitted_is_kept(root: Path, room: int) -> None:
    disk = SmallDisk(room)
    store, upload = DirectoryStore(root, disk), UploadId.new()
    content = bytes(range(256)) * 12 * 1024  # 3 MiB

    with pytest.raises(StorageFull) as full:
        await store.append(upload, 0, chunks(*(content[at : at + 99_000] for at in range(0, len(content), 99_000))))

    assert (full.value.what, full.value.place) == ("the store", str(root))
    assert await store.size(upload) == room
    disk.room = 10_000_000
    assert await store.append(upload, room, chunks(content[room:])) == len(content)
    assert await store.publish(upload, Digest.of(content)) == len(content)
    assert await content_of(store, Digest.of(content)) == content


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("operation", ["make_directory", "link", "sync_directory"])
async def test_a_disk_that_is_full_when_publishing_keeps_the_upload(
    root: Path, operation: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    disk, upload = PosixFileSystem(), UploadId.new()
    store = DirectoryStore(root, disk)
    await store.append(upload, 0, chunks(HELLO))
    with monkeypatch.context() as failing:
        failing.setattr(disk, operation, fail)
        with pytest.raises(StorageFull):
            await store.publish(upload, HELLO_DIGEST)

    assert await store.size(upload) == len(HELLO)
    assert await store.publish(upload, HELLO_DIGEST) == len(HELLO)
    assert await content_of(store, HELLO_DIGEST) == HELLO


async def test_a_file_system_without_second_names_keeps_blobs(root: Path) -> None:
    """What is published has its name alone there: an upload that was cut off is sent again."""

    class PlainDisk(PosixFileSystem):
        def link(self, source: str, target: str) -> None:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    store, upload = DirectoryStore(root, PlainDisk()), UploadId.new()
    for _ in range(2):
        await store.append(upload, 0, chunks(HELLO))
        assert await store.publish(upload, HELLO_DIGEST) == len(HELLO)
        assert await store.size(upload) == 0
        await store.discard(upload)

    assert await content_of(store, HELLO_DIGEST) == HELLO
    assert files_under(root) == {str(place_of(root, HELLO_DIGEST).relative_to(root)), "uploads.lock"}


async def test_bytes_that_could_not_be_synchronised_are_never_published(root: Path) -> None:
    """The kernel reports a failed write-back once. A second fsync succeeds, and the bytes are nowhere."""

    class FailingDisk(PosixFileSystem):
        failures = 1

        def sync(self, file: int) -> None:
            if self.failures:
                self.failures -= 1
                raise OSError(errno.EIO, os.strerror(errno.EIO))

    store, upload = DirectoryStore(root, FailingDisk()), UploadId.new()
    await store.append(upload, 0, chunks(HELLO))
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        await store.publish(upload, HELLO_DIGEST)

    assert await store.size(upload) == 0
    with pytest.raises(DigestMismatch):
        await store.publish(upload, HELLO_DIGEST)


# Other processes

APPEND_AND_HANG = """
import asyncio, sys
from pathlib import Path
from cas.directory import DirectoryStore
from cas.store import UploadId

async def client():
    for _ in range(50):
        yield bytes(100_000)
    print("sent", flush=True)
    await asyncio.sleep(3600)

asyncio.run(DirectoryStore(Path(sys.argv[1])).append(UploadId.parse(sys.argv[2]), 0, client()))
"""


async def test_a_killed_process_leaves_its_upload_to_the_others(root: Path) -> None:
    """Nobody else gets the upload while it lives; the next one resumes from what was written."""
    store, upload = DirectoryStore(root), UploadId.new()
    other = await asyncio.create_subprocess_exec(
        sys.executable, "-c", APPEND_AND_HANG, root, upload.text, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert other.stdout is not None
        assert await other.stdout.readline() == b"sent\n"
        with pytest.raises(UploadBusy):
            await store.append(upload, 0, chunks(HELLO))
        with pytest.raises(UploadBusy):
            await store.publish(upload, HELLO_DIGEST)
    finally:
        other.kill()
        await other.wait()

    size = await store.size(upload)
    assert 3_000_000 <= size <= 5_000_000  # all but the pieces on their way
    content = bytes(5_000_000)
    await store.append(upload, size, chunks(content[size:]))
    assert await store.publish(upload, Digest.of(content)) == len(content)


# What a store keeps in memory


async def test_only_so_many_running_hashes_are_remembered(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Abandoned uploads do not add up, and what was forgotten is computed from the file."""
    monkeypatch.setattr("cas.staging._MOST_RUNNING", 4)
    store = DirectoryStore(root)
    uploads = [UploadId.new() for _ in range(10)]
    for number, upload in enumerate(uploads):
        await store.append(upload, 0, chunks(b"%d" % number))

    assert list(store._staging._running) == uploads[-4:]
    for number, upload in enumerate(uploads):
        assert await store.publish(upload, Digest.of(b"%d" % number)) == 1
        await store.discard(upload)
    assert not store._staging._running


async def test_an_upload_is_read_again_only_where_another_process_has_had_a_part_in_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there, whole, shared = DirectoryStore(root), DirectoryStore(root), UploadId.new(), UploadId.new()
    for at in range(len(HELLO)):
        await here.append(whole, at, chunks(HELLO[at : at + 1]))
        await (there if at == 3 else here).append(shared, at, chunks(HELLO[at : at + 1]))
    read: list[str] = []

    def file_digest(file: object, algorithm: str) -> None:
        read.append(algorithm)
        raise NotImplementedError

    monkeypatch.setattr("hashlib.file_digest", file_digest)
    assert await here.publish(whole, HELLO_DIGEST) == len(HELLO)
    assert read == []
    with pytest.raises(NotImplementedError):
        await here.publish(shared, HELLO_DIGEST)


async def test_memory_stays_flat_whatever_the_size_of_a_blob(root: Path) -> None:
    """256 MiB in chunks as the network brings them, and out again."""
    total, chunk = 256 * PIECE, bytes(range(256)) * 256

    async def client() -> AsyncIterator[bytes]:
        for _ in range(total // len(chunk)):
            await asyncio.sleep(0)
            yield bytes(bytearray(chunk))  # of its own, as the network's are

    store, upload = DirectoryStore(root), UploadId.new()
    tracemalloc.start()
    try:
        await store.append(upload, 0, client())
        with pytest.raises(DigestMismatch) as mismatch:
            await store.publish(upload, HELLO_DIGEST)
        await store.publish(upload, mismatch.value.computed)
        size = 0
        async with await store.open(mismatch.value.computed) as blob:
            async for piece in blob.pieces(0, blob.size):
                size += len(piece)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert size == total
    assert peak < 16 * PIECE


async def test_readers_leave_no_descriptor_behind(root: Path) -> None:
    store = DirectoryStore(root)
    digest = await push(store, bytes(8 * PIECE))
    before = open_descriptors()

    for _ in range(30):
        async with await store.open(digest) as blob:
            async for _piece in blob.pieces(0, blob.size):
                break

    for _ in range(500):  # some pieces are being read ahead
        if open_descriptors() == before:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("a descriptor is left")


async def test_a_closed_blob_reads_no_more(root: Path) -> None:
    """Its descriptor may be another file's by now."""
    store = DirectoryStore(root)
    blob = await store.open(await push(store, bytes(3 * PIECE)))
    pieces = blob.pieces(0, blob.size)
    await anext(pieces)
    await blob.aclose()

    with pytest.raises(ValueError, match="closed"):
        [piece async for piece in pieces]
    with pytest.raises(ValueError, match="closed"):
        [piece async for piece in blob.pieces(0, 5)]
