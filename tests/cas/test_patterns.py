"""The layer index's own regular expressions, beside `re`."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cas.layer_index.patterns import MOST_STATES, Pattern, TooMuchWork

_ATOMS = st.sampled_from(
    [
        *("a", "b", "/", "é", ".", "()", "(?:)", "-", ",", r"\.", r"\d", r"\w", r"\s", r"\D", r"\W", r"\n"),
        *("[ab]", "[^a]", "[a-c0-9_]", r"[\d\-]", "[]a]", r"[^\s/]", r"[\Wa]", "[a-]"),
    ]
)
_TIMES = st.sampled_from(["", "", "", "*", "+", "?", "{2}", "{0}", "{1,}", "{,2}", "{1,3}"])


def _grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda both: f"(?:{both[0]}|{both[1]})"),
        st.tuples(inner, _TIMES).map(lambda both: f"({both[0]}){both[1]}"),
    )


EXPRESSIONS = st.recursive(st.tuples(_ATOMS, _TIMES).map("".join), _grow, max_leaves=6)
TEXTS = st.text(alphabet="ab/é.c0_- \n,", max_size=8)


@given(EXPRESSIONS, st.lists(TEXTS, max_size=20))
def test_it_means_what_re_says(expression: str, texts: list[str]) -> None:
    pattern = Pattern(expression)
    reference = re.compile(expression, re.ASCII | re.DOTALL)

    for text in texts:
        assert pattern.matches(text) == (reference.fullmatch(text) is not None), (expression, text)


@given(st.text(alphabet="ab()[]{}*+?|\\^$.-,1:d", max_size=12))
def test_any_text_is_an_expression_or_refused(expression: str) -> None:
    try:
        pattern = Pattern(expression)
    except ValueError:
        return
    for text in ("", "a", "ab", "aaab", "1:d"):
        assert pattern.matches(text) == (re.fullmatch(expression, text, re.ASCII | re.DOTALL) is not None)


@pytest.mark.parametrize(
    "expression",
    [
        *("^a", "a$", "a**", "a+?", "a{2}{3}", "a*+", "*", "a|*", "(", ")", "(a", "a)", "(" * 60 + "a" + ")" * 60),
        *("[", "[]", "[b-a]", "[a", "\\", "{", "a{", "a{}", "a{,}", "a{3,2}", "a{x}", "a{99999}"),
        *(r"\b", r"\1", r"\u0041", "(?=a)", "(?P<a>b)", "(?i)a", "(?#a)"),
    ],
)
def test_what_no_automaton_does_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="regular expression"):
        Pattern(expression)


@pytest.mark.parametrize("expression", ["(a{1,100}){1,100}", "a{1001}", "(((a{9}){9}){9}){9}", "a" * (MOST_STATES + 1)])
def test_what_would_be_too_large_is_refused_at_once(expression: str) -> None:
    begun = time.thread_time()

    with pytest.raises(ValueError, match="too large"):
        Pattern(expression)

    assert time.thread_time() - begun < 0.5


@pytest.mark.parametrize(
    "expression", ["(a*)*b", "(a|a)*b", "(a|aa)+b", "a*a*a*a*a*a*b", "(.*)(.*)(.*)(.*)(.*)x", "(a?){50}a{50}"]
)
def test_time_is_in_proportion_to_the_text(expression: str) -> None:
    """With `re`, the first of these takes longer than anybody lives."""
    pattern = Pattern(expression)
    begun = time.thread_time()

    pattern.matches("a" * 4_000)
    pattern.matches("a" * 4_000 + "!")

    assert time.thread_time() - begun < 1.0


def test_work_is_bounded_in_all() -> None:
    pattern = Pattern("(?:a|b)*a(?:a|b){200}", work=100_000)
    with pytest.raises(TooMuchWork):
        for number in range(1_000):
            pattern.matches(f"{number:b}".replace("0", "a").replace("1", "b") * 100)


def test_nothing_any_number_of_times_is_nothing() -> None:
    assert Pattern("((((){9999}){9999}){9999}){9999}a").matches("a")


def test_characters_of_all_the_world_do_not_fill_memory() -> None:
    pattern = Pattern(".*z")
    for number in range(0x20, 0x9000, 7):
        assert pattern.matches("".join(map(chr, range(number, number + 7))) + "z")
