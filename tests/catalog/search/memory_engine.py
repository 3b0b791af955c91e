"""A search engine that evaluates conditions in Python, document by document: what answers are held against."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from catalog.search.analysis import Values, analyse
from catalog.search.conditions import All, Condition, Every, Some, Term, Terms, Without, Words
from catalog.search.documents import Document, Shown, document_id, shown
from catalog.search.engine import Count, FacetRequest, Found, SearchRequest
from catalog.search.weights import weight
from tests.catalog.search.evaluation import evaluate, values_of

P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class WholeHit:
    """A document that is there as a whole."""

    id: str
    score: float
    document: Document

    @property
    def shown(self) -> Shown:
        return shown(self.document)

    def part(self, kind: type[P]) -> P:
        return msgspec.convert(self.document, kind, from_attributes=True)


class MemorySearch:
    """Keeps documents in a dictionary. It scores by how many of the words stand in which field, which is enough to put
    what has more of them first."""

    def __init__(self, documents: Sequence[Document] = ()) -> None:
        self.kept: dict[str, tuple[Document, Values]]
        self._keep(documents)

    async def rewrite(self, documents: Sequence[Document]) -> None:
        """Make *documents* all that there are."""
        self._keep(documents)

    def _keep(self, documents: Sequence[Document]) -> None:
        self.kept = {document_id(document): (document, analyse(document)) for document in documents}

    async def search(self, request: SearchRequest) -> Found:
        matching = self._matching(request.condition)
        hits = [WholeHit(id, self._score(request, id), self.kept[id][0]) for id in matching]
        hits.sort(key=lambda hit: self._tie(hit.id))
        field = request.sort.field
        if field is None:
            hits.sort(key=lambda hit: -hit.score)
        else:
            sign = -1 if request.sort.descending else 1
            known = [hit for hit in hits if field in self.kept[hit.id][1]]
            known.sort(key=lambda hit: sign * self._number(hit.id, field))
            hits = known + [hit for hit in hits if field not in self.kept[hit.id][1]]
        page = hits[request.offset : request.offset + request.most]
        return Found(len(hits), page, [self._facet(each) for each in request.facets])

    async def count(self, conditions: Sequence[Condition]) -> list[int]:
        return [len(self._matching(condition)) for condition in conditions]

    async def counts(self, field: str, values: Sequence[str], within: Condition) -> list[int]:
        found = Counter(value for id in self._matching(within) for value in values_of(self.kept[id][1], field))
        return [found[value] for value in values]

    async def facets(self, requests: Sequence[FacetRequest]) -> list[list[Count]]:
        return [self._facet(each) for each in requests]

    async def documents(self, ids: Sequence[str]) -> list[Document | None]:
        return [self.kept[id][0] if id in self.kept else None for id in ids]

    async def aclose(self) -> None:
        pass

    def _matching(self, condition: Condition) -> list[str]:
        return [id for id, (_, values) in self.kept.items() if evaluate(condition, values)]

    def _facet(self, request: FacetRequest) -> list[Count]:
        found = Counter(
            value for id in self._matching(request.condition) for value in values_of(self.kept[id][1], request.field)
        )
        ordered = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        return [Count(value, count) for value, count in ordered[: request.most]]

    def _score(self, request: SearchRequest, id: str) -> float:
        document, values = self.kept[id]
        score = (1.0 + _worth(request.condition, values)) * weight(document)
        if request.exact is not None and evaluate(request.exact, values):
            score += 1e6
        return score

    def _number(self, id: str, field: str) -> int:
        number = self.kept[id][1][field]
        assert isinstance(number, int), field
        return number

    def _tie(self, id: str) -> tuple[str, str]:
        values = self.kept[id][1]
        name = values_of(values, "repository") or [id]
        return name[0], (values_of(values, "digest") or [id])[0]


def _worth(condition: Condition, values: Values) -> float:
    match condition:
        case Words(words, fields):
            return sum(
                worth
                for synonyms in words
                for field, worth in fields
                if not set(synonyms).isdisjoint(values_of(values, field))
            )
        case Every(conditions) | Some(conditions):
            return sum(_worth(each, values) for each in conditions)
        case All() | Term() | Terms() | Without():
            return 0.0
        case _:
            return 0.0
