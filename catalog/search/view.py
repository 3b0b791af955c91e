"""What one search asks with: the engine, the layer index, and what its caller may read."""

from __future__ import annotations

from dataclasses import dataclass, field

from catalog.search.access import terms
from catalog.search.compile import Compiler
from catalog.search.conditions import All, Condition, Every, Term
from catalog.search.engine import WINDOW, Count, FacetRequest, SearchEngine
from catalog.search.errors import OutOfWindow, TooBroad
from catalog.search.files import Files
from catalog.search.question import Question

#: Repositories that may have an image of some kind, where repositories are to be found by what their images are.
MOST_JOINED = 10_000


@dataclass(frozen=True, slots=True)
class View:
    """One caller's view at one moment. All that is asked of images and repositories is narrowed by *readable*."""

    engine: SearchEngine
    files: Files
    readable: Condition
    default_namespace: str
    now: int
    _joined: dict[Condition, list[Count]] = field(default_factory=dict)

    def compiler(self, question: Question) -> Compiler:
        """Return what compiles the nodes of *question*."""
        return Compiler(
            self.engine,
            self.files,
            self.readable,
            default_namespace=self.default_namespace,
            now=self.now,
            deleted=question.deleted,
            completing=question.completing,
        )

    def images(self, *conditions: Condition) -> Condition:
        """Return the condition of images that the caller may read and that *conditions* hold for."""
        return every("image", self.readable, *conditions)

    def repositories(self, *conditions: Condition) -> Condition:
        """Return the condition of repositories that the caller may read and that *conditions* hold for."""
        return every("repository", self.readable, *conditions)

    def joined(self, images: Condition, ids: list[Count]) -> None:
        """Remember what `joining` found for *images*, that was asked for beside something else."""
        self._joined[images] = ids

    async def repositories_of(self, *conditions: Condition) -> Condition:
        """Return the condition of being a repository with an image that *conditions* hold for.

        Raises:
            TooBroad: there are too many of them.
        """
        return terms("repository_id", await self.repository_ids(*conditions))

    async def repository_ids(self, *conditions: Condition) -> list[str]:
        """Return the ids of the repositories with an image that *conditions* hold for.

        Raises:
            TooBroad: there are too many of them.
        """
        narrowed = self.images(*conditions)
        if narrowed not in self._joined:
            (self._joined[narrowed],) = await self.engine.facets([joining(narrowed)])
        ids = self._joined[narrowed]
        if len(ids) > MOST_JOINED:
            raise TooBroad("type:repository", f"more than {MOST_JOINED:,} repositories have such images")
        return [each.value for each in ids]


def joining(images: Condition) -> FacetRequest:
    """Return what tells which repositories have one of *images*."""
    return FacetRequest("repository_id", images, MOST_JOINED + 1)


def every(kind: str, *conditions: Condition) -> Condition:
    """Join conditions on documents of one kind."""
    return Every((Term("kind", kind), *(each for each in conditions if each != All())))


def offset_of(page: int, size: int) -> int:
    """Return where a page begins.

    Raises:
        OutOfWindow: it ends beyond what can be paged to.
    """
    if page < 1 or size < 1 or page * size > WINDOW:
        raise OutOfWindow(WINDOW)
    return (page - 1) * size
