"""`portolan ingest status`, `failures` and `retry`, on a database with jobs in all their states."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cas import Digest, Manifest, RepositoryName, Tag
from catalog.metadata import jobs, manifests, repositories
from catalog.metadata.jobs import Job
from catalog.metadata.manifests import Push
from database import Database, Transaction, connect
from ingest.consumer import Consumer
from portolan import first_steps
from portolan.settings import Settings
from tests.catalog.images import descriptor, image, index
from tests.portolan.conftest import Run

OCI = "application/vnd.oci.image.manifest.v1+json"


def with_database(work: Callable[[Database], Awaitable[Any]]) -> Any:
    """Do *work* on the database of the settings in the environment."""

    async def run() -> Any:
        settings = Settings.from_environment()
        await first_steps.take(settings, with_link=False)
        database = await connect(settings.database)
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(run())


async def push(database: Database, name: str, content: bytes, *tags: str) -> Digest:
    manifest = Manifest.parse(content, None)
    wanted = Push(
        RepositoryName.parse(name), manifest, [Tag.parse(tag) for tag in tags], "ada", public=True, sparse=True
    )
    await database.write(lambda tx: manifests.put(tx, wanted))
    return manifest.digest


@pytest.fixture
def failed(settings: Path) -> dict[str, Digest]:
    """Two images that failed, one of them within an index and parked, one that waits for its turn, and one that waits
    for room; by name."""

    async def make(database: Database) -> dict[str, Digest]:
        one = await push(database, "ada/app", image(b"1"))
        holder = await push(database, "ada/app", index(descriptor(one, OCI)), "v1")
        two = await push(database, "library/alpine", image(b"2"), "latest")
        waiting = await push(database, "ada/other", image(b"3"))
        postponed = await push(database, "ada/other", image(b"5"))
        await Consumer(database).step()
        failing = {one.text: None, two.text: 60.0}

        async def fail(tx: Transaction) -> None:
            claimed: list[Job] = await jobs.claim(tx, 100, 60)
            for job in claimed:
                if job.digest in failing:
                    await jobs.fail(tx, job, f"the layer\nof {job.digest[:12]} is no tar", failing[job.digest])
                elif job.digest == postponed.text:
                    await jobs.postpone(tx, job, "no room is left in the store", 60)
                elif job.digest == waiting.text:
                    await jobs.release(tx, [job])
                else:
                    await jobs.finish(tx, job)

        await database.write(fail)
        return {"one": one, "holder": holder, "two": two, "waiting": waiting}

    made: dict[str, Digest] = with_database(make)
    return made


def claimable() -> set[str]:
    async def look(database: Database) -> set[str]:
        return {job.digest for job in await database.write(lambda tx: jobs.claim(tx, 100, 0))}

    found: set[str] = with_database(look)
    return found


def test_status_counts(run: Run, failed: dict[str, Digest]) -> None:
    counted = json.loads(run("ingest", "status", "--json").stdout)
    told = run("ingest", "status").stdout

    assert counted["oldest"] > 1_600_000_000
    del counted["oldest"]
    assert counted == {
        "events": 0,
        "waiting": 3,
        "running": 0,
        "parked": 1,
        "failed": 2,
        "waits_for": [{"reason": "no room is left in the store", "jobs": 1}],
    }
    assert "3 waiting, 0 running, 1 parked" in told
    assert "1 of them wait, and are tried again: no room is left in the store" in told
    assert "2 failed: portolan ingest failures" in told


def test_status_tells_of_changes_that_nobody_looked_at(run: Run, failed: dict[str, Digest]) -> None:
    with_database(lambda database: push(database, "ada/app", image(b"4")))

    assert json.loads(run("ingest", "status", "--json").stdout)["events"] == 1
    assert "1 changes were not looked at yet" in run("ingest", "status").stdout


def test_failures_are_listed_parked_ones_first(run: Run, failed: dict[str, Digest]) -> None:
    listed = json.loads(run("ingest", "failures", "--json").stdout)
    table = run("ingest", "failures").stdout

    one, two = failed["one"].text, failed["two"].text
    assert [(each["reference"], each["attempts"], each["parked"]) for each in listed] == [
        (f"ada/app@{one}", 1, True),
        (f"alpine@{two}", 1, False),
    ]
    assert listed[0]["error"] == f"the layer\nof {one[:12]} is no tar"
    assert listed[0]["next"] is None
    assert listed[1]["next"] > listed[1]["since"]
    assert all(word in table for word in ("Image", "Attempts", f"alpine@{two}", "parked"))


@pytest.mark.parametrize(
    ("reference", "count", "names"),
    [
        ("--all", 2, {"one", "two"}),
        ("alpine", 1, {"two"}),
        ("alpine:latest", 1, {"two"}),
        ("ada/app", 1, {"one"}),
        ("ada/app:v1", 1, {"one"}),
        ("ada/app@{holder}", 1, {"one"}),
        ("ada/app@{one}", 1, {"one"}),
        ("ada/other", 0, set()),
        ("library/alpine@{two}", 1, {"two"}),
    ],
)
def test_retry_makes_due_what_is_named(
    run: Run, failed: dict[str, Digest], reference: str, count: int, names: set[str]
) -> None:
    named = reference.format(**failed)

    assert json.loads(run("ingest", "retry", named, "--json").stdout) == {"retried": count}

    assert claimable() == {failed[name].text for name in names | {"waiting"}}


def test_what_retry_says(run: Run, failed: dict[str, Digest]) -> None:
    assert run("ingest", "retry", "alpine").stdout == "1 will be tried again.\n"
    assert run("ingest", "retry", "ada/other").stdout == "Nothing of that has failed.\n"


@pytest.mark.parametrize(
    ("words", "status", "saying"),
    [
        ((), 2, "name a repository or an image of it, or say --all"),
        (("alpine", "--all"), 2, "or say --all"),
        (("ada/none",), 1, "there is no repository ada/none"),
        (("alpine:none",), 1, "there is no library/alpine:none"),
        (("alpine@sha256:abc",), 1, "is not a digest"),
        (("Alpine",), 1, "is not a repository name"),
    ],
)
def test_retry_refuses(run: Run, failed: dict[str, Digest], words: tuple[str, ...], status: int, saying: str) -> None:
    done = run("ingest", "retry", *words)

    assert done.exit_code == status, done.output
    assert saying in done.stderr
    assert done.stderr.count("\n") == 1


def test_what_failed_in_a_repository_that_is_gone_is_listed(run: Run, failed: dict[str, Digest]) -> None:
    name = RepositoryName.parse("ada/app")
    with_database(lambda database: database.write(lambda tx: repositories.remove(tx, name)))

    listed = json.loads(run("ingest", "failures", "--json").stdout)

    assert listed[0]["reference"].startswith("(deleted repository ")


def test_an_installation_without_failures_says_so(run: Run, settings: Path) -> None:
    with_database(lambda database: push(database, "ada/app", image(b"1")))

    assert run("ingest", "failures").stderr == "Nothing has failed.\n"
    assert json.loads(run("ingest", "failures", "--json").stdout) == []


def test_where_there_is_no_installation_nothing_is_begun(run: Run, settings: Path) -> None:
    done = run("ingest", "status")

    assert done.exit_code == 1
    assert "there is no installation in" in done.stderr
    assert not settings.exists()
