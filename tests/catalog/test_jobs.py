"""Jobs, cursors, tightened repositories, and the events that they come from, on both engines."""

from __future__ import annotations

import asyncio
import json

import pytest
from sqlalchemy import text

from cas import Digest, Manifest, RepositoryName, Tag
from catalog.metadata import cursors, images, jobs, manifests, repositories, tags, tightened
from catalog.metadata.cursors import Cursor
from catalog.metadata.jobs import EVERYTHING, REPOSITORY, Job
from catalog.metadata.manifests import Push
from database import Database, Query, Transaction, events, new_id
from database.events import Position
from tests.catalog.images import descriptor, image, index

NAME = RepositoryName.parse("ada/app")
ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64


async def ask(database: Database, repository: str, digests: list[str], version: int) -> None:
    await database.write(lambda tx: jobs.ask(tx, repository, digests, version))


async def claim(database: Database, most: int = 100, seconds: float = 60) -> list[Job]:
    return await database.write(lambda tx: jobs.claim(tx, most, seconds))


async def push(database: Database, content: bytes, *names: str) -> Digest:
    manifest = Manifest.parse(content, None)
    wanted = Push(NAME, manifest, [Tag.parse(name) for name in names], "ada", public=True, sparse=True)
    await database.write(lambda tx: manifests.put(tx, wanted))
    return manifest.digest


async def kinds(database: Database) -> list[tuple[str, dict[str, object]]]:
    return [(each.kind, each.body) for each in await events.read_after(database, Position(), 1000)]


async def test_a_job_is_claimed_once_and_gone_when_it_is_finished(database: Database) -> None:
    await ask(database, "r", [ONE, TWO, REPOSITORY], 7)
    assert await jobs.are_waiting(database)

    first = await claim(database, most=2)
    second = await claim(database)

    assert {each.digest for each in first + second} == {ONE, TWO, REPOSITORY}
    assert not await jobs.are_waiting(database)
    assert (await jobs.counts(database)).running == 3
    for job in first + second:
        await database.write(lambda tx, job=job: jobs.finish(tx, job))
    assert await jobs.counts(database) == (0, 0, 0, 0, None)


async def test_a_job_that_is_asked_for_again_while_it_is_done_waits_again(database: Database) -> None:
    await ask(database, "r", [ONE], 7)
    (job,) = await claim(database)
    await ask(database, "r", [ONE], 9)
    assert await claim(database) == []

    await database.write(lambda tx: jobs.finish(tx, job))

    (again,) = await claim(database)
    assert again == Job("r", ONE, 9, 0)


async def test_what_was_asked_for_earlier_does_not_turn_a_job_back(database: Database) -> None:
    await ask(database, "r", [ONE], 9)
    await ask(database, "r", [ONE], 7)

    assert (await claim(database))[0].version == 9


async def test_a_claim_ends_by_itself_and_can_be_kept(database: Database) -> None:
    await ask(database, "r", [ONE], 1)
    (job,) = await claim(database, seconds=0.05)
    await database.write(lambda tx: jobs.keep(tx, [job], 60))
    await asyncio.sleep(0.1)
    assert await claim(database) == []

    await database.write(lambda tx: jobs.keep(tx, [job], 0))
    assert await claim(database) == [job]

    await database.write(lambda tx: jobs.release(tx, [job]))
    assert await claim(database) == [job]


async def test_one_of_many_claims_of_a_worker_that_died_may_be_its_end_and_each_is_done_alone(
    database: Database,
) -> None:
    await ask(database, "r", [ONE, TWO], 1)
    left = await claim(database)
    assert sorted(await jobs.held(database, 10)) == sorted(left)
    assert len(await jobs.held(database, 1)) == 1

    await database.write(jobs.suspect)

    assert await jobs.held(database, 10) == []
    await ask(database, "r", [REPOSITORY], 2)
    assert await jobs.are_waiting(database)
    assert await database.write(lambda tx: jobs.claim(tx, 10, 60, idle=False)) == []
    (first,) = await claim(database)
    assert (first.alone, first.attempts) == (True, 0)
    await database.write(lambda tx: jobs.release(tx, [first]))
    assert await claim(database) == [first]  # that it was given back says nothing of it
    await database.write(lambda tx: jobs.finish(tx, first))
    (second,) = await claim(database)
    assert {first.digest, second.digest} == {ONE, TWO}
    await database.write(lambda tx: jobs.fail(tx, second, "no tar", 0))
    rest = await claim(database)
    assert {job.digest: (job.alone, job.attempts) for job in rest} == {
        REPOSITORY: (False, 0),
        second.digest: (False, 1),
    }


