"""How registries and catalogs were broken before, as far as the hub can be broken in these ways.

Each test is named by what it forbids; the numbers are those of the list that the project keeps of them.
"""

from __future__ import annotations

import json
import logging
import time
from base64 import urlsafe_b64encode
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey
from sqlalchemy import select

from auth.access_tokens import LIFETIME
from auth.errors import BadCredentials, InvalidToken
from auth.limits import Limits
from auth.tables import people, tokens
from cas.names import RepositoryName
from database import Query
from database.protocol import Row
from tests.auth.hub import AUDIENCE, ISSUER, PASSWORD, Cast, Hub, allowed

CLOSED = RepositoryName("alice/closed")
OPEN = RepositoryName("alice/open")


@pytest.fixture(autouse=True)
def shelf(hub: Hub, cast: Cast) -> None:
    hub.shelf.public = {"alice/closed": False, "alice/open": True, "bob/closed": False, "library/alpine": True}


async def all_actions(hub: Hub, client: httpx.AsyncClient, name: RepositoryName) -> set[str]:
    grant = await hub.granted(client, f"repository:{name}:pull,push,delete,*")
    return {action for action in ("pull", "push", "delete", "*") if grant.may(action, name)}


class Test1CrossRepositoryMount:
    async def test_a_scope_for_the_source_of_a_mount_is_not_granted_to_a_stranger(self, hub: Hub) -> None:
        async with hub.client("bob", PASSWORD) as client:
            grant = await hub.granted(client, "repository:bob/app:pull,push", f"repository:{CLOSED}:pull")
        assert grant.may("push", RepositoryName("bob/app"))
        assert not grant.may("pull", CLOSED)


class Test3AnonymousIsNotWide:
    async def test_a_token_without_a_subject_sees_and_changes_nothing_that_is_private(self, hub: Hub) -> None:
        async with hub.client() as client:
            assert await all_actions(hub, client, CLOSED) == set()
            assert await all_actions(hub, client, OPEN) == {"pull"}
            grant = await hub.granted(client, "registry:catalog:*", "repository:*:*", "repository:alice/*:*")
        assert allowed(grant) == {}
        visible = await hub.access.visible(await hub.access.caller_of(grant))
        assert (visible.everything, visible.namespaces) == (False, frozenset())
        assert not visible.admits(CLOSED, False)

    async def test_the_administrators_namespaces_are_not_nobodys(self, hub: Hub, cast: Cast) -> None:
        """Their owner is null in the table, and so must not be whoever has no id."""
        hub.shelf.public["team/closed"] = False
        async with hub.client() as client:
            assert await all_actions(hub, client, RepositoryName("team/closed")) == set()
            assert await all_actions(hub, client, RepositoryName("library/new")) == set()

    async def test_a_narrow_token_lists_only_what_it_may_pull(self, hub: Hub) -> None:
        caller = await hub.caller("harbourmaster", "alice/open:pull registry:catalog:*")
        visible = await hub.access.visible(caller)
        admitted = {name for name, public in hub.shelf.public.items() if visible.admits(RepositoryName(name), public)}
        assert admitted == {"alice/open"}

    async def test_an_access_token_for_one_repository_does_not_stand_for_its_whole_person(self, hub: Hub) -> None:
        async with hub.client("harbourmaster", PASSWORD) as client:
            answer = await client.get("/token", params={"scope": f"repository:{OPEN}:pull"})
        caller = await hub.sign_in.caller(f"Bearer {answer.json()['token']}")
        assert await hub.access.actions(caller, OPEN) == {"pull"}
        assert await hub.access.actions(caller, CLOSED) == frozenset()
        assert not (await hub.access.visible(caller)).admits(CLOSED, False)

    async def test_an_access_token_does_not_make_the_next_one(self, hub: Hub) -> None:
        """It would live for ever, whatever became of the person."""
        async with hub.client("alice", PASSWORD) as client:
            token = (await client.get("/token")).json()["token"]
        async with hub.client(token) as client:
            assert (await client.get("/token")).status_code == 401


