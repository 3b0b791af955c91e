"""A search service over real rows, and over each engine."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from sqlalchemy import delete, insert

from auth import Access
from auth.callers import Caller
from auth.limits import Limits
from auth.tables import namespaces, people
from cas import Digest
from cas.layer_index.rocks import RocksLayerIndex
from catalog.metadata.tables import repositories, tightened
from catalog.repositories import Repositories
from catalog.search.documents import Document
from catalog.search.engine import RemoveAll, SearchEngine, Write
from catalog.search.service import SearchService
from catalog.search.tantivy_engine import TantivySearch
from catalog.search.tantivy_writer import TantivyWriter
from database import Database, Query, Transaction
from tests.catalog.search import queries
from tests.catalog.search.memory_engine import MemorySearch
from tests.catalog.search.memory_layers import MemoryLayers
from tests.catalog.search.world import LAYERS, Layer, Person, World
from tests.database.engines import fresh_database

ENGINES = ["memory", "tantivy"]

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


@asynccontextmanager
async def opened(
    kind: str, request: pytest.FixtureRequest, directory: Path, layers: Sequence[Layer] = LAYERS, *, built: bool = True
) -> AsyncIterator[Searched]:
    """Search over an engine that looks at every document (``memory``), or over the engine and the layer index that
    ship (``tantivy``); that is not there yet unless it is *built*."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(fresh_database("sqlite", request, directory))
        await database.write(_people)
        access = Access(database, Repositories(database))
        entries = {Digest.parse(layer.diff_id): layer.entries() for layer in layers}
        if kind == "memory":
            index, engine = MemoryLayers(entries), MemorySearch()
            service = SearchService(engine, index, database, access, now=lambda: World.now, elsewhere_within=60)
            yield Searched(service, database, engine, engine.rewrite)
            return
        owned = await stack.enter_async_context(RocksLayerIndex.open(directory / "layers"))
        if built:
            async with owned.rebuilding():
                for diff_id, found in entries.items():
                    await owned.add_layer(diff_id, 0, found, {})
        writer = await TantivyWriter.open(directory / "search")
        stack.push_async_callback(writer.aclose)
        tantivy = TantivySearch(directory / "search")
        stack.push_async_callback(tantivy.aclose)

        async def rewrite(documents: list[Document]) -> None:
            removed = [RemoveAll("kind", kind) for kind in ("repository", "image", "layer", "package")]
            await writer.apply([*removed, *(Write(document, 1) for document in documents)])

        service = SearchService(tantivy, owned, database, access, now=lambda: World.now, elsewhere_within=60)
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
