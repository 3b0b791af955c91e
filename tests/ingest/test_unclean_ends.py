"""A worker that ends without giving anything back: what had no part in that is none the worse for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cas import BlobStore
from catalog.metadata import jobs
from database import Database, Transaction
from database.errors import DatabaseUnavailable
from ingest import worker as working
from ingest.worker import Worker
from tests.ingest.in_process import Ingest, image, opened, small


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await holds():  # noqa: ASYNC110 - jobs are rows
            await asyncio.sleep(0.02)


@asynccontextmanager
async def stuck(ingest: Ingest) -> AsyncIterator[asyncio.Task[None]]:
    """Have the worker work without any process that reads; yield its task."""
    tasks = [
        asyncio.create_task(ingest.worker.run()),
        asyncio.create_task(ingest.consumer.run(ingest.worker.wake)),
    ]
    yield tasks[0]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_what_waited_for_its_turn_is_done_as_before(
    database: Database, store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "_NOTE_EVERY", 0.05)
    pushed = [image(small(str(number))) for number in range(12)]

    async def nothing(self: Worker) -> None:
        """The power was cut."""

    async with opened(database, store, tmp_path, attempts=1) as ingest:
        for each in pushed:
            await ingest.push("ada/app", each)
        turns = ingest.pool.processes + 1

        async def most_wait() -> bool:
            counts = await jobs.counts(database)
            return counts.running == 12 and len(await jobs.held(database, 100)) == turns

        with monkeypatch.context() as patched:
            patched.setattr(Worker, "_give_back", nothing)
            async with stuck(ingest):
                await until(most_wait)

    claim, claimed = jobs.claim, list[bool]()

    async def noted(tx: Transaction, most: int, seconds: float, *, idle: bool) -> list[jobs.Job]:
        found = await claim(tx, most, seconds, idle=idle)
        claimed.extend(job.alone for job in found)
        return found

    monkeypatch.setattr(jobs, "claim", noted)
    async with opened(database, store, tmp_path, attempts=1) as ingest, ingest.running():
        await ingest.settled()
        assert claimed.count(True) == turns
        assert await jobs.counts(database) == (0, 0, 0, 0, None)
        for each in pushed:
            assert (await ingest.found("ada/app", each.digest)).diff_ids


async def test_large_manifests_whose_layers_take_long_hold_up_no_small_one(
    database: Database, store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "_MANIFESTS", 200_000)
    async with opened(database, store, tmp_path) as ingest, stuck(ingest):
        for number in range(3):
            await ingest.push("eve/app", image(small(str(number)), annotations={"x": "x" * 100_000}))

        async def all_are_begun() -> bool:
            return (await jobs.counts(database)).running == 3

        await until(all_are_begun)
        quick = image()
        await ingest.push("ada/app", quick)

        async def is_found() -> bool:
            return await ingest.image("ada/app", quick.digest) is not None

        await until(is_found)


async def test_what_is_in_hand_is_given_back_as_soon_as_the_database_answers_again(
    database: Database, store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "_AFTER_FAILURE", 0.01)
    release, asked = jobs.release, list[int]()

    async def fail_twice(tx: Transaction, claimed: set[jobs.Job]) -> None:
        asked.append(len(claimed))
        if len(asked) <= 2:
            raise DatabaseUnavailable("another server is to take over")
        await release(tx, claimed)

    async with opened(database, store, tmp_path) as ingest:
        await ingest.push("ada/app", image(small()))

        async def is_in_hand() -> bool:
            return (await jobs.counts(database)).running == 1

        async with stuck(ingest):
            await until(is_in_hand)
            monkeypatch.setattr(jobs, "release", fail_twice)
        assert len(asked) == 3
        assert await jobs.held(database, 10) == []
        assert await jobs.are_waiting(database)


async def test_a_database_that_does_not_come_back_holds_up_no_end(
    database: Database, store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(working, "_AFTER_FAILURE", 0.01)
    monkeypatch.setattr(working, "_GIVE_BACK", 0.1)

    async def fail(tx: Transaction, claimed: set[jobs.Job]) -> None:
        raise DatabaseUnavailable("it is gone")

    async with opened(database, store, tmp_path) as ingest:
        monkeypatch.setattr(jobs, "release", fail)
        async with asyncio.timeout(10), stuck(ingest):
            await asyncio.sleep(0.1)
