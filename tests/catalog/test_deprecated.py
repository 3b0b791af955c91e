"""What its owner advises against: search finds it as that and puts it below its equals, and it works as before."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cas import BlobStore, RepositoryName, Tag
from database import Database
from tests.auth.hub import PASSWORD
from tests.catalog.whole import Site, going
from tests.ingest.in_process import image, small


@pytest.fixture
async def site(database: Database, store: BlobStore, tmp_path: Path) -> AsyncIterator[Site]:
    async with going(database, store, tmp_path) as site:
        yield site


async def ask(site: Site, query: str) -> list[dict[str, Any]]:
    answer = await site.get("/api/v1/search", params={"q": query})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["hits"])


async def deprecate(site: Site, name: str, deprecated: bool) -> None:
    answer = await site.get(
        f"/api/v1/repositories/{name}", "alice", PASSWORD, method="PATCH", json={"deprecated": deprecated}
    )
    assert answer.status_code == 200, answer.text
    await site.ingest.settled()


async def test_it_is_found_as_that_and_below_its_equals(site: Site) -> None:
    pushed = image(small("tide"))
    for name in ("alice/tide-a", "alice/tide-b"):
        await site.ingest.push(name, pushed, "v1")
    await site.ingest.settled()
    for kind, member in (("repository", "name"), ("image", "repository")):
        best = [hit[member] for hit in await ask(site, f"type:{kind} tide")]
        assert sorted(best) == ["alice/tide-a", "alice/tide-b"]
        assert await ask(site, f"type:{kind} is:deprecated") == []

        await deprecate(site, best[0], True)
        hits = await ask(site, f"type:{kind} tide")
        assert [(hit[member], hit["deprecated"]) for hit in hits] == [(best[1], False), (best[0], True)]
        assert [hit[member] for hit in await ask(site, f"type:{kind} is:deprecated")] == [best[0]]
        assert [hit[member] for hit in await ask(site, f"type:{kind} tide -is:deprecated")] == [best[1]]
        places = (await site.get(f"/api/v1/images/{pushed.digest}")).json()["places"]
        assert {place["repository"]: place["deprecated"] for place in places} == {best[0]: True, best[1]: False}

        await deprecate(site, best[0], False)
        assert [hit[member] for hit in await ask(site, f"type:{kind} tide")] == best
        assert await ask(site, f"type:{kind} is:deprecated") == []


async def test_it_is_pulled_pushed_to_and_retagged_as_before(site: Site) -> None:
    name = RepositoryName("alice/tide")
    await site.ingest.push(name.text, image(small("1")), "v1")
    await deprecate(site, name.text, True)

    second = image(small("2"))
    await site.ingest.push(name.text, second, "v2")
    await site.repositories.tag(name, second.digest, Tag("v1"), "alice")
    await site.ingest.settled()

    token = await site.token("repository:alice/tide:pull", "bob", PASSWORD)
    for tag in ("v1", "v2"):
        answer = await site.get(f"/v2/{name}/manifests/{tag}", token)
        assert (answer.status_code, answer.headers["docker-content-digest"]) == (200, second.digest.text)
    hits = await ask(site, "type:image is:deprecated tag:v1")
    assert [hit["digest"] for hit in hits] == [second.digest.text]
