"""The link to the first administrator."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from auth.errors import InvalidPassword, InvalidPersonName, NameTaken, SetUpLinkInvalid
from auth.fingerprints import Fingerprints, new_secret
from auth.passwords import Passwords
from auth.set_up import LIFETIME, STARTING_TOGETHER, SetUp
from auth.tables import setup_links
from database import Query
from tests.auth.conftest import Another
from tests.auth.hub import PASSWORD, CountingHasher, Hub


async def issued(hub: Hub) -> str:
    secret = await hub.set_up.issue()
    assert secret is not None
    return secret


async def test_the_link_makes_an_administrator_once(hub: Hub) -> None:
    secret = await issued(hub)
    assert await hub.set_up.needed()
    assert await hub.set_up.is_open(secret)

    person = await hub.set_up.redeem(secret, "captain", PASSWORD)

    assert person.administrator
    assert (await hub.sign_in.by_password("captain", PASSWORD)).administrator
    assert not await hub.set_up.needed()
    assert not await hub.set_up.is_open(secret)
    with pytest.raises(SetUpLinkInvalid):
        await hub.set_up.redeem(secret, "pirate", PASSWORD)
    hub.clock.ahead += LIFETIME
    assert await hub.set_up.issue() is None


async def test_of_eight_who_redeem_it_at_once_one_succeeds(hub: Hub, another: Another) -> None:
    secret = await issued(hub)
    passwords = Passwords(CountingHasher(), threads=1)
    doors = []
    for _ in range(8):
        database = await another()
        doors.append(SetUp(database, await Fingerprints.open(database), passwords))

    outcomes = await asyncio.gather(
        *(door.redeem(secret, f"captain{n}", PASSWORD) for n, door in enumerate(doors)), return_exceptions=True
    )

    await passwords.close()
    assert sum(isinstance(outcome, SetUpLinkInvalid) for outcome in outcomes) == 7
    assert len(await hub.people.everybody()) == 1


async def test_of_eight_processes_that_start_at_once_one_gets_the_link(hub: Hub, another: Another) -> None:
    passwords = Passwords(CountingHasher(), threads=1)
    doors = []
    for _ in range(8):
        database = await another()
        doors.append(SetUp(database, await Fingerprints.open(database), passwords))

    secrets = [secret for secret in await asyncio.gather(*(door.issue() for door in doors)) if secret is not None]

    await passwords.close()
    assert len(secrets) == 1
    assert await hub.set_up.is_open(secrets[0])


async def test_each_start_prints_a_new_link_and_ends_the_one_before(hub: Hub) -> None:
    first = await issued(hub)
    hub.clock.ahead += STARTING_TOGETHER + 1
    second = await issued(hub)
    assert not await hub.set_up.is_open(first)
    assert await hub.set_up.is_open(second)
    with pytest.raises(SetUpLinkInvalid):
        await hub.set_up.redeem(first, "captain", PASSWORD)


async def test_a_link_of_a_wrong_clock_does_not_stay_for_ever(hub: Hub) -> None:
    hub.clock.ahead = 10 * 366 * 24 * 3600
    first = await issued(hub)
    hub.clock.ahead = 0
    assert await hub.set_up.is_open(await issued(hub))
    assert not await hub.set_up.is_open(first)


async def test_the_link_lives_for_a_day(hub: Hub) -> None:
    secret = await issued(hub)
    hub.clock.ahead += LIFETIME + 1
    assert not await hub.set_up.is_open(secret)
    with pytest.raises(SetUpLinkInvalid):
        await hub.set_up.redeem(secret, "captain", PASSWORD)


async def test_a_mistake_in_the_form_leaves_the_link_as_it_was(hub: Hub) -> None:
    await hub.people.add("taken", PASSWORD)
    secret = await issued(hub)
    with pytest.raises(InvalidPersonName):
        await hub.set_up.redeem(secret, "Captain", PASSWORD)
    with pytest.raises(InvalidPassword):
        await hub.set_up.redeem(secret, "captain", "short")
    with pytest.raises(NameTaken):
        await hub.set_up.redeem(secret, "taken", PASSWORD)
    assert await hub.set_up.redeem(secret, "captain", PASSWORD)


async def test_an_administrator_made_otherwise_ends_the_link(hub: Hub) -> None:
    secret = await issued(hub)
    await hub.people.add("captain", PASSWORD, administrator=True)
    assert not await hub.set_up.is_open(secret)
    with pytest.raises(SetUpLinkInvalid):
        await hub.set_up.redeem(secret, "pirate", PASSWORD)
    assert await hub.set_up.issue() is None


async def test_a_guess_is_refused_before_anything_is_hashed(hub: Hub) -> None:
    await issued(hub)
    for guess in ("", "x", new_secret(), "\0"):
        with pytest.raises(SetUpLinkInvalid):
            await hub.set_up.redeem(guess, "pirate", "short")


async def test_only_the_fingerprint_is_stored(hub: Hub) -> None:
    secret = await issued(hub)
    rows = await hub.database.all(Query(select(setup_links)))
    assert secret not in repr(rows) + repr(hub.set_up)
