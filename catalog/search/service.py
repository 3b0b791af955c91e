"""Search: from a caller and a text to an answer.

Each method begins by asking what the caller may read at this moment (`catalog.search.access`); nothing is asked of the
engine that is not narrowed by it, but for candidates (packages, layers), which are counted before they are shown.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from auth.access import Access
from auth.callers import Caller
from cas.errors import LayerIndexUnavailable
from cas.layer_index.protocol import LayerIndex
from catalog.browse.answers import (
    Elsewhere,
    Hit,
    HitType,
    SearchAnswer,
    Suggestion,
)
from catalog.search import analysis, candidates, corrections, facets, file_hits
from catalog.search.access import readable
from catalog.search.candidates import Counted
from catalog.search.compile import Asked, Compiler
from catalog.search.conditions import Condition, Some, Terms
from catalog.search.documents import RepositoryDocument, ShownImage
from catalog.search.engine import Found, SearchEngine, SearchRequest, Sort
from catalog.search.errors import QueryError, TooBroad
from catalog.search.files import Files
from catalog.search.highlighting import Marker
from catalog.search.hits import image_hit, repository_hit
from catalog.search.language import Field, Form, Node
from catalog.search.question import Question, infer
from catalog.search.reasons import Reasons
from catalog.search.suggestions import suggestions
from catalog.search.view import View, joining, offset_of
from database.protocol import Reader

#: Hits on one page.
MOST_ON_A_PAGE = 100

_ELSEWHERE: tuple[HitType, ...] = ("repository", "image", "package", "file")
#: Packages, or files, that are counted to tell how many there are elsewhere.
_FEW_CANDIDATES = 100


class SearchService:
    """Answers searches for whoever asks."""

    def __init__(
        self,
        engine: SearchEngine,
        layer_index: LayerIndex,
        database: Reader,
        access: Access,
        default_namespace: str = "library",
        now: Callable[[], float] = time.time,
        elsewhere_within: float = 1.0,
    ) -> None:
        """Leave out how many hits of another type there are where counting them takes more than *elsewhere_within*
        seconds: an answer does not wait for a layer index that hangs."""
        self._engine = engine
        self._layer_index = layer_index
        self._database = database
        self._access = access
        self._default_namespace = default_namespace
        self._now = now
        self._elsewhere_within = elsewhere_within

    async def view(self, caller: Caller) -> View:
        """Return what *caller* may read at this moment. One answer is made from one view."""
        visible = await self._access.visible(caller)
        condition = await readable(self._database, visible)
        files = Files(self._engine, self._layer_index, condition)
        return View(self._engine, files, condition, self._default_namespace, int(self._now()))

    async def search(
        self,
        caller: Caller,
        text: str,
        *,
        type: str | None = None,
        sort: str | None = None,
        page: int = 1,
        size: int = 25,
        facets: bool = True,
    ) -> SearchAnswer:
        """Find what *text* asks for; *type* and *sort* win over those in it. Without *facets* these, and the hits of
        other types, are not counted.

        Raises:
            QueryError: *text* is no query.
            TooBroad: it would look at too much.
            OutOfWindow: the page is beyond the last that can be shown.
            SearchUnavailable, LayerIndexUnavailable: to be tried again.
        """
        question = Question.read(text, type, sort)
        size = min(size, MOST_ON_A_PAGE)
        offset = offset_of(page, size)
        view = await self.view(caller)
        match question.type:
            case "package":
                answer = await self._packages(view, question, page, offset, size)
            case "layer":
                answer = await self._layers(view, question, text, page, offset, size)
            case "file":
                answer = await self._files(view, question, text, page, offset, size)
            case _:
                answer = await self._documents(view, question, page, offset, size, facets)
        if facets:
            answer.elsewhere.extend(await self._elsewhere(view, question))
        return answer

    async def suggest(self, caller: Caller, text: str, most: int = 8) -> list[Suggestion]:
        """Complete what is being typed."""
        return await suggestions(await self.view(caller), text, min(max(most, 1), 50))

    # Repositories and images

    async def _documents(
        self, view: View, question: Question, page: int, offset: int, size: int, with_facets: bool
    ) -> SearchAnswer:
        narrowing = await _Narrowing.of(view, question)
        condition = await narrowing.without("")
        asked = await facets.requests(question, narrowing.without) if with_facets else []
        # Which repositories have these images is asked for beside, where their number is going to be told.
        asks_images = question.type == "image" and narrowing.only_images
        beside = [joining(condition)] if with_facets and asks_images else []
        request = SearchRequest(
            condition,
            exact=_exact(question),
            sort=_sort(question.sort),
            offset=offset,
            most=size,
            facets=(*asked, *beside),
        )
        found = await self._engine.search(request)
        if beside:
            view.joined(condition, found.facets[-1])
        return SearchAnswer(
            query=question.text,
            type=question.type,
            sort=question.sort,
            page=page,
            size=size,
            total=found.total,
            more=False,
            hits=await self._hits(found, question, narrowing.compiler.asked),
            facets=await facets.facets(self._engine, narrowing.compiler, question, asked, found.facets)
            if with_facets
            else [],
            chips=question.chips(),
            corrected=await self._corrected(view, question, found.total),
        )

    async def _hits(self, found: Found, question: Question, asked: Asked) -> list[Hit]:
        reasons = Reasons(asked)
        if not reasons:
            return self._shown(found, question, reasons)
        # Whole documents may be of megabytes: other answers do not wait while they are read.
        return await asyncio.to_thread(self._shown, found, question, reasons)

    def _shown(self, found: Found, question: Question, reasons: Reasons) -> list[Hit]:
        marker = Marker(question.nodes)
        hits: list[Hit] = []
        for hit in found.hits:
            match hit.shown:
                case RepositoryDocument() as repository:
                    hits.append(repository_hit(repository, self._default_namespace, marker))
                case ShownImage() as image:
                    hits.append(image_hit(image, self._default_namespace, marker, reasons.of(hit)))
        return hits

    async def _corrected(self, view: View, question: Question, total: int) -> str | None:
        """Return a query with fewer typing errors, where it finds more than *total*."""
        if total >= corrections.FEW:
            return None
        nodes = await corrections.corrected(view, question)
        if nodes is None:
            return None
        text = question.with_nodes(nodes)
        better = await _Narrowing.of(view, Question.read(text, question.type))
        (count,) = await self._engine.count([await better.without("")])
        return text if count > total else None

    # Packages, layers, files

    async def _packages(self, view: View, question: Question, page: int, offset: int, size: int) -> SearchAnswer:
        counted = await candidates.packages(view, question)
        rows = counted.rows[offset : offset + size]
        hits = await candidates.package_hits(view, question, rows, counted.within)
        return _answer(question, page, size, counted, hits)

    async def _layers(
        self, view: View, question: Question, text: str, page: int, offset: int, size: int
    ) -> SearchAnswer:
        counted = await candidates.layers(view, question, text)
        hits = await candidates.layer_hits(view, counted.rows[offset : offset + size])
        return _answer(question, page, size, counted, hits)

    async def _files(
        self, view: View, question: Question, text: str, page: int, offset: int, size: int
    ) -> SearchAnswer:
        counted = await file_hits.files(view, question, text)
        hits = await file_hits.file_hits(view, counted.rows[offset : offset + size])
        return _answer(question, page, size, counted, [hit for hit, _ in hits])

    async def _elsewhere(self, view: View, question: Question) -> list[Elsewhere]:
        """Count the hits of other types. What cannot be asked of a type, or not at this moment, is left out."""
        asked = [
            self._of_type(view, question, type)
            for type in (_ELSEWHERE if question.nodes else ())
            if type != question.type and (type != "package" or candidates.names_packages(question))
        ]
        return [found for found in await asyncio.gather(*asked) if found is not None]

    async def _of_type(self, view: View, question: Question, type: HitType) -> Elsewhere | None:
        text = question.for_type(type)
        try:
            async with asyncio.timeout(self._elsewhere_within):
                count, more = await self._count(view, Question.read(text), text)
        except (QueryError, TooBroad, LayerIndexUnavailable, TimeoutError):
            return None
        return Elsewhere(type, count, more, text) if count else None

    async def _count(self, view: View, question: Question, text: str) -> tuple[int, bool]:
        if question.type == "package":
            return await candidates.count_packages(view, question, _FEW_CANDIDATES)
        if question.type == "file":
            files = await file_hits.files(view, question, text, _FEW_CANDIDATES)
            return len(files.rows), files.more
        narrowing = await _Narrowing.of(view, question)
        if question.type == "repository" and narrowing.only_images:
            return await narrowing.repositories(), False
        (count,) = await self._engine.count([await narrowing.without("")])
        return count, False


class _Narrowing:
    """The conditions of a question for repositories or images, each beside the node that it comes from."""

    def __init__(self, view: View, question: Question, compiler: Compiler, conditions: list[tuple[Node, Condition]]):
        self._view = view
        self._question = question
        self._conditions = conditions
        self._made: dict[tuple[tuple[Node, Condition], ...], Condition] = {}
        self._joined: dict[tuple[Condition, ...], Condition] = {}
        self.compiler = compiler

    @classmethod
    async def of(cls, view: View, question: Question) -> _Narrowing:
        compiler = view.compiler(question)
        return cls(view, question, compiler, [(node, await compiler.condition(node)) for node in question.nodes])

    @property
    def only_images(self) -> bool:
        """Whether all that is asked for only images are."""
        nodes = self._question.nodes
        return bool(nodes) and all(infer((node,)) == "image" for node in nodes)

    async def repositories(self) -> int:
        """Count the repositories with an image that all nodes hold for: each image's is one that the caller may read.

        Raises:
            TooBroad: there are too many of them.
        """
        return len(await self._view.repository_ids(*(condition for _, condition in self._conditions)))

    async def without(self, name: str) -> Condition:
        """Return the condition of hits for which all nodes hold but those of the field *name*."""
        kept = tuple(
            (node, condition)
            for node, condition in self._conditions
            if not (name and isinstance(node, Field) and node.name == name)
        )
        if kept not in self._made:
            self._made[kept] = await self._narrowed(kept)
        return self._made[kept]

    async def _narrowed(self, kept: tuple[tuple[Node, Condition], ...]) -> Condition:
        if self._question.type == "image":
            return self._view.images(*(condition for _, condition in kept))
        # What only images are, one image of the repository has to be, all of it.
        of_images = tuple(condition for node, condition in kept if infer((node,)) == "image")
        of_repositories = [condition for node, condition in kept if infer((node,)) != "image"]
        if of_images:
            if of_images not in self._joined:
                self._joined[of_images] = await self._view.repositories_of(*of_images)
            of_repositories.append(self._joined[of_images])
        return self._view.repositories(*of_repositories)


def _exact(question: Question) -> Condition | None:
    """Return the condition of documents that are what the words name: they come before all others."""
    words = [term for term in question.terms() if term.form is Form.WHOLE]
    names = tuple(dict.fromkeys(name for term in words if (name := analysis.name_value(term.text))))
    return Some((Terms("name", names), Terms("last", names))) if names else None


def _sort(name: str) -> Sort:
    if name == "best":
        return Sort()
    return Sort(name.removesuffix("-asc"), descending=not name.endswith("-asc"))


def _answer(question: Question, page: int, size: int, counted: Counted[Any], hits: Sequence[Hit]) -> SearchAnswer:
    return SearchAnswer(
        query=question.text,
        type=question.type,
        sort=question.sort,
        page=page,
        size=size,
        total=len(counted.rows),
        more=counted.more,
        hits=list(hits),
        chips=question.chips(),
    )
