"""What makes a document count for more, and that tantivy can hold it."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.search.documents import LayerDocument, PackageDocument, RepositoryDocument
from catalog.search.weights import LEAST, MOST, from_stored, stored, weight

NOW = 1_800_000_000
YEAR = 31_557_600


def repository(pulls: int = 0, pushed: int = NOW, official: bool = False, deprecated: bool = False) -> float:
    """The weight of a repository of which this is known."""
    document = RepositoryDocument(
        id="r", name="team/app", public=True, pulls=pulls, pushed=pushed, official=official, deprecated=deprecated
    )
    return weight(document)


@dataclass(frozen=True)
class Known:
    pulls: int
    pushed: int
    official: bool
    deprecated: bool


@given(st.builds(Known, st.integers(-5, 2**80), st.integers(-5, 2**80), st.booleans(), st.booleans()))
def test_weights_are_within_what_tantivy_can_hold(known: Known) -> None:
    value = repository(known.pulls, known.pushed, known.official, known.deprecated)
    assert LEAST <= value <= MOST
    assert stored(value) >= 0
    assert log2(2 + stored(value)) == pytest.approx(4 * value)
    assert from_stored(stored(value)) == pytest.approx(value)


def test_what_is_pulled_newer_or_official_counts_for_more() -> None:
    assert repository(pulls=1000) > repository(pulls=10) > repository()
    assert repository(pushed=NOW) > repository(pushed=NOW - 1) > repository(pushed=0)
    assert repository(official=True) == pytest.approx(1.5 * repository())
    assert repository(pulls=9999, deprecated=True) == pytest.approx(0.2 * repository(pulls=9999))


def test_as_time_passes_two_documents_keep_their_proportion() -> None:
    """Nothing is written again because a day has gone by: the proportion depends on what lies between the two."""
    earlier = repository(pushed=NOW) / repository(pushed=NOW - YEAR)
    later = repository(pushed=NOW + 5 * YEAR) / repository(pushed=NOW + 4 * YEAR)
    assert earlier == pytest.approx(later)


def test_layers_and_packages_have_none() -> None:
    assert weight(LayerDocument(diff_id="sha256:a")) == weight(PackageDocument(ecosystem="deb", name="a")) == 1
