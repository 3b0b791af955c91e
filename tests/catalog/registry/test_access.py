"""What a token allows: every route, every method, every kind of caller; and how registries were broken there before."""

from __future__ import annotations

import base64
import hmac
import json
import time
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey

from auth.access_tokens import sign_access_token
from auth.keys import SigningKey
from cas import Digest
from catalog.registry.application import HANDLERS
from catalog.registry.routes import ROUTES, Match, match
from tests.catalog.images import image
from tests.catalog.in_process import AUDIENCE, EVERYTHING, ISSUER, InProcess, push_blob

NAME = "team/app"
CONTENT = b"a layer"
DIGEST = Digest.of(CONTENT)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

#: By kind of caller, what its token grants; None where the token is not to be believed at all.
CALLERS: dict[str, tuple[str, ...] | None] = {
    "anonymous with nothing": (),
    "stranger": (),
    "reader": ("pull",),
    "writer": ("pull", "push"),
    "deleter": ("delete",),
    "admin": ("*",),
    "without a token": None,
    "expired": None,
    "wrong audience": None,
    "wrong issuer": None,
    "alg none": None,
    "symmetric": None,
    "key in the header": None,
    "another key": None,
    "not yet valid": None,
    "garbage": None,
    "basic": None,
}


def path_of(route: str, upload: str) -> str:
    argument = {"manifest": "latest", "blob": DIGEST.text, "upload": upload, "referrers": DIGEST.text}.get(route, "")
    return {
        "base": "/v2/",
        "catalog": "/v2/_catalog",
        "manifest": f"/v2/{NAME}/manifests/{argument}",
        "blob": f"/v2/{NAME}/blobs/{argument}",
        "uploads": f"/v2/{NAME}/blobs/uploads/",
        "upload": f"/v2/{NAME}/blobs/uploads/{argument}",
        "tags": f"/v2/{NAME}/tags/list",
        "referrers": f"/v2/{NAME}/referrers/{argument}",
    }[route]


def authorization(running: InProcess, caller: str) -> str | None:
    """Return the Authorization header that *caller* sends."""
    granted = CALLERS[caller]
    if granted is not None:
        subject = "" if caller == "anonymous with nothing" else "somebody"
        return f"Bearer {running.token({NAME: granted} if granted else {}, subject=subject, catalog=caller == 'admin')}"
    access = {NAME: EVERYTHING}
    now = int(time.time())
    payload = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "somebody",
        "exp": now + 300,
        "nbf": now,
        "iat": now,
        "jti": "x",
        "access": [{"type": "repository", "name": NAME, "actions": list(EVERYTHING)}],
    }
    if caller == "without a token":
        return None
    if caller == "basic":
        return "Basic " + base64.b64encode(b"somebody:password").decode()
    if caller == "garbage":
        return "Bearer garbage.garbage.garbage"
    if caller == "expired":
        return f"Bearer {running.token(access, now=now - 3600)}"
    if caller == "not yet valid":
        return f"Bearer {running.token(access, now=now + 3600)}"
    if caller == "wrong audience":
        return f"Bearer {running.token(access, audience='another')}"
    if caller == "wrong issuer":
        return f"Bearer {running.token(access, issuer='another')}"
    if caller == "alg none":
        return f"Bearer {encoded({'alg': 'none', 'typ': 'JWT'})}.{encoded(payload)}."
    if caller == "symmetric":
        public = running.key.key.as_pem(private=False)
        signed_part = f"{encoded({'alg': 'HS256', 'kid': running.key.kid})}.{encoded(payload)}"
        signature = hmac.digest(public, signed_part.encode(), "sha256")
        return f"Bearer {signed_part}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"
    mine = ECKey.generate_key("P-256")
    if caller == "key in the header":
        header = {"alg": "ES256", "kid": running.key.kid, "jwk": mine.as_dict(private=False)}
        return "Bearer " + jwt.encode(header, payload, mine, algorithms=["ES256"])
    assert caller == "another key"
    signed: dict[str, Any] = {"issuer": ISSUER, "subject": "x", "audience": AUDIENCE, "limits": None, "now": now}
    return "Bearer " + sign_access_token(SigningKey(running.key.kid, mine), access=payload["access"], **signed)  # type: ignore[arg-type]


