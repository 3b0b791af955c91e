"""The search engine, as the rest of the program sees it.

`tests/contracts/search_engine.py` is the executable form of these docstrings. Readers (`SearchEngine`) are in every web
process; one writer (`SearchWriter`) is in the ingest process. A reader answers from the newest commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from catalog.search.conditions import Condition
from catalog.search.documents import Document, Shown

P = TypeVar("P")

#: Hits that can be paged to, at most.
WINDOW = 10_000


@dataclass(frozen=True, slots=True)
class Sort:
    """In which order: by a number's *field* (documents without it come last), or by the score (None).

    Ties break by the repository's name, then by the digest (documents of no repository: by `id`).
    """

    field: str | None = None
    descending: bool = True


@dataclass(frozen=True, slots=True)
class FacetRequest:
    """Count the *most* frequent values of *field* (one of `catalog.search.fields.COUNTED`) among the documents of
    *condition*."""

    field: str
    condition: Condition
    most: int = 10


@dataclass(frozen=True, slots=True)
class Count:
    """A value and the number of documents that have it; facets are ordered by count, then by value."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """Which documents: those of *condition*; *exact* ones (a condition too) before all others by score, then by score ×
    the document's weight. *offset* + *most* is at most `WINDOW`."""

    condition: Condition
    exact: Condition | None = None
    sort: Sort = Sort()
    offset: int = 0
    most: int = 25
    facets: tuple[FacetRequest, ...] = ()


class Hit(Protocol):
    """A document that was found, and its score. All of an image's takes ten times as long to be read as what lists show
    of it, or as a part, so nothing is read before it is asked for."""

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def score(self) -> float:
        """How well it fits."""

    @property
    def document(self) -> Document:
        """The document, as it was written."""

    @property
    def shown(self) -> Shown:
        """What lists show of it."""

    def part(self, kind: type[P]) -> P:
        """Return some of its members: those that the struct *kind* has."""


@dataclass(frozen=True, slots=True)
class Found:
    """One page; *total* is exact. *facets* are in the order in which they were asked for."""

    total: int
    hits: Sequence[Hit]
    facets: list[list[Count]]


class SearchEngine(Protocol):
    """Answers. Every method raises `SearchUnavailable` while there is no index to answer from, and `TooBroad` for a
    pattern that the engine would have to take too much memory or time for."""

    async def search(self, request: SearchRequest) -> Found:
        """Find documents."""

    async def count(self, conditions: Sequence[Condition]) -> list[int]:
        """Tell exactly how many documents hold for each of *conditions*."""

    async def counts(self, field: str, values: Sequence[str], within: Condition) -> list[int]:
        """Tell exactly how many documents of *within* have each of *values* in *field*."""

    async def facets(self, requests: Sequence[FacetRequest]) -> list[list[Count]]:
        """Count values of fields where nothing else is asked: the facets that `search` would return."""

    async def documents(self, ids: Sequence[str]) -> list[Document | None]:
        """Return documents by their names."""

    async def aclose(self) -> None:
        """Let go of what is open."""


@dataclass(frozen=True, slots=True)
class Write:
    """Put *document* in place of what has its name, unless that was written with a greater *version*."""

    document: Document
    version: int


@dataclass(frozen=True, slots=True)
class Remove:
    """Remove the document *id*, unless it was written with a greater *version*; no older version is written later."""

    id: str
    version: int


@dataclass(frozen=True, slots=True)
class RemoveAll:
    """Remove all documents of *condition* (a `Term` of a keyword), whatever their version."""

    field: str
    value: str


Change = Write | Remove | RemoveAll


class SearchWriter(Protocol):
    """Writes; there is one at a time."""

    async def apply(self, changes: Sequence[Change]) -> None:
        """Make *changes*, in their order and all of them or none; when this returns they are durable and every reader's
        next answer counts them."""

    async def begin_rebuild(self) -> SearchRebuild:
        """Begin a new index beside the present one, which goes on to answer and to be written."""

    async def aclose(self) -> None:
        """Let go of what is open."""


class SearchRebuild(Protocol):
    """A new index in the making."""

    async def apply(self, changes: Sequence[Change]) -> None:
        """Make *changes* in the new index alone; older versions than are there do no harm."""

    async def finish(self) -> None:
        """Put the new index in the place of the present one, for readers and writer, and remove that."""

    async def abandon(self) -> None:
        """Remove the new index."""
