"""What every request passes: ids, proxies, counting, the access log, and the last resort."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import ip_network
from typing import Any

import httpx
import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse

from portolan import front as front_module
from portolan.front import Front, Receive, Scope, Send, route_of
from portolan.metrics import Figures
from portolan.origin import Origin

PROXIES = (ip_network("10.0.0.0/8"),)


class Log:
    """Takes the lines that the front writes."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, Any]]] = []

    def info(self, event: str, **said: Any) -> None:
        self.lines.append((event, said))

    def exception(self, event: str, **said: Any) -> None:
        self.lines.append((event, said))


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    taken = Log()
    monkeypatch.setattr(front_module, "log", taken)
    return taken


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Tell what arrived."""
    request = Request(scope, receive)
    body = await request.body()
    told = {
        "address": Origin(None).address(scope),
        "client": scope["client"][0],
        "received": len(body),
        "path": scope["path"],
    }
    await PlainTextResponse(json.dumps(told))(scope, receive, send)


async def fail(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("the password is hunter2")


async def fail_midway(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"a piece", "more_body": True})
    raise RuntimeError("no more")


async def vanish(scope: Scope, receive: Receive, send: Send) -> None:
    raise ClientDisconnect


async def silent() -> Any:
    """Receive nothing more."""
    return {"type": "http.disconnect"}


async def ignore(message: Any) -> None:
    """Send to nobody."""


def client(
    front: Callable[[Scope, Receive, Send], Awaitable[None]],
    address: str = "192.0.2.7",
    host: str = "registry.test:5000",
) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(front, client=(address, 1234), raise_app_exceptions=False)  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url=f"http://{host}")


def make(
    registry: Any = echo, site: Any = echo, *, proxies: Iterable[Any] = (), access_log: str = "none"
) -> tuple[Front, Figures]:
    figures = Figures()
    return Front(registry, site, figures, proxies, access_log), figures


@pytest.mark.parametrize("path", ["/v2/", "/v2", "/v2/_catalog", "/v2/a/b/manifests/c", "/v1/_ping", "/v1/search"])
async def test_the_registry_gets_its_own(path: str) -> None:
    front, _ = make(site=fail)
    async with client(front) as asking:
        assert (await asking.get(path)).status_code == 200


@pytest.mark.parametrize("path", ["/", "/v3/", "/v20/", "/token", "/api/v1/tokens", "/healthz", "/V2/"])
async def test_the_site_gets_everything_else(path: str) -> None:
    front, _ = make(registry=fail)
    async with client(front) as asking:
        assert (await asking.get(path)).status_code == 200


async def test_every_answer_has_an_id_of_its_own() -> None:
    front, _ = make()
    async with client(front) as asking:
        ids = {(await asking.get("/v2/")).headers["x-request-id"] for _ in range(10)}

    assert len(ids) == 10


async def test_an_error_that_nobody_expected_is_500_in_the_registrys_form_and_logged_once(log: Log) -> None:
    front, figures = make(registry=fail, site=fail)
    async with client(front) as asking:
        registry, site = await asking.get("/v2/a/b/tags/list"), await asking.get("/api/v1/x")

    assert (registry.status_code, site.status_code) == (500, 500)
    error = registry.json()["errors"][0]
    assert error["code"] == "UNKNOWN"
    assert error["detail"]["request_id"] == registry.headers["x-request-id"]
    assert registry.headers["content-type"] == "application/json"
    assert site.headers["content-type"] == "application/problem+json"
    assert (site.json()["type"], site.json()["status"]) == ("about:blank", 500)
    assert site.json()["request_id"] == site.headers["x-request-id"]
    assert "hunter2" not in registry.text + site.text
    assert [event for event, _ in log.lines] == ["unexpected exception"] * 2
    assert figures.exceptions == 2


async def test_an_error_in_the_middle_of_an_answer_cuts_it_off_and_is_logged(log: Log) -> None:
    front, figures = make(registry=fail_midway)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await front({"type": "http", "path": "/v2/x", "method": "GET", "headers": [], "client": None}, silent, send)

    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[-1]["more_body"]
    assert figures.exceptions == 1
    assert [event for event, _ in log.lines] == ["unexpected exception"]


async def test_a_client_that_went_away_is_no_error(log: Log) -> None:
    front, figures = make(registry=vanish)

    await front({"type": "http", "path": "/v2/", "method": "GET", "headers": [], "client": None}, silent, ignore)

    assert list(figures.requests) == ["base GET 4xx"]
    assert figures.exceptions == 0
    assert log.lines == []


async def test_requests_and_bytes_are_counted() -> None:
    front, figures = make()
    async with client(front) as asking:
        await asking.put("/v2/a/b/blobs/uploads/x", content=b"x" * 1000)
        answer = await asking.get("/api/v1/repositories/a/b")
        await asking.request("BREW", "/made/up")

    assert {key: timing.count for key, timing in figures.requests.items()} == {
        "upload PUT 2xx": 1,
        "api GET 2xx": 1,
        "other other 2xx": 1,
    }
    assert figures.received == 1000
    assert figures.sent > len(answer.content)


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v2/", "base"),
        ("/v2/_catalog", "catalog"),
        ("/v2/a/b/manifests/c", "manifest"),
        ("/v2/a/b/blobs/sha256:0", "blob"),
        ("/v2/a/b/blobs/uploads/", "uploads"),
        ("/v2/a/b/blobs/uploads/1", "upload"),
        ("/v2/a/tags/list", "tags"),
        ("/v2/made/up", "other"),
        ("/v20/", "other"),
        ("/v1/search", "v1"),
        ("/api/v1/repositories/a/b", "api"),
        ("/token", "token"),
        ("/", "page"),
        ("/made/up", "other"),
    ],
)
def test_routes_have_few_names(path: str, route: str) -> None:
    assert route_of(path) == route


@pytest.mark.parametrize(
    ("access_log", "logged"), [("none", []), ("writes", ["PUT", "DELETE"]), ("all", ["GET", "PUT", "HEAD", "DELETE"])]
)
async def test_the_access_log_has_what_the_setting_says(log: Log, access_log: str, logged: list[str]) -> None:
    front, _ = make(access_log=access_log)
    async with client(front) as asking:
        for method in ("GET", "PUT", "HEAD", "DELETE"):
            await asking.request(method, "/v2/x?token=hunter2")

    assert [said["method"] for _, said in log.lines] == logged
    assert "hunter2" not in str(log.lines)


async def test_a_stranger_is_not_believed_about_who_was_asked() -> None:
    front, _ = make(proxies=PROXIES)
    said = {
        "x-forwarded-proto": "https",
        "x-forwarded-host": "evil.test",
        "x-forwarded-for": "198.51.100.1",
        "x-request-id": "chosen",
    }
    async with client(front) as asking:
        answer = await asking.get("/v2/", headers=said)

    assert answer.json()["address"] == "http://registry.test:5000"
    assert answer.json()["client"] == "192.0.2.7"
    assert answer.headers["x-request-id"] != "chosen"


async def test_without_trusted_proxies_nobody_is_believed() -> None:
    front, _ = make()
    async with client(front, address="10.0.0.1") as asking:
        answer = await asking.get("/v2/", headers={"x-forwarded-host": "evil.test"})

    assert answer.json()["address"] == "http://registry.test:5000"


async def test_a_trusted_proxy_says_who_was_asked_by_whom_and_under_which_id() -> None:
    front, _ = make(proxies=PROXIES)
    said = {
        "x-forwarded-proto": "https",
        "x-forwarded-host": "registry.example.com",
        "x-forwarded-for": "203.0.113.9, 198.51.100.1, 10.1.1.1",
        "x-request-id": "abc-123",
    }
    async with client(front, address="10.0.0.1") as asking:
        answer = await asking.get("/v2/", headers=said)

    assert answer.json()["address"] == "https://registry.example.com"
    # The nearest address that is not a proxy of ours: what stands before it, anybody may have written.
    assert answer.json()["client"] == "198.51.100.1"
    assert answer.headers["x-request-id"] == "abc-123"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-forwarded-proto", "gopher"),
        ("x-forwarded-host", 'a",realm="evil'),
        ("x-forwarded-host", "a b"),
        ("x-forwarded-host", ""),
        ("x-forwarded-for", "nonsense"),
        ("x-request-id", "a b"),
        ("x-request-id", "a" * 65),
    ],
)
async def test_what_a_proxy_cannot_mean_is_left_out(header: str, value: str) -> None:
    front, _ = make(proxies=PROXIES)
    async with client(front, address="10.0.0.1") as asking:
        answer = await asking.get("/v2/", headers={header: value})

    assert answer.json()["address"] == "http://registry.test:5000"
    assert answer.json()["client"] == "10.0.0.1"
    assert answer.headers["x-request-id"] != value


@pytest.mark.parametrize("host", ['evil"realm', "a,b", "", "a b", "[::1", "x" * 300])
def test_a_host_that_is_none_never_comes_into_an_address(host: str) -> None:
    scope = {"scheme": "http", "headers": [(b"host", host.encode())], "server": ("127.0.0.1", 5000)}

    assert Origin(None).realm(scope) == "http://127.0.0.1:5000/token"


def test_the_public_url_wins_over_what_was_asked() -> None:
    scope = {"scheme": "http", "headers": [(b"host", b"inside:5000")]}

    assert Origin("https://registry.example.com").realm(scope) == "https://registry.example.com/token"
