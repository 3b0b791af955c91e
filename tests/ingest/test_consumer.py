"""From events to jobs, on both engines."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from cas import Digest, Manifest, RepositoryName, Tag
from catalog.metadata import cursors, jobs, manifests, repositories, tags
from catalog.metadata.jobs import EVERYTHING, REPOSITORY
from catalog.metadata.manifests import Push
from database import Database, DatabaseUnavailable, Query, Transaction, events, new_id
from database.events import Event, Position
from ingest import consumer as consumers
from ingest.consumer import SEARCH, Consumer, documents_of
from tests.catalog.images import descriptor, image, index

NAME = RepositoryName.parse("ada/app")
_TAKE_A_NUMBER = Query(text("SELECT pg_current_xact_id()::text"))
OCI = "application/vnd.oci.image.manifest.v1+json"


async def push(database: Database, content: bytes, *names: str) -> Digest:
    manifest = Manifest.parse(content, None)
    wanted = Push(NAME, manifest, [Tag.parse(name) for name in names], "ada", public=True, sparse=True)
    await database.write(lambda tx: manifests.put(tx, wanted))
    return manifest.digest


async def asked(database: Database) -> set[str]:
    """Take what is asked for, until nothing is."""
    claimed = await database.write(lambda tx: jobs.claim(tx, 1000, 60))
    for job in claimed:
        await database.write(lambda tx, job=job: jobs.finish(tx, job))
    return {job.digest for job in claimed}


async def test_what_a_push_asks_for(database: Database) -> None:
    pushed = await push(database, image(b"{}"), "v1")

    assert await Consumer(database).step() == 3  # the repository, the manifest, the tag

    assert await asked(database) == {REPOSITORY, pushed.text}
    assert await Consumer(database).step() == 0
    assert await asked(database) == set()


async def test_a_tag_that_moves_asks_for_where_it_was_and_where_it_is(database: Database) -> None:
    first, second = await push(database, image(b"{}"), "v1"), await push(database, image(b"[]"))
    await Consumer(database).step()
    await asked(database)
    repository = (await repositories.find(database, NAME)).id

    await database.write(lambda tx: tags.move(tx, repository, NAME, Tag.parse("v1"), second, "ada"))
    await Consumer(database).step()
    assert await asked(database) == {REPOSITORY, first.text, second.text}

    await database.write(lambda tx: tags.remove(tx, repository, NAME, Tag.parse("v1"), "ada"))
    await Consumer(database).step()
    assert await asked(database) == {REPOSITORY, second.text}


async def test_an_index_that_is_deleted_asks_for_its_children(database: Database) -> None:
    child = await push(database, image(b"{}"))
    holder = await push(database, index(descriptor(child, OCI)), "v1")
    await Consumer(database).step()
    await asked(database)

    await database.write(lambda tx: manifests.remove(tx, NAME, holder, "ada"))
    await Consumer(database).step()

    assert await asked(database) == {REPOSITORY, holder.text, child.text}


async def test_what_is_seen_by_others_asks_for_everything(database: Database) -> None:
    await push(database, image(b"{}"))
    await Consumer(database).step()
    await asked(database)

    await database.write(lambda tx: repositories.change(tx, NAME, description="cargo"))
    await Consumer(database).step()
    assert await asked(database) == {REPOSITORY}

    await database.write(lambda tx: repositories.change(tx, NAME, public=False))
    await Consumer(database).step()
    assert await asked(database) == {EVERYTHING}

    await database.write(lambda tx: repositories.remove(tx, NAME))
    await Consumer(database).step()
    assert await asked(database) == {EVERYTHING}


async def test_what_is_deprecated_or_no_longer_asks_for_everything(database: Database) -> None:
    await push(database, image(b"{}"))
    await Consumer(database).step()
    await asked(database)

    for deprecated, wanted in ((True, EVERYTHING), (True, REPOSITORY), (False, EVERYTHING), (False, REPOSITORY)):
        await database.write(lambda tx, to=deprecated: repositories.change(tx, NAME, deprecated=to))
        await Consumer(database).step()
        assert await asked(database) == {wanted}


async def test_many_events_are_one_job_and_rise_above_all_before(database: Database) -> None:
    for number in range(20):
        await push(database, image(str(number).encode()), "v1")
    await Consumer(database).step()
    first = await cursors.read(database, SEARCH)
    assert (await jobs.counts(database)).waiting == 21

    await push(database, image(b"one more"), "v1")
    await Consumer(database).step()
    second = await cursors.read(database, SEARCH)

    assert (await jobs.counts(database)).waiting == 22
    assert second.version > first.version
    assert second.position > first.position


async def test_versions_rise_where_sequences_do_not(database: Database) -> None:
    """On PostgreSQL an event with a smaller sequence may be read after one with a greater one. A job that was begun
    between the two is still to be done again."""
    if database.dialect == "sqlite":
        pytest.skip("one transaction at a time: sequences are in the order of commits")
    repository, one, other = new_id(), Digest.of(b"one").text, Digest.of(b"other").text
    begun, recorded, read = asyncio.Event(), asyncio.Event(), asyncio.Event()
    sequences = []

    async def early(tx: Transaction) -> None:
        """Begins first, and records last."""
        await tx.one(_TAKE_A_NUMBER)
        begun.set()
        await asyncio.wait_for(recorded.wait(), 10)
        sequences.append(await events.record(tx, "manifest.pushed", repository, {"digest": one}))

    async def late(tx: Transaction) -> None:
        await begun.wait()
        sequences.append(await events.record(tx, "manifest.pushed", repository, {"digest": other}))
        recorded.set()
        await asyncio.wait_for(read.wait(), 10)

    writing = asyncio.gather(database.write(early), database.write(late))
    await recorded.wait()
    async with asyncio.timeout(10):
        while not await Consumer(database).step():  # noqa: ASYNC110 - the commit is the server's to make
            await asyncio.sleep(0.01)
    first = await cursors.read(database, SEARCH)
    assert {job.digest for job in await database.write(lambda tx: jobs.claim(tx, 10, 60))} == {REPOSITORY, one}
    read.set()
    await writing
    await Consumer(database).step()

    assert sequences == sorted(sequences)
    assert first.position.sequence == sequences[1]
    second = await cursors.read(database, SEARCH)
    assert second.position.sequence == sequences[0]
    assert second.version > first.version
    for job in (jobs.Job(repository, REPOSITORY, first.version, 0), jobs.Job(repository, one, first.version, 0)):
        await database.write(lambda tx, job=job: jobs.finish(tx, job))
    assert {job.digest for job in await database.write(lambda tx: jobs.claim(tx, 10, 60))} == {REPOSITORY, other}


async def test_of_two_that_read_the_same_events_one_counts(database: Database) -> None:
    await push(database, image(b"{}"), "v1")

    read = await asyncio.gather(*(Consumer(database).step() for _ in range(4)))

    assert sorted(read)[-1] == 3
    assert (await jobs.counts(database)).waiting == 2


async def test_a_commit_that_fails_loses_no_event(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    await push(database, image(b"{}"), "v1")

    async def fail(*_: object) -> None:
        raise RuntimeError("stop")

    monkeypatch.setattr(jobs, "ask", fail)
    with pytest.raises(RuntimeError):
        await Consumer(database).step()
    monkeypatch.undo()

    assert await Consumer(database).step() == 3


async def test_more_events_than_one_reading_takes(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumers, "MOST", 4)
    pushed = {(await push(database, image(str(number).encode()))).text for number in range(10)}

    read = []
    while count := await Consumer(database).step():
        read.append(count)

    assert sum(read) == 11
    assert max(read) == 4
    assert await asked(database) == pushed | {REPOSITORY}


async def test_it_wakes_up_within_a_tenth_of_a_second(database: Database) -> None:
    woken: asyncio.Queue[float] = asyncio.Queue()
    clock = asyncio.get_running_loop().time
    reading = asyncio.create_task(Consumer(database).run(lambda: woken.put_nowait(clock())))
    try:
        late = []
        for number in range(5):
            await push(database, image(str(number).encode()))
            pushed = clock()
            async with asyncio.timeout(10):
                late.append(await woken.get() - pushed)
            while not woken.empty():
                woken.get_nowait()
    finally:
        reading.cancel()

    assert sorted(late)[2] < 0.1


async def test_it_goes_on_when_the_database_comes_back(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(consumers, "_AFTER_FAILURE", 0.01)
    failures = 3
    read_after = events.read_after

    async def fail_at_first(*arguments: object) -> list[Event]:
        nonlocal failures
        if failures:
            failures -= 1
            raise DatabaseUnavailable("it is being restarted")
        return await read_after(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(events, "read_after", fail_at_first)
    await push(database, image(b"{}"))
    woken = asyncio.Event()
    reading = asyncio.create_task(Consumer(database).run(woken.set))
    async with asyncio.timeout(10):
        await woken.wait()
    reading.cancel()

    assert caplog.text.count("events cannot be read") == 1


def test_what_is_not_known_asks_for_nothing() -> None:
    """A newer program may have left events behind, and some belong to no repository."""
    some = [
        Event(Position(0, 1), 0, "repository.blessed", "r", {}),
        Event(Position(0, 2), 0, "person.created", None, {"name": "ada"}),
        Event(Position(0, 3), 0, "tag.moved", "r", {"name": "ada/app", "tag": "v1", "digest": "sha256:1"}),
        Event(Position(0, 4), 0, "tag.deleted", "q", {"name": "ada/app", "tag": "v1"}),
    ]

    assert documents_of(some) == {"r": {REPOSITORY, "sha256:1"}, "q": {REPOSITORY}}