async def test_claims_that_were_queued_when_a_worker_died_are_given_back(database: Database) -> None:
    digests = [f"sha256:{number:064x}" for number in range(6)]
    await ask(database, "r", digests, 1)
    begun, *queued = await claim(database)
    await database.write(lambda tx: jobs.queue(tx, queued))
    assert (await jobs.counts(database)).running == 6
    await database.write(lambda tx: jobs.begin(tx, queued[:1]))
    assert sorted(await jobs.held(database, 10)) == sorted([begun, queued[0]])

    await database.write(lambda tx: jobs.finish(tx, queued[1]))
    await database.write(lambda tx: jobs.release(tx, queued[2:3]))
    await database.write(lambda tx: jobs.postpone(tx, queued[3], "the disk is full", 0))
    await database.write(jobs.suspect)

    alone = [(await claim(database))[0] for _ in range(2)]
    assert {job.digest for job in alone} == {begun.digest, queued[0].digest}
    assert all(job.alone for job in alone)
    assert sorted(await claim(database)) == sorted(queued[2:])


async def test_what_is_done_alone_and_what_nobody_claimed_is_not_queued(database: Database) -> None:
    await ask(database, "r", [ONE], 1)
    await claim(database)
    await database.write(jobs.suspect)
    (job,) = await claim(database)
    await ask(database, "r", [TWO], 2)

    await database.write(lambda tx: jobs.queue(tx, [job, Job("r", TWO, 2, 0)]))

    assert await jobs.held(database, 10) == [job]
    assert [each.digest for each in await claim(database)] == [TWO]


async def test_a_job_that_killed_its_worker_is_tried_alone_again_and_parked_in_the_end(database: Database) -> None:
    await ask(database, "r", [ONE], 1)
    (job,) = await claim(database)
    await database.write(lambda tx: jobs.fail(tx, job, "it died", 0, alone=True))
    await ask(database, "r", [REPOSITORY], 2)
    (again,) = await claim(database)
    assert (again.digest, again.alone, again.attempts) == (ONE, True, 1)

    await database.write(lambda tx: jobs.fail(tx, again, "it died", None, alone=True))

    assert [job.digest for job in await claim(database)] == [REPOSITORY]
    assert await database.write(lambda tx: jobs.retry(tx, "r", ONE)) == 1
    (by_hand,) = await claim(database)
    assert (by_hand.alone, by_hand.attempts) == (True, 0)


async def test_a_failure_is_kept_tried_again_and_parked(database: Database) -> None:
    await ask(database, "r", [ONE], 1)
    (job,) = await claim(database)
    await database.write(lambda tx: jobs.fail(tx, job, "no tar", 0))
    (again,) = await claim(database)
    assert again.attempts == 1

    await database.write(lambda tx: jobs.fail(tx, again, "x" * 10_000, None))

    assert await claim(database) == []
    assert await jobs.counts(database) == (0, 0, 1, 1, None)
    (failure,) = await jobs.failures(database)
    assert (failure.attempts, failure.parked, failure.repository) == (2, True, None)
    assert len(failure.error) == 2000
    assert await images.job(database, "r", ONE) == (True, failure.error, "")
    assert await database.write(lambda tx: jobs.retry(tx, "other")) == 0
    assert await database.write(lambda tx: jobs.retry(tx, "r", TWO)) == 0
    assert await database.write(lambda tx: jobs.retry(tx, "r", ONE)) == 1
    assert (await claim(database))[0].attempts == 0


async def test_a_parked_job_that_is_asked_for_gets_one_attempt(database: Database) -> None:
    await ask(database, "r", [ONE], 1)
    (job,) = await claim(database)
    await database.write(lambda tx: jobs.fail(tx, job, "no tar", None))

    await ask(database, "r", [ONE], 2)

    assert (await claim(database))[0].attempts == 1


