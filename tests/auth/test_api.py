"""One's own password and tokens, over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.auth.hub import AUDIENCE, PASSWORD, Hub

pytestmark = pytest.mark.usefixtures("cast")

PROBLEM = "application/problem+json"


def assert_problem(answer: httpx.Response, status: int) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM), answer.text
    assert answer.json()["status"] == status


async def test_a_token_is_made_listed_used_and_revoked(hub: Hub) -> None:
    """What `portolan login`, `portolan token list` and `portolan token revoke` do."""
    async with hub.client("alice", PASSWORD) as client:
        made = await client.post(
            "/api/v1/tokens", json={"name": "laptop", "scopes": "alice/*:pull account", "expires_in": 3600}
        )
        assert made.status_code == 201
        body = made.json()
        secret = body.pop("token")
        assert (body["kind"], body["name"], body["last_used"]) == ("personal", "laptop", None)
        assert body["scopes"] == "repository:alice/*:pull account"
        assert body["expires"] - body["created"] == 3600
        assert made.headers["cache-control"] == "no-store"

        listed = await client.get("/api/v1/tokens")
        assert listed.json() == {"tokens": [body]}
        assert secret not in listed.text

    async with hub.client(secret) as client:
        assert (await client.get("/api/v1/tokens")).status_code == 200
        assert (await client.delete(made.headers["location"])).status_code == 204
        assert_problem(await client.get("/api/v1/tokens"), 401)


async def test_left_out_a_token_is_not_narrowed_and_does_not_expire(hub: Hub) -> None:
    async with hub.client("alice", PASSWORD) as client:
        for body in ({"name": "x"}, {"name": "x", "scopes": None, "expires_in": None}):
            made = (await client.post("/api/v1/tokens", json=body)).json()
            assert (made["scopes"], made["expires"]) == (None, None)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ([], 400),
        ({"name": ""}, 400),
        ({"name": "x" * 101}, 400),
        ({"name": "a\nb"}, 400),
        ({"name": "a\0b"}, 400),
        ({"name": 7}, 400),
        ({"name": "x", "expires_in": 0}, 400),
        ({"name": "x", "expires_in": -5}, 400),
        ({"name": "x", "expires_in": 10**30}, 400),
        ({"name": "x", "expires_in": True}, 400),
        ({"name": "x", "expires_in": 1.5}, 400),
        ({"name": "x", "administrator": True}, 400),
        ({"name": "x", "scopes": ["pull"]}, 400),
        ({"name": "x", "scopes": ""}, 422),
        ({"name": "x", "scopes": "everything"}, 422),
        ({"name": "x" * 20_000}, 400),
    ],
)
async def test_a_body_that_cannot_be_meant_is_refused(hub: Hub, body: Any, status: int) -> None:
    async with hub.client("alice", PASSWORD) as client:
        assert_problem(await client.post("/api/v1/tokens", json=body), status)
        assert (await client.get("/api/v1/tokens")).json() == {"tokens": []}


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 10_000, b'{"name": "\\ud800"}'])
async def test_what_is_no_json_or_no_text_is_refused(hub: Hub, content: bytes) -> None:
    async with hub.client("alice", PASSWORD) as client:
        headers = {"content-type": "application/json"}
        assert_problem(await client.post("/api/v1/tokens", content=content, headers=headers), 400)


async def test_a_narrow_token_makes_no_wider_one(hub: Hub) -> None:
    async with hub.client(await hub.personal("alice", "account alice/app:pull")) as client:
        assert_problem(await client.post("/api/v1/tokens", json={"name": "x", "scopes": "pull"}), 403)
        same = await client.post("/api/v1/tokens", json={"name": "x"})
        assert same.json()["scopes"] == "repository:alice/app:pull account"


async def test_the_account_is_out_of_reach_without_its_scope(hub: Hub) -> None:
    async with hub.client("alice", PASSWORD) as client:
        answer = await client.get("/token", params={"scope": "repository:alice/app:*"})
    for secret in (await hub.personal("alice", "*"), answer.json()["token"]):
        async with hub.client(secret) as client:
            assert_problem(await client.get("/api/v1/tokens"), 403)
            assert_problem(await client.post("/api/v1/tokens", json={"name": "x"}), 403)
            assert_problem(await client.delete("/api/v1/tokens/x"), 403)
            body = {"current": PASSWORD, "new": "another good one"}
            assert_problem(await client.put("/api/v1/account/password", json=body), 403)


async def test_who_does_not_sign_in_is_asked_to(hub: Hub) -> None:
    async with hub.client() as client:
        for headers in ({}, {"authorization": "Basic Og=="}, {"authorization": "Bearer x"}, {"cookie": "token=x"}):
            for method, path in (
                ("GET", "/api/v1/tokens"),
                ("POST", "/api/v1/tokens"),
                ("DELETE", "/api/v1/tokens/x"),
                ("PUT", "/api/v1/account/password"),
            ):
                answer = await client.request(method, path, headers=headers)
                assert_problem(answer, 401)
                assert "www-authenticate" in answer.headers


async def test_another_persons_token_is_absent(hub: Hub) -> None:
    """Forbidden and absent are the same answer, byte for byte."""
    await hub.personal("bob")
    (bobs,) = await hub.tokens.of_person((await hub.people.find("bob")).id)
    async with hub.client("alice", PASSWORD) as client:
        forbidden = await client.delete(f"/api/v1/tokens/{bobs.id}")
        absent = await client.delete("/api/v1/tokens/01234567-89ab-7def-8123-456789abcdef")
        strange = await client.delete("/api/v1/tokens/%00")
    assert_problem(forbidden, 404)
    assert forbidden.content == absent.content == strange.content
    assert forbidden.headers == absent.headers == strange.headers


async def test_a_password_is_changed(hub: Hub) -> None:
    personal = await hub.personal("alice")
    refresh = await hub.tokens.add_refresh(await hub.caller("alice"), "docker", AUDIENCE)
    body = {"current": PASSWORD, "new": "another good one"}
    form = {"grant_type": "refresh_token", "refresh_token": refresh.secret}

    async with hub.client("alice", PASSWORD) as client:
        assert (await client.put("/api/v1/account/password", json=body)).status_code == 204
        assert (await client.get("/token")).status_code == 401
    async with hub.client() as client:
        assert (await client.post("/token", data=form)).status_code == 401
    async with hub.client("alice", "another good one") as client:
        assert (await client.get("/token")).status_code == 200
    async with hub.client(personal) as client:
        assert (await client.get("/token")).status_code == 200


async def test_the_current_password_is_needed_and_nothing_in_its_place(hub: Hub) -> None:
    personal = await hub.personal("alice")
    async with hub.client(personal) as client:
        for current in ("a wrong password", personal, ""):
            body = {"current": current, "new": "another good one"}
            assert_problem(await client.put("/api/v1/account/password", json=body), 403)
    assert await hub.sign_in.by_password("alice", PASSWORD)


async def test_guessing_the_current_password_is_throttled(hub: Hub) -> None:
    async with hub.client(await hub.personal("alice")) as client:
        answers = [
            await client.put("/api/v1/account/password", json={"current": f"guess {n}", "new": "another good one"})
            for n in range(6)
        ]
    assert [answer.status_code for answer in answers] == [403] * 5 + [429]
    assert "retry-after" in answers[-1].headers


async def test_a_weak_new_password_is_refused(hub: Hub) -> None:
    async with hub.client("alice", PASSWORD) as client:
        answer = await client.put("/api/v1/account/password", json={"current": PASSWORD, "new": "short"})
    assert_problem(answer, 422)
    assert "10 characters" in answer.json()["detail"]


async def test_a_page_of_another_site_can_send_nothing_that_counts(hub: Hub) -> None:
    """A browser adds remembered Basic credentials to forms of other sites: those cannot be JSON."""
    async with hub.client("alice", PASSWORD) as client:
        for media_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            answer = await client.post("/api/v1/tokens", content=b'{"name":"x"}', headers={"content-type": media_type})
            assert_problem(answer, 400)
        assert (await client.get("/api/v1/tokens")).json() == {"tokens": []}
