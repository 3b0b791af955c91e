"""An image on its way: what is told of it before ingest has read it, and after what was read of it is lost."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cas import RepositoryName, Tag
from cas.directory import DirectoryStore
from catalog.metadata import jobs, tags
from database import Transaction
from tests.auth.hub import PASSWORD
from tests.catalog.api.conftest import APP
from tests.catalog.whole import Site, opened
from tests.database.engines import fresh_database


@pytest.fixture
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    async with (
        fresh_database("sqlite", request, tmp_path) as database,
        opened(database, DirectoryStore(tmp_path / "store"), tmp_path) as site,
    ):
        yield site


async def test_an_image_waits_is_read_and_may_have_to_be_read_again(site: Site, tmp_path: Path) -> None:
    digest = await site.ingest.push("alice/app", APP, "v1")
    path = f"/api/v1/images/{digest}"

    waiting = (await site.get(path)).json()
    packages = await site.get(f"{path}/packages")
    repository = (await site.get("/api/v1/repositories/alice/app")).json()

    assert waiting["state"] == {"name": "waiting", "problem": ""}
    assert (waiting["config"]["labels"], waiting["packages"]) == ({"team": "payments"}, {})
    assert (packages.status_code, packages.json()["detail"]) == (503, "The image is being read.")
    assert int(packages.headers["retry-after"]) > 0
    assert repository["tags"][0]["digest"] == digest.text

    async with site.ingest.running():
        await site.ingest.settled()
    assert (await site.get(path)).json()["state"]["name"] == "read"
    assert (await site.get(f"{path}/packages")).json()["packages"]

    shutil.rmtree(tmp_path / "store" / "derived")
    site.api = site.over()  # which remembers nothing
    for each in (path, f"{path}/packages", f"{path}/files"):
        lost = await site.get(each)
        assert (lost.status_code, lost.headers["content-type"]) == (503, "application/problem+json")
        assert int(lost.headers["retry-after"]) > 0


async def test_an_image_that_something_is_missing_for_is_being_read_and_waits(site: Site) -> None:
    """No room, or no index: that is no fault of the image's, and passes."""
    digest = await site.ingest.push("alice/app", APP, "v1")
    await site.ingest.consumer.step()

    async def postpone(tx: Transaction) -> None:
        for job in await jobs.claim(tx, 100, 60):
            await jobs.postpone(tx, job, "no room is left in the store", 60)

    await site.ingest.database.write(postpone)
    path = f"/api/v1/images/{digest}"

    told = (await site.get(path)).json()
    tag = (await site.get("/api/v1/repositories/alice/app")).json()["tags"][0]

    assert told["state"] == tag["state"] == {"name": "waiting", "problem": "no room is left in the store"}
    for answer in (
        await site.get(f"{path}/packages"),
        await site.get(f"{path}/files"),
        await site.get(f"/api/v1/diff?from={digest}&to={digest}"),
    ):
        assert answer.status_code == 503
        assert answer.json()["detail"] == "The image is being read, and waits: no room is left in the store."
        assert int(answer.headers["retry-after"]) > 0


async def test_who_moved_a_tag_is_told_to_those_who_push_there(site: Site) -> None:
    digest = await site.ingest.push("alice/app", APP)
    alice = await site.hub.people.find("alice")
    row = await site.ingest.repository("alice/app")
    name = RepositoryName("alice/app")
    await site.ingest.database.write(lambda tx: tags.move(tx, row.id, name, Tag.parse("v1"), digest, alice.id))
    question = {"repository": "alice/app"}

    told = {
        credentials: (await site.get("/api/v1/tag-history", *credentials, params=question)).json()["moves"][0]["by"]
        for credentials in (("alice", PASSWORD), ("bob", PASSWORD), ())
    }

    assert told == {("alice", PASSWORD): "alice", ("bob", PASSWORD): "", (): ""}
