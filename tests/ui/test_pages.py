"""The pages, without a browser: what they hold, what they refuse, and what they never load."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest

from auth.set_up import SetUp
from tests.ui.outline import Outline, assert_well_made
from tests.ui.site import PASSWORD, Site
from ui.headers import HEADERS


@pytest.fixture
def set_up(fresh_site: Site) -> SetUp:
    """The way to the first administrator, on a fresh database."""
    return fresh_site.set_up


@pytest.fixture
async def asking(fresh_site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the pages."""
    async with fresh_site.visitor() as client:
        yield client


@pytest.fixture
async def link(set_up: SetUp) -> str:
    secret = await set_up.issue()
    assert secret is not None
    return secret


Post = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
def post(asking: httpx.AsyncClient, link: str) -> Post:
    """Sends the form."""

    async def send(**fields: str) -> httpx.Response:
        return await asking.post("/set-up", data={"link": link, "name": "ada", "password": PASSWORD} | fields)

    return send


async def test_the_first_page_tells_the_address_and_three_commands(asking: httpx.AsyncClient) -> None:
    answer = await asking.get("/")

    assert answer.status_code == 200
    assert_well_made(answer.text)
    assert "registry.test:5000" in answer.text
    for command in ("docker login", "docker tag alpine", "docker push", "podman push", "skopeo copy"):
        assert command in answer.text


@pytest.mark.parametrize("path", ["/", "/set-up", "/set-up?link=x", "/static/portolan.css", "/static/rhumbs.svg"])
async def test_every_answer_has_the_headers_that_keep_browsers_strict(asking: httpx.AsyncClient, path: str) -> None:
    answer = await asking.get(path)

    for name, value in HEADERS.items():
        if name == "Referrer-Policy" and path.startswith("/set-up"):
            assert answer.headers[name] == "no-referrer"
        elif name != "Cache-Control":
            assert answer.headers[name] == value
    assert "unsafe" not in answer.headers["content-security-policy"]


async def test_everything_that_a_page_names_is_there(asking: httpx.AsyncClient) -> None:
    page = (await asking.get("/")).text
    style = (await asking.get("/static/portolan.css")).text
    named = re.findall(r'(?:href|src)="(/static/[^"]+)"', page) + re.findall(r'url\("([^"]+)"\)', style)
    assert "/static/htmx.min.js" in named

    assert named
    for path in named:
        assert (await asking.get(path)).status_code == 200


async def test_an_open_link_shows_the_form_and_sending_it_makes_the_administrator_and_signs_them_in(
    asking: httpx.AsyncClient, link: str, post: Post, set_up: SetUp
) -> None:
    form = await asking.get("/set-up", params={"link": link})
    assert form.status_code == 200
    assert_well_made(form.text)
    assert form.headers["cache-control"] == "no-store"
    assert form.headers["referrer-policy"] == "no-referrer"

    done = await post()

    assert (done.status_code, done.headers["location"]) == (303, "/")
    assert not await set_up.needed()
    first = await asking.get("/")
    assert_well_made(first.text)
    assert "Welcome, ada" in first.text
    assert "docker push registry.test:5000/ada/alpine" in first.text
    assert PASSWORD not in first.text
    assert link not in first.text


async def test_every_link_that_is_not_open_gets_the_same_answer(
    asking: httpx.AsyncClient, link: str, post: Post, set_up: SetUp
) -> None:
    made_up = await asking.get("/set-up", params={"link": "x" * 49})
    none = await asking.get("/set-up")
    posted = await post(link="made up")
    assert (await post()).status_code == 303
    used = await asking.get("/set-up", params={"link": link})
    used_again = await post(name="eve")

    answers = [made_up, none, posted, used, used_again]
    assert {answer.status_code for answer in answers} == {404}
    # Who made the administrator is signed in: that alone may differ.
    assert len({re.sub(r"(?s)<header.*</header>", "", answer.text) for answer in answers}) == 1
    assert_well_made(none.text)


@pytest.mark.parametrize(
    ("fields", "field", "told"),
    [
        ({"name": "Ada!"}, "name", "expected 2 to 64"),
        ({"name": ""}, "name", "expected 2 to 64"),
        ({"name": "admin"}, "name", "reserved"),
        ({"name": '"><script>alert(1)</script>'}, "name", "expected 2 to 64"),
        ({"password": "short"}, "password", "at least"),
        ({"password": ""}, "password", "at least"),
    ],
)
async def test_what_cannot_be_is_told_beside_its_field_and_the_link_stays_open(
    post: Post, fields: dict[str, str], field: str, told: str
) -> None:
    refused = await post(**fields)

    assert refused.status_code == 422
    assert_well_made(refused.text)
    outline = Outline(refused.text)
    (named,) = [each for each in outline.all("input") if each.get("aria-invalid") == "true"]
    assert named["id"] == field
    assert f"{field}-error" in (named["aria-describedby"] or "")
    assert told in refused.text
    assert any(each.get("role") == "alert" for each in outline.all("div"))
    assert refused.text.count(PASSWORD) == 0
    assert "<script>" not in refused.text
    assert (await post()).status_code == 303


async def test_the_name_is_kept_for_the_next_try_and_the_password_is_not(post: Post) -> None:
    refused = await post(name="grace", password="short")

    outline = {each["id"]: each for each in Outline(refused.text).all("input") if each.get("id")}
    assert outline["name"]["value"] == "grace"
    assert "value" not in outline["password"]


async def test_only_a_form_of_a_few_short_fields_is_read(asking: httpx.AsyncClient, link: str) -> None:
    form = "application/x-www-form-urlencoded"
    for content, kind, status in (
        (b"{}", "application/json", 415),
        (b"name=" + b"a" * 300_000, form, 413),
        (b"&".join(b"a=b" for _ in range(50)), form, 400),
        (b"%ff%fe=%00", form, 404),
    ):
        answer = await asking.post("/set-up", content=content, headers={"content-type": kind})
        assert answer.status_code == status


async def test_nothing_beside_the_pages_own_files_is_served(asking: httpx.AsyncClient) -> None:
    for path in ("/static/../pages.py", "/static/%2e%2e/pages.py", "/static/", "/static/none.css"):
        assert (await asking.get(path)).status_code == 404
