"""What the registry believes of a token."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey

from auth.access_tokens import LIFETIME, sign_access_token
from auth.errors import InvalidToken
from auth.grants import Grant
from auth.keys import SigningKey
from auth.limits import Limits
from auth.verifier import LEEWAY, Verifier
from cas.names import RepositoryName

KEY = ECKey.generate_key("P-256")
SIGNING = SigningKey(KEY.thumbprint(), KEY)
NOW = 1_800_000_000
APP = RepositoryName("team/app")
CLAIMS: dict[str, Any] = {
    "iss": "https://registry.test",
    "sub": "somebody",
    "aud": "portolan",
    "exp": NOW + LIFETIME,
    "nbf": NOW,
    "iat": NOW,
    "jti": "unique",
    "access": [{"type": "repository", "name": "team/app", "actions": ["pull", "push"]}],
}


class OneKey:
    """`Keys` with a single one."""

    async def find(self, kid: str) -> ECKey | None:
        return KEY if kid == SIGNING.kid else None


@pytest.fixture
def verifier() -> Verifier:
    return Verifier(OneKey(), "portolan", "https://registry.test")


def signed(claims: dict[str, Any], **header: Any) -> str:
    return jwt.encode({"alg": "ES256", "kid": SIGNING.kid} | header, CLAIMS | claims, KEY, algorithms=["ES256"])


def encoded(value: object) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


async def test_what_is_signed_is_read(verifier: Verifier) -> None:
    limits = Limits.parse("team/*:pull,push registry:catalog:*")
    text = sign_access_token(
        SIGNING,
        issuer="https://registry.test",
        subject="somebody",
        audience="portolan",
        access=[
            {"type": "repository", "name": "team/app", "actions": ["pull", "push"]},
            {"type": "repository", "name": "alpine", "actions": ["pull"]},
            {"type": "registry", "name": "catalog", "actions": ["*"]},
        ],
        limits=limits,
        now=NOW,
    )
    grant = await verifier.verify(text, NOW)

    assert (grant.subject, grant.expires, grant.may_list, grant.limits) == ("somebody", NOW + 300, True, limits)
    assert [grant.may(action, APP) for action in ("pull", "push", "delete", "*")] == [True, True, False, False]
    assert grant.may("pull", RepositoryName.parse("alpine"))
    assert grant.may("pull", RepositoryName("library/alpine"))
    assert not grant.may("push", RepositoryName("library/alpine"))
    assert not grant.may("pull", RepositoryName("team/app/api"))


async def test_the_default_namespace_is_a_setting() -> None:
    verifier = Verifier(OneKey(), "portolan", "https://registry.test", default_namespace="official")
    grant = await verifier.verify(signed({"access": [{"type": "repository", "name": "x", "actions": ["pull"]}]}), NOW)
    assert grant.may("pull", RepositoryName("official/x"))


async def test_an_empty_access_is_a_token_all_the_same(verifier: Verifier) -> None:
    """docker's ping is answered 200 with it."""
    grant = await verifier.verify(signed({"access": [], "sub": ""}), NOW)
    assert (grant.subject, grant.access, grant.may_list) == ("", {}, False)


async def test_every_action_stands_for_each(verifier: Verifier) -> None:
    grant = await verifier.verify(
        signed({"access": [{"type": "repository", "name": "team/app", "actions": ["*"]}]}), NOW
    )
    assert all(grant.may(action, APP) for action in ("pull", "push", "delete", "*"))


