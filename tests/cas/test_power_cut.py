"""The order of durability, shown: cut the power anywhere and look at what is left.

kill -9 shows nothing of it, because the kernel keeps what was written. So what the driver does is recorded at its seam
with the file system, and every world that a cut may leave is opened again: each blob whose publishing had returned is
there, nothing else looks like a blob, and an upload that came out damaged cannot become one. And each synchronisation
of the driver is left out in turn, which must be noticed.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cas.digest import Digest
from cas.directory import DirectoryStore
from cas.errors import BlobUnknown, DigestMismatch
from cas.filesystem import PosixFileSystem
from cas.store import UploadId
from tests.contracts.blob_store import chunks, content_of
from tests.power_cut import Cut, Recorder, Sync, cuts

LAYER = b"a layer"
CONFIG = b"{}"

Scenario = Callable[["Client"], Awaitable[None]]


class Client:
    """Somebody who remembers what the store has promised."""

    def __init__(self, root: Path, recorder: Recorder) -> None:
        self.root = root
        self.recorder = recorder
        self.store = DirectoryStore(root, recorder)

    async def publish(self, content: bytes, *parts: bytes, algorithm: str = "sha256") -> None:
        digest, upload, size = Digest.of(content, algorithm), UploadId.new(), 0
        self.recorder.mark(f"asked {digest}")
        for part in parts or (content,):
            size = await self.store.append(upload, size, chunks(part))
        await self.store.publish(upload, digest)
        self.recorder.mark(f"published {digest}")

    async def delete(self, content: bytes) -> None:
        digest = Digest.of(content)
        self.recorder.mark(f"asked {digest}")
        await self.store.delete(digest)
        self.recorder.mark(f"deleted {digest}")


async def one_blob(client: Client) -> None:
    await client.publish(LAYER)


async def a_chunked_blob(client: Client) -> None:
    await client.publish(LAYER, LAYER[:3], LAYER[3:])


async def a_sha512_blob(client: Client) -> None:
    await client.publish(LAYER, algorithm="sha512")


async def a_healed_blob(client: Client) -> None:
    await client.publish(LAYER)
    await client.publish(LAYER)


async def a_deleted_blob(client: Client) -> None:
    await client.publish(LAYER)
    await client.delete(LAYER)


async def a_deleted_blob_that_comes_again(client: Client) -> None:
    await client.publish(LAYER)
    await client.delete(LAYER)
    await client.publish(LAYER)


async def an_image_after_a_restart(client: Client) -> None:
    await client.publish(LAYER, LAYER[:4], LAYER[4:])
    client.store = DirectoryStore(client.root, client.recorder)
    await client.publish(CONFIG)


async def directories_that_another_process_has_just_made(client: Client) -> None:
    """It has not come to synchronise them yet, and may never."""
    directory = client.root
    client.recorder.make_directory(str(directory))
    for name in ("blobs", "sha256", Digest.of(LAYER).hex[:2], Digest.of(LAYER).hex[2:4]):
        directory /= name
        client.recorder.make_directory(str(directory))
    await client.publish(LAYER)


async def two_clients_at_once(client: Client) -> None:
    other = Client(client.root, client.recorder)
    await asyncio.gather(client.publish(LAYER), other.publish(LAYER), other.publish(CONFIG))


SCENARIOS = [
    one_blob,
    a_chunked_blob,
    a_sha512_blob,
    a_healed_blob,
    a_deleted_blob,
    a_deleted_blob_that_comes_again,
    an_image_after_a_restart,
    directories_that_another_process_has_just_made,
    two_clients_at_once,
]


class Unsynchronised(PosixFileSystem):
    """For looking at worlds: what is in them need not last."""

    def sync(self, file: int) -> None: ...

    def sync_directory(self, path: str) -> None: ...


async def examine(cut: Cut, base: Path) -> None:
    """Open the store as it was left, and assert all that was promised.

    Raises:
        AssertionError: something is missing, or something is there that was never whole.
    """
    cut.write_to(base)
    store = DirectoryStore(base / "store", Unsynchronised())
    promises = dict(reversed(mark.split()) for mark in cut.marks)
    for text, promise in promises.items():
        digest = Digest.parse(text)
        if promise == "published":
            try:
                await store.stat(digest)
            except BlobUnknown:
                raise AssertionError("a published blob is gone") from None
        elif promise == "deleted":
            with pytest.raises(BlobUnknown):
                await store.stat(digest)

    async for upload in store.uploads():
        for content in (LAYER, CONFIG):
            try:
                await store.publish(upload.upload, Digest.of(content))
            except DigestMismatch:
                continue
    async for digest in store.digests():
        assert Digest.of(await content_of(store, digest), digest.algorithm) == digest, "a blob is not what it is called"


async def examine_all(recorder: Recorder, directory: Path) -> int:
    """Examine every world that a cut may leave; return how many there were."""
    number = 0
    for number, cut in enumerate(cuts(recorder.events), 1):
        await examine(cut, directory / "world")
        shutil.rmtree(directory / "world")
    return number


async def record(scenario: Scenario, directory: Path, forget: int | None = None) -> Recorder:
    base = directory / "disk"
    base.mkdir()
    recorder = Recorder(base, forget)
    await scenario(Client(base / "store", recorder))
    return recorder


@pytest.mark.parametrize("scenario", SCENARIOS)
async def test_what_was_acknowledged_survives_and_nothing_half_done_is_seen(scenario: Scenario, tmp_path: Path) -> None:
    recorder = await record(scenario, tmp_path)
    import time; t=time.time()
    n= await examine_all(recorder, tmp_path)
    print(scenario.__name__, len(recorder.events), n, time.time()-t)
    assert n> 10


@pytest.mark.parametrize(
    "scenario", [one_blob, a_sha512_blob, a_deleted_blob, directories_that_another_process_has_just_made]
)
async def test_every_synchronisation_is_needed(scenario: Scenario, tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = await record(scenario, tmp_path / "whole")
    for number in range(sum(isinstance(event, Sync) for event in whole.events)):
        directory = tmp_path / str(number)
        directory.mkdir()
        recorder = await record(scenario, directory, forget=number)
        with pytest.raises(AssertionError):
            await examine_all(recorder, directory)
            pytest.fail(f"nobody noticed that {recorder.forgotten} was not synchronised")
