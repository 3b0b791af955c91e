"""What two clients do at once, interleaved by hand: on PostgreSQL transactions overlap, on SQLite they take turns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import text

from cas import Digest, Manifest, RepositoryName, Tag
from catalog import garbage, metadata
from catalog.metadata import blobs
from catalog.repositories import Repositories
from database import Query, Transaction
from tests.catalog.images import image, index
from tests.catalog.in_process import EVERYTHING, InProcess, push_blob

pytestmark = pytest.mark.parametrize("database", ["postgresql"], indirect=True)

NAME = "team/app"
LAYER = b"a layer that two clients want"
DIGEST = Digest.of(LAYER)


class Halfway:
    """A transaction that stops before its end until it is told to go on."""

    def __init__(self, running: InProcess, work: Callable[[Transaction], Awaitable[object]]) -> None:
        self._work = work
        self._reached = asyncio.Event()
        self._go_on = asyncio.Event()
        self._done = asyncio.create_task(running.database.write(self._run))

    async def _run(self, tx: Transaction) -> None:
        await self._work(tx)
        self._reached.set()
        await self._go_on.wait()

    async def reached(self) -> None:
        await self._reached.wait()

    async def finish(self) -> None:
        self._go_on.set()
        await self._done


async def waits(running: InProcess) -> None:
    """Return when some transaction waits for another's lock."""
    waiting = Query(text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
    async with asyncio.timeout(10):
        while (await running.database.one(waiting)) == (0,):  # noqa: ASYNC110 - nothing here is told of it
            await asyncio.sleep(0.01)  # it is the server that knows


async def test_a_tag_that_moves_on_survives_the_deletion_of_where_it_pointed(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        first = await client.put(f"/v2/{NAME}/manifests/latest", content=index(annotations={"n": "1"}))
        old = Digest.parse(first.headers["docker-content-digest"])
        new = index(annotations={"n": "2"})
        await client.put(f"/v2/{NAME}/manifests/{Digest.of(new)}", content=new)
        repository = await metadata.repositories.find(running.database, RepositoryName(NAME))

        async def move(tx: Transaction) -> None:
            name, tag = RepositoryName(NAME), Tag("latest")
            await metadata.tags.move(tx, repository.id, name, tag, Digest.of(new), "somebody")

        moving = Halfway(running, move)
        await moving.reached()
        deleting = asyncio.create_task(client.delete(f"/v2/{NAME}/manifests/{old}"))
        await waits(running)
        await moving.finish()

        assert (await deleting).status_code == 202
        assert (await client.get(f"/v2/{NAME}/manifests/latest")).content == new


async def test_a_blob_is_not_taken_from_under_a_manifest_that_is_being_pushed(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        await push_blob(client, NAME, b"{}")
        await push_blob(client, NAME, LAYER)
        manifest = Manifest.parse(image(b"{}", LAYER), None)
        push = metadata.manifests.Push(RepositoryName(NAME), manifest, [Tag("latest")], "somebody", False, False)
        pushing = Halfway(running, lambda tx: metadata.manifests.put(tx, push))
        await pushing.reached()
        deleting = asyncio.create_task(client.delete(f"/v2/{NAME}/blobs/{DIGEST}"))
        await waits(running)
        await pushing.finish()

        assert (await deleting).status_code == 405
        assert (await client.get(f"/v2/{NAME}/blobs/{DIGEST}")).content == LAYER
    assert await blobs.state(running.database, DIGEST) == "live"


async def test_a_repository_is_deleted_with_the_link_that_comes_at_the_last_moment(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        await push_blob(client, NAME, b"first")
        name = RepositoryName(NAME)

        async def link(tx: Transaction) -> None:
            await blobs.link(tx, await metadata.repositories.ensure(tx, name, public=False), DIGEST, len(LAYER))

        linking = Halfway(running, link)
        await linking.reached()
        deleting = asyncio.create_task(Repositories(running.database).delete(name))
        await waits(running)
        await linking.finish()
        await deleting

    assert await blobs.state(running.database, DIGEST) == "condemned"


async def test_two_collectors_do_not_remove_what_was_pushed_between_them(running: InProcess) -> None:
    """The slower of two finds that the blob is no longer its own to remove."""
    async with running.client({NAME: EVERYTHING}) as client:
        await push_blob(client, NAME, LAYER)
        await Repositories(running.database).delete(RepositoryName(NAME))
        await running.database.write(lambda tx: tx.run(Query(text("UPDATE blobs SET changed = 0"))))

        counts = await asyncio.gather(*(garbage.collect(running.database, running.store, grace=1) for _ in range(4)))
        await push_blob(client, NAME, LAYER)
        again = await garbage.collect(running.database, running.store, grace=0)

        assert sorted(counts) == [0, 0, 0, 1]
        assert again == 0
        assert (await client.get(f"/v2/{NAME}/blobs/{DIGEST}")).content == LAYER


async def test_a_claim_is_one_collectors_until_it_is_abandoned(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        await push_blob(client, NAME, LAYER)
        await Repositories(running.database).delete(RepositoryName(NAME))
    for age, removed in ((garbage.ABANDONED - 5, 0), (garbage.ABANDONED + 5, 1)):
        claim = Query(text(f"UPDATE blobs SET state = 'deleting', changed = extract(epoch FROM now())::bigint - {age}"))
        await running.database.write(lambda tx, claim=claim: tx.run(claim))  # type: ignore[misc]
        assert await garbage.collect(running.database, running.store, grace=3600) == removed
