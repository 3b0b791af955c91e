"""Sessions: how they begin, what ends them, and what of them is stored."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import select

from auth.callers import ANONYMOUS
from auth.errors import BadCredentials
from auth.fingerprints import new_secret
from auth.sessions import IDLE, LIFETIME, MOST, PREFIX, USED_EVERY, Sessions
from auth.tables import sessions
from database import Query
from tests.auth.hub import PASSWORD, Cast, Hub

_ALL = Query(select(sessions))


async def begun(hub: Hub, name: str = "alice", agent: str = "a browser") -> str:
    return (await hub.sessions.begin(await hub.caller(name), agent)).secret


async def test_a_session_stands_for_whoever_began_it(hub: Hub, cast: Cast) -> None:
    secret = await begun(hub)

    caller = await hub.sessions.caller(secret)

    assert caller == await hub.caller("alice")
    assert caller is not None
    assert caller.may_manage_account
    assert await hub.sessions.caller(await begun(hub, "harbourmaster")) == await hub.caller("harbourmaster")


async def test_only_the_fingerprint_of_its_secret_is_stored(hub: Hub, cast: Cast) -> None:
    made = await hub.sessions.begin(await hub.caller("alice"), "a browser")

    rows = await hub.database.all(_ALL)
    assert made.secret not in repr(rows)
    assert made.secret[len(PREFIX) :] not in repr(rows)
    assert made.secret not in repr(made)


@pytest.mark.parametrize("secret", ["", "x", PREFIX, new_secret(PREFIX), new_secret("ptl_"), "é" * 53, "\0" * 53])
async def test_what_was_never_given_out_is_nobody(hub: Hub, cast: Cast, secret: str) -> None:
    await begun(hub)

    assert await hub.sessions.caller(secret) is None
    await hub.sessions.end(secret)


async def test_it_ends_when_it_is_signed_out_and_other_sessions_do_not(hub: Hub, cast: Cast) -> None:
    here, there = await begun(hub), await begun(hub)

    await hub.sessions.end(here)

    assert await hub.sessions.caller(here) is None
    assert await hub.sessions.caller(there) is not None


async def test_the_others_end_together_and_nobody_elses(hub: Hub, cast: Cast) -> None:
    here, there, bobs = await begun(hub), await begun(hub), await begun(hub, "bob")

    assert await hub.sessions.end_others(cast.alice.id, here) == 1

    assert await hub.sessions.caller(here) is not None
    assert await hub.sessions.caller(there) is None
    assert await hub.sessions.caller(bobs) is not None


async def test_it_ends_with_the_password(hub: Hub, cast: Cast) -> None:
    secret = await begun(hub)

    await hub.people.set_password("alice", "another long password")

    assert await hub.sessions.caller(secret) is None
    assert await hub.sessions.of_person(cast.alice.id, secret) == []


async def test_it_rests_while_its_person_is_disabled(hub: Hub, cast: Cast) -> None:
    secret = await begun(hub)

    await hub.people.set_disabled("alice", True)
    assert await hub.sessions.caller(secret) is None

    await hub.people.set_disabled("alice", False)
    assert await hub.sessions.caller(secret) is not None


async def test_rights_that_are_given_or_taken_count_at_once(hub: Hub, cast: Cast) -> None:
    secret = await begun(hub)

    await hub.people.set_administrator("alice", True)

    caller = await hub.sessions.caller(secret)
    assert caller is not None
    assert caller.administrator


async def test_without_use_it_ends_after_a_week(hub: Hub, cast: Cast) -> None:
    secret = await begun(hub)

    hub.clock.ahead = IDLE - 10
    assert await hub.sessions.caller(secret) is not None
    hub.clock.ahead = IDLE + 10  # it was used in between
    assert await hub.sessions.caller(secret) is not None
    hub.clock.ahead += IDLE + 10
    assert await hub.sessions.caller(secret) is None


async def test_however_much_it_is_used_it_ends_after_thirty_days(hub: Hub, cast: Cast) -> None:
    secret = await begun(hub)

    while hub.clock.ahead < LIFETIME - IDLE:
        hub.clock.ahead += IDLE - 10
        assert await hub.sessions.caller(secret) is not None
    hub.clock.ahead = LIFETIME + 1
    assert await hub.sessions.caller(secret) is None


async def test_uses_are_written_down_to_about_a_minute(hub: Hub, cast: Cast) -> None:
    secret = await begun(hub)
    [before] = await hub.sessions.of_person(cast.alice.id, secret)

    hub.clock.ahead = USED_EVERY / 2
    await hub.sessions.caller(secret)
    assert [each.used for each in await hub.sessions.of_person(cast.alice.id, secret)] == [before.used]

    hub.clock.ahead = USED_EVERY * 2
    await hub.sessions.caller(secret)
    [after] = await hub.sessions.of_person(cast.alice.id, secret)
    assert after.used >= before.used + USED_EVERY


async def test_a_token_begins_none(hub: Hub, cast: Cast) -> None:
    """A session allows all that the person may: whoever holds less must not come by one."""
    by_token = await hub.sign_in.by_password("alice", await hub.personal("alice", "*:pull"))
    unlimited = await hub.sign_in.by_password("alice", await hub.personal("alice"))

    for caller in (by_token, unlimited, replace(await hub.caller("alice"), account=False), ANONYMOUS):
        with pytest.raises(BadCredentials):
            await hub.sessions.begin(caller)
    assert await hub.database.all(_ALL) == []


async def test_a_password_that_was_changed_meanwhile_begins_none(hub: Hub, cast: Cast) -> None:
    early = await hub.caller("alice")
    await hub.people.set_password("alice", "another long password")

    with pytest.raises(BadCredentials):
        await hub.sessions.begin(early)

    disabled = await hub.caller("bob")
    await hub.people.set_disabled("bob", True)
    with pytest.raises(BadCredentials):
        await hub.sessions.begin(disabled)


async def test_they_are_listed_with_what_browsers_call_themselves(hub: Hub, cast: Cast) -> None:
    here = await begun(hub, agent="Mozilla/5.0\r\n\x00<b>" + "x" * 500)
    hub.clock.ahead = 100
    await begun(hub, agent="another")
    await begun(hub, "bob")

    listed = await hub.sessions.of_person(cast.alice.id, here)

    assert [each.own for each in listed] == [False, True]
    assert listed[0].agent == "another"
    assert listed[1].agent.startswith("Mozilla/5.0<b>xxx")
    assert len(listed[1].agent) == 200


async def test_the_least_used_make_room(hub: Hub, cast: Cast) -> None:
    first = await begun(hub)
    for _ in range(MOST - 1):
        hub.clock.ahead += 1
        await begun(hub)
    assert len(await hub.database.all(_ALL)) == MOST

    hub.clock.ahead += 1
    last = await begun(hub)

    assert await hub.sessions.caller(first) is None
    assert await hub.sessions.caller(last) is not None
    assert len(await hub.database.all(_ALL)) == MOST


async def test_what_has_ended_is_pruned_and_nothing_else(hub: Hub, cast: Cast) -> None:
    await begun(hub)
    await begun(hub, "bob")
    await hub.people.set_password("bob", "another long password")
    hub.clock.ahead = IDLE + 10
    live = await begun(hub)

    assert await hub.sessions.prune() == 2

    assert await hub.sessions.caller(live) is not None
    assert await hub.sessions.prune() == 0


async def test_a_form_token_is_of_one_session_and_of_one_installation(hub: Hub, cast: Cast) -> None:
    here, there = await begun(hub), await begun(hub)

    assert hub.sessions.form_token(here) == hub.sessions.form_token(here)
    assert hub.sessions.form_token(here) != hub.sessions.form_token(there)
    assert here not in hub.sessions.form_token(here)
    (row, _) = await hub.database.all(_ALL)
    assert hub.sessions.form_token(here) not in repr(row)


async def test_many_at_once_and_a_change_of_password_leave_none(hub: Hub, cast: Cast) -> None:
    """Whatever the order is in which they come, no session of the old password is left."""
    caller = await hub.caller("alice")
    signing_in = [hub.sessions.begin(caller) for _ in range(10)]

    outcomes = await asyncio.gather(
        *signing_in, hub.people.set_password("alice", "another long password"), return_exceptions=True
    )

    for outcome in outcomes[:-1]:
        assert isinstance(outcome, BadCredentials) or await hub.sessions.caller(outcome.secret) is None  # type: ignore[union-attr]
    assert await hub.sign_in.by_password("alice", "another long password")
    with pytest.raises(BadCredentials):
        await hub.sign_in.by_password("alice", PASSWORD)
    assert isinstance(hub.sessions, Sessions)
