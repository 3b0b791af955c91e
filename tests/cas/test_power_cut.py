"""The order of durability, shown: cut the power anywhere and look at what is left.

kill -9 shows nothing of it, because the kernel keeps what was written. So what the driver does is recorded at its seam
with the file system, and every world that a cut may leave is opened again: each blob whose publishing had returned is
there, nothing else looks like a blob, and an upload that came out damaged cannot become one. And each synchronisation
of the driver is left out in turn, which must be noticed.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path

import pytest

from cas.digest import Digest
from cas.directory import DirectoryStore
from cas.errors import DigestMismatch
from cas.filesystem import PosixFileSystem
from cas.store import UploadId
from tests.contracts.blob_store import chunks, content_of
from tests.power_cut import EXHAUSTIVE, Commit, Cut, Event, Mark, Recorder, Sync, cuts

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
        self.recorder.mark(f"publishing {digest}")
        for part in parts or (content,):
            size = await self.store.append(upload, size, chunks(part))
        await self.store.publish(upload, digest)
        self.recorder.mark(f"published {digest}")
        await self.store.discard(upload)

    async def delete(self, content: bytes) -> None:
        digest = Digest.of(content)
        self.recorder.mark(f"deleting {digest}")
        await self.store.delete(digest)
        self.recorder.mark(f"deleted {digest}")


def place_of(root: Path, content: bytes) -> Path:
    digest = Digest.of(content)
    return root / "blobs" / "sha256" / digest.hex[:2] / digest.hex[2:4] / digest.hex


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
    shard = place_of(client.root, LAYER).parent
    for directory in [*reversed(shard.parents), shard]:
        if directory.is_relative_to(client.root):
            client.recorder.make_directory(str(directory))
    await client.publish(LAYER)


async def a_blob_that_another_process_has_just_deleted(client: Client) -> None:
    """As above: that it is not found does not mean that it will not be found after the cut."""
    await client.publish(LAYER)
    client.recorder.mark(f"deleting {Digest.of(LAYER)}")
    client.recorder.unlink(str(place_of(client.root, LAYER)))
    await client.delete(LAYER)


async def two_clients_at_once(client: Client) -> None:
    other = Client(client.root, client.recorder)
    await asyncio.gather(client.publish(LAYER), other.publish(LAYER))


PUBLISHING: list[Scenario] = [
    one_blob,
    a_chunked_blob,
    a_sha512_blob,
    a_healed_blob,
    an_image_after_a_restart,
    directories_that_another_process_has_just_made,
    two_clients_at_once,
]
DELETING: list[Scenario] = [
    a_deleted_blob,
    a_deleted_blob_that_comes_again,
    a_blob_that_another_process_has_just_deleted,
]


class Unsynchronised(PosixFileSystem):
    """For looking at worlds: what is done to them need not last."""

    def sync(self, file: int) -> None: ...

    def sync_directory(self, path: str) -> None: ...


def promises(cut: Cut) -> dict[Digest, bool]:
    """What clients were told before the cut: which blobs have to be there, and which must not be."""
    kept: dict[Digest, bool] = {}
    for mark in cut.marks:
        verb, text = mark.split()
        digest = Digest.parse(text)
        match verb:
            case "published" | "deleted":
                kept[digest] = verb == "published"
            case "publishing" if not kept.get(digest, True):
                del kept[digest]  # it was deleted: now it may be there or not
            case "deleting":
                kept.pop(digest, None)
    return kept


async def examine(cut: Cut, base: Path) -> None:
    """Open the store as it was left.

    Raises:
        AssertionError: a promise is broken, or something is there that was never whole.
    """
    cut.write_to(base)
    store = DirectoryStore(base / "store", Unsynchronised())
    found = {digest async for digest in store.digests()}
    for digest, expected in promises(cut).items():
        assert (digest in found) == expected

    async for staged in store.uploads():
        for content in (LAYER, CONFIG):
            with suppress(DigestMismatch):
                await store.publish(staged.upload, Digest.of(content))
                found.add(Digest.of(content))
    for digest in found:
        assert Digest.of(await content_of(store, digest), digest.algorithm) == digest


async def examine_all(worlds: Iterable[Cut], directory: Path) -> None:
    for cut in worlds:
        await examine(cut, directory / "world")
        shutil.rmtree(directory / "world")


async def record(scenario: Scenario, directory: Path, forget: int | None = None) -> Recorder:
    """Let *scenario* happen on a disk under *directory*."""
    base = directory / "disk"
    base.mkdir(parents=True)
    recorder = Recorder(base, forget)
    await scenario(Client(base / "store", recorder))
    return recorder


@pytest.mark.parametrize("scenario", PUBLISHING + DELETING)
async def test_what_was_acknowledged_survives_and_nothing_half_done_is_seen(scenario: Scenario, tmp_path: Path) -> None:
    recorder = await record(scenario, tmp_path)
    worlds = list(cuts(recorder.events))

    assert len(worlds) > 40
    await examine_all(worlds, tmp_path)


@pytest.mark.parametrize("scenario", [one_blob, directories_that_another_process_has_just_made, *DELETING])
async def test_no_synchronisation_can_be_left_out(scenario: Scenario, tmp_path: Path) -> None:
    whole = await record(scenario, tmp_path / "whole")
    forgotten = set()
    for number in range(sum(isinstance(event, Sync) for event in whole.events)):
        directory = tmp_path / str(number)
        recorder = await record(scenario, directory, forget=number)
        forgotten.add(recorder.forgotten)
        last_first = reversed(list(cuts(recorder.events)))
        with pytest.raises(AssertionError):
            await examine_all(last_first, directory)
            pytest.fail(f"nobody noticed that {recorder.forgotten} was not synchronised")

    shard = place_of(Path("store"), LAYER).parent
    assert forgotten == {"a file", *(f"the directory {path}" for path in (shard, *shard.parents))}


# The model itself


def contents(recorder: Recorder) -> set[bytes | None]:
    """What a file may be found to hold after everything, None where it is not found."""
    last = [cut for cut in cuts(recorder.events) if cut.marks]
    return {dict(cut.tree).get("file") for cut in last}


def test_a_write_may_be_lost_whole_or_in_part(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    file = recorder.open_for_append(str(tmp_path / "file"))
    recorder.sync_directory(str(tmp_path))
    recorder.write(file, [b"on", b"e."])
    recorder.write(file, [b"two."])
    recorder.mark("end")
    recorder.close(file)

    assert contents(recorder) == {
        *(b"one.two.", b"one.tw", b"one.\0\0\0\0", b"one.", b"on", b"\0\0\0\0", b""),
        *(b"on\0\0two.", b"on\0\0tw", b"on\0\0\0\0\0\0"),
        *(b"\0\0\0\0two.", b"\0\0\0\0tw", b"\0" * 8),
    }


def test_a_synchronised_file_is_whole_and_may_have_no_name(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path)
    file = recorder.open_for_append(str(tmp_path / "file"))
    recorder.write(file, [b"one"])
    recorder.sync(file)
    recorder.mark("end")
    recorder.close(file)

    assert contents(recorder) == {b"one", None}


def test_a_commit_is_kept_and_one_that_was_not_synchronised_may_be_lost() -> None:
    events: list[Event] = [
        Commit(b"1"),
        Mark("told 1"),
        Commit(b"2", durable=False),
        Mark("told 2"),
        Commit(b"3"),
        Mark("told 3"),
    ]

    left = {(cut.snapshot, cut.marks[-1] if cut.marks else "") for cut in cuts(events)}

    assert {snapshot for snapshot, mark in left if mark == "told 1"} == {b"1", b"2"}
    assert {snapshot for snapshot, mark in left if mark == "told 2"} == {b"1", b"2", b"3"}
    assert {snapshot for snapshot, mark in left if mark == "told 3"} == {b"3"}


def test_many_volatile_changes_are_sampled_and_the_samples_are_repeatable() -> None:
    snapshots = [b"%d" % number for number in range(EXHAUSTIVE + 5)]
    events = [Commit(snapshot, durable=False) for snapshot in snapshots]

    worlds = list(cuts(events))

    assert {cut.snapshot for cut in worlds} == {None, *snapshots}
    assert worlds == list(cuts(events))
