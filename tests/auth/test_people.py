"""Accounts and their passwords."""

from __future__ import annotations

import asyncio

import pytest

from auth import namespaces
from auth.errors import (
    BadCredentials,
    InvalidPassword,
    InvalidPersonName,
    LastAdministrator,
    NameTaken,
    PersonUnknown,
    Throttled,
)
from auth.passwords import LONGEST, SHORTEST, Passwords, check_new_password
from auth.people import People
from database import Database, Transaction
from tests.auth.conftest import Another
from tests.auth.hub import PASSWORD, Cast, CountingHasher, Hub


async def test_a_person_comes_with_a_namespace(hub: Hub) -> None:
    alice = await hub.people.add("alice", PASSWORD)

    assert await namespaces.owner(hub.database, "alice") == alice.id
    assert await namespaces.owned_by(hub.database, alice.id) == {"alice"}
    assert await hub.people.find("alice") == alice


async def test_a_name_is_given_once(hub: Hub, cast: Cast) -> None:
    with pytest.raises(NameTaken):
        await hub.people.add("alice", PASSWORD)


async def test_a_namespace_of_the_administrators_is_nobodys_name(hub: Hub) -> None:
    async def ensure(tx: Transaction) -> None:
        await namespaces.ensure(tx, "team")
        await namespaces.ensure(tx, "team")

    await hub.database.write(ensure)
    with pytest.raises(NameTaken):
        await hub.people.add("team", PASSWORD)
    with pytest.raises(PersonUnknown):
        await hub.people.find("team")


async def test_of_eight_who_want_a_name_at_once_one_gets_it(hub: Hub, another: Another) -> None:
    passwords = Passwords(CountingHasher(), threads=1)
    doors = [People(await another(), passwords) for _ in range(8)]

    outcomes = await asyncio.gather(*(people.add("alice", PASSWORD) for people in doors), return_exceptions=True)

    await passwords.close()
    assert sum(isinstance(outcome, NameTaken) for outcome in outcomes) == 7
    assert len(await hub.people.everybody()) == 1


async def test_people_are_listed_by_name(hub: Hub, cast: Cast) -> None:
    assert [person.name for person in await hub.people.everybody()] == ["alice", "bob", "harbourmaster"]
    assert [person.name for person in await hub.people.everybody(after="alice", most=1)] == ["bob"]


@pytest.mark.parametrize("name", ["Alice", "a", "library", "a/b"])
async def test_a_bad_name_makes_nobody(hub: Hub, name: str) -> None:
    with pytest.raises(InvalidPersonName):
        await hub.people.add(name, PASSWORD)
    assert await hub.people.everybody() == []


@pytest.mark.parametrize(
    "password",
    [
        "",
        "a" * (SHORTEST - 1),
        "a" * (LONGEST + 1),
        "ptl_looks_like_a_token",
        "ptr_looks_like_a_token",
        "with\na newline",
    ],
)
async def test_a_bad_password_makes_nobody(hub: Hub, password: str) -> None:
    with pytest.raises(InvalidPassword) as refused:
        await hub.people.add("alice", password)
    assert not password or password not in str(refused.value)
    assert await hub.people.everybody() == []


def test_a_password_is_not_the_name() -> None:
    with pytest.raises(InvalidPassword):
        check_new_password("Wilhelmina", "wilhelmina")


async def test_accents_are_the_same_however_they_are_typed(hub: Hub) -> None:
    """One keyboard sends é as one character, another as two."""
    await hub.people.add("zoe", "cr\u00e8me br\u00fbl\u00e9e")
    assert await hub.sign_in.by_password("zoe", "cre\u0300me bru\u0302le\u0301e")


async def test_a_new_password_takes_the_place_of_the_old_one(hub: Hub, cast: Cast) -> None:
    await hub.sign_in.by_password("alice", PASSWORD)
    await hub.people.set_password("alice", "another good one")

    assert (await hub.sign_in.by_password("alice", "another good one")).name == "alice"
    with pytest.raises(BadCredentials):
        await hub.sign_in.by_password("alice", PASSWORD)


async def test_a_change_that_rests_on_an_earlier_password_is_refused(hub: Hub, cast: Cast) -> None:
    await hub.people.set_password("alice", "another good one")
    with pytest.raises(BadCredentials):
        await hub.people.set_password("alice", "a thief's password", generation=cast.alice.generation)


async def test_who_is_disabled_is_refused_at_once_and_let_in_again(hub: Hub, cast: Cast) -> None:
    await hub.sign_in.by_password("alice", PASSWORD)
    secret = await hub.personal("alice")

    await hub.people.set_disabled("alice", True)
    for shown in (PASSWORD, secret):
        with pytest.raises(BadCredentials):
            await hub.sign_in.by_password("alice", shown)

    await hub.people.set_disabled("alice", False)
    for shown in (PASSWORD, secret):
        assert (await hub.sign_in.by_password("alice", shown)).name == "alice"


async def test_the_last_administrator_stays(hub: Hub, cast: Cast) -> None:
    with pytest.raises(LastAdministrator):
        await hub.people.set_administrator("harbourmaster", False)
    with pytest.raises(LastAdministrator):
        await hub.people.set_disabled("harbourmaster", True)

    await hub.people.set_administrator("alice", True)
    await hub.people.set_disabled("harbourmaster", True)
    with pytest.raises(LastAdministrator):
        await hub.people.set_administrator("alice", False)


async def test_two_administrators_cannot_remove_each_other_at_once(
    hub: Hub, cast: Cast, database: Database, another: Another
) -> None:
    await hub.people.set_administrator("alice", True)
    passwords = Passwords(CountingHasher(), threads=1)
    doors = [People(await another(), passwords) for _ in range(2)]

    outcomes = await asyncio.gather(
        doors[0].set_administrator("alice", False),
        doors[1].set_administrator("harbourmaster", False),
        return_exceptions=True,
    )

    await passwords.close()
    assert sum(isinstance(outcome, LastAdministrator) for outcome in outcomes) == 1


async def test_somebody_without_a_password_cannot_sign_in_with_one(hub: Hub) -> None:
    await hub.people.add("robot")
    for guess in ("", "None", PASSWORD):
        with pytest.raises(BadCredentials):
            await hub.sign_in.by_password("robot", guess, guess)


async def test_too_many_who_wait_for_a_hash_are_told_to_come_back() -> None:
    """A flood of wrong passwords must not become a queue that the right ones stand in for minutes."""
    passwords = Passwords(CountingHasher(), threads=1)
    outcomes = await asyncio.gather(*(passwords.hash(PASSWORD) for _ in range(80)), return_exceptions=True)
    await passwords.close()

    assert sum(isinstance(outcome, Throttled) for outcome in outcomes) == 30
