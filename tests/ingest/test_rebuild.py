"""What is derived, removed and made again while clients push; and never a wrong answer in between."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from cas import BlobStore, Digest
from cas.derived import DerivedName
from cas.entries import Entry
from cas.errors import LayerIndexUnavailable
from cas.layer_index import By, FileQuery, LayerIndex
from cas.layer_index.messages import Progress
from cas.layer_index.remote import RemoteLayerIndex
from catalog.images.facts import ChainFacts, LayerFacts
from catalog.images.objects import blob_name, chain_name, decode, encode, facts_name
from catalog.metadata import jobs
from database import Database
from ingest.errors import FactsMissing
from ingest.rebuild import FACTS_TOO, REBUILD, SEARCH_TOO, Rebuilding
from tests.ingest import tars
from tests.ingest.in_process import Image, Ingest, image, ingesting, small, status

BASE = tars.layer({"var/lib/dpkg/status": status(("bash", "5.2"), ("zlib1g", "1.3")), "bin/bash": "shell"})
TOP = small("top", app__main="print()", etc__passwd="root")
OTHER = small("other", srv__data="data")

Tell = Callable[[str, int, int], None]


def silent(stage: str, done: int, total: int) -> None:
    """Nobody listens."""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path


def rebuilding(ingest: Ingest) -> Rebuilding:
    return Rebuilding(ingest.database, ingest.derived, ingest.index, ingest.layers, ingest.writing, at_once=2)


@asynccontextmanager
async def kept(ingest: Ingest, socket: Path) -> AsyncIterator[RemoteLayerIndex]:
    """Keep the layer index as the ingest process does, and ask it as web processes do."""
    task = asyncio.create_task(rebuilding(ingest).keep(socket))
    remote = RemoteLayerIndex(socket)
    try:
        yield remote
    finally:
        await remote.aclose()
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


async def push_all(ingest: Ingest) -> list[Image]:
    pushed = [image(BASE, TOP), image(BASE), image(OTHER, config={"created": "2024-01-01T00:00:00Z"})]
    for number, each in enumerate(pushed):
        await ingest.push(f"ada/app{number}", each, "v1")
    await ingest.settled()
    return pushed


DIFF_IDS = [layer.diff_id for layer in (BASE, TOP, OTHER)]


async def answers(index: LayerIndex) -> list[Any]:
    """Ask everything that there is to ask of the three layers."""
    blobs = await index.blobs([Digest.of(layer.blob) for layer in (BASE, TOP, OTHER)])
    found = [
        await index.find_files(query, 1_000)
        for query in (
            FileQuery(By.PATH, "", prefix=True),
            FileQuery(By.NAME, "passwd"),
            FileQuery(By.NAME, "m", pattern="m[a-z]*"),
        )
    ]
    return [
        await index.has_layers(DIFF_IDS),
        [blob and (blob.diff_id, blob.size, blob.raw_size) for blob in blobs],
        [await index.compressions(diff_id) for diff_id in DIFF_IDS],
        [await index.children(diff_id, "etc") for diff_id in DIFF_IDS],
        [await index.facts(diff_id, "dpkg") for diff_id in DIFF_IDS],
        # In whatever order the layers came.
        [sorted((file.diff_id, file.path) for file in each.files) for each in found],
        await index.chains([BASE.diff_id, OTHER.diff_id, STACK]),
    ]


async def answers_again(index: LayerIndex) -> list[Any]:
    """Ask until it answers."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await answers(index)
            except LayerIndexUnavailable as error:
                assert error.retry_after > 0
                await asyncio.sleep(0.02)


async def test_a_rebuilt_index_answers_as_the_one_before(ingest: Ingest) -> None:
    await push_all(ingest)
    before = await answers(ingest.index)
    assert before[0] == [True] * 3
    assert None not in [before[4][0], *before[6]]
    told: list[tuple[str, int, int]] = []

    await rebuilding(ingest).run(lambda *each: told.append(each))

    assert await answers(ingest.index) == before
    assert [each for each in told if each[1] == each[2]] == [("layers", 3, 3), ("blobs", 3, 3), ("stacks", 3, 3)]
    assert len(ingest.reads) == 3  # each layer was read once, by its push


