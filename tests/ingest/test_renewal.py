"""What earlier catalogers read is read again, and nothing is lost while it is."""

from __future__ import annotations

import asyncio
import errno
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cas import BlobStore, Digest
from cas.derived import DerivedName, DirectoryDerived
from catalog.images.chains import chain_id
from catalog.images.facts import LayerFacts
from catalog.images.objects import blob_name, encode
from catalog.metadata import jobs
from database import Database
from ingest import renewal
from ingest.consumer import ask_again
from ingest.errors import LayerUnreadable
from ingest.images import StoredManifest
from ingest.versions import MadeBy, made_by, versions
from tests.ingest import tars
from tests.ingest.in_process import Image, Ingest, image, ingesting, opened, small, status

VERSIONS = DerivedName.parse("versions/1")
OLDER = MadeBy("older", "older")

BASE = tars.layer({"var/lib/dpkg/status": status(("bash", "5.2"))})
#: The same layer, compressed in another way.
OTHERWISE = tars.layer({"var/lib/dpkg/status": status(("bash", "5.2"))}, compression="zstd")
TOPS = [small(f"top {number}") for number in range(4)]
IMAGES = [image(BASE, top) for top in TOPS]


async def push_all(ingest: Ingest) -> None:
    for number, each in enumerate(IMAGES):
        await ingest.push("ada/app" if number % 2 else "ada/other", each, f"v{number}")
    await ingest.settled()
    await ingest.renewal.run()


def repository_of(pushed: Image) -> str:
    return "ada/app" if IMAGES.index(pushed) % 2 else "ada/other"


async def packages_of(ingest: Ingest, pushed: Image) -> list[tuple[str, str]]:
    return (await ingest.found(repository_of(pushed), pushed.digest)).packages


async def forget_packages(ingest: Ingest) -> None:
    """Leave of the base what a cataloger that knew no packages would have left, and of each image what comes of it."""
    known = await ingest.facts.layer(BASE.diff_id)
    assert known is not None
    content = encode(LayerFacts(known.diff_id, known.size, known.entries))
    await ingest.facts.put_layer(BASE.diff_id, content)
    for top in TOPS:
        await ingest.layers.squash_again([BASE.diff_id, top.diff_id])


@asynccontextmanager
async def left_by_older_catalogers(database: Database, store: BlobStore, directory: Path) -> AsyncIterator[None]:
    """Push images, have them read by catalogers that knew no packages, and end."""
    async with ingesting(database, store, directory, made=OLDER) as ingest:
        await push_all(ingest)
        await forget_packages(ingest)
        assert await ingest.derived.get(VERSIONS) == b"older"
    yield


async def assert_all_is_renewed(ingest: Ingest) -> None:
    for pushed, top in zip(IMAGES, TOPS, strict=True):
        chain = await ingest.facts.chain(chain_id([BASE.diff_id, top.diff_id]))
        assert chain is not None
        assert [package.name for package in chain.packages] == ["bash"]
        assert chain.made_by == made_by().stack
        assert await packages_of(ingest, pushed) == [("deb/bash", "5.2")]


async def test_newer_catalogers_read_everything_again(database: Database, store: BlobStore, tmp_path: Path) -> None:
    async with left_by_older_catalogers(database, store, tmp_path), ingesting(database, store, tmp_path) as ingest:
        await ingest.renewal.run()
        await ingest.settled()

        await assert_all_is_renewed(ingest)
        assert ingest.reads == [True] * (1 + len(TOPS)), "each layer once"
        assert await ingest.derived.get(VERSIONS) == made_by().stack.encode()

        await ingest.renewal.run()
        assert len(ingest.reads) == 1 + len(TOPS), "there is nothing left to be done"


async def test_what_is_known_answers_until_its_turn_comes(database: Database, store: BlobStore, tmp_path: Path) -> None:
    """A rebuild of search that comes first writes what there is, and no image without its layers."""
    async with left_by_older_catalogers(database, store, tmp_path), ingesting(database, store, tmp_path) as ingest:
        before = await ingest.everything()
        await ingest.writing.rebuild()
        assert (await ingest.everything()).keys() == before.keys() - {"package:deb/bash"}
        found = await ingest.found("ada/app", IMAGES[1].digest)
        assert found.diff_ids == [BASE.diff_id.text, TOPS[1].diff_id.text]
        assert ingest.reads == []