def encoded(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def test_each_route_has_a_handler_for_each_method_that_it_names() -> None:
    assert {route: set(methods) for route, methods in ROUTES.items()} == {
        route: set(methods) for route, methods in HANDLERS.items()
    }


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("caller", CALLERS)
async def test_every_route_method_and_caller(running: InProcess, caller: str) -> None:
    """The whole matrix, from the table of routes itself."""
    granted = CALLERS[caller]
    for route, methods in ROUTES.items():
        for method in METHODS:
            async with running.client({NAME: EVERYTHING}) as owner:
                await push_blob(owner, NAME, b"{}")
                await push_blob(owner, NAME, CONTENT)
                await owner.put(f"/v2/{NAME}/manifests/latest", content=image(b"{}", CONTENT))
                begun = await owner.post(f"/v2/{NAME}/blobs/uploads/")
                upload = begun.headers["location"].rpartition("/")[2]

            async with running.client(token="") as client:
                header = authorization(running, caller)
                headers = {} if header is None else {"authorization": header}
                answer = await client.request(method, path_of(route, upload), headers=headers)

            action = methods.get(method)
            if action is None:
                expected = {405}
            elif granted is None:
                expected = {401}
            elif action == "" or (action == "list" and caller == "admin"):
                expected = {200}
            elif action in granted or "*" in granted:
                expected = {200, 202, 204, 400, 405}
            else:
                expected = {401}
            assert answer.status_code in expected, (caller, method, route, answer.status_code, answer.text)
            if answer.status_code == 401:
                check_challenge(answer, route, action or "", believed=granted is not None, brought=header)


def check_challenge(answer: httpx.Response, route: str, action: str, *, believed: bool, brought: str | None) -> None:
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith('Bearer realm="http://registry.test/token",service="portolan"')
    if action == "list":
        assert 'scope="registry:catalog:*"' in challenge
    elif route not in ("base", "catalog"):
        actions = {"pull": "pull", "push": "pull,push", "delete": "delete"}[action]
        assert f'scope="repository:{NAME}:{actions}"' in challenge
    if believed:
        assert 'error="insufficient_scope"' in challenge
    elif brought is not None and brought.startswith("Bearer"):
        assert 'error="invalid_token"' in challenge
    else:
        assert "error=" not in challenge


@pytest.mark.parametrize("name", ["x", "team/app", "a/b/c/d", "manifests/blobs", "team/manifests", "blobs/uploads"])
def test_names_may_hold_the_words_of_routes(name: str) -> None:
    assert match(f"/v2/{name}/manifests/latest") == Match("manifest", name, "latest")
    assert match(f"/v2/{name}/blobs/sha256:0") == Match("blob", name, "sha256:0")
    assert match(f"/v2/{name}/blobs/uploads/") == Match("uploads", name)
    assert match(f"/v2/{name}/blobs/uploads/12") == Match("upload", name, "12")
    assert match(f"/v2/{name}/tags/list") == Match("tags", name)
    assert match(f"/v2/{name}/referrers/sha256:0") == Match("referrers", name, "sha256:0")


async def test_forbids_mounting_from_a_repository_that_the_caller_may_not_pull(running: InProcess) -> None:
    """Gitea CVE-2026-117685: the rights on ``from`` count, not the target's alone."""
    async with running.client({"secret/app": EVERYTHING}) as owner:
        await push_blob(owner, "secret/app", CONTENT)
    async with running.client({NAME: EVERYTHING}) as client:
        unasked = await client.post(f"/v2/{NAME}/blobs/uploads/", params={"mount": DIGEST.text, "from": "secret/app"})
        assert unasked.status_code == 401
        assert f'scope="repository:{NAME}:pull,push repository:secret/app:pull"' in unasked.headers["www-authenticate"]
    async with running.client({NAME: EVERYTHING, "secret/app": (), "no/such": ()}) as client:
        query = {"mount": DIGEST.text, "from": "secret/app"}
        forbidden = await client.post(f"/v2/{NAME}/blobs/uploads/", params=query)
        absent = await client.post(f"/v2/{NAME}/blobs/uploads/", params=query | {"from": "no/such"})
        anywhere = await client.post(f"/v2/{NAME}/blobs/uploads/", params={"mount": DIGEST.text})

        assert forbidden.status_code == absent.status_code == anywhere.status_code == 202
        assert set(forbidden.headers) == set(absent.headers) == set(anywhere.headers)
        assert (await client.head(f"/v2/{NAME}/blobs/{DIGEST}")).status_code == 404


async def test_a_mount_from_anywhere_finds_public_repositories_and_those_of_the_token(running: InProcess) -> None:
    from cas import RepositoryName
    from catalog.repositories import Repositories

    async with running.client({"other/app": EVERYTHING}) as owner:
        await push_blob(owner, "other/app", CONTENT)
    query = {"mount": DIGEST.text}
    async with running.client({NAME: EVERYTHING, "other/app": ["pull"]}) as reader:
        assert (await reader.post(f"/v2/{NAME}/blobs/uploads/", params=query)).status_code == 201
    async with running.client({"third/app": EVERYTHING}) as stranger:
        assert (await stranger.post("/v2/third/app/blobs/uploads/", params=query)).status_code == 202
        await Repositories(running.database).change(RepositoryName("other/app"), public=True)
        assert (await stranger.post("/v2/third/app/blobs/uploads/", params=query)).status_code == 201


async def test_forbids_touching_the_upload_of_somebody_else(running: InProcess) -> None:
    """Quay CVE-2026-32589: a session belongs to one repository and one subject."""
    access = {NAME: EVERYTHING, "other/app": EVERYTHING}
    async with running.client(access, subject="alice") as alice, running.client(access, subject="mallory") as mallory:
        location = (await alice.post(f"/v2/{NAME}/blobs/uploads/")).headers["location"]
        await alice.patch(location, content=CONTENT)
        moved = location.replace(NAME, "other/app")
        unknown = f"/v2/{NAME}/blobs/uploads/{'0' * 32}"
        for client, path in ((mallory, location), (alice, moved), (alice, unknown)):
            for method in ("GET", "PATCH", "PUT", "DELETE"):
                answer = await client.request(method, path, params={"digest": DIGEST.text}, content=b"x")
                assert answer.status_code == 404
                assert answer.json()["errors"] == [
                    {"code": "BLOB_UPLOAD_UNKNOWN", "message": "there is no such upload"}
                ]
        done = await alice.put(location, params={"digest": DIGEST.text})

    assert done.status_code == 201


async def test_forbids_telling_a_forbidden_repository_from_an_absent_one(running: InProcess) -> None:
    async with running.client({"secret/app": EVERYTHING}) as owner:
        await push_blob(owner, "secret/app", CONTENT)
    async with running.client({NAME: EVERYTHING}) as client:
        for rest in ("manifests/latest", f"blobs/{DIGEST}", "tags/list", f"referrers/{DIGEST}"):
            forbidden = await client.get(f"/v2/secret/app/{rest}")
            absent = await client.get(f"/v2/absent/app/{rest}")
            assert forbidden.status_code == absent.status_code == 401
            assert forbidden.text.replace("secret", "absent") == absent.text
            assert str(forbidden.headers).replace("secret", "absent") == str(absent.headers)


async def test_forbids_reading_what_was_deleted_through_anything_remembered(running: InProcess) -> None:
    """distribution CVE-2026-35172: a deleted blob was readable again from a cache."""
    async with running.client({NAME: EVERYTHING}) as client:
        await push_blob(client, NAME, CONTENT)
        assert (await client.get(f"/v2/{NAME}/blobs/{DIGEST}")).status_code == 200
        await client.delete(f"/v2/{NAME}/blobs/{DIGEST}")
        for method in ("GET", "HEAD", "GET"):
            assert (await client.request(method, f"/v2/{NAME}/blobs/{DIGEST}")).status_code == 404
