"""Personal and refresh tokens."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select, update

from auth import tokens as tokens_module
from auth.errors import BadCredentials, NotPermitted, TokenUnknown, TooManyTokens
from auth.fingerprints import Fingerprints, new_secret, well_formed
from auth.last_use import LastUse
from auth.limits import Limits
from auth.tables import people, tokens
from auth.tokens import KEPT, REFRESH_LIFETIME
from database import Query, Transaction, new_id
from tests.auth.conftest import Another
from tests.auth.hub import AUDIENCE, Cast, Hub


def test_a_secret_is_checked_before_it_is_looked_for() -> None:
    secret = new_secret("ptl_")
    assert well_formed(secret, "ptl_")
    assert not well_formed(secret, "ptr_")
    assert not well_formed(secret[:-1] + ("a" if secret[-1] != "a" else "b"), "ptl_")
    assert not well_formed(secret + "x", "ptl_")
    assert not well_formed("", "ptl_")
    assert not well_formed("é" * len(secret), "")
    assert len({new_secret() for _ in range(1000)}) == 1000


async def test_the_key_of_the_fingerprints_is_made_once(another: Another) -> None:
    doors = [await another() for _ in range(8)]
    opened = await asyncio.gather(*(Fingerprints.open(door) for door in doors))
    assert len({fingerprints.of("a secret") for fingerprints in opened}) == 1


async def test_a_personal_token_stands_for_its_person(hub: Hub, cast: Cast) -> None:
    caller = await hub.tokens.personal(await hub.personal("alice", "team/*:pull"))
    assert (caller.person_id, caller.limits) == (cast.alice.id, Limits.parse("team/*:pull"))


async def test_a_token_expires(hub: Hub, cast: Cast) -> None:
    secret = await hub.personal("alice", expires=int(hub.clock()) + 60)
    assert await hub.tokens.personal(secret)
    hub.clock.ahead += 61
    with pytest.raises(BadCredentials):
        await hub.tokens.personal(secret)
    assert await hub.tokens.of_person(cast.alice.id) == []


async def test_a_token_is_revoked_with_all_that_were_made_with_it(hub: Hub, cast: Cast) -> None:
    alice = await hub.caller("alice")
    first = await hub.tokens.add_personal(alice, "first")
    other = await hub.tokens.add_personal(alice, "other")
    second = await hub.tokens.add_personal(await hub.tokens.personal(first.secret), "second")
    third = await hub.tokens.add_personal(await hub.tokens.personal(second.secret), "third")
    refresh = await hub.tokens.add_refresh(await hub.tokens.personal(third.secret), "docker", AUDIENCE)

    await hub.tokens.revoke(cast.alice.id, first.token.id)

    for made in (first, second, third):
        with pytest.raises(BadCredentials):
            await hub.tokens.personal(made.secret)
    with pytest.raises(BadCredentials):
        await hub.tokens.refresh(refresh.secret, AUDIENCE)
    assert await hub.tokens.of_person(cast.alice.id) == [other.token]


async def test_nothing_is_made_with_a_token_that_was_revoked(hub: Hub, cast: Cast) -> None:
    made = await hub.tokens.add_personal(await hub.caller("alice"), "first")
    caller = await hub.tokens.personal(made.secret)
    await hub.tokens.revoke(cast.alice.id, made.token.id)
    with pytest.raises(BadCredentials):
        await hub.tokens.add_personal(caller, "second")


async def test_only_ones_own_tokens_are_revoked(hub: Hub, cast: Cast) -> None:
    made = await hub.tokens.add_personal(await hub.caller("alice"), "first")
    for person, token_id in ((cast.bob, made.token.id), (cast.alice, new_id()), (cast.alice, "x\0"), (cast.alice, "")):
        with pytest.raises(TokenUnknown):
            await hub.tokens.revoke(person.id, token_id)
    assert await hub.tokens.personal(made.secret)

    await hub.tokens.revoke(cast.alice.id, made.token.id)
    with pytest.raises(TokenUnknown):
        await hub.tokens.revoke(cast.alice.id, made.token.id)


async def test_a_narrow_token_makes_no_wider_one(hub: Hub, cast: Cast) -> None:
    soon = int(hub.clock()) + 3600
    caller = await hub.tokens.personal(await hub.personal("alice", "account alice/*:pull", soon))

    for limits in ("pull", "alice/*:pull,push", "registry:catalog:*", "alice/*:*"):
        with pytest.raises(NotPermitted):
            await hub.tokens.add_personal(caller, "wider", Limits.parse(limits))
    with pytest.raises(NotPermitted):
        await hub.tokens.add_personal(caller, "longer", expires=soon + 1)

    same = await hub.tokens.add_personal(caller, "the same")
    assert (same.token.limits, same.token.expires) == (caller.limits, soon)
    less = await hub.tokens.add_personal(caller, "less", Limits.parse("alice/app:pull"), soon - 10)
    assert str(less.token.limits) == "repository:alice/app:pull"


async def test_a_refresh_token_is_for_one_service(hub: Hub, cast: Cast) -> None:
    made = await hub.tokens.add_refresh(await hub.caller("alice"), "docker", AUDIENCE)
    assert (await hub.tokens.refresh(made.secret, AUDIENCE)).name == "alice"
    with pytest.raises(BadCredentials):
        await hub.tokens.refresh(made.secret, "elsewhere")
    with pytest.raises(BadCredentials):
        await hub.tokens.personal(made.secret)
    hub.clock.ahead += REFRESH_LIFETIME + 1
    with pytest.raises(BadCredentials):
        await hub.tokens.refresh(made.secret, AUDIENCE)


async def test_a_refresh_token_ends_with_the_password(hub: Hub, cast: Cast) -> None:
    before = await hub.caller("alice")
    made = await hub.tokens.add_refresh(before, "docker", AUDIENCE)
    personal = await hub.personal("alice")

    await hub.people.set_password("alice", "another good one")

    with pytest.raises(BadCredentials):
        await hub.tokens.refresh(made.secret, AUDIENCE)
    with pytest.raises(BadCredentials):  # it was asked for before the change, and comes after it
        await hub.tokens.add_refresh(before, "docker", AUDIENCE)
    assert (await hub.tokens.personal(personal)).name == "alice"
    assert [token.kind for token in await hub.tokens.of_person(cast.alice.id)] == ["personal"]


async def test_a_refresh_token_is_bound_to_the_password_of_its_time(hub: Hub, cast: Cast) -> None:
    """Even one that was written between the change of a password and the removal of what rested on it."""
    made = await hub.tokens.add_refresh(await hub.caller("alice"), "docker", AUDIENCE)

    async def only_count(tx: Transaction) -> None:
        await tx.run(Query(update(people).values(generation=people.c.generation + 1)))

    await hub.database.write(only_count)
    with pytest.raises(BadCredentials):
        await hub.tokens.refresh(made.secret, AUDIENCE)


async def test_a_refresh_token_outlives_nothing_that_it_was_made_with(hub: Hub, cast: Cast) -> None:
    soon = int(hub.clock()) + 60
    caller = await hub.tokens.personal(await hub.personal("alice", "alice/*:pull", soon))
    made = await hub.tokens.add_refresh(caller, "docker", AUDIENCE)
    assert (made.token.expires, str(made.token.limits)) == (soon, "repository:alice/*:pull")


async def test_tokens_of_a_person_are_bounded(hub: Hub, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "MOST_PERSONAL", 3)
    alice = await hub.caller("alice")
    for n in range(3):
        await hub.tokens.add_personal(alice, f"token {n}")
    with pytest.raises(TooManyTokens):
        await hub.tokens.add_personal(alice, "one too many")
    assert await hub.personal("bob")


async def test_the_oldest_refresh_tokens_make_room(hub: Hub, cast: Cast) -> None:
    """Each `docker login` makes one, and no machine says when it is gone."""
    alice = await hub.caller("alice")
    first = await hub.tokens.add_refresh(alice, "docker", AUDIENCE)
    personal = await hub.personal("alice")
    others = await asyncio.gather(
        *(hub.tokens.add_refresh(alice, "docker", AUDIENCE) for _ in range(tokens_module.MOST_REFRESH))
    )

    assert len(await hub.tokens.of_person(cast.alice.id)) == tokens_module.MOST_REFRESH + 1
    with pytest.raises(BadCredentials):
        await hub.tokens.refresh(first.secret, AUDIENCE)
    assert await hub.tokens.refresh(others[-1].secret, AUDIENCE)
    assert await hub.tokens.personal(personal)


async def test_last_use_is_written_in_batches(hub: Hub, cast: Cast) -> None:
    secret = await hub.personal("alice")
    await hub.tokens.personal(secret)
    assert [token.last_used for token in await hub.tokens.of_person(cast.alice.id)] == [None]

    await hub.last_use.write()
    (token,) = await hub.tokens.of_person(cast.alice.id)
    assert token.last_used is not None
    assert abs(token.last_used - hub.clock()) < 5

    other_process = LastUse(hub.database)
    other_process.note(token.id, token.last_used - 100)
    await other_process.write()
    assert (await hub.tokens.of_person(cast.alice.id))[0].last_used == token.last_used


async def test_last_use_is_written_when_the_program_ends(hub: Hub, cast: Cast) -> None:
    task = asyncio.ensure_future(hub.last_use.run())
    await asyncio.sleep(0)
    await hub.tokens.personal(await hub.personal("alice"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await hub.tokens.of_person(cast.alice.id))[0].last_used is not None


async def test_what_ended_long_ago_is_deleted(hub: Hub, cast: Cast) -> None:
    alice = await hub.caller("alice")
    live = await hub.tokens.add_personal(alice, "live")
    revoked = await hub.tokens.add_personal(alice, "revoked")
    await hub.tokens.revoke(cast.alice.id, revoked.token.id)
    parent = await hub.tokens.add_personal(alice, "expires", expires=int(hub.clock()) + 60)
    await hub.tokens.add_personal(await hub.tokens.personal(parent.secret), "child")
    assert await hub.tokens.prune() == 0

    hub.clock.ahead += KEPT + 120
    await hub.tokens.prune()

    assert await hub.database.all(Query(select(tokens.c.id))) == [(live.token.id,)]
