"""Who may do what."""

from __future__ import annotations

import pytest

from auth.callers import ANONYMOUS
from auth.grants import Grant
from auth.limits import Limits
from auth.scopes import ACTIONS, requested_scopes
from cas.names import RepositoryName
from tests.auth.hub import Cast, Hub

NOTHING: frozenset[str] = frozenset()
PULL = frozenset({"pull"})


@pytest.fixture(autouse=True)
def shelf(hub: Hub) -> None:
    hub.shelf.public = {"alice/open": True, "alice/closed": False, "library/alpine": True, "team/closed": False}


@pytest.mark.parametrize(
    ("name", "anonymous", "bob", "alice", "harbourmaster"),
    [
        ("alice/open", PULL, PULL, ACTIONS, ACTIONS),
        ("alice/closed", NOTHING, NOTHING, ACTIONS, ACTIONS),
        ("alice/absent", NOTHING, NOTHING, ACTIONS, ACTIONS),
        ("alpine", PULL, PULL, PULL, ACTIONS),
        ("team/closed", NOTHING, NOTHING, NOTHING, ACTIONS),
        ("nobodys/absent", NOTHING, NOTHING, NOTHING, ACTIONS),
        ("alices/open", NOTHING, NOTHING, NOTHING, ACTIONS),
    ],
)
async def test_the_rules(
    hub: Hub,
    cast: Cast,
    name: str,
    anonymous: frozenset[str],
    bob: frozenset[str],
    alice: frozenset[str],
    harbourmaster: frozenset[str],
) -> None:
    repository = RepositoryName.parse(name)
    assert await hub.access.actions(ANONYMOUS, repository) == anonymous
    for person, expected in (("bob", bob), ("alice", alice), ("harbourmaster", harbourmaster)):
        assert await hub.access.actions(await hub.caller(person), repository) == expected


async def test_limits_cut_down_and_never_add(hub: Hub, cast: Cast) -> None:
    for name in ("alice/open", "alice/closed", "team/closed", "library/alpine", "bob/absent"):
        repository = RepositoryName(name)
        for person in ("alice", "bob", "harbourmaster"):
            rights = await hub.access.actions(await hub.caller(person), repository)
            for limits in ("*", "pull", "alice/*:pull,push", "alice/open:*", "registry:catalog:*", "account"):
                narrowed = await hub.access.actions(await hub.caller(person, limits), repository)
                assert narrowed == rights & Limits.parse(limits).actions(repository)


async def test_what_is_visible_is_what_can_be_pulled(hub: Hub, cast: Cast) -> None:
    """Lists and single questions must never disagree."""
    callers = [ANONYMOUS]
    for person in ("alice", "bob", "harbourmaster"):
        callers += [
            await hub.caller(person, limits) for limits in (None, "pull", "alice/*:pull", "team/*:*", "account")
        ]
    for caller in callers:
        visible = await hub.access.visible(caller)
        for name, public in hub.shelf.public.items():
            repository = RepositoryName(name)
            may_pull = "pull" in await hub.access.actions(caller, repository)
            assert visible.admits(repository, public) == may_pull, (caller, name)


async def test_what_is_asked_is_cut_to_what_is_allowed(hub: Hub, cast: Cast) -> None:
    asked = requested_scopes(
        [
            "repository:alice/closed:pull,push",
            "repository:alpine:pull,push",
            "repository:team/closed:pull",
            "repository(plugin):alice/open:delete",
            "repository:alice/new:*",
            "repository:Not-A-Name:pull",
            "registry:catalog:*",
            "registry:else:*",
            "plugin:alice/open:pull",
        ]
    )
    assert await hub.access.granted(await hub.caller("alice"), asked) == [
        {"type": "repository", "name": "alice/closed", "actions": ["pull", "push"]},
        {"type": "repository", "name": "alpine", "actions": ["pull"]},
        {"type": "repository", "name": "team/closed", "actions": []},
        {"type": "repository", "name": "alice/open", "actions": ["delete"]},
        {"type": "repository", "name": "alice/new", "actions": ["*", "delete", "pull", "push"]},
        {"type": "registry", "name": "catalog", "actions": ["*"]},
    ]
    anonymous = await hub.access.granted(ANONYMOUS, asked)
    assert [entry for entry in anonymous if entry["actions"]] == [
        {"type": "repository", "name": "alpine", "actions": ["pull"]},
        {"type": "registry", "name": "catalog", "actions": ["*"]},
    ]


async def test_who_was_disabled_is_nobody(hub: Hub, cast: Cast) -> None:
    grant = Grant(cast.root.id, 0, may_list=True)
    assert (await hub.access.caller_of(grant)).administrator
    assert not (await hub.access.caller_of(grant)).may_manage_account
    await hub.people.set_administrator("alice", True)
    await hub.people.set_disabled("harbourmaster", True)
    assert await hub.access.caller_of(grant) == ANONYMOUS
    assert await hub.access.caller_of(Grant("", 0)) == ANONYMOUS
    assert await hub.access.caller_of(Grant("no such id", 0)) == ANONYMOUS


async def test_an_access_token_carries_the_limits_into_lists(hub: Hub, cast: Cast) -> None:
    limits = Limits.parse("team/*:pull registry:catalog:*")
    caller = await hub.access.caller_of(Grant(cast.root.id, 0, may_list=True, limits=limits))
    visible = await hub.access.visible(caller)
    assert visible.everything
    assert visible.admits(RepositoryName("team/closed"), False)
    assert not visible.admits(RepositoryName("alice/open"), True)
    assert not caller.may_manage_account
