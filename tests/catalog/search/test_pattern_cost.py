"""What a regular expression costs an engine is known before the engine sees it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.search.conditions import Pattern, Prefix
from catalog.search.errors import TooBroad
from catalog.search.pattern_cost import MOST_STATES
from catalog.search.patterns import InvalidPattern, check
from catalog.search.tantivy_queries import Queries
from catalog.search.tantivy_schema import build_schema

_DOCUMENT = Path(__file__).parents[3] / "docs" / "search.md"


@pytest.mark.parametrize(
    "text",
    [
        "v?[0-9]+(\\.[0-9]+){0,3}(-[a-z0-9.]+)?",
        "[0-9a-f]{40}",
        ".*[0-9a-f]{40}.*",
        "[a-z]{0,290}",
        ".*foo.*bar.*baz.*",
        ".*a.*b.*c.*d.*e.*",
        "[^/]+(/[^/]+){3}",
        r"\w+-\d{8}T\d{6}",
        ".*(ubuntu|debian|alpine|fedora).*-(slim|full|dev)(-.*)?",
        "(foo|bar|baz).*(alpha|beta|gamma).*[0-9]{1,3}",
        "(.{3}|.{5})*",
        "((a*)*)*b",
        "é{60}",
        "a" * 200,
    ],
)
def test_what_people_write_is_let_through(text: str) -> None:
    assert check(text).pattern


@pytest.mark.parametrize(
    "text",
    [
        "(.?){290}",
        "(.?){20}",
        "([a-z]?){290}",
        "([acegi]?){100}",
        "(.*a){30}",
        ".*a.{14}",
        ".{60}",
        "(a|b)*a(a|b){20}",
        "([^a][^b]?){20}",
        "((((a?){0,44}){2,})?){2}",
    ],
)
def test_what_would_hold_the_interpreter_is_refused(text: str) -> None:
    with pytest.raises(InvalidPattern, match="too many ways to match"):
        check(text)


def test_those_of_the_document_are_let_through() -> None:
    for text in re.findall(r"`[a-z]+:/(.+)/`", _DOCUMENT.read_text()):
        assert check(text).pattern


ATOMS = st.sampled_from([".", "[a-z]", "[^/]", "[^acegi]", "a", "ab", "(a|ab)", "é", r"\d", "[acegi]"])
REPEATED = st.sampled_from(["*", "+", "?", "{2,}", "{9}", "{0,30}"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner, min_size=2, max_size=4).map("".join)
        | st.lists(inner, min_size=2, max_size=3).map(lambda each: f"({'|'.join(each)})")
        | st.tuples(inner, REPEATED).map(lambda each: f"({each[0]}){each[1]}")
    ),
    max_leaves=12,
)


@given(PATTERNS)
def test_the_engine_refuses_nothing_that_is_let_through(text: str) -> None:
    """Its own bound, on states, is one that was counted here."""
    try:
        pattern = check(text).pattern
    except InvalidPattern:
        return
    Queries(build_schema()).filter(Pattern("tag", pattern))


def test_the_engine_s_own_bound_is_told_of_where_it_is_reached() -> None:
    queries = Queries(build_schema())
    for condition in (Pattern("tag", ".{60}"), Prefix("tag", "a" * MOST_STATES)):
        with pytest.raises(TooBroad, match="too many ways to match"):
            queries.filter(condition)


def test_an_automaton_is_made_once() -> None:
    queries = Queries(build_schema())
    made = queries.filter(Pattern("tag", "v[0-9]+"))

    assert queries.filter(Pattern("tag", "v[0-9]+")) is made
    assert queries.filter(Pattern("env", "v[0-9]+")) is not made
    assert queries.filter(Prefix("tag", "v1")) is queries.filter(Prefix("tag", "v1"))


def test_automata_are_forgotten_before_there_are_too_many() -> None:
    queries = Queries(build_schema())
    made = [queries.filter(Pattern("tag", f"v{number}")) for number in range(100)]

    kept = [queries.filter(Pattern("tag", f"v{number}")) for number in range(99, 89, -1)]
    assert all(after is before for after, before in zip(kept, reversed(made), strict=False))
    assert queries.filter(Pattern("tag", "v0")) is not made[0]
