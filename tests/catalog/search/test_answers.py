"""Answers, held against what the world in `tests.catalog.search.world` says: each hit, total and facet on every page,
for whoever asks, also where a repository was made private or deleted and search was not told yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from auth import Access
from auth.callers import Caller
from auth.limits import Limits
from auth.tables import namespaces, people
from cas import Digest
from cas.layer_index.rocks import RocksLayerIndex
from catalog.browse.answers import (
    Facet,
    FileHit,
    Hit,
    ImageHit,
    LayerHit,
    PackageHit,
    RepositoryHit,
    SearchAnswer,
)
from catalog.metadata.tables import repositories, tightened
from catalog.repositories import Repositories
from catalog.search.documents import Document
from catalog.search.engine import RemoveAll, SearchEngine, Write
from catalog.search.language import Field, conjuncts, parse, write
from catalog.search.question import Question
from catalog.search.service import SearchService
from catalog.search.tantivy_engine import TantivySearch
from catalog.search.tantivy_writer import TantivyWriter
from database import Database, Query, Transaction
from tests.catalog.search import queries
from tests.catalog.search.memory_engine import MemorySearch
from tests.catalog.search.memory_layers import MemoryLayers
from tests.catalog.search.world import LAYERS, Image, Person, Repository, World
from tests.database.engines import fresh_database

#: Each example writes the whole world anew into the same directories.
EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

#: Makes documents all that there are.
Rewrite = Callable[[list[Document]], Awaitable[None]]


class Searched(NamedTuple):
    """A search service, and how its engine is given documents."""

    service: SearchService
    database: Database
    engine: SearchEngine
    rewrite: Rewrite

    async def show(self, world: World) -> SearchService:
        """Make *world* what is searched."""
        await self.rewrite(list(world.documents()))
        await self.database.write(lambda tx: _rows(tx, world))
        return self.service


PEOPLE = sorted({(person.name, person.namespaces, person.administrator) for person in queries.PEOPLE}, key=str)


@pytest.fixture(params=["memory", "tantivy"])
async def searched(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Searched]:
    """Search over an engine that looks at every document, and over the engine and the layer index that ship."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(fresh_database("sqlite", request, tmp_path))
        await database.write(_people)
        access = Access(database, Repositories(database))
        entries = {Digest.parse(layer.diff_id): layer.entries() for layer in LAYERS}
        if request.param == "memory":
            index, engine = MemoryLayers(entries), MemorySearch()
            service = SearchService(engine, index, database, access, now=lambda: World.now)
            yield Searched(service, database, engine, engine.rewrite)
            return
        owned = await stack.enter_async_context(RocksLayerIndex.open(tmp_path / "layers"))
        async with owned.rebuilding():
            for diff_id, found in entries.items():
                await owned.add_layer(diff_id, 0, found, {})
        writer = await TantivyWriter.open(tmp_path / "search")
        stack.push_async_callback(writer.aclose)
        tantivy = TantivySearch(tmp_path / "search")
        stack.push_async_callback(tantivy.aclose)

        async def rewrite(documents: list[Document]) -> None:
            removed = [RemoveAll("kind", kind) for kind in ("repository", "image", "layer", "package")]
            await writer.apply([*removed, *(Write(document, 1) for document in documents)])

        service = SearchService(tantivy, owned, database, access, now=lambda: World.now)
        yield Searched(service, database, tantivy, rewrite)


async def _people(tx: Transaction) -> None:
    columns = ("id", "name", "generation", "administrator", "disabled", "created")
    for name, owned, administrator in PEOPLE:
        values = {"generation": 0, "administrator": int(administrator), "disabled": 0, "created": 0}
        await tx.run(Query(insert(people), *columns), id=name, name=name, **values)
        for namespace in owned:
            await tx.run(_NAMESPACE, name=namespace, owner_id=name, created=0)
    await tx.run(_NAMESPACE, name="library", owner_id=None, created=0)


_NAMESPACE = Query(insert(namespaces), "name", "owner_id", "created")
_DELETE = [Query(delete(tightened)), Query(delete(repositories))]
_INSERT = Query(insert(repositories), "id", "name", "namespace", "public", "description", "created")
_TIGHTEN = Query(insert(tightened), "repository_id", "version")


async def _rows(tx: Transaction, world: World) -> None:
    for statement in _DELETE:
        await tx.run(statement)
    for repository in world.repositories:
        if repository.now is not None:
            await tx.run(
                _INSERT,
                id=repository.id,
                name=repository.name,
                namespace=repository.namespace,
                public=int(repository.now),
                description=repository.description,
                created=0,
            )
        if repository.now is None or (repository.public and not repository.now):
            await tx.run(_TIGHTEN, repository_id=repository.id, version=1)


def caller(person: Person) -> Caller:
    limits = None
    if person.limits is not None:
        limits = Limits.parse(" ".join(f"repository:{name}:pull" for name in person.limits) or "registry:catalog:*")
    return Caller("" if person.name == "nobody" else person.name, person.name, person.administrator, limits=limits)


