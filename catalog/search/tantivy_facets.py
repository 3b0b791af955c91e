"""Facets: the most frequent values, exact in number and in order.

tantivy counts each segment by itself and adds up its most frequent ones, which is a guess, unless each segment gives
all that it has. Values with the same count it orders by themselves, as we do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypedDict

import tantivy

from catalog.search.engine import Count, FacetRequest
from catalog.search.fields import COUNTED
from catalog.search.tantivy_queries import Queries

#: All values of a segment.
_ALL = 2**31 - 1

#: Values that one facet may ask for: tantivy refuses to return more than 65,000 of all together.
MOST_VALUES = 20_000


class _Bucket(TypedDict):
    key: str
    doc_count: int


class _Buckets(TypedDict):
    buckets: list[_Bucket]


class Facets:
    """Facets of one commit."""

    def __init__(self, searcher: tantivy.Searcher, queries: Queries) -> None:
        self._searcher = searcher
        self._queries = queries

    def count(self, requests: Sequence[FacetRequest]) -> list[list[Count]]:
        """Return a list of values for each of *requests*: those that share a condition are counted in one go."""
        for request in requests:
            if request.field not in COUNTED:
                raise ValueError(f"{request.field} is not among {', '.join(sorted(COUNTED))}")
            if not 0 < request.most <= MOST_VALUES:
                raise ValueError(f"{request.most} values: 1 to {MOST_VALUES}")
        shared: dict[object, list[int]] = {}
        for position, request in enumerate(requests):
            shared.setdefault(request.condition, []).append(position)
        counted: list[list[Count]] = [[] for _ in requests]
        for positions in shared.values():
            query = self._queries.filter(requests[positions[0]].condition)
            asked = {str(position): _frequent(requests[position]) for position in positions}
            found = self._searcher.aggregate(query, asked)
            for position in positions:
                counted[position] = [Count(*bucket) for bucket in _buckets(found[str(position)])]
        return counted


def _frequent(request: FacetRequest) -> dict[str, object]:
    return {"terms": {"field": request.field, "size": request.most, "segment_size": _ALL}}


def _buckets(found: _Buckets) -> Iterator[tuple[str, int]]:
    return ((bucket["key"], bucket["doc_count"]) for bucket in found["buckets"])