@pytest.mark.parametrize("audience", ["portolan", ["portolan"], ["elsewhere", "portolan"]])
async def test_the_audience_is_a_text_or_a_list(verifier: Verifier, audience: object) -> None:
    assert await verifier.verify(signed({"aud": audience}), NOW)


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "elsewhere"},
        {"aud": []},
        {"aud": None},
        {"aud": "portolan-too"},
        {"aud": {"portolan": 1}},
        {"iss": "https://elsewhere.test"},
        {"iss": None},
        {"sub": None},
        {"sub": 7},
        {"exp": NOW - LEEWAY},
        {"exp": None},
        {"exp": "soon"},
        {"exp": float("nan")},
        {"exp": float("inf")},
        {"exp": True},
        {"nbf": NOW + LEEWAY + 1},
        {"nbf": None},
        {"iat": NOW + LEEWAY + 1},
        {"access": None},
        {"access": {}},
        {"limits": 7},
        {"limits": "everything"},
    ],
)
async def test_wrong_claims_are_refused(verifier: Verifier, claims: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        await verifier.verify(signed(claims), NOW)


async def test_clocks_may_differ_by_a_minute(verifier: Verifier) -> None:
    text = signed({})
    for now in (NOW - LEEWAY, NOW, NOW + LIFETIME + LEEWAY - 1):
        assert await verifier.verify(text, now)
    with pytest.raises(InvalidToken, match="expired"):
        await verifier.verify(text, NOW + LIFETIME + LEEWAY)
    with pytest.raises(InvalidToken, match="not valid yet"):
        await verifier.verify(signed({}), NOW - LEEWAY - 1)


@pytest.mark.parametrize(
    "entry",
    [
        None,
        7,
        [],
        {},
        {"type": "repository", "name": "team/app"},
        {"type": "repository", "name": "team/app", "actions": "pull"},
        {"type": "repository", "name": "Team/App", "actions": ["pull"]},
        {"type": "repository", "name": ["team/app"], "actions": ["pull"]},
        {"type": "repository", "name": "team/app", "actions": [{}, 7, "shout"]},
        {"type": "plugin", "name": "team/app", "actions": ["pull"]},
    ],
)
async def test_entries_that_say_nothing_grant_nothing(verifier: Verifier, entry: object) -> None:
    grant = await verifier.verify(signed({"access": [entry]}), NOW)
    assert not any(grant.may(action, APP) for action in ("pull", "push", "delete", "*"))
    assert not grant.may_list


@given(st.text(max_size=200) | st.lists(st.text(alphabet="abAB01-_=", max_size=40), max_size=4).map(".".join))
async def test_any_text_is_a_token_or_refused(text: str) -> None:
    with pytest.raises(InvalidToken):
        await Verifier(OneKey(), "portolan", "https://registry.test").verify(text, NOW)


@pytest.mark.parametrize("header", [[], 7, None, "x", {"alg": ["ES256"]}, {"alg": "ES256", "kid": ["x"]}])
async def test_a_header_of_another_shape_is_refused(verifier: Verifier, header: object) -> None:
    with pytest.raises(InvalidToken):
        await verifier.verify(f"{encoded(header)}.{encoded(CLAIMS)}.AAAA", NOW)


async def test_a_changed_token_is_refused(verifier: Verifier) -> None:
    header, claims, signature = signed({}).split(".")
    other = signed({"sub": "somebody else"}).split(".")[1]
    for text in (f"{header}.{other}.{signature}", f"{header}.{claims}.", f"{header}.{claims}", f"{header}.{claims}.x"):
        with pytest.raises(InvalidToken):
            await verifier.verify(text, NOW)
    assert await verifier.verify(f"{header}.{claims}.{signature}", NOW)


async def test_a_verified_token_is_remembered_until_it_expires(verifier: Verifier) -> None:
    text = signed({})
    grant = await verifier.verify(text, NOW)
    assert await verifier.verify(text, NOW + 10) is grant
    with pytest.raises(InvalidToken):
        await verifier.verify(text, NOW + LIFETIME + LEEWAY)
    assert verifier._verified == {}


async def test_the_memory_of_tokens_is_bounded() -> None:
    verifier = Verifier(OneKey(), "portolan", "https://registry.test", most=5)
    texts = [signed({"jti": str(n)}) for n in range(20)]
    for text in texts:
        await verifier.verify(text, NOW)
    assert list(verifier._verified) == texts[-5:]
    assert len(verifier._ends) == 5


async def test_long_tokens_leave_earlier_than_short_ones() -> None:
    """What counts is what they take together, and what is left again is counted off."""
    verifier = Verifier(OneKey(), "portolan", "https://registry.test", most_text=20_000)
    for n in range(20):
        await verifier.verify(signed({"jti": str(n), "x": "y" * (n % 5 * 1000)}), NOW)
        assert verifier._text == sum(map(len, verifier._verified)) <= 20_000
    assert 4 < len(verifier._verified) < 20


async def test_what_expires_first_is_forgotten_first() -> None:
    verifier = Verifier(OneKey(), "portolan", "https://registry.test", most=3)
    late, soon, later, latest = (signed({"exp": NOW + seconds}) for seconds in (200, 100, 250, 300))
    for text in (late, soon, later, latest):
        await verifier.verify(text, NOW)
    assert set(verifier._verified) == {late, later, latest}

    await verifier.verify(signed({"exp": NOW + 400}), NOW + 250 + LEEWAY)
    assert late not in verifier._verified and later not in verifier._verified
    assert len(verifier._verified) == len(verifier._ends) == 2


async def test_a_token_that_comes_twice_at_once_is_remembered_once(verifier: Verifier) -> None:
    text = signed({})
    grant = await verifier.verify(text, NOW)
    verifier._remember(text, grant, NOW)
    assert (len(verifier._ends), verifier._text) == (1, len(text))


async def test_equal_actions_are_one_object(verifier: Verifier) -> None:
    entries = [{"type": "repository", "name": f"team/app{n}", "actions": ["pull"]} for n in range(2)]
    grant = await verifier.verify(signed({"access": entries}), NOW)
    assert grant.access["team/app0"] is grant.access["team/app1"]


async def test_a_remembered_token_costs_almost_nothing(verifier: Verifier) -> None:
    """It stands before every request; verifying the signature would cost more than the request."""
    text = signed({})
    await verifier.verify(text, NOW)
    best = float("inf")
    for _ in range(20):
        started = time.perf_counter()
        for _ in range(1000):
            await verifier.verify(text, NOW)
        best = min(best, (time.perf_counter() - started) / 1000)
    assert best < 2e-6


def test_a_grant_as_limits_leaves_what_it_grants() -> None:
    grant = Grant("somebody", NOW, {"team/app": frozenset({"pull"})}, may_list=True)
    limits = grant.as_limits()
    assert limits.actions(APP) == {"pull"}
    assert limits.actions(RepositoryName("team/other")) == frozenset()
    assert (limits.may_list, limits.account) == (True, False)