async def test_a_push_on_an_old_layer_reads_it_again(database: Database, store: BlobStore, tmp_path: Path) -> None:
    async with left_by_older_catalogers(database, store, tmp_path), ingesting(database, store, tmp_path) as ingest:
        pushed = image(BASE, small("new"))
        await ingest.push("ada/app", pushed)
        await ingest.settled()
        assert (await ingest.found("ada/app", pushed.digest)).packages == [("deb/bash", "5.2")]


async def test_a_stack_of_layers_that_were_read_again_is_squashed_again(
    database: Database, store: BlobStore, tmp_path: Path
) -> None:
    """All of an image's layers may be new already, by other images, while its stack is the old one."""
    async with left_by_older_catalogers(database, store, tmp_path), ingesting(database, store, tmp_path) as ingest:
        await ingest.push("ada/app", image(BASE))
        await ingest.push("ada/app", image(TOPS[0]))
        await ingest.settled()
        assert await packages_of(ingest, IMAGES[0]) == [("deb/bash", "5.2")]  # written before they were forgotten
        await ingest.renewal.run()
        await ingest.settled()
        chain = await ingest.facts.chain(chain_id([BASE.diff_id, TOPS[0].diff_id]))
        assert chain is not None
        assert [package.name for package in chain.packages] == ["bash"]


async def test_a_layer_that_is_pushed_in_another_compression_tells_nothing_old_as_new(
    database: Database, store: BlobStore, tmp_path: Path
) -> None:
    """The layer's facts are there, by other catalogers than those that read the new blob of it."""
    async with left_by_older_catalogers(database, store, tmp_path), ingesting(database, store, tmp_path) as ingest:
        again = image(OTHERWISE, TOPS[0])
        await ingest.push("ada/app", again)
        await ingest.settled()
        assert (await ingest.found("ada/app", again.digest)).packages == [("deb/bash", "5.2")]
        known = await ingest.facts.layer(BASE.diff_id)
        assert known is not None
        assert known.versions == versions()

        await ingest.renewal.run()
        await ingest.settled()
        await assert_all_is_renewed(ingest)


async def test_a_stack_of_what_others_read_does_not_pass_for_a_new_one(
    database: Database, store: BlobStore, tmp_path: Path
) -> None:
    """A layer could not be read again when its stack was squashed; then somebody pushes it once more."""
    stack = chain_id([BASE.diff_id, TOPS[0].diff_id])
    async with left_by_older_catalogers(database, store, tmp_path), ingesting(database, store, tmp_path) as ingest:
        await ingest.store.delete(Digest.of(BASE.blob))
        await ingest.renewal.run()
        await ingest.settled()
        chain = await ingest.facts.chain(stack)
        assert chain is not None
        assert chain.packages == []
        assert chain.made_by != made_by().stack

        again = image(OTHERWISE, TOPS[0])
        await ingest.push("ada/app", again)
        await ingest.settled()
        assert (await ingest.found("ada/app", again.digest)).packages == [("deb/bash", "5.2")]
        chain = await ingest.facts.chain(stack)
        assert chain is not None
        assert chain.made_by == made_by().stack


async def test_a_layer_that_cannot_be_read_again_stays_known(
    database: Database, store: BlobStore, tmp_path: Path
) -> None:
    async with left_by_older_catalogers(database, store, tmp_path), ingesting(database, store, tmp_path) as ingest:
        await ingest.store.delete(Digest.of(TOPS[0].blob))
        await ingest.renewal.run()
        await ingest.settled()
        found = await ingest.found(repository_of(IMAGES[0]), IMAGES[0].digest)
        assert found.diff_ids == [BASE.diff_id.text, TOPS[0].diff_id.text]
        assert found.problem == ""
        assert (await jobs.counts(database))[:3] == (0, 0, 0)