async def test_an_index_that_is_removed_under_traffic_comes_back_by_itself(
    ingest: Ingest, directory: Path, tmp_path: Path
) -> None:
    await push_all(ingest)
    async with kept(ingest, tmp_path / "run" / "ingest.sock") as remote:
        await answers_again(remote)
        done = asyncio.Event()

        async def remove() -> None:
            for number in range(3):
                await asyncio.to_thread(shutil.rmtree, directory / "index", ignore_errors=True)
                extra = image(small(f"extra {number}", **{f"extra__{number}": "file"}))
                await ingest.push(f"ada/extra{number}", extra, "v1")
                await answers_again(remote)
            done.set()

        async with asyncio.timeout(90), asyncio.TaskGroup() as group:
            group.create_task(remove())
            asking = group.create_task(_ask_until(done, remote))
        assert asking.result() > 0
        await ingest.settled()
        for number in range(3):
            files = await remote.find_files(FileQuery(By.PATH, f"extra/{number}"), 10)
            assert len(files.files) == 1, number


async def _ask_until(done: asyncio.Event, index: LayerIndex) -> int:
    """Ask what nothing that is pushed changes; return how often it was refused."""
    refused = 0
    while not done.is_set():
        try:
            assert await index.has_layers(DIFF_IDS) == [True] * 3
            found = await index.find_files(FileQuery(By.NAME, "passwd"), 10)
            assert [(file.diff_id, file.path) for file in found.files] == [(TOP.diff_id, "etc/passwd")]
        except LayerIndexUnavailable:
            refused += 1
        await asyncio.sleep(0.002)
    return refused


async def test_layers_whose_facts_were_removed_with_the_index_are_read_again(ingest: Ingest, directory: Path) -> None:
    """Nothing derived is left; nothing is answered that lacks a layer."""
    await push_all(ingest)
    before = await answers(ingest.index)
    await remove_derived(ingest)

    await rebuilding(ingest).run(silent)

    assert await answers(ingest.index) == before
    assert len(ingest.reads) == 6


async def test_a_whole_search_index_is_not_made_of_less_than_was_known(ingest: Ingest) -> None:
    await push_all(ingest)
    documents = await ingest.everything()
    await remove_derived(ingest)

    with pytest.raises(FactsMissing):
        await ingest.writing.rebuild(whole=True)
    assert await ingest.everything() == documents

    await rebuilding(ingest).run(silent, search=True)
    assert await ingest.everything() == documents
    await ingest.writing.rebuild(whole=True)
    assert await ingest.everything() == documents


async def remove_derived(ingest: Ingest) -> None:
    async for name in ingest.derived.names(""):
        await ingest.derived.delete(name)


STACK = Digest.of(f"{BASE.diff_id} {TOP.diff_id}".encode())


@pytest.mark.parametrize("damage", [b"", b"no zstandard", b"\x28\xb5\x2f\xfd" + bytes(40)])
@pytest.mark.parametrize(
    "name", [facts_name(BASE.diff_id), blob_name(Digest.of(OTHER.blob)), chain_name(STACK)], ids=str
)
async def test_damaged_facts_are_made_again(ingest: Ingest, name: DerivedName, damage: bytes) -> None:
    await push_all(ingest)
    before = await answers(ingest.index)
    whole = await ingest.derived.get(name)
    await ingest.derived.put(name, damage)

    await rebuilding(ingest).run(silent)

    assert await answers(ingest.index) == before
    again = await ingest.derived.get(name)
    assert again == whole or name == blob_name(Digest.of(OTHER.blob))  # which says when it was read