class Test6EachMethodHasItsAction:
    @pytest.mark.parametrize("held", ["pull", "pull,push", "delete", "delete,pull"])
    async def test_one_action_does_not_bring_another(self, hub: Hub, held: str) -> None:
        async with hub.client("alice", await hub.personal("alice", f"{CLOSED}:{held}")) as client:
            assert await all_actions(hub, client, CLOSED) == set(held.split(","))
            asked = await hub.granted(client, f"repository:{CLOSED}:*")
        assert asked.access[CLOSED.text] == set(held.split(","))

    async def test_who_asks_to_pull_gets_no_more(self, hub: Hub) -> None:
        async with hub.client("harbourmaster", PASSWORD) as client:
            grant = await hub.granted(client, f"repository:{CLOSED}:pull")
        assert [grant.may(action, CLOSED) for action in ("pull", "push", "delete", "*")] == [True, False, False, False]


class Test7KeysAndAlgorithmsArePinned:
    @pytest.fixture
    def claims(self, cast: Cast) -> dict[str, Any]:
        now = int(time.time())
        access = [{"type": "repository", "name": CLOSED.text, "actions": ["*"]}]
        return {
            "iss": ISSUER,
            "sub": cast.root.id,
            "aud": AUDIENCE,
            "exp": now + LIFETIME,
            "nbf": now,
            "iat": now,
            "jti": "x",
            "access": access,
        }

    async def refuses(self, hub: Hub, token: str) -> None:
        with pytest.raises(InvalidToken):
            await hub.verifier.verify(token)

    async def test_a_key_in_the_header_is_not_used(self, hub: Hub, claims: dict[str, Any]) -> None:
        mine = ECKey.generate_key("P-256")
        kid = (await hub.signing_keys.current()).kid
        jwk = mine.as_dict(private=False)
        headers: list[dict[str, Any]] = [
            {"jwk": jwk},
            {"jwk": jwk, "kid": kid},
            {"jwk": jwk, "kid": mine.thumbprint()},
            {"jku": "https://attacker.test/keys", "kid": kid},
            {"x5u": "https://attacker.test/keys", "kid": kid},
            {"x5c": ["MIIB"], "kid": kid},
            {"kid": kid},
            {"kid": mine.thumbprint()},
            {},
        ]
        for header in headers:
            token = jwt.encode({"alg": "ES256", **header}, claims, mine, algorithms=["ES256"])
            await self.refuses(hub, token)

    async def test_even_a_good_signature_does_not_excuse_a_key_in_the_header(
        self, hub: Hub, claims: dict[str, Any]
    ) -> None:
        signing = await hub.signing_keys.current()
        header = {"alg": "ES256", "kid": signing.kid}
        jwk = signing.key.as_dict(private=False)
        assert await hub.verifier.verify(jwt.encode(header, claims, signing.key, algorithms=["ES256"]))
        await self.refuses(hub, jwt.encode({**header, "jwk": jwk}, claims, signing.key, algorithms=["ES256"]))

    async def test_no_signature_is_no_signature(self, hub: Hub, claims: dict[str, Any]) -> None:
        kid = (await hub.signing_keys.current()).kid

        def encoded(value: object) -> str:
            return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

        for name in ("none", "None", "NONE", "nOnE", ""):
            unsigned = f"{encoded({'alg': name, 'kid': kid})}.{encoded(claims)}."
            await self.refuses(hub, unsigned)
            await self.refuses(hub, unsigned + "AAAA")

    @pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
    async def test_the_public_key_is_not_taken_for_a_shared_secret(
        self, hub: Hub, claims: dict[str, Any], algorithm: str
    ) -> None:
        signing = await hub.signing_keys.current()
        jwk = json.dumps(signing.key.as_dict(private=False)).encode()
        for secret in (signing.key.as_pem(private=False), signing.key.as_der(private=False), jwk):
            header = {"alg": algorithm, "kid": signing.kid}
            key = OctKey.import_key(urlsafe_b64encode(secret))
            await self.refuses(hub, jwt.encode(header, claims, key, algorithms=[algorithm]))

    @pytest.mark.parametrize(("algorithm", "curve"), [("ES384", "P-384"), ("ES512", "P-521")])
    async def test_other_algorithms_are_not_ours(
        self, hub: Hub, claims: dict[str, Any], algorithm: str, curve: Any
    ) -> None:
        kid = (await hub.signing_keys.current()).kid
        token = jwt.encode({"alg": algorithm, "kid": kid}, claims, ECKey.generate_key(curve), algorithms=[algorithm])
        await self.refuses(hub, token)