async def every_page(service: SearchService, world: World, text: str, size: int = 3) -> list[SearchAnswer]:
    """Return all pages; what each says of the whole is the same."""
    pages = [await service.search(caller(world.person), text, page=1, size=size)]
    first = pages[0]
    while len(pages) * size < first.total:
        page = await service.search(caller(world.person), text, page=len(pages) + 1, size=size)
        assert (page.total, page.facets, page.elsewhere, page.chips) == (
            first.total,
            first.facets,
            first.elsewhere,
            first.chips,
        )
        pages.append(page)
    assert all(len(page.hits) == size for page in pages[:-1])
    beyond = await service.search(caller(world.person), text, page=len(pages) + 1, size=size)
    assert (beyond.hits, beyond.total) == ([], first.total)
    return pages


def names_of(pages: list[SearchAnswer]) -> list[tuple[str, ...]]:
    return [_name(hit) for page in pages for hit in page.hits]


def _name(hit: Hit) -> tuple[str, ...]:
    match hit:
        case RepositoryHit():
            return (hit.name,)
        case ImageHit():
            return (hit.repository, hit.digest)
        case PackageHit():
            return (hit.ecosystem, hit.name)
        case LayerHit():
            return (hit.diff_id,)
        case FileHit():
            return (hit.diff_id, hit.path)


def expected_hits(world: World, question: Question) -> list[Image] | list[Repository]:
    """Return what *question* finds, of repositories or images."""
    if question.type == "image":
        return world.images_for(question.nodes, question.deleted, question.completing)
    if not (question.of_images or question.deleted):
        return world.repositories_for(question.nodes, question.completing)
    images = world.images_for(question.nodes, question.deleted, question.completing)
    return list({image.repository.name: image.repository for image in images}.values())


def check_facets(world: World, question: Question, facets: list[Facet]) -> None:
    """Each facet is counted without what was chosen in it."""
    for name in (
        "arch",
        "os",
        "org",
        "is",
        *(("distro", "license", "label", "base") if question.type == "image" else ()),
    ):
        kept = tuple(node for node in question.nodes if not (isinstance(node, Field) and node.name == name))
        narrowed = Question(
            question.type, question.sort, question.deleted, kept, question.directives, question.completing
        )
        # That images are looked at does not change while something of its own is left out.
        if question.of_images and not narrowed.of_images and question.type == "repository":
            continue
        found = Counter(
            value for hit in expected_hits(world, narrowed) for value in set(facet_values(world, name, hit))
        )
        expected = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:10]
        (facet,) = [each for each in facets if each.name == name] or [None]
        shown = [(value.value, value.count) for value in facet.values] if facet is not None else []
        assert [each for each in shown if each[1]] == expected, name
        for value in facet.values if facet is not None else ():
            assert write(parse(value.query)) == value.query
            then = Question.read(value.query)
            assert then.type == question.type
            if not value.chosen and kept == question.nodes:
                assert len(expected_hits(world, then)) == value.count, value.query


def facet_values(world: World, name: str, hit: Image | Repository) -> list[str]:
    repository = hit if isinstance(hit, Repository) else hit.repository
    platforms = (
        {hit.content.platform}
        if isinstance(hit, Image)
        else {image.content.platform for image in world.images if image.repository == hit}
    )
    match name:
        case "arch":
            return [platform.split("/")[1] for platform in platforms]
        case "os":
            return [platform.split("/")[0] for platform in platforms]
        case "org":
            return [repository.namespace]
        case "is":
            states = [word for word in ("official", "deprecated") if getattr(repository, word)]
            latest = ["latest"] if isinstance(hit, Image) and "latest" in hit.tags else []
            return [*states, *latest, "public" if repository.public else "private"]
    assert isinstance(hit, Image)
    content = hit.content
    match name:
        case "distro":
            return [content.distro[0], ":".join(content.distro)] if content.distro else []
        case "license":
            return [content.license] if content.license else []
        case "label":
            return [f"{key}={value}" for key, value in content.labels]
        case _:
            return [content.base, content.base.partition(":")[0]] if content.base else []


def key_of(hit: Image | Repository) -> tuple[str, ...]:
    return (hit.short,) if isinstance(hit, Repository) else (hit.repository.short, hit.content.digest)


async def check(service: SearchService, world: World, text: str) -> None:
    question = Question.read(text)
    expected = expected_hits(world, question)

    pages = await every_page(service, world, text)

    first = pages[0]
    found = names_of(pages)
    assert (first.type, first.total, first.more) == (question.type, len(expected), False)
    assert Counter(found) == Counter(map(key_of, expected))
    check_facets(world, question, first.facets)
    assert Counter(conjuncts(parse(first.query))) == Counter(conjuncts(parse(text)))
    for chip in first.chips:
        without = Counter(conjuncts(parse(text))) - Counter([parse(chip.text)])
        assert without - Counter(conjuncts(parse(chip.without))) == Counter()
        assert Question.read(chip.without).type == question.type or "deleted:" in chip.text
    for other in first.elsewhere:
        there = await service.search(caller(world.person), other.query, facets=False)
        assert (there.type, there.total > 0, there.total) == (other.type, True, max(other.count, 1))


@EXAMPLES
@given(world=queries.worlds(), text=queries.REPOSITORY_QUERIES, end=st.sampled_from(["", " "]))
async def test_repositories(searched: Searched, world: World, text: str, end: str) -> None:
    await check(await searched.show(world), world, text + end)


@EXAMPLES
@given(world=queries.worlds(), text=queries.IMAGE_QUERIES, end=st.sampled_from(["", " "]))
async def test_images(searched: Searched, world: World, text: str, end: str) -> None:
    await check(await searched.show(world), world, text + end)