async def test_a_layer_that_cannot_be_read_again_is_not_tried_whenever_a_tag_moves(
    database: Database, store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with left_by_older_catalogers(database, store, tmp_path), ingesting(database, store, tmp_path) as ingest:
        run, works = ingest.pool.run, list[str]()

        async def noted(work: str, *rest: Any, **options: Any) -> list[bytes]:
            works.append(work)
            if work == "read":
                raise LayerUnreadable("it is too slow now")
            return await run(work, *rest, **options)

        monkeypatch.setattr(ingest.pool, "run", noted)
        repository = (await ingest.repository("ada/other")).id
        for _ in range(3):
            await ask_again(database, {repository: [IMAGES[0].digest.text]})
            await ingest.settled()

        assert sorted(works) == ["read", "read", "squash"]
        assert (await ingest.found("ada/other", IMAGES[0].digest)).problem == ""


async def test_it_goes_on_where_it_was_cut_off(database: Database, store: BlobStore, tmp_path: Path) -> None:
    async with left_by_older_catalogers(database, store, tmp_path):
        async with ingesting(database, store, tmp_path) as ingest:
            renewing = asyncio.create_task(ingest.renewal.run())
            async with asyncio.timeout(30):
                while not ingest.reads:  # noqa: ASYNC110 - it is the worker's own
                    await asyncio.sleep(0.002)
            renewing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await renewing
        async with ingesting(database, store, tmp_path) as ingest:
            assert await ingest.derived.get(VERSIONS) == b"older"
            await ingest.renewal.run()
            await ingest.settled()
            assert await ingest.derived.get(VERSIONS) == made_by().stack.encode()
            for pushed in IMAGES:
                assert await packages_of(ingest, pushed) == [("deb/bash", "5.2")]


async def test_a_parked_image_holds_up_nothing(database: Database, store: BlobStore, tmp_path: Path) -> None:
    async with left_by_older_catalogers(database, store, tmp_path):
        async with opened(database, store, tmp_path) as ingest:
            config = Digest.of(IMAGES[0].config)
            await ingest.store.delete(config)
        async with ingesting(database, store, tmp_path, attempts=1) as ingest:
            await ingest.renewal.run()
            assert await packages_of(ingest, IMAGES[3]) == [("deb/bash", "5.2")]
            assert (await jobs.counts(database)).parked == 1


async def test_images_that_failed_before_are_asked_for_a_few_at_a_time_too(
    database: Database, store: BlobStore, tmp_path: Path
) -> None:
    """And while they are waited for, their manifests are not in memory."""
    async with left_by_older_catalogers(database, store, tmp_path), opened(database, store, tmp_path) as ingest:
        for name in ("ada/app", "ada/other"):
            digests = [each.digest.text for each in IMAGES if repository_of(each) == name]
            await ask_again(database, {(await ingest.repository(name)).id: digests})
        for job in await database.write(lambda tx: jobs.claim(tx, 10, 60)):
            await database.write(lambda tx, job=job: jobs.fail(tx, job, "it could not be read", None))

        renewing = asyncio.create_task(ingest.renewal.run())
        async with asyncio.timeout(30):
            while not (await jobs.counts(database)).waiting:  # noqa: ASYNC110 - jobs are rows
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        assert (await jobs.counts(database))[:3] == (2, 0, 2)
        gc.collect()
        assert sum(isinstance(each, StoredManifest) for each in gc.get_objects()) <= 1

        async with ingest.running():
            async with asyncio.timeout(60):
                await renewing
            for pushed in IMAGES:
                assert await packages_of(ingest, pushed) == [("deb/bash", "5.2")]


async def test_what_the_disk_does_not_give_back_holds_up_nothing_and_is_looked_at_later(
    database: Database, store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get, bad = DirectoryDerived.get, blob_name(Digest.of(TOPS[0].blob))
    passes: list[None] = []

    async def get_others(self: DirectoryDerived, name: DerivedName) -> bytes:
        if name == bad:
            passes.append(None)
            raise OSError(errno.EIO, "Input/output error")
        return await get(self, name)

    monkeypatch.setattr(renewal, "_UNREAD_AGAIN", 0.1)
    async with left_by_older_catalogers(database, store, tmp_path), ingesting(database, store, tmp_path) as ingest:
        with monkeypatch.context() as broken:
            broken.setattr(DirectoryDerived, "get", get_others)
            renewing = asyncio.create_task(ingest.renewal.run())
            async with asyncio.timeout(30):
                while len(passes) < 2 and not renewing.done():  # noqa: ASYNC110 - it is the renewal's own
                    await asyncio.sleep(0.01)
            assert not renewing.done()
            for pushed in IMAGES[1:]:
                assert await packages_of(ingest, pushed) == [("deb/bash", "5.2")]
            assert await ingest.derived.get(VERSIONS) == b"older"
        async with asyncio.timeout(30):
            await renewing
        assert await packages_of(ingest, IMAGES[0]) == [("deb/bash", "5.2")]
        assert await ingest.derived.get(VERSIONS) == made_by().stack.encode()
