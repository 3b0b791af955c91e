"""Regular expressions: what is let through, and that it means the same wherever it goes."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cas.layer_index.patterns import Pattern
from catalog.search.pattern_cost import TooCostly, cost
from catalog.search.pattern_tree import Characters, Node, Repeat
from catalog.search.patterns import LONGEST, InvalidPattern, check


@pytest.mark.parametrize(
    ("text", "prefix", "pattern"),
    [
        ("v[0-9]+", "v", "v[0-9]+"),
        ("^deb/libssl.*$", "deb/libssl", "deb/libssl.*"),
        (r"lib(ssl|crypto)\.so(\.\d+){1,3}", "lib", r"lib(ssl|crypto)\.so(\.[0-9]+){1,3}"),
        (r"[\w.-]*", "", r"[\--\.0-9A-Z_a-z]*"),
        ("(?:a|b)?", "", "(a|b)?"),
        ('x"@<>', 'x"@<>', 'x["][@][<][>]'),
        (r"a\/b\ c", "a/b c", "a/b c"),
        ("[^/]+", "", "[^/]+"),
        ("", "", "()"),
        ("a||b", "", "a|()|b"),
        ("é+", "", "é+"),
        ("a{3}b{2,}", "", "a{3}b{2,}"),
    ],
)
def test_a_pattern_is_written_anew(text: str, prefix: str, pattern: str) -> None:
    assert check(text) == (prefix, pattern)


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("a(b", 1, "not closed"),
        ("a)", 1, "closes nothing"),
        ("*a", 0, "repeats nothing"),
        ("a**", 2, "repeated"),
        ("a{2}{3}", 4, "repeated"),
        ("a{3,2}", 1, "less"),
        ("a{x}", 1, "expected"),
        ("a{9999}", 2, "thousands"),
        ("[", 0, "not closed"),
        ("[z-a]", 3, "before it begins"),
        ("[é]", 1, "ASCII"),
        ("[[:alpha:]]", 1, "backslash"),
        ("[]", 0, "nothing"),
        (r"\b", 0, "not known"),
        (r"\1", 0, "not known"),
        ("\\", 0, "nothing follows"),
        ("a^b", 1, "end alone"),
        ("(?=a)", 1, "repeats nothing"),
        ("(a{99}){99}", 0, "come to more"),
        ("((a{9}){9}){9}", 0, "come to more"),
        ("a" * (LONGEST + 1), LONGEST, "at most"),
        ("(" * 60 + "a" + ")+" * 60, 0, "too deep"),
        ("(" * 55 + "a" + "?)" * 55, 0, "too deep"),
        ("(" * 20 + "a" + "?)" * 20 + "{50}", 0, "repeats too much"),
    ],
)
def test_a_pattern_is_refused(text: str, offset: int, message: str) -> None:
    with pytest.raises(InvalidPattern) as raised:
        check(text)

    assert (raised.value.offset, message in raised.value.message) == (offset, True)


def test_a_pattern_may_have_to_begin_with_plain_characters() -> None:
    assert check("etc.*", least=3).prefix == "etc"
    for text in ("et.*", "et(c|d)", "etc|usr", ".*"):
        with pytest.raises(InvalidPattern, match="plain characters"):
            check(text, least=3)


def test_capitals_are_folded_where_values_are() -> None:
    assert check("V[A-C].*[^X]", fold=True) == ("v", "v[a-c].*[^x]")


SOME = st.text(alphabet=r"ab1.\*+?()[]{}|^$-,/ ", max_size=14)


@given(SOME, st.lists(st.text(alphabet="ab1./-", max_size=8), max_size=6))
def test_what_is_let_through_means_what_python_says(text: str, values: list[str]) -> None:
    """The pattern as it is written anew, and as the layer index reads it, matches what the text itself matches."""
    try:
        prefix, pattern = check(text)
    except InvalidPattern:
        return
    bare = text.removeprefix("^")
    bare = bare[:-1] if bare.endswith("$") and not bare.endswith("\\$") else bare
    for value in [*values, text, prefix]:
        expected = re.fullmatch(bare, value, re.ASCII | re.DOTALL) is not None
        assert (re.fullmatch(pattern, value, re.ASCII | re.DOTALL) is not None) == expected
        assert Pattern(pattern).matches(value) == expected
        assert not expected or value.startswith(prefix)


def test_repetitions_in_each_other_cost_no_more_than_their_characters() -> None:
    """Written out, `+` would double with each; and of what is refused no more is written out than it may have."""
    nested = check("(" * 40 + "a" + ")+" * 40).pattern
    assert Pattern(nested).states < 100
    assert Pattern(nested).matches("aaa")
    assert not Pattern(nested).matches("")

    node: Node = Characters(frozenset(b"a"))
    for _ in range(40):
        node = Repeat(node, 2, None)
    with pytest.raises(TooCostly):
        cost(node)


def test_a_pattern_that_python_would_try_for_ever_takes_no_time() -> None:
    began = time.process_time()

    assert not Pattern(check("(a|a)*(a*)*b").pattern).matches("a" * 4000)
    assert time.process_time() - began < 1