class Test10NamesHaveGrammars:
    @pytest.mark.parametrize(
        "name",
        [
            "../alice/closed",
            "alice/../alice/closed",
            "alice//closed",
            "/alice/closed",
            "alice/closed/",
            "alice",
            "alice/closed%00",
            "ALICE/closed",
            "alice\\closed",
            "localhost:5000/alice/closed",
        ],
    )
    async def test_another_spelling_reaches_nothing(self, hub: Hub, name: str) -> None:
        async with hub.client("bob", PASSWORD) as client:
            grant = await hub.granted(client, f"repository:{name}:pull,push,delete,*")
        assert allowed(grant) == {}


class Test13NothingStale:
    async def test_a_new_password_ends_the_old_one_at_once(self, hub: Hub) -> None:
        async with hub.client("alice", PASSWORD) as client:
            assert (await client.get("/token")).status_code == 200
            await hub.people.set_password("alice", "another good one")
            assert (await client.get("/token")).status_code == 401

    async def test_who_is_disabled_gets_nothing_from_anything_they_hold(self, hub: Hub, cast: Cast) -> None:
        personal = await hub.personal("alice")
        async with hub.client("alice", PASSWORD) as client:
            answer = (await client.get("/token", params={"offline_token": "true"})).json()
        await hub.people.set_disabled("alice", True)

        form = {"grant_type": "refresh_token", "refresh_token": answer["refresh_token"]}
        async with hub.client() as client:
            for attempt in (
                client.get("/token", auth=("alice", PASSWORD)),
                client.get("/token", auth=("alice", personal)),
                client.get("/token", headers={"authorization": f"Bearer {personal}"}),
                client.post("/token", data=form),
                client.get("/api/v1/tokens", headers={"authorization": f"Bearer {personal}"}),
                client.get("/api/v1/tokens", headers={"authorization": f"Bearer {answer['token']}"}),
            ):
                assert (await attempt).status_code == 401

        await hub.people.set_disabled("alice", False)
        async with hub.client() as client:
            assert (await client.post("/token", data=form)).status_code == 401

    async def test_a_right_that_was_taken_away_is_in_no_new_token(self, hub: Hub) -> None:
        await hub.people.set_administrator("alice", True)
        other = RepositoryName("bob/closed")
        async with hub.client("alice", await hub.personal("alice")) as client:
            assert await all_actions(hub, client, other) == {"pull", "push", "delete", "*"}
            await hub.people.set_administrator("alice", False)
            assert await all_actions(hub, client, other) == set()

    async def test_a_repository_made_private_is_in_no_new_token(self, hub: Hub) -> None:
        async with hub.client("bob", PASSWORD) as client:
            assert await all_actions(hub, client, OPEN) == {"pull"}
            hub.shelf.public[OPEN.text] = False
            assert await all_actions(hub, client, OPEN) == set()

    async def test_asking_for_tokens_makes_nobody_an_administrator(self, hub: Hub, cast: Cast) -> None:
        async with hub.client("alice", PASSWORD) as client:
            await client.get("/token", params={"scope": "repository:library/alpine:*", "account": "harbourmaster"})
        assert [person.name for person in await hub.people.everybody() if person.administrator] == ["harbourmaster"]

    async def test_a_revoked_token_is_refused_at_once(self, hub: Hub, cast: Cast) -> None:
        secret = await hub.personal("alice")
        async with hub.client("alice", secret) as client:
            assert (await client.get("/token")).status_code == 200
            (token,) = await hub.tokens.of_person(cast.alice.id)
            await hub.tokens.revoke(cast.alice.id, token.id)
            assert (await client.get("/token")).status_code == 401