async def test_a_failed_job_that_was_asked_for_meanwhile_is_tried_at_once(database: Database) -> None:
    await ask(database, "r", [ONE], 1)
    (job,) = await claim(database)
    await ask(database, "r", [ONE], 2)

    await database.write(lambda tx: jobs.fail(tx, job, "no tar", None))

    assert (await claim(database))[0].version == 2


async def test_what_is_postponed_waits_and_counts_no_attempt(database: Database) -> None:
    await ask(database, "r", [ONE], 1)
    (job,) = await claim(database)
    await database.write(lambda tx: jobs.postpone(tx, job, "the disk is full", 60))
    assert await claim(database) == []
    assert await jobs.missing(database) == [("the disk is full", 1)]

    await database.write(lambda tx: jobs.postpone(tx, job, "the disk is full", 0))

    assert await claim(database) == [job]


async def test_what_is_postponed_has_not_failed(database: Database) -> None:
    """There is nothing for anybody to try again, and a failure from before is not covered up."""
    await ask(database, "r", [ONE, TWO], 1)
    waiting, failed = sorted(await claim(database), key=lambda job: job.digest != ONE)
    await database.write(lambda tx: jobs.postpone(tx, waiting, "the disk is full", 60))
    await database.write(lambda tx: jobs.fail(tx, failed, "no tar", 0))
    await database.write(lambda tx: jobs.postpone(tx, failed, "the disk is full", 60))

    assert (await jobs.counts(database)).failed == 1
    assert [(each.digest, each.error) for each in await jobs.failures(database)] == [(TWO, "no tar")]
    assert await images.job(database, "r", ONE) == (False, "", "the disk is full")
    assert await jobs.missing(database) == [("the disk is full", 2)]
    assert await database.write(jobs.retry) == 1

    (again,) = await claim(database)
    await database.write(lambda tx: jobs.fail(tx, again, "no tar", None))
    assert await jobs.missing(database) == [("the disk is full", 1)]


async def test_those_that_waited_longest_come_first(database: Database) -> None:
    for number in range(5):
        await ask(database, "r", [f"sha256:{number:064x}"], 1)
        await asyncio.sleep(0.002)

    claimed = [(await claim(database, most=1))[0].digest for _ in range(5)]

    assert claimed == sorted(claimed)


async def test_several_claim_at_once_and_each_gets_others(database: Database) -> None:
    await ask(database, "r", [f"sha256:{number:064x}" for number in range(40)], 1)

    claimed = await asyncio.gather(*(claim(database, most=10) for _ in range(8)))

    all_of_them = [job.digest for each in claimed for job in each]
    assert len(all_of_them) == len(set(all_of_them))
    while more := await claim(database, most=10):
        all_of_them += [job.digest for job in more]
    assert len(all_of_them) == 40


async def test_an_index_asks_for_those_of_its_children_that_are_there(database: Database) -> None:
    there = await push(database, image(b"{}"))
    holder = await push(
        database,
        index(
            descriptor(there, "application/vnd.oci.image.manifest.v1+json"),
            descriptor(Digest.of(b"elsewhere"), "application/vnd.oci.image.manifest.v1+json"),
        ),
    )
    repository = (await repositories.find(database, NAME)).id

    await database.write(lambda tx: jobs.ask_children(tx, repository, holder.text, 5))

    assert await claim(database) == [Job(repository, there.text, 5, 0)]


async def test_a_cursor_is_moved_by_whoever_knows_where_it_is(database: Database) -> None:
    begin, first, second = Cursor(), Cursor(Position(8, 3), 12), Cursor(Position(9, 1), 13)
    assert await cursors.read(database, "search") == begin
    assert await database.write(lambda tx: cursors.move(tx, "search", begin, first))
    assert not await database.write(lambda tx: cursors.move(tx, "search", begin, second))
    assert await database.write(lambda tx: cursors.move(tx, "search", first, second))
    assert not await database.write(lambda tx: cursors.move(tx, "search", first, second))

    assert await cursors.read(database, "search") == second
    assert await cursors.read(database, "webhooks") == begin