async def test_facts_under_another_name_than_their_own_are_not_believed(ingest: Ingest) -> None:
    await push_all(ingest)
    before = await answers(ingest.index)
    await ingest.derived.put(facts_name(OTHER.diff_id), await ingest.derived.get(facts_name(TOP.diff_id)))

    await rebuilding(ingest).run(silent)

    assert await answers(ingest.index) == before


async def test_what_is_no_object_of_ours_is_left_alone(ingest: Ingest) -> None:
    await push_all(ingest)
    for text in ("facts/1/a-note", "facts/2/sha256/ab/abcd", "other", "blobs/1/sha256/ab/abcd"):
        await ingest.derived.put(DerivedName.parse(text), b"left by somebody")
    before = await answers(ingest.index)

    await rebuilding(ingest).run(silent)

    assert await answers(ingest.index) == before
    assert await ingest.derived.get(DerivedName.parse("facts/1/a-note")) == b"left by somebody"


async def test_a_rebuild_that_was_cut_off_goes_on(ingest: Ingest) -> None:
    await push_all(ingest)
    before = await answers(ingest.index)

    class CutOff(Exception):
        pass

    def cut_off(stage: str, done: int, total: int) -> None:
        if (stage, done) == ("blobs", 1):
            raise CutOff

    with pytest.raises(CutOff):
        await rebuilding(ingest).run(cut_off)
    assert await answers(ingest.index) == before

    await rebuilding(ingest).run(silent)
    assert await answers(ingest.index) == before


async def test_an_image_that_nobody_read_yet_is_left_to_its_job(
    database: Database, store: BlobStore, directory: Path
) -> None:
    """A rebuild does not wait for what is pushed, nor for what cannot be read."""
    async with ingesting(database, store, directory) as ingest:
        broken = image(tars.Layer(b"no archive", b"no archive", BASE.media_type))
        await ingest.push("ada/broken", broken, "v1")
        await ingest.settled()
        reads = len(ingest.reads)

        await rebuilding(ingest).run(silent)

        assert len(ingest.reads) == reads
        assert await ingest.index.has_layers([Digest.of(b"no archive")]) == [False]


# Facts and search


async def test_facts_are_read_anew_and_put_in_the_place_of_the_old_ones(ingest: Ingest) -> None:
    pushed = await push_all(ingest)
    before = await answers(ingest.index)
    documents = await ingest.everything()
    facts = await ingest.facts.layer(BASE.diff_id)
    assert facts is not None
    stack = STACK
    # As an older cataloger left them: whole, and not what is found today.
    older = LayerFacts(facts.diff_id, facts.size, facts.entries[:1])
    await ingest.facts.put_layer(BASE.diff_id, encode(older))
    await ingest.facts.put_chain(stack, encode(ChainFacts(stack.text, [BASE.diff_id.text, TOP.diff_id.text], [])))
    await rebuilding(ingest).run(silent)
    assert await answers(ingest.index) != before
    told: list[tuple[str, int, int]] = []

    await rebuilding(ingest).run(lambda *each: told.append(each), facts=True)

    assert await answers(ingest.index) == before
    assert await ingest.facts.layer(BASE.diff_id) == facts
    chain = await ingest.facts.chain(stack)
    assert chain is not None
    assert [package.name for package in chain.packages] == ["bash", "zlib1g"]
    assert len(ingest.reads) == 6  # each once more, however many images have it
    assert ("layers of images", 3, 3) in told
    await ingest.settled()
    assert await ingest.everything() == documents
    assert pushed


