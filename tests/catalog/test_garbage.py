"""How bytes go when nothing links them, and that a push never loses to it."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from cas import BlobUnknown, Digest, RepositoryName
from catalog import garbage
from catalog.errors import BlobBusy
from catalog.metadata import blobs
from catalog.repositories import Repositories
from database import Query, Transaction
from tests.catalog.images import image
from tests.catalog.in_process import EVERYTHING, InProcess, push_blob

NAME = "team/app"
CONTENT = b"bytes that nobody will miss"
DIGEST = Digest.of(CONTENT)


async def delete_repository(running: InProcess) -> None:
    await Repositories(running.database).delete(RepositoryName(NAME))


async def test_a_repository_goes_at_once_and_its_blobs_after_the_grace(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        await push_blob(client, NAME, b"{}")
        await push_blob(client, NAME, CONTENT)
        await client.put(f"/v2/{NAME}/manifests/latest", content=image(b"{}", CONTENT))
        await delete_repository(running)

        for path in ("manifests/latest", f"blobs/{DIGEST}"):
            assert (await client.get(f"/v2/{NAME}/{path}")).status_code == 404
    assert await blobs.state(running.database, DIGEST) == "condemned"
    assert await garbage.collect(running.database, running.store, grace=3600) == 0
    assert await running.store.stat(DIGEST) == len(CONTENT)

    assert await garbage.collect(running.database, running.store, grace=0) == 2
    assert await blobs.state(running.database, DIGEST) is None
    with pytest.raises(BlobUnknown):
        await running.store.stat(DIGEST)


async def test_what_another_repository_links_stays(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING, "other/app": EVERYTHING}) as client:
        await push_blob(client, NAME, CONTENT)
        await push_blob(client, "other/app", CONTENT)
        await delete_repository(running)
        await garbage.collect(running.database, running.store, grace=0)

        assert (await client.get(f"/v2/other/app/blobs/{DIGEST}")).content == CONTENT


async def test_a_push_revives_what_was_condemned(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        await push_blob(client, NAME, CONTENT)
        await delete_repository(running)
        await push_blob(client, NAME, CONTENT)
        await garbage.collect(running.database, running.store, grace=0)

        assert (await client.get(f"/v2/{NAME}/blobs/{DIGEST}")).content == CONTENT


async def test_a_push_waits_for_a_collector_that_removes_the_same_bytes(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        await push_blob(client, NAME, CONTENT)
        await delete_repository(running)
        await set_state(running, "deleting")

        pushing = asyncio.create_task(push_blob(client, NAME, CONTENT))
        collected = await garbage.collect(running.database, running.store, grace=3600)
        await pushing

        assert collected == 1
        assert (await client.get(f"/v2/{NAME}/blobs/{DIGEST}")).content == CONTENT


async def test_nothing_links_bytes_that_are_being_removed(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        await push_blob(client, NAME, CONTENT)
        repository = await Repositories(running.database).find(RepositoryName(NAME))
        await set_state(running, "deleting")

        with pytest.raises(BlobBusy):
            await running.database.write(lambda tx: blobs.link(tx, repository.id, DIGEST, len(CONTENT)))
        with pytest.raises(BlobBusy):
            await running.database.write(lambda tx: blobs.mount(tx, repository.id, DIGEST))


async def test_pushes_and_a_collector_without_grace_never_lose_a_blob(running: InProcess) -> None:
    """The collector is as eager as it can be; whatever is linked in the end is there."""
    stop = asyncio.Event()

    async def collect() -> None:
        while not stop.is_set():
            await garbage.collect(running.database, running.store, grace=1)
            await asyncio.sleep(0)

    async with running.client({NAME: EVERYTHING}) as client, asyncio.TaskGroup() as group:
        group.create_task(collect())
        for _ in range(20):
            await push_blob(client, NAME, CONTENT)
            assert (await client.get(f"/v2/{NAME}/blobs/{DIGEST}")).content == CONTENT
            await delete_repository(running)
        stop.set()


async def set_state(running: InProcess, state: str) -> None:
    statement = Query(text(f"UPDATE blobs SET state = '{state}', changed = 0"))

    async def change(tx: Transaction) -> None:
        await tx.run(statement)

    await running.database.write(change)