class Test14NothingIsInjected:
    @pytest.mark.parametrize("text", ["' OR '1'='1", "%", "_", "alice' --", "al%", "alice%00", '"; drop table people;'])
    async def test_a_name_is_never_part_of_a_statement(self, hub: Hub, text: str) -> None:
        for name in (text, text.ljust(10, "x")):
            with pytest.raises(BadCredentials):
                await hub.sign_in.by_password(name, PASSWORD)
        assert await hub.people.find("alice")

    async def test_a_pattern_is_no_regular_expression(self, hub: Hub) -> None:
        limits = Limits.parse("alice/a.b*:pull")
        assert limits.actions(RepositoryName("alice/a.b-c"))
        assert not limits.actions(RepositoryName("alice/axb"))


class Test15Web:
    async def test_nobody_makes_an_account_for_themselves(self, hub: Hub) -> None:
        """No route makes one, whatever the method; only the link that is printed makes the first."""
        names = {route.path for route in hub.site.routes}  # type: ignore[attr-defined]
        assert names == {
            "/token",
            "/.well-known/jwks.json",
            "/api/v1/account/password",
            "/api/v1/tokens",
            "/api/v1/tokens/{id}",
        }
        assert await hub.set_up.issue() is None

    async def test_a_wrong_name_and_a_wrong_password_look_the_same(self, hub: Hub) -> None:
        await hub.people.set_disabled("bob", True)
        await hub.people.add("robot")
        async with hub.client() as client:
            answers = [
                await client.get("/token", auth=credentials)
                for credentials in (
                    ("alice", "a wrong password"),
                    ("nobody-here", PASSWORD),
                    ("robot", PASSWORD),
                    ("bob", PASSWORD),
                )
            ]
        assert {answer.status_code for answer in answers} == {401}
        assert len({answer.content for answer in answers}) == 1
        assert len({str(answer.headers) for answer in answers}) == 1

    async def test_an_unknown_name_costs_a_hash_too(self, hub: Hub) -> None:
        await hub.people.add("robot")
        for name in ("alice", "nobody-here", "robot"):
            before = hub.hasher.checked
            with pytest.raises(BadCredentials):
                await hub.sign_in.by_password(name, "a wrong password")
            assert hub.hasher.checked == before + 1

    async def test_an_unknown_name_is_throttled_like_a_known_one(self, hub: Hub) -> None:
        statuses = []
        for name in ("alice", "nobody-here"):
            async with hub.client(name, "a wrong password") as client:
                statuses.append([(await client.get("/token")).status_code for _ in range(7)])
        assert statuses[0] == statuses[1]

    async def test_there_is_no_default_password(self, hub: Hub) -> None:
        for name in ("admin", "root", "portolan", "harbourmaster"):
            for password in ("", "admin", "password", "Harbor12345", "portolan", name):
                with pytest.raises(BadCredentials):
                    await hub.sign_in.by_password(name, password, address=password)

    async def test_no_secret_is_stored_as_it_is(self, hub: Hub, cast: Cast) -> None:
        personal = await hub.personal("alice")
        refresh = (await hub.tokens.add_refresh(await hub.caller("alice"), "docker", AUDIENCE)).secret

        rows: list[Row] = []
        for table in (people, tokens):
            rows += await hub.database.all(Query(select(table)))

        for secret in (PASSWORD, personal, refresh, personal[4:], refresh[4:]):
            assert secret not in repr(rows)

    async def test_no_secret_is_in_a_log_a_repr_or_an_error(self, hub: Hub, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        made = await hub.tokens.add_personal(await hub.caller("alice"), "x")
        seen = [repr(made), repr(hub)]
        for name, secret in (("alice", "a wrong password"), ("bob", made.secret)):
            with pytest.raises(BadCredentials) as refused:
                await hub.sign_in.by_password(name, secret)
            seen.append(repr(refused.value))
            async with hub.client(name, secret) as client:
                answer = await client.get("/token")
                seen += [answer.text, str(answer.headers)]
        seen += [record.getMessage() for record in caplog.records]
        for secret in ("a wrong password", PASSWORD, made.secret):
            assert all(secret not in text for text in seen)

    async def test_a_cookie_signs_nobody_in(self, hub: Hub) -> None:
        secret = await hub.personal("alice")
        async with hub.client() as client:
            client.cookies.set("authorization", f"Bearer {secret}")
            client.cookies.set("token", secret)
            assert (await client.get("/api/v1/tokens")).status_code == 401
            assert (await hub.granted(client)).subject == ""
