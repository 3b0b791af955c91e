"""What the API refuses, and how: problems with a status, a sentence and facts; and what is not there for a while."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from cas.layer_index.remote import RemoteLayerIndex
from catalog.search.engine import Found, SearchRequest
from catalog.search.tantivy_engine import TantivySearch
from tests.catalog.api.conftest import BASE, Catalog

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOWHERE = "sha256:" + "0" * 64


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    told: dict[str, Any] = answer.json()
    assert (told["type"], told["status"]) == ("about:blank", status)
    assert told["title"]
    assert told["detail"].endswith((".", "?")), told["detail"]
    assert not told["detail"].endswith("..")
    return told


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"images/{NOWHERE}", 404),
        (f"images/{NOWHERE}/packages", 404),
        (f"images/{NOWHERE}/files", 404),
        (f"layers/{NOWHERE}", 404),
        ("packages/deb/none-such", 404),
        ("packages/nothing/none-such", 404),
        (f"diff?from={NOWHERE}&to={NOWHERE}", 404),
        ("diff?from=debian&to=none", 404),
        ("resolve?image=none:latest", 404),
        ("resolve?image=debian:none", 404),
        ("tags?repository=none", 404),
        ("tag-history?repository=none", 404),
        ("repositories/none", 401),
        ("nothing/here", 404),
        ("images/sha256:abc", 400),
        ("images/md5:abc", 400),
        ("images/latest", 400),
        ("layers/x", 400),
        ("repositories/Upper", 400),
        ("repositories/", 400),
        ("tags?repository=..", 400),
        ("resolve?image=:v1", 400),
        ("resolve?image=", 400),
        ("resolve?image=debian:b@d", 400),
        ("resolve?image=debian@sha256:abc", 400),
        ("search?q=nofield:x", 400),
        ("search?q=(", 400),
        ("search?sort=sideways", 400),
        ("search?q=x&page=1000&size=100", 400),
        ("packages/deb/openssl?version=%3C", 400),
        ("packages/deb/openssl?page=1000&size=100", 400),
        ("files", 400),
        ("files?path=/a&name=b", 400),
        ("search?q=a%00b", 400),
        ("tags?repository=debian&after=%00", 400),
        ("repositories/a%00b", 400),
        ("search?page=0", 422),
        ("search?page=x", 422),
        ("search?size=101", 422),
        ("search?type=person", 422),
        ("search?q=" + "x" * 4001, 422),
        ("suggest?most=0", 422),
        ("files?sha256=abc", 422),
        ("files?path=/a&deleted=maybe", 422),
        (f"images/{NOWHERE}?platform=linux", 422),
        ("tag-history?repository=debian&before=0", 422),
        (f"tag-history?repository=debian&before={2**63}", 422),
        ("tags", 422),
        ("diff?from=debian", 422),
    ],
)
async def test_what_cannot_be_answered_is_a_problem(catalog: Catalog, path: str, status: int) -> None:
    told = problem(await catalog.site.get(f"/api/v1/{path}"), status)

    if status == 422:
        assert all(each["where"] and each["problem"] for each in told["errors"])


@pytest.mark.parametrize("path", ["search", f"images/{NOWHERE}", "repositories/debian", "suggest", "diff"])
async def test_methods_that_are_not_served(catalog: Catalog, path: str) -> None:
    answer = await catalog.site.get(f"/api/v1/{path}", method="POST")

    assert "GET" in answer.headers["allow"]
    problem(answer, 405)


async def test_a_query_that_cannot_be_read_says_where(catalog: Catalog) -> None:
    told = problem(await catalog.site.get("/api/v1/search", params={"q": "app pakage:openssl"}), 400)

    assert (told["query"], told["start"], told["stop"]) == ("app pakage:openssl", 4, 10)
    assert told["suggestion"] == "package:"


_NESTED = "(" * 20 + "a" + "?)" * 20 + "{50}"


@pytest.mark.parametrize(
    "query",
    [
        "/[/",
        "path:/(a+)+$/",
        "size:>999999999999999999999999",
        "package:a<",
        "a" * 3000,
        f"label:/{'(' * 60}a{')+' * 60}/",
        f"label:/{_NESTED}/",
        f"label:{'k' * 900}=/.*/",
        f"file:/abc{_NESTED}/",
        f"type:image package:/deb\\/{_NESTED}/",
    ],
)
async def test_hostile_queries_are_refused_or_answered(catalog: Catalog, query: str) -> None:
    for path in ("search", "suggest"):
        answer = await catalog.site.get(f"/api/v1/{path}", params={"q": query})
        assert answer.status_code in (200, 400), answer.text


async def test_what_is_no_image_has_no_packages(catalog: Catalog) -> None:
    told = (await catalog.site.get(f"/api/v1/images/{catalog.artifact}")).json()

    assert told["artifact_type"] == "application/vnd.cncf.helm.config.v1+json"
    assert (told["state"]["name"], told["config"], told["layers"][0]["diff_id"]) == ("read", None, "")
    for part in ("packages", "files"):
        answer = await catalog.site.get(f"/api/v1/images/{catalog.artifact}/{part}")
        assert problem(answer, 409)["problem"] == "it is no image"


async def test_an_image_that_could_not_be_read_says_why(catalog: Catalog) -> None:
    """Its config claims the diff_id of a private layer: nothing of that is looked up, or shown."""
    told = (await catalog.site.get(f"/api/v1/images/{catalog.mismatched}")).json()

    assert told["state"]["name"] == "failed"
    assert [layer["diff_id"] for layer in told["layers"]] == [BASE.diff_id.text]
    assert (told["packages"], told["base"], told["derived"], told["files"]) == ({}, [], [], 0)
    for path in (
        f"images/{catalog.mismatched}/packages",
        f"images/{catalog.mismatched}/files",
        f"diff?from={catalog.mismatched}&to={catalog.debian}",
    ):
        answer = problem(await catalog.site.get(f"/api/v1/{path}"), 409)
        assert answer["problem"] == told["state"]["problem"]


async def test_wrong_credentials_are_refused_everywhere(catalog: Catalog) -> None:
    for path in (
        "search",
        f"images/{catalog.app}",
        "repositories/debian",
        f"layers/{BASE.diff_id}",
        "tags?repository=debian",
    ):
        for credentials in (("alice", "not the password"), ("ptl_none",), ("a.b.c",), ("Digest x",)):
            told = await catalog.site.get(f"/api/v1/{path}", *credentials)
            problem(told, 401)
            assert told.headers["www-authenticate"] == "Bearer"


class Faulty(TantivySearch):
    """An engine with an error of the program."""

    async def search(self, request: SearchRequest) -> Found:
        raise RuntimeError("the password is hunter2")


async def test_an_error_that_nobody_expected_is_a_problem_and_goes_on_to_the_log(
    catalog: Catalog, tmp_path: Path
) -> None:
    engine = Faulty(tmp_path)
    api: Any = catalog.site.over(engine=engine)
    raised: list[Exception] = []

    async def front(scope: Any, receive: Any, send: Any) -> None:
        try:
            await api(scope, receive, send)
        except RuntimeError as error:
            raised.append(error)

    async with httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://hub.test") as client:
        told = problem(await client.get("/api/v1/search?q=debian"), 500)
    await engine.aclose()

    assert len(raised) == 1

    assert "hunter2" not in told["detail"]


async def test_while_there_is_no_search_it_is_to_be_tried_again(catalog: Catalog, tmp_path: Path) -> None:
    engine = TantivySearch(tmp_path)
    api, catalog.site.api = catalog.site.api, catalog.site.over(engine=engine)
    try:
        for path in (
            "search?q=debian",
            "suggest?q=deb",
            f"images/{catalog.app}",
            f"layers/{BASE.diff_id}",
            "packages/deb/openssl",
            f"diff?from={catalog.app}&to={catalog.debian}",
        ):
            answer = await catalog.site.get(f"/api/v1/{path}")
            problem(answer, 503)
            assert int(answer.headers["retry-after"]) > 0
        for path in ("repositories/debian", "tags?repository=debian", f"images/{catalog.app}/packages"):
            assert (await catalog.site.get(f"/api/v1/{path}")).status_code == 200
    finally:
        catalog.site.api = api
        await engine.aclose()


async def test_while_there_is_no_layer_index_it_is_to_be_tried_again(catalog: Catalog, tmp_path: Path) -> None:
    index = RemoteLayerIndex(tmp_path / "nobody.sock")
    api, catalog.site.api = catalog.site.api, catalog.site.over(index=index)
    try:
        for path in (
            f"images/{catalog.app}/files",
            f"layers/{BASE.diff_id}",
            "files?path=/etc/kept",
            "search?q=path:/etc/kept",
        ):
            answer = await catalog.site.get(f"/api/v1/{path}")
            problem(answer, 503)
            assert int(answer.headers["retry-after"]) > 0
        for path in ("search?q=debian", f"images/{catalog.app}", f"images/{catalog.app}/packages"):
            assert (await catalog.site.get(f"/api/v1/{path}")).status_code == 200
    finally:
        catalog.site.api = api
        await index.aclose()
