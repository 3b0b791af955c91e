"""What a personal token can be narrowed to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.errors import InvalidScope
from auth.limits import Limits, Pattern, stored_limits
from auth.scopes import ACTIONS
from cas.names import RepositoryName

NAMES = st.sampled_from(["team/app", "team/app/api", "team/application", "teams/app", "library/alpine", "bob/x"])
PATTERNS = st.sampled_from(["*", "team/*", "team/app", "team/app*", "team/app/*", "alpine", "library/*", "bob/x"])
GRANTED = st.sampled_from(["pull", "pull,push", "delete", "delete,pull,push", "*"])
WORDS = st.builds("repository:{}:{}".format, PATTERNS, GRANTED) | st.sampled_from(["registry:catalog:*", "account"])
LIMITS = st.lists(WORDS, min_size=1, max_size=4).map(" ".join).map(Limits.parse)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("repository:team/app:pull", "repository:team/app:pull"),
        ("team/app:pull,push", "repository:team/app:pull,push"),
        ("team/*:pull", "repository:team/*:pull"),
        ("alpine:pull", "repository:library/alpine:pull"),
        ("pull", "repository:*:pull"),
        ("*", "repository:*:*"),
        ("account", "account"),
        ("account registry:catalog:* pull", "repository:*:pull registry:catalog:* account"),
    ],
)
def test_limits_are_read_and_written_out(text: str, written: str) -> None:
    assert str(Limits.parse(text)) == written


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "repository:te*m/app:pull",
        "repository:te*:pull",
        "repository:*/app:pull",
        "repository:**:pull",
        "repository:Team/app:pull",
        "repository:team/app:push",
        "repository:team/app:search",
        "repository:team/app:pull,shout",
        "registry:catalog:pull",
        "registry:catalog:*,pull",
        "registry:other:*",
        "plugin:x:pull",
        "accounts",
        "pull,shout",
        "pull " * 1000,
    ],
)
def test_what_would_limit_nothing_known_is_refused(text: str) -> None:
    with pytest.raises(InvalidScope):
        Limits.parse(text)


@given(LIMITS)
def test_limits_that_are_written_read_as_themselves(limits: Limits) -> None:
    assert stored_limits(str(limits)) == limits


@given(st.text(alphabet="alpine/*:,pushdelt tacoun", max_size=60))
def test_any_text_is_limits_or_refused(text: str) -> None:
    try:
        limits = Limits.parse(text)
    except InvalidScope:
        return
    assert stored_limits(str(limits)) == limits


@given(LIMITS, LIMITS, NAMES)
def test_what_is_covered_allows_nothing_more(outer: Limits, inner: Limits, name: str) -> None:
    if outer.cover(inner):
        repository = RepositoryName.parse(name)
        assert outer.actions(repository) >= inner.actions(repository)
        assert outer.may_list >= inner.may_list
        assert outer.account >= inner.account


@given(LIMITS)
def test_limits_cover_themselves(limits: Limits) -> None:
    assert limits.cover(limits)


def test_an_open_pattern_does_not_reach_into_the_next_namespace() -> None:
    assert Limits.parse("team/*:pull").actions(RepositoryName("teams/app")) == frozenset()
    assert Limits.parse("team/app:pull").actions(RepositoryName("team/app/api")) == frozenset()
    assert Limits.parse("team/app*:*").actions(RepositoryName("team/application")) == ACTIONS


@given(PATTERNS, PATTERNS, NAMES)
def test_patterns_that_cover_match_what_the_other_matches(outer: str, inner: str, name: str) -> None:
    wide, narrow = Pattern.parse(outer), Pattern.parse(inner)
    if wide.covers(narrow) and narrow.matches(RepositoryName.parse(name)):
        assert wide.matches(RepositoryName.parse(name))