async def test_making_private_and_deleting_tighten_at_once(database: Database) -> None:
    await push(database, image(b"{}"))
    found = await repositories.find(database, NAME)
    await database.write(lambda tx: repositories.change(tx, NAME, description="cargo"))
    assert await tightened.repository_ids(database) == []

    await database.write(lambda tx: repositories.change(tx, NAME, public=False))
    assert await tightened.repository_ids(database) == [found.id]
    first = await tightened.version(database, found.id)
    assert first is not None

    await database.write(lambda tx: repositories.change(tx, NAME, public=True))
    await database.write(lambda tx: repositories.remove(tx, NAME))
    await database.write(lambda tx: tightened.remove(tx, found.id, first))
    assert await tightened.repository_ids(database) == [found.id]

    second = await tightened.version(database, found.id)
    assert second is not None
    assert second > first
    await database.write(lambda tx: tightened.remove(tx, found.id, second))
    assert await tightened.repository_ids(database) == []


async def test_deprecating_is_kept_until_it_is_taken_back_and_tightens_nothing(database: Database) -> None:
    await push(database, image(b"{}"))
    assert not (await repositories.find(database, NAME)).deprecated

    for deprecated, description in ((True, None), (None, "cargo"), (False, None)):
        await database.write(
            lambda tx, to=deprecated, text=description: repositories.change(tx, NAME, deprecated=to, description=text)
        )

    told = [body for kind, body in await kinds(database) if kind == "repository.changed"]
    assert [(body["was_deprecated"], body["deprecated"]) for body in told] == [
        (False, True),
        (True, True),
        (True, False),
    ]
    found = await repositories.find(database, NAME)
    assert (found.public, found.description, found.deprecated) == (True, "cargo", False)
    assert await tightened.repository_ids(database) == []


async def test_deprecating_and_its_event_are_one_commit(database: Database) -> None:
    await push(database, image(b"{}"))

    async def change(tx: Transaction) -> None:
        assert (await repositories.change(tx, NAME, deprecated=True)).deprecated
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        await database.write(change)

    assert not (await repositories.find(database, NAME)).deprecated
    assert "repository.changed" not in dict(await kinds(database))


async def test_a_change_that_fails_tightens_nothing(database: Database) -> None:
    await push(database, image(b"{}"))

    async def change(tx: Transaction) -> None:
        await repositories.change(tx, NAME, public=False)
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        await database.write(change)

    assert await tightened.repository_ids(database) == []


async def test_events_say_where_a_tag_pointed(database: Database) -> None:
    first = await push(database, image(b"{}"), "v1")
    second = await push(database, image(b"[]"), "v1")
    repository = (await repositories.find(database, NAME)).id
    await database.write(lambda tx: tags.remove(tx, repository, NAME, Tag.parse("v1"), "ada"))

    told = [(kind, body["was"]) for kind, body in await kinds(database) if kind.startswith("tag.")]

    assert told == [("tag.moved", None), ("tag.moved", first.text), ("tag.deleted", second.text)]


async def test_of_moves_at_once_each_names_the_one_before(database: Database) -> None:
    """On PostgreSQL they really are at once; every manifest that lost the tag must be named."""
    pushed = [await push(database, image(json.dumps({"n": number}).encode())) for number in range(8)]
    repository = (await repositories.find(database, NAME)).id

    await asyncio.gather(
        *(
            database.write(lambda tx, digest=digest: tags.move(tx, repository, NAME, Tag.parse("v1"), digest, "ada"))
            for digest in pushed
        )
    )

    moves = [body for kind, body in await kinds(database) if kind == "tag.moved"]
    (still,) = await database.all(Query(text("SELECT digest FROM tags")))
    assert sorted(str(move["was"]) for move in moves) == sorted(
        ["None", *(digest.text for digest in pushed if digest.text != still[0])]
    )


async def test_the_event_of_a_deleted_index_names_its_children(database: Database) -> None:
    there = await push(database, image(b"{}"))
    holder = await push(database, index(descriptor(there, "application/vnd.oci.image.manifest.v1+json")), "v1")

    await database.write(lambda tx: manifests.remove(tx, NAME, holder, "ada"))

    (body,) = [body for kind, body in await kinds(database) if kind == "manifest.deleted"]
    assert body["children"] == [there.text]


async def test_recording_an_event_tells_its_sequence(database: Database) -> None:
    async def record(tx: Transaction) -> list[int]:
        return [await events.record(tx, "test", new_id(), {}) for _ in range(3)]

    recorded = await database.write(record)

    assert [each.position.sequence for each in await events.read_after(database, Position())] == recorded


def test_what_stands_for_a_repository_is_no_digest() -> None:
    assert ":" not in REPOSITORY + EVERYTHING
