"""One page of a ranking, exact to the last tie.

tantivy breaks ties by where a document happens to lie. Ours are broken by name and digest (`_key`), whatever page is
asked for, so that pages never overlap and never leave anything out. A page needs that only for the *runs* of equal rank
that it cuts:

    rank      9 8 8 8 8 7 7 5 5 5 4 …
    page          [───────────]            the run of 8 began before it, that of 5 goes on after it: these two are
                                           put in order by another query; the 7s by a look at the page's documents

- Ordered by a number, or by a score that is the same for all but for their weight: a run is "everything with this
  value", ordered by `_key`, as long as it may be. A short one is ordered here: asking again for what a thousand layers
  match takes ten times as long as reading a few keys.
- Ordered by words: a run is what has the same score to the last bit. It is collected to its end, at most to the end of
  the window, and ordered here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import tantivy
from tantivy import Order, Query

from catalog.search.conditions import Condition
from catalog.search.engine import WINDOW
from catalog.search.tantivy_queries import Queries, scores, total
from catalog.search.tantivy_schema import KEY, WEIGHT
from catalog.search.weights import from_stored

#: Documents of a run that are read to put them in order.
_SHORT = 32

#: Where a document is and how it ranks: its score, or what it is ordered by.
Ranked = tuple[float, tantivy.DocAddress]


@dataclass(frozen=True, slots=True)
class Page:
    """How many there are, and those asked for with their scores."""

    total: int
    hits: list[Ranked]


class Pages:
    """Pages of one commit."""

    def __init__(self, searcher: tantivy.Searcher, queries: Queries) -> None:
        self._searcher = searcher
        self._queries = queries

    def by_relevance(self, condition: Condition, start: int, stop: int) -> Page:
        """Return the documents from *start* to *stop*, the best first."""
        if start >= stop:
            return Page(self.count(condition), [])
        if scores(condition):
            return self._by_score(self._queries.scored(condition), start, stop)
        page = self.by_number(self._queries.filter(condition), WEIGHT, True, start, stop)
        return Page(page.total, [(4 * from_stored(value), address) for value, address in page.hits])

    def count(self, condition: Condition) -> int:
        """Tell how many documents *condition* holds for; nothing is scored."""
        return total(self._searcher.search(Query.const_score_query(self._queries.filter(condition), 0.0), limit=1))

    def by_number(self, query: Query, field: str, descending: bool, start: int, stop: int) -> Page:
        """Return the documents from *start* to *stop* by *field*; those without it come last, whatever the order."""
        order = Order.Desc if descending else Order.Asc
        found = self._searcher.search(query, limit=stop + _SHORT, order_by_field=field, order=order)
        ranked = found.hits
        count = total(found)
        hits: list[Ranked] = []
        for first, last in _runs([value for value, _ in ranked], start, stop):
            value = ranked[first][0]
            rank = 0.0 if value is None else value
            among = slice(max(start - first, 0), stop - first)
            if last - first <= _SHORT and (last < len(ranked) or last == count):
                hits += [(rank, address) for _, address in self._ordered(ranked[first:last])[among]]
            else:
                run = (
                    self._queries.without_value(query, field)
                    if value is None
                    else self._queries.with_value(query, field, value)
                )
                hits += [(rank, address) for address in self._by_key(run, among.start, among.stop)]
        return Page(count, hits)

    def _ordered(self, run: list[Ranked]) -> list[Ranked]:
        return sorted(run, key=lambda hit: self._key(hit[1])) if len(run) > 1 else run

    def _by_key(self, query: Query, start: int, stop: int) -> list[tantivy.DocAddress]:
        found = self._searcher.search(query, limit=stop, count=False, order_by_field=KEY, order=Order.Asc)
        return [address for _, address in found.hits[start:]]

    def _by_score(self, query: Query, start: int, stop: int) -> Page:
        limit = min(stop + 1, WINDOW)
        while True:
            found = self._searcher.search(query, limit=limit, weight_by_field=WEIGHT)
            ranked: list[Ranked] = found.hits
            count = total(found)
            if len(ranked) <= stop or ranked[-1][0] < ranked[stop - 1][0] or limit >= WINDOW:
                break
            limit = min(limit * 8, WINDOW)
        hits: list[Ranked] = []
        for first, last in _runs([score for score, _ in ranked], start, stop):
            hits += self._ordered(ranked[first:last])[max(start - first, 0) : stop - first]
        return Page(count, hits)

    def _key(self, address: tantivy.DocAddress) -> str:
        key = self._searcher.doc(address).get_first(KEY)
        assert isinstance(key, str)
        return key


def _runs(ranks: Sequence[float | None], start: int, stop: int) -> list[tuple[int, int]]:
    """Return where runs of equal *ranks* begin and end, those that have a part between *start* and *stop*."""
    runs: list[tuple[int, int]] = []
    stop = min(stop, len(ranks))
    if start >= stop:
        return runs
    first = start
    while first > 0 and ranks[first - 1] == ranks[start]:
        first -= 1
    while first < stop:
        last = first + 1
        while last < len(ranks) and ranks[last] == ranks[first]:
            last += 1
        runs.append((first, last))
        first = last
    return runs
