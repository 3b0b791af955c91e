"""Search by tantivy: the readers' side.

There may be many readers, each in a process of its own, beside the one writer (`catalog.search.tantivy_writer`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TypeVar, TypeVarTuple

import tantivy
from tantivy import Query

from catalog.search.analysis import keyword
from catalog.search.conditions import Condition, Every, Without
from catalog.search.documents import Document, Shown
from catalog.search.engine import WINDOW, Count, FacetRequest, Found, SearchRequest
from catalog.search.errors import OutOfWindow, SearchUnavailable
from catalog.search.fields import FIELDS, Type
from catalog.search.tantivy_facets import Facets
from catalog.search.tantivy_generations import Commit, Generations, open_index, reload_index
from catalog.search.tantivy_pages import Page, Pages
from catalog.search.tantivy_queries import Queries, both, is_text, total
from catalog.search.tantivy_schema import DOCUMENT, KEY, STATE, decode, decode_part, decode_shown, id_of

T = TypeVar("T")
P = TypeVar("P")
Ts = TypeVarTuple("Ts")

#: What hits of the exact tier score more than others: more than any text.
EXACT = 8192.0 * 124


@dataclass(frozen=True, slots=True)
class StoredHit:
    """A document as it is stored (`catalog.search.engine.Hit`)."""

    id: str
    score: float
    content: bytes

    @property
    def document(self) -> Document:
        """See `Hit.document`."""
        return decode(self.content)

    @property
    def shown(self) -> Shown:
        """See `Hit.shown`."""
        return decode_shown(self.content)

    def part(self, kind: type[P]) -> P:
        """See `Hit.part`."""
        return decode_part(self.content, kind)


class View:
    """One commit, as it is searched."""

    def __init__(self, index: tantivy.Index) -> None:
        self.searcher = index.searcher()
        self.queries = Queries(index.schema, self.searcher.doc_freq(STATE, "gone") > 0)

    def count(self, query: Query) -> int:
        """Tell how many documents *query* finds; nothing is scored."""
        return total(self.searcher.search(Query.const_score_query(query, 0.0), limit=1))

    def hit(self, score: float, address: tantivy.DocAddress) -> StoredHit:
        """Return what lies at *address*."""
        stored = self.searcher.doc(address)
        key, content = stored.get_first(KEY), stored.get_first(DOCUMENT)
        assert isinstance(key, str) and isinstance(content, bytes)
        return StoredHit(id_of(key), score, content)


class TantivySearch:
    """Answers from the index in *directory* (`catalog.search.engine.SearchEngine`).

    Searching is done in threads: tantivy lets go of the interpreter while it searches, and what takes long must not
    stop the event loop.
    """

    def __init__(self, directory: Path, threads: int = 4) -> None:
        self._generations = Generations(directory)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="search")
        self._lock = Lock()
        self._path: Path | None = None
        self._index: tantivy.Index | None = None
        self._open: tuple[Commit, View] | None = None

    async def search(self, request: SearchRequest) -> Found:
        """See `SearchEngine.search`."""
        if request.offset < 0 or request.most < 0:
            raise ValueError(f"{request.most} hits from {request.offset}")
        if request.offset + request.most > WINDOW:
            raise OutOfWindow(WINDOW)
        field = request.sort.field
        if field is not None and FIELDS.get(field) is not Type.NUMBER:
            raise ValueError(f"{field} is no number")
        view = await self._view_now()
        if not request.facets:
            return await self._run(self._page, view, request)
        # Side by side: each takes about as long as the other.
        page, facets = await asyncio.gather(
            self._run(self._page, view, request), self._run(self._facets, view, request.facets)
        )
        return Found(page.total, page.hits, facets)

    async def count(self, conditions: Sequence[Condition]) -> list[int]:
        """See `SearchEngine.count`."""
        return await self._run(self._count, conditions)

    async def counts(self, field: str, values: Sequence[str], within: Condition) -> list[int]:
        """See `SearchEngine.counts`."""
        return await self._run(self._counts, field, values, within)

    async def facets(self, requests: Sequence[FacetRequest]) -> list[list[Count]]:
        """See `SearchEngine.facets`."""
        return await self._run(self._facets, await self._view_now(), requests)

    async def documents(self, ids: Sequence[str]) -> list[Document | None]:
        """See `SearchEngine.documents`."""
        return await self._run(self._documents, ids)

    async def aclose(self) -> None:
        """See `SearchEngine.aclose`."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._index = self._open = self._path = None

    def _run(self, work: Callable[[*Ts], T], *arguments: *Ts) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)

    async def _view_now(self) -> View:
        """Return the newest commit, without going to a thread where it is open: that takes as long as many a search."""
        found = self._open
        if found is not None and found[0] == self._generations.commit():
            return found[1]
        return await self._run(self._newest)

    def _newest(self) -> View:
        """Return the newest commit."""
        with self._lock:
            commit = self._generations.commit()
            if self._open is None or self._open[0] != commit:
                # Read before it is opened: if another commit comes in between, the next request looks again.
                self._open = commit, self._opened()
            return self._open[1]

    def _opened(self) -> View:
        while True:
            path = self._generations.current()
            try:
                if self._index is None or path != self._path:
                    self._index, self._path = open_index(path), path
                else:
                    reload_index(self._index)
                return View(self._index)
            except SearchUnavailable:
                self._index = self._open = None
                if self._generations.current() == path:
                    raise

    # In a thread

    def _page(self, view: View, request: SearchRequest) -> Found:
        page = _page(view, Pages(view.searcher, view.queries), request)
        return Found(page.total, [view.hit(score, address) for score, address in page.hits], [])

    def _count(self, conditions: Sequence[Condition]) -> list[int]:
        view = self._newest()
        return [view.count(view.queries.filter(condition)) for condition in conditions]

    def _counts(self, field: str, values: Sequence[str], within: Condition) -> list[int]:
        view = self._newest()
        among = view.queries.filter(within)
        # Of hundreds of values most are nowhere: the dictionary says so in a third of the time that a search takes. A
        # search for each of the others takes 15 µs; to count them together, as a facet of these values, takes longer.
        return [
            view.count(both(view.queries.term(field, value), among))
            if is_text(value) and view.searcher.doc_freq(field, value)
            else 0
            for value in values
        ]

    def _facets(self, view: View, requests: Sequence[FacetRequest]) -> list[list[Count]]:
        return Facets(view.searcher, view.queries).count(requests)

    def _documents(self, ids: Sequence[str]) -> list[Document | None]:
        view = self._newest()
        names = [keyword(each) for each in ids]
        found: dict[str, Document] = {}
        distinct = sorted(set(names))
        for start in range(0, len(distinct), WINDOW):
            some = distinct[start : start + WINDOW]
            hits = view.searcher.search(view.queries.terms("id", some), limit=len(some), count=False).hits
            for _, address in hits:
                hit = view.hit(0.0, address)
                found[hit.id] = hit.document
        return [found.get(name) for name in names]


def _page(view: View, pages: Pages, request: SearchRequest) -> Page:
    start, stop = request.offset, request.offset + request.most
    condition, exact, sort = request.condition, request.exact, request.sort
    if sort.field is not None:
        page = pages.by_number(view.queries.filter(condition), sort.field, sort.descending, start, stop)
        return Page(page.total, [(0.0, address) for _, address in page.hits])
    if exact is None:
        return pages.by_relevance(condition, start, stop)
    first = pages.by_relevance(Every((condition, exact)), start, stop)
    others = Every((condition, Without(exact)))
    first_hits = [(score + EXACT, address) for score, address in first.hits]
    if stop <= first.total:
        return Page(first.total + pages.count(others), first_hits)
    rest = pages.by_relevance(others, max(start - first.total, 0), stop - first.total)
    return Page(first.total + rest.total, first_hits + rest.hits)
