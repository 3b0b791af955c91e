"""What was tried in vain is remembered for a while, and not too much of it."""

from __future__ import annotations

from ingest.in_vain import InVain


def test_it_is_remembered_for_a_while() -> None:
    tried, at_once_forgotten = InVain(), InVain(seconds=0)
    for each in (tried, at_once_forgotten):
        each.add("x")
    assert "x" in tried
    assert "y" not in tried
    assert "x" not in at_once_forgotten


def test_of_too_many_the_oldest_are_forgotten() -> None:
    tried = InVain(most=2)
    for each in "abac":
        tried.add(each)
    assert [each in tried for each in "abc"] == [True, False, True]
