"""What the hub answers of repositories: lists, search, the JSON API; each caller learns only what that one may see."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path

import httpx
import pytest

from auth.access import Visible
from cas import BlobStore, RepositoryName
from catalog import metadata
from database import Database, Transaction
from tests.auth.hub import PASSWORD
from tests.catalog.whole import Site, going

NAMES = {
    "library/alpine": True,
    "library/deep/er": False,
    "alice/app": False,
    "alice/public": True,
    "bob/app": False,
    "zebra/app": False,
}


@pytest.fixture
async def site(database: Database, store: BlobStore, tmp_path: Path) -> AsyncIterator[Site]:
    async def make(tx: Transaction) -> None:
        for name, public in NAMES.items():
            await metadata.repositories.ensure(tx, RepositoryName(name), public=public)

    async with going(database, store, tmp_path) as site:
        await database.write(make)
        await site.ingest.settled()
        yield site


async def catalog(site: Site, *credentials: str, query: str = "") -> list[str]:
    token = await site.token("registry:catalog:*", *credentials)
    answer = await site.get(f"/v2/_catalog{query}", token)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["repositories"])


async def test_forbids_listing_what_a_caller_may_not_see(site: Site) -> None:
    """Gitea CVE-2026-27771, Harbor CVE-2020-29662: an anonymous token is not a wide token."""
    assert await catalog(site) == ["alice/public", "alpine"]
    assert await catalog(site, "alice", PASSWORD) == ["alice/app", "alice/public", "alpine"]
    assert await catalog(site, "bob", PASSWORD) == ["alice/public", "alpine", "bob/app"]
    everything = ["alice/app", "alice/public", "alpine", "bob/app", "library/deep/er", "zebra/app"]
    assert await catalog(site, "root-person", PASSWORD) == everything


async def test_a_narrow_token_lists_what_it_was_narrowed_to(site: Site) -> None:
    narrow = await site.hub.personal("alice", "repository:alice/app:pull registry:catalog:*")

    assert await catalog(site, "alice", narrow) == ["alice/app"]


async def test_a_list_needs_a_token_for_lists(site: Site) -> None:
    answer = await site.get("/v2/_catalog", await site.token("repository:alice/app:pull", "alice", PASSWORD))

    assert answer.status_code == 401
    assert 'scope="registry:catalog:*"' in answer.headers["www-authenticate"]


async def test_pages_of_the_list_follow_each_other_in_the_order_of_what_is_shown(site: Site) -> None:
    token = await site.token("registry:catalog:*", "root-person", PASSWORD)
    for size in (1, 2, 5):
        seen: list[str] = []
        path = f"/v2/_catalog?n={size}"
        while path:
            answer = await site.get(path, token)
            seen += answer.json()["repositories"]
            path = answer.links.get("next", {}).get("url", "")
        assert seen == ["alice/app", "alice/public", "alpine", "bob/app", "library/deep/er", "zebra/app"]
    assert (await site.get("/v2/_catalog?n=0", token)).json() == {"repositories": []}
    refused = await site.get("/v2/_catalog?n=1001", token)
    assert refused.json()["errors"][0]["code"] == "PAGINATION_NUMBER_INVALID"


async def search(site: Site, text: str, *credentials: str) -> httpx.Response:
    return await site.get("/v1/search", *credentials, params={"q": text, "n": "25"})


async def test_docker_finds_what_its_caller_may_see(site: Site) -> None:
    found = (await search(site, "APP", "alice", PASSWORD)).json()

    assert [result["name"] for result in found["results"]] == ["alice/app"]
    assert found["num_results"] == 1
    assert (await search(site, "alp", "alice", PASSWORD)).json()["results"][0] == {
        "name": "alpine",
        "description": "",
        "star_count": 0,
        "is_official": True,
        "is_automated": False,
    }


async def test_descriptions_are_searched_and_wildcards_are_letters(site: Site) -> None:
    await site.repositories.change(RepositoryName("alice/public"), description="100% Pure_Rust")
    await site.ingest.settled()

    for text, count in (
        ("pure_rust", 1),
        ("100%", 1),
        ("p%t", 0),
        ("pur*", 0),
        ("\\", 3),  # says nothing: all that he may see
        ("description:rust", 0),
    ):
        answer = await search(site, text, "bob", PASSWORD)
        assert answer.json()["num_results"] == count, text


async def test_words_are_no_query_language(site: Site) -> None:
    for text in ("(", ")", '"', "AND", "NOT alpine", "nofield:x", "type:image", "size:>", "-", "\ud7ff%", ""):
        answer = await search(site, text, "alice", PASSWORD)

        assert answer.status_code == 200, answer.text
        assert answer.json()["query"] == text
    assert (await site.get("/v1/search?q=%ff%ed%a0%80", "alice", PASSWORD)).status_code == 200


async def test_pages_of_a_search_follow_each_other(site: Site) -> None:
    seen = []
    for page in (1, 2, 3, 4, 999_999):
        answer = await site.get(f"/v1/search?q=a&n=2&page={page}", "root-person", PASSWORD)
        told = answer.json()
        assert (told["num_results"], told["num_pages"], told["page"], told["page_size"]) == (5, 3, page, 2)
        seen += [result["name"] for result in told["results"]]
    assert sorted(seen) == ["alice/app", "alice/public", "alpine", "bob/app", "zebra/app"]


async def test_a_repository_made_private_is_found_by_nobody_else_at_once(site: Site) -> None:
    await site.repositories.change(RepositoryName("alice/public"), public=False)

    assert (await search(site, "public", "bob", PASSWORD)).json()["num_results"] == 0
    assert (await search(site, "public", "alice", PASSWORD)).json()["num_results"] == 1


async def test_without_an_index_docker_is_told_to_try_again(site: Site, tmp_path: Path) -> None:
    away = tmp_path / "away"
    (tmp_path / "search").rename(away)
    answer = await search(site, "alpine", "alice", PASSWORD)
    away.rename(tmp_path / "search")

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.json()["errors"][0]["code"] == "UNAVAILABLE"


async def test_a_search_for_more_than_anybody_would_type_is_refused(site: Site) -> None:
    assert (await search(site, "a" * 100, "alice", PASSWORD)).status_code == 200
    assert (await search(site, "a" * 101, "alice", PASSWORD)).status_code == 400


async def test_a_narrow_token_finds_what_it_was_narrowed_to(site: Site) -> None:
    narrow = await site.hub.personal("alice", "repository:alice/app:pull registry:catalog:*")

    found = (await search(site, "a", narrow)).json()

    assert ([result["name"] for result in found["results"]], found["num_results"]) == (["alice/app"], 1)


async def test_an_anonymous_search_that_finds_nothing_sends_podman_on(site: Site) -> None:
    assert (await search(site, "alp")).status_code == 200
    for text in ("zebra", "there is none such"):
        answer = await search(site, text)
        assert answer.status_code == 401
        assert answer.json() == (await search(site, "nothing either")).json()
    assert (await search(site, "zebra", "alice", PASSWORD)).json()["results"] == []
    assert (await search(site, "zebra", "alice", "wrong password")).status_code == 401


async def test_ping_tells_docker_to_bring_its_credentials(site: Site) -> None:
    answer = await site.get("/v1/_ping")

    assert answer.json() == {"standalone": True}
    assert answer.headers["x-docker-registry-standalone"] == "true"


async def test_an_owner_changes_visibility_and_description(site: Site) -> None:
    path = "/api/v1/repositories/alice/app"
    before = await site.get(path, "alice", PASSWORD)
    changed = await site.get(path, "alice", PASSWORD, method="PATCH", json={"public": True, "description": "An app."})
    anonymous = await site.get(path)

    assert before.json()["public"] is False
    assert changed.json() == before.json() | {"public": True, "description": "An app."}
    assert anonymous.json() == changed.json() | {"actions": ["pull"]}


async def test_an_owner_deprecates_and_takes_it_back(site: Site) -> None:
    path = "/api/v1/repositories/alice/public"
    before = (await site.get(path)).json()
    assert before["deprecated"] is False

    for body, deprecated in (
        ({"deprecated": True}, True),
        ({"deprecated": None, "public": True}, True),
        ({"deprecated": False}, False),
    ):
        changed = await site.get(path, "alice", PASSWORD, method="PATCH", json=body)
        assert changed.status_code == 200
        assert (await site.get(path)).json() == before | {"deprecated": deprecated}
        assert changed.json()["deprecated"] is deprecated


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
async def test_forbids_telling_a_forbidden_repository_from_an_absent_one(site: Site, method: str) -> None:
    for credentials in ((), ("bob", PASSWORD)):
        forbidden = await site.get("/api/v1/repositories/alice/app", *credentials, method=method, json={})
        absent = await site.get("/api/v1/repositories/alice/no", *credentials, method=method, json={})
        assert forbidden.status_code == absent.status_code == (404 if credentials else 401)
        assert (forbidden.content, forbidden.headers) == (absent.content, absent.headers)


@pytest.mark.parametrize("method", ["PATCH", "DELETE"])
async def test_forbids_changing_what_one_may_only_read(site: Site, method: str) -> None:
    path = "/api/v1/repositories/alice/public"
    narrow = await site.hub.personal("alice", "repository:alice/public:pull,push")

    for credentials in (("bob", PASSWORD), ("alice", narrow), (narrow,)):
        answer = await site.get(path, *credentials, method=method, json={"public": False, "deprecated": True})
        assert answer.status_code == 403
        assert answer.headers["content-type"] == "application/problem+json"
    assert ((await site.get(path)).json()["public"], (await site.get(path)).json()["deprecated"]) == (True, False)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{", 400),
        (b'{"public": "yes"}', 400),
        (b'{"deprecated": 1}', 400),
        (b'{"owner": "bob"}', 400),
        (b'{"description": "' + b"x" * 25_001 + b'"}', 422),
        (b'{"description": "a\\u0000b"}', 422),
        (b'{"description": "' + b"x" * 300_000 + b'"}', 413),
    ],
)
async def test_a_change_that_cannot_be_read_says_what_would_be_right(site: Site, body: bytes, status: int) -> None:
    answer = await site.get("/api/v1/repositories/alice/app", "alice", PASSWORD, method="PATCH", content=body)

    assert answer.status_code == status
    assert answer.json()["detail"]


async def test_an_owner_deletes_a_repository(site: Site) -> None:
    path = "/api/v1/repositories/alice/app"

    assert (await site.get(path, "alice", PASSWORD, method="DELETE")).status_code == 204
    assert (await site.get(path, "alice", PASSWORD)).status_code == 404


async def test_wrong_credentials_and_names_are_said(site: Site) -> None:
    wrong = await site.get("/api/v1/repositories/alice/public", "alice", "not the password")
    name = await site.get("/api/v1/repositories/Alice", "alice", PASSWORD)
    garbage = await site.get("/v1/search", params={"q": "x"}, method="GET")
    header = "Basic " + base64.b64encode(b"\xff:\xff").decode()
    odd = await site.get("/api/v1/repositories/alice/public", header)

    assert wrong.status_code == odd.status_code == garbage.status_code == 401
    assert name.status_code == 400


async def test_lists_are_what_a_plain_filter_would_give(site: Site) -> None:
    """Every combination of rights, starting points and sizes, against the rule written down once more."""
    database = site.hub.database
    for rights in product([False, True], repeat=4):
        owned = frozenset(name for name, has in zip(("library", "alice", "bob"), rights[1:], strict=True) if has)
        visible = Visible(rights[0], owned)
        shown = sorted(
            RepositoryName(name).short()
            for name, public in NAMES.items()
            if rights[0] or public or name.partition("/")[0] in owned
        )
        for last, most in product(["", "a", "alice/app", "alpine", "library", "library/x", "zz"], [1, 2, 7]):
            expected = [name for name in shown if name > last][:most]
            assert await metadata.repositories.names_after(database, visible, "library", last, most) == expected
