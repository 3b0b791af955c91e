"""Scopes as clients write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.errors import InvalidScope
from auth.scopes import Scope, requested_scopes

TYPES = st.from_regex(r"[a-z0-9]{1,12}", fullmatch=True)
COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+){0,2}"
NAMES = st.from_regex(rf"(?:[a-z0-9.]{{1,20}}(?::[0-9]{{1,5}})?/)?{COMPONENT}(?:/{COMPONENT}){{0,2}}", fullmatch=True)
ACTIONS = st.frozensets(st.sampled_from(["pull", "push", "delete", "*", "search"]), min_size=1)
SCOPES = st.builds(Scope, TYPES, NAMES, ACTIONS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("repository:library/alpine:pull", Scope("repository", "library/alpine", frozenset({"pull"}))),
        ("repository:a/b:pull,push", Scope("repository", "a/b", frozenset({"pull", "push"}))),
        ("repository:localhost:5000/a/b:pull", Scope("repository", "localhost:5000/a/b", frozenset({"pull"}))),
        ("repository(plugin):a/b:pull", Scope("repository", "a/b", frozenset({"pull"}))),
        ("repository:a/b:*", Scope("repository", "a/b", frozenset({"*"}))),
        ("registry:catalog:*", Scope("registry", "catalog", frozenset({"*"}))),
        ("registry:catalog:search", Scope("registry", "catalog", frozenset({"search"}))),
    ],
)
def test_a_scope_is_read(text: str, expected: Scope) -> None:
    assert Scope.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "repository",
        "repository:a/b",
        "repository::pull",
        "repository:a/b:",
        "repository:a/b:pull,",
        "repository:a/b:,pull",
        "repository:a/b:PULL",
        "repository:a/b:pull ",
        "Repository:a/b:pull",
        "repository(plugin:a/b:pull",
        "repository():a/b:pull",
        "repository:ä/b:pull",
        "repository:a\nb:pull",
        "repository:" + "a" * 2000 + ":pull",
    ],
)
def test_what_is_no_scope_is_refused(text: str) -> None:
    with pytest.raises(InvalidScope):
        Scope.parse(text)


@given(SCOPES)
def test_a_scope_that_is_written_reads_as_itself(scope: Scope) -> None:
    assert Scope.parse(str(scope)) == scope


@given(st.text())
def test_any_text_is_a_scope_or_refused(text: str) -> None:
    try:
        scope = Scope.parse(text)
    except InvalidScope:
        return
    assert Scope.parse(str(scope)) == scope


@given(st.lists(SCOPES, max_size=6), st.data())
def test_one_parameter_or_several_ask_for_the_same(scopes: list[Scope], data: st.DataObject) -> None:
    """podman repeats `scope` where docker joins with spaces, and some clients do both."""
    texts = [str(scope) for scope in scopes]
    cut = data.draw(st.integers(0, len(texts)))

    joined = requested_scopes([" ".join(texts)])

    assert joined == requested_scopes(texts) == requested_scopes([" ".join(texts[:cut]), "  ".join(texts[cut:])])
    assert {(s.type, s.name) for s in joined} == {(s.type, s.name) for s in scopes}
    for scope in joined:
        asked = [s.actions for s in scopes if (s.type, s.name) == (scope.type, scope.name)]
        assert scope.actions == frozenset().union(*asked)


def test_what_is_no_scope_asks_for_nothing() -> None:
    """A scope that is not granted is no error, and neither is one that nobody can grant."""
    assert requested_scopes(["nonsense repository:a/b:pull :::"]) == [Scope("repository", "a/b", frozenset({"pull"}))]
