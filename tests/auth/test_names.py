"""Names that people may have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.errors import InvalidPersonName
from auth.names import LONGEST, RESERVED, PersonName
from cas.names import RepositoryName


@pytest.mark.parametrize("text", ["al", "alice", "a-b", "a--b", "a_b", "a__b", "a.b", "x1", "9lives", "a" * LONGEST])
def test_a_name_is_read(text: str) -> None:
    assert PersonName.choose(text).text == text


@pytest.mark.parametrize(
    "text",
    ["", "a", "a" * (LONGEST + 1), "Alice", "al ice", "-al", "al-", "a..b", "a/b", "ä1", "al\n", "al\0", "a:b", "a%b"],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidPersonName):
        PersonName.parse(text)


@pytest.mark.parametrize("text", ["library", "api", "v2", "token", "admin", "administrators", "anonymous"])
def test_words_that_mean_something_are_nobodys_name(text: str) -> None:
    with pytest.raises(InvalidPersonName, match="reserved"):
        PersonName.choose(text)


def test_the_default_namespace_is_nobodys_name() -> None:
    with pytest.raises(InvalidPersonName, match="reserved"):
        PersonName.choose("official-images", default_namespace="official-images")


def test_reserved_words_are_names_that_somebody_could_want() -> None:
    """A word that the grammar refuses anyway has no business in the list."""
    for word in RESERVED:
        assert PersonName.parse(word).text == word


@given(st.text(max_size=70))
def test_every_name_is_the_namespace_of_a_repository(text: str) -> None:
    try:
        name = PersonName.parse(text)
    except InvalidPersonName:
        return
    assert RepositoryName.parse(f"{name}/app").namespace == name.text