async def test_a_reading_of_all_layers_that_was_cut_off_goes_on(ingest: Ingest) -> None:
    await push_all(ingest)
    before = await answers(ingest.index)
    # Whole seconds tell which blobs were read before: these were, all of them.
    for layer in (BASE, TOP, OTHER):
        known = await ingest.facts.blob(Digest.of(layer.blob))
        assert known is not None
        await ingest.facts.put_blob(Digest.of(layer.blob), replace(known, verified=known.verified - 100))

    class CutOff(Exception):
        pass

    def cut_off(stage: str, done: int, total: int) -> None:
        raise CutOff

    one_by_one = Rebuilding(ingest.database, ingest.derived, ingest.index, ingest.layers, ingest.writing, at_once=1)
    with pytest.raises(CutOff):
        await one_by_one.run(cut_off, facts=True)
    so_far = len(ingest.reads)
    assert 3 < so_far < 6
    assert [name.text async for name in ingest.derived.names("rebuild")] == ["rebuild/facts"]
    await ingest.derived.put(DerivedName.parse("rebuild/facts"), b"%d" % (known.verified - 50))

    await one_by_one.run(silent, facts=True)

    assert len(ingest.reads) == 6
    assert [name.text async for name in ingest.derived.names("rebuild")] == []
    assert await answers(ingest.index) == before


async def test_a_layer_that_cannot_be_read_any_more_stays_known(ingest: Ingest) -> None:
    await push_all(ingest)
    before = await answers(ingest.index)
    await ingest.store.delete(Digest.of(TOP.blob))

    await rebuilding(ingest).run(silent, facts=True)

    assert await answers(ingest.index) == before


async def test_search_is_rebuilt_after_the_others(ingest: Ingest, directory: Path) -> None:
    await push_all(ingest)
    documents = await ingest.everything()
    told: list[str] = []

    await rebuilding(ingest).run(lambda stage, done, total: told.append(stage), search=True)

    assert await ingest.everything() == documents
    assert told[-1] == "search"


# Over the socket


async def test_a_rebuild_is_asked_for_at_the_socket(ingest: Ingest, tmp_path: Path) -> None:
    await push_all(ingest)
    before = await answers(ingest.index)
    async with kept(ingest, tmp_path / "run" / "ingest.sock") as remote:
        async with asyncio.timeout(60), aclosing(_retried(remote, {FACTS_TOO: True, SEARCH_TOO: True})) as progress:
            told = [each async for each in progress]

        stages = list(dict.fromkeys(each.stage for each in told))
        assert stages[0] == "layers of images"
        assert stages[-1] == "search"
        assert await answers(remote) == before


async def _retried(remote: RemoteLayerIndex, options: dict[str, bool]) -> AsyncIterator[Progress]:
    while True:
        try:
            async for each in remote.perform(REBUILD, options):
                yield each
            return
        except LayerIndexUnavailable as error:
            if "does not answer" not in error.reason:
                raise
            await asyncio.sleep(0.02)


async def test_two_rebuilds_that_are_asked_for_at_once_are_done_one_after_the_other(
    ingest: Ingest, tmp_path: Path
) -> None:
    await push_all(ingest)
    before = await answers(ingest.index)
    one = rebuilding(ingest)
    told: list[str] = []

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(one.run(lambda stage, done, total: told.append(stage)))

    assert "waiting for another rebuild" in told
    assert await answers(ingest.index) == before


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Return as soon as *condition* holds."""
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.02)


async def test_jobs_that_wait_for_the_index_are_done_when_it_is_there(
    database: Database, store: BlobStore, directory: Path, tmp_path: Path
) -> None:
    async with ingesting(database, store, directory) as ingest:
        shutil.rmtree(directory / "index")
        pushed = image(BASE, TOP)
        await ingest.push("ada/app", pushed, "v1")
        await until(lambda: jobs.missing(database))
        async with kept(ingest, tmp_path / "run" / "ingest.sock") as remote:
            await until(lambda: ingest.image("ada/app", pushed.digest))
            await ingest.settled()
            assert await remote.has_layers([BASE.diff_id, TOP.diff_id]) == [True, True]
            assert (await ingest.found("ada/app", pushed.digest)).problem == ""


def test_not_one_bit_of_an_object_changes_unnoticed() -> None:
    facts = LayerFacts(STACK.text, 1, [Entry(f"d/{number}", size=number) for number in range(50)])
    whole = encode(facts)

    for place in range(len(whole) * 8):
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        with suppress(ValueError):
            assert decode(bytes(damaged), LayerFacts) == facts  # a bit that means nothing
