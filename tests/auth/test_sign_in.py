"""From credentials to a caller."""

from __future__ import annotations

import asyncio
from base64 import b64encode

import pytest

from auth.attempts import FORGOTTEN_AFTER, FREE, LONGEST_WAIT, Attempts
from auth.authorization import Basic, Bearer, parse_authorization
from auth.errors import BadCredentials, Throttled
from auth.remembered import SECONDS, RememberedPasswords
from tests.auth.hub import PASSWORD, Cast, Clock, Hub


def basic(text: str | bytes) -> str:
    return "Basic " + b64encode(text if isinstance(text, bytes) else text.encode()).decode()


def test_the_header_is_read() -> None:
    assert parse_authorization(None) is None
    assert parse_authorization("Basic Og==") is None  # what some clients send for nobody
    assert parse_authorization(basic("alice:a:b")) == Basic("alice", "a:b")
    assert parse_authorization("basic  " + basic("zo\u00eb:p")[6:]) == Basic("zo\u00eb", "p")
    assert parse_authorization("bEARER abc") == Bearer("abc")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Basic",
        "Basic !!!",
        "Bearer",
        "Bearer ",
        "Negotiate abc",
        "alice",
        basic(b"alice:\xff"),
        basic("alice"),
        "\xff",
    ],
)
def test_another_header_is_refused(header: str) -> None:
    with pytest.raises(BadCredentials):
        parse_authorization(header)


async def test_each_kind_of_credentials_says_who_it_is(hub: Hub, cast: Cast) -> None:
    personal = await hub.personal("alice", "pull account")
    for header in (basic(f"alice:{PASSWORD}"), basic(f"alice:{personal}"), f"Bearer {personal}"):
        caller = await hub.sign_in.caller(header)
        assert (caller.person_id, caller.name, caller.administrator) == (cast.alice.id, "alice", False)
        assert caller.may_manage_account
        assert (caller.limits is None) == (header == basic(f"alice:{PASSWORD}"))
    assert (await hub.sign_in.caller(None)).anonymous
    assert (await hub.sign_in.caller("Basic Og==")).anonymous


async def test_a_token_is_its_owners_alone(hub: Hub, cast: Cast) -> None:
    personal = await hub.personal("alice")
    with pytest.raises(BadCredentials):
        await hub.sign_in.caller(basic(f"bob:{personal}"))


async def test_an_access_token_stands_for_its_person_within_what_it_holds(hub: Hub, cast: Cast) -> None:
    async with hub.client("alice", PASSWORD) as client:
        answer = await client.get("/token", params={"scope": "repository:alice/app:pull"})
    caller = await hub.sign_in.caller(f"Bearer {answer.json()['token']}")

    assert caller.person_id == cast.alice.id
    assert not caller.may_manage_account
    assert not caller.may_list
    assert str(caller.limits) == "repository:alice/app:pull"


async def test_a_right_password_is_hashed_once_a_minute(hub: Hub, cast: Cast) -> None:
    """docker sends it with every request for a token."""
    for _ in range(5):
        await hub.sign_in.by_password("alice", PASSWORD)
    assert hub.hasher.checked == 1

    hub.clock.ahead += SECONDS + 1
    await hub.sign_in.by_password("alice", PASSWORD)
    assert hub.hasher.checked == 2


async def test_a_right_password_from_many_connections_at_once_is_hashed_once(hub: Hub, cast: Cast) -> None:
    callers = await asyncio.gather(*(hub.sign_in.by_password("alice", PASSWORD, "192.0.2.1") for _ in range(20)))
    assert {caller.name for caller in callers} == {"alice"}
    assert hub.hasher.checked == 1


async def test_many_wrong_passwords_at_once_are_counted_one_by_one(hub: Hub, cast: Cast) -> None:
    guesses = (hub.sign_in.by_password("alice", f"a guess {n}", "192.0.2.1") for n in range(50))
    outcomes = await asyncio.gather(*guesses, return_exceptions=True)

    assert sum(isinstance(outcome, BadCredentials) for outcome in outcomes) == FREE
    assert sum(isinstance(outcome, Throttled) for outcome in outcomes) == 50 - FREE
    assert hub.hasher.checked == FREE


async def test_who_is_throttled_learns_nothing_from_a_right_password(hub: Hub, cast: Cast) -> None:
    """A remembered password is no oracle that answers quickly and without limit."""
    await hub.sign_in.by_password("alice", PASSWORD, "192.0.2.1")
    for n in range(FREE):
        with pytest.raises(BadCredentials):
            await hub.sign_in.by_password("alice", f"a guess {n}", "192.0.2.1")
    with pytest.raises(Throttled) as throttled:
        await hub.sign_in.by_password("alice", PASSWORD, "192.0.2.1")
    assert throttled.value.retry_after >= 1

    assert await hub.sign_in.by_password("alice", PASSWORD, "192.0.2.2")
    hub.clock.ahead += throttled.value.retry_after + 1
    assert await hub.sign_in.by_password("alice", PASSWORD, "192.0.2.1")


def test_the_wait_grows_and_is_forgotten() -> None:
    clock = Clock()
    attempts = Attempts(clock=clock)
    waits = []
    for _ in range(FREE + 12):
        attempts.failed("alice", "192.0.2.1")
        try:
            attempts.check("alice", "192.0.2.1")
        except Throttled as throttled:
            waits.append(throttled.retry_after)
            clock.ahead += throttled.retry_after
    assert waits == sorted(waits)
    assert waits[0] <= 3
    assert waits[-1] == LONGEST_WAIT

    clock.ahead += FORGOTTEN_AFTER + 1
    attempts.failed("alice", "192.0.2.1")
    attempts.check("alice", "192.0.2.1")


def test_the_memory_of_attempts_and_passwords_is_bounded() -> None:
    attempts = Attempts(most=10)
    remembered = RememberedPasswords(most=10)
    for n in range(100):
        attempts.failed(f"name{n}", "192.0.2.1")
        remembered.add(f"id{n}", 1, PASSWORD)
    assert len(attempts._failures) == 10
    assert len(remembered._until) == 10
    assert remembered.has("id99", 1, PASSWORD)
    assert not remembered.has("id0", 1, PASSWORD)
    assert not remembered.has("id99", 2, PASSWORD)


async def test_turns_are_forgotten_once_taken(hub: Hub, cast: Cast) -> None:
    await hub.sign_in.by_password("alice", PASSWORD)
    with pytest.raises(BadCredentials):
        await hub.sign_in.by_password("nobody-here", PASSWORD)
    assert hub.sign_in._turns == {}
