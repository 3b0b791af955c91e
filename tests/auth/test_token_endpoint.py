"""``/token`` as the clients use it."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

import httpx
import pytest

from auth.token_endpoint import MOST_SCOPES
from cas.names import RepositoryName
from tests.auth.hub import AUDIENCE, PASSWORD, Cast, Hub, allowed

SERVICE = {"service": AUDIENCE}


@pytest.fixture(autouse=True)
def shelf(hub: Hub, cast: Cast) -> None:
    hub.shelf.public = {"library/alpine": True, "alice/closed": False}


async def test_docker_logs_in_and_pushes(hub: Hub, cast: Cast) -> None:
    """`docker login`: GET without a scope, asking for a refresh token; later POSTs use that."""
    async with hub.client("alice", PASSWORD) as client:
        login = await client.get(
            "/token", params=SERVICE | {"account": "alice", "client_id": "docker", "offline_token": "true"}
        )
    assert login.status_code == 200
    answer = login.json()
    assert answer["token"] == answer["access_token"]
    assert answer["expires_in"] == 300
    assert abs(datetime.fromisoformat(answer["issued_at"]).timestamp() - time.time()) < 5
    assert login.headers["cache-control"] == "no-store"
    grant = await hub.verifier.verify(answer["token"])
    assert (grant.subject, allowed(grant)) == (cast.alice.id, {})

    async with hub.client() as client:
        push = await client.post(
            "/token",
            data=SERVICE
            | {
                "grant_type": "refresh_token",
                "refresh_token": answer["refresh_token"],
                "client_id": "docker",
                "scope": "repository:alice/app:pull,push repository:alpine:pull,push",
            },
        )
    assert push.status_code == 200
    assert push.json()["scope"] == "repository:alice/app:pull,push repository:alpine:pull"
    assert "refresh_token" not in push.json()
    grant = await hub.verifier.verify(push.json()["token"])
    assert grant.subject == cast.alice.id
    assert grant.may("push", RepositoryName("alice/app"))
    assert grant.may("pull", RepositoryName("library/alpine"))
    assert not grant.may("push", RepositoryName("library/alpine"))


async def test_docker_logs_in_again_with_its_identity_token(hub: Hub, cast: Cast) -> None:
    async with hub.client("alice", PASSWORD) as client:
        first = (await client.get("/token", params={"offline_token": "true"})).json()["refresh_token"]
    async with hub.client() as client:
        form = {"grant_type": "refresh_token", "refresh_token": first, "access_type": "offline"}
        again = await client.post("/token", data=form)
    assert again.json()["refresh_token"] == first
    assert len(await hub.tokens.of_person(cast.alice.id)) == 1


async def test_podman_repeats_scope_in_a_form(hub: Hub, cast: Cast) -> None:
    async with hub.client() as client:
        answer = await client.post(
            "/token",
            data={
                "grant_type": "password",
                "username": "alice",
                "password": PASSWORD,
                "scope": ["repository:alice/app:pull,push", "repository:alpine:pull"],
                **SERVICE,
            },
        )
    assert answer.json()["scope"] == "repository:alice/app:pull,push repository:alpine:pull"
    assert answer.json()["token_type"] == "Bearer"
    assert "refresh_token" not in answer.json()


async def test_scopes_may_be_repeated_or_joined_in_a_query(hub: Hub, cast: Cast) -> None:
    async with hub.client("alice", PASSWORD) as client:
        grant = await hub.granted(
            client, "repository:alice/a:pull repository:alice/b:push,pull", "repository:alice/c:delete"
        )
    assert set(grant.access) == {"alice/a", "alice/b", "alice/c"}


async def test_skopeo_deletes_with_every_action(hub: Hub, cast: Cast) -> None:
    async with hub.client("alice", PASSWORD) as client:
        mine = await hub.granted(client, "repository:alice/app:*")
        theirs = await hub.granted(client, "repository:bob/app:*")
    assert mine.may("delete", RepositoryName("alice/app"))
    assert allowed(theirs) == {}


async def test_a_personal_token_signs_in_in_every_way(hub: Hub, cast: Cast) -> None:
    secret = await hub.personal("alice", "alice/app:pull")
    scope = {"scope": "repository:alice/app:pull,push registry:catalog:*"}
    form = {"grant_type": "password", "username": "alice", "password": secret}
    async with hub.client("alice", secret) as basic, hub.client(secret) as bearer, hub.client() as plain:
        answers = [
            await basic.get("/token", params=scope),
            await bearer.get("/token", params=scope),
            await plain.post("/token", data=scope | form),
        ]
    for answer in answers:
        grant = await hub.verifier.verify(answer.json()["token"])
        assert allowed(grant) == {"alice/app": {"pull"}}
        assert str(grant.limits) == "repository:alice/app:pull"
        assert not grant.may_list


async def test_anonymous_clients_pull_what_is_public(hub: Hub, cast: Cast) -> None:
    for headers in ({}, {"authorization": "Basic Og=="}):
        async with hub.client() as client:
            answer = await client.get(
                "/token",
                params={
                    "scope": ["repository:alpine:pull,push", "repository:alice/closed:pull"],
                    "offline_token": "true",
                },
                headers=headers,
            )
        grant = await hub.verifier.verify(answer.json()["token"])
        assert grant.subject == ""
        assert allowed(grant) == {"library/alpine": {"pull"}}
        assert "refresh_token" not in answer.json()


async def test_docker_search_asks_for_the_catalog_by_another_word(hub: Hub, cast: Cast) -> None:
    async with hub.client("alice", PASSWORD) as client:
        assert (await hub.granted(client, "registry:catalog:search")).may_list
        assert (await hub.granted(client, "registry:catalog:*")).may_list
        assert not (await hub.granted(client)).may_list


async def test_what_is_not_granted_is_no_error(hub: Hub, cast: Cast) -> None:
    async with hub.client("bob", PASSWORD) as client:
        for scope in ("repository:alice/closed:pull", "repository:UPPER:pull", "nonsense", ""):
            answer = await client.get("/token", params={"scope": scope})
            assert answer.status_code == 200
            assert allowed(await hub.verifier.verify(answer.json()["token"])) == {}


async def test_what_was_refused_is_named_in_the_token(hub: Hub, cast: Cast) -> None:
    """The registry tells by it whom a challenge would send round in circles; that says nothing of what exists."""
    async with hub.client("bob", PASSWORD) as client:
        grant = await hub.granted(client, "repository:alice/closed:pull", "repository:alice/absent:pull")
        answer = await client.post(
            "/token",
            data={
                "grant_type": "password",
                "username": "bob",
                "password": PASSWORD,
                "scope": "repository:alice/closed:pull",
            },
            auth=None,  # type: ignore[arg-type]
        )
    assert answer.json()["scope"] == ""
    assert grant.mentions(RepositoryName("alice/closed"))
    assert grant.mentions(RepositoryName("alice/absent"))
    assert not grant.mentions(RepositoryName("alice/other"))
    assert not any(grant.may(action, RepositoryName("alice/closed")) for action in ("pull", "push", "delete", "*"))


async def test_what_does_not_exist_yet_is_granted_to_who_may_make_it(hub: Hub, cast: Cast) -> None:
    async with hub.client("harbourmaster", PASSWORD) as client:
        grant = await hub.granted(client, "repository:brand/new:pull,push", "repository:new:push,pull")
    assert grant.may("push", RepositoryName("brand/new"))
    assert grant.may("push", RepositoryName("library/new"))


@pytest.mark.parametrize(
    "credentials",
    [
        {"auth": ("alice", "a wrong password")},
        {"auth": ("nobody", PASSWORD)},
        {"auth": ("ALICE", PASSWORD)},
        {"auth": ("alice", "")},
        {"auth": ("alice", "ptl_nonsense")},
        {"headers": {"authorization": "Bearer nonsense"}},
        {"headers": {"authorization": "Basic nonsense"}},
        {"headers": {"authorization": "Basic YWxpY2U6/w=="}},
        {"headers": {"authorization": "Digest nonsense"}},
    ],
)
async def test_wrong_credentials_are_refused(hub: Hub, cast: Cast, credentials: dict[str, Any]) -> None:
    async with hub.client() as client:
        answer = await client.get("/token", params={"scope": "repository:alpine:pull"}, **credentials)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert answer.json()["errors"] == [{"code": "UNAUTHORIZED", "message": "the credentials are not right"}]
    assert "token" not in answer.json()


@pytest.mark.parametrize(
    "form",
    [
        {"grant_type": "password", "username": "alice", "password": "a wrong password"},
        {"grant_type": "password", "username": "nobody", "password": PASSWORD},
        {"grant_type": "refresh_token", "refresh_token": "ptr_nonsense"},
        {"grant_type": "refresh_token", "refresh_token": PASSWORD},
    ],
)
async def test_wrong_credentials_in_a_form_are_refused(hub: Hub, cast: Cast, form: dict[str, str]) -> None:
    async with hub.client() as client:
        answer = await client.post("/token", data=form)
    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("service=elsewhere", "service"),
        ("service=portolan&service=portolan", "twice"),
        ("account=alice&account=bob", "twice"),
        ("username=alice&password=secret", "credentials"),
        ("refresh_token=secret", "credentials"),
        ("access_token=secret", "credentials"),
        ("scope=%ff", "UTF-8"),
        ("&".join(f"x{n}=1" for n in range(300)), "not too many"),
        (" ".join(f"repository:alice/x{n}:pull" for n in range(MOST_SCOPES + 1)).join(["scope=", ""]), "scopes"),
    ],
)
async def test_requests_that_cannot_be_meant_are_refused(hub: Hub, cast: Cast, query: str, problem: str) -> None:
    async with hub.client("alice", PASSWORD) as client:
        answer = await client.get(f"/token?{query.replace(' ', '+')}")
    assert answer.status_code == 400
    assert problem in answer.json()["error_description"]
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"grant_type": "client_credentials"},
        {"grant_type": "password"},
        {"grant_type": "password", "username": "alice"},
        {"grant_type": "password", "refresh_token": "secret"},
        {"grant_type": "refresh_token"},
        {"grant_type": "refresh_token", "refresh_token": "secret", "username": "alice", "password": PASSWORD},
        {"grant_type": ["password", "password"], "username": "alice", "password": PASSWORD},
        {"grant_type": "password", "username": "alice", "password": [PASSWORD, "another"]},
        {"grant_type": "password", "username": "alice", "password": PASSWORD, "service": "elsewhere"},
        {
            "grant_type": "password",
            "username": "alice",
            "password": PASSWORD,
            "access_type": "offline",
            "client_id": "\0",
        },
    ],
)
async def test_forms_that_cannot_be_meant_are_refused(hub: Hub, cast: Cast, form: dict[str, Any]) -> None:
    async with hub.client() as client:
        answer = await client.post("/token", data=form)
        assert answer.status_code == 400
        assert "errors" in answer.json()
        assert "secret" not in answer.text


async def test_two_sign_ins_at_once_are_refused(hub: Hub, cast: Cast) -> None:
    form = {"grant_type": "password", "username": "alice", "password": PASSWORD}
    async with hub.client("bob", PASSWORD) as client:
        assert (await client.post("/token", data=form)).status_code == 400
    async with hub.client() as client:
        assert (await client.post("/token", data=form)).status_code == 200
        assert (await client.post("/token?password=x", data=form)).status_code == 400


async def test_a_body_without_end_is_not_read_to_its_end(hub: Hub) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while True:
            sent += 1
            yield b"x" * 16384

    async with hub.client() as client:
        answer = await client.post(
            "/token", content=endless(), headers={"content-type": "application/x-www-form-urlencoded"}
        )
    assert answer.status_code == 400
    assert sent < 10


async def test_other_bodies_and_methods_are_refused(hub: Hub) -> None:
    async with hub.client() as client:
        assert (await client.post("/token", json={"grant_type": "password"})).status_code == 400
        assert (await client.put("/token")).status_code == 405
        assert (await client.post("/.well-known/jwks.json")).status_code == 405


async def test_too_many_attempts_are_told_when_to_come_back(hub: Hub, cast: Cast) -> None:
    async with hub.client("alice", "a wrong password") as client:
        answers = [await client.get("/token") for _ in range(6)]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429]
        assert int(answers[-1].headers["retry-after"]) >= 1
        assert answers[-1].json()["errors"][0]["code"] == "TOOMANYREQUESTS"

        client.auth = httpx.BasicAuth("bob", PASSWORD)
        assert (await client.get("/token")).status_code == 200
    async with hub.client("alice", PASSWORD, address="192.0.2.99") as client:
        assert (await client.get("/token")).status_code == 200
