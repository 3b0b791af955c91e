"""Ingest in the test's own process, all of it real: reader processes, the layer index, search; and a way to push.

async with ingesting(database, store, directory) as ingest:
    await ingest.push("ada/app", image(layer({...})), "v1")
    await ingest.settled()
    await ingest.image("ada/app", digest)
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, bindparam, or_, select

from cas import BlobStore, Digest, Manifest, RepositoryName, Tag
from cas.derived import Derived, DirectoryDerived
from cas.layer_index.rocks import RocksLayerIndex
from cas.manifest import OCI_MANIFEST
from catalog.content import Content
from catalog.metadata import cursors, jobs, manifests, repositories
from catalog.metadata.manifests import Push
from catalog.metadata.repositories import Repository
from catalog.metadata.tables import jobs as job_rows
from catalog.search.conditions import Term
from catalog.search.documents import (
    Document,
    ImageDocument,
    LayerDocument,
    PackageDocument,
    RepositoryDocument,
    image_id,
)
from catalog.search.engine import SearchRequest
from catalog.search.tantivy_engine import TantivySearch
from catalog.search.tantivy_writer import TantivyWriter
from database import Database, Query, events
from ingest.consumer import SEARCH, Consumer
from ingest.documents import Documents
from ingest.facts import Facts
from ingest.layers import Layers
from ingest.limits import ReadLimits
from ingest.pool import Pool
from ingest.renewal import Renewal
from ingest.versions import MadeBy, made_by
from ingest.worker import Worker
from ingest.writing import Writing
from tests.catalog.images import CONFIG, descriptor
from tests.ingest import tars

#: What somebody is at, or could be: asked in one statement, because jobs go from the one to the other.
_UNDONE = Query(
    select(job_rows.c.digest)
    .where(
        job_rows.c.parked == 0,
        or_(
            job_rows.c.claimed > bindparam("now", type_=BigInteger),
            job_rows.c.due <= bindparam("now", type_=BigInteger),
        ),
    )
    .limit(1)
)


@dataclass(frozen=True)
class Image:
    """An image that can be pushed: its manifest, its config, its layers."""

    manifest: bytes
    config: bytes
    layers: tuple[tars.Layer, ...] = ()

    @property
    def digest(self) -> Digest:
        return Digest.of(self.manifest)


def image(*layers: tars.Layer, diff_ids: Sequence[str] | None = None, config: Any = None, **members: Any) -> Image:
    """Make an image of *layers*. *config* is added to its config, *members* to its manifest; *diff_ids* are claimed in
    place of the true ones."""
    written = {
        "os": "linux",
        "architecture": "amd64",
        "rootfs": {
            "type": "layers",
            "diff_ids": [layer.diff_id.text for layer in layers] if diff_ids is None else list(diff_ids),
        },
        **(config or {}),
    }
    content = json.dumps(written, sort_keys=True).encode()
    described = [descriptor(layer.blob, layer.media_type) for layer in layers]
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(content, CONFIG),
        "layers": described,
        **members,
    }
    return Image(json.dumps(manifest).encode(), content, layers)


def status(*packages: tuple[str, str]) -> bytes:
    """What dpkg notes of installed packages."""
    return "\n".join(
        f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n"
        for name, version in packages
    ).encode()


def small(text: str = "", **files: str) -> tars.Layer:
    """A layer of little files, unlike any other whose *text* is another."""
    return tars.layer(
        {"etc/": None, "etc/motd": text, **{name.replace("__", "/"): said for name, said in files.items()}}
    )


@dataclass
class Ingest:
    """Everything, open. `running` keeps consumer, worker and pool going."""

    database: Database
    store: BlobStore
    derived: Derived
    facts: Facts
    index: RocksLayerIndex
    writer: TantivyWriter
    engine: TantivySearch
    pool: Pool
    layers: Layers
    documents: Documents
    writing: Writing
    worker: Worker
    consumer: Consumer
    renewal: Renewal
    #: Of each blob that was read: whether it could be.
    reads: list[bool] = field(default_factory=list)

    async def push(self, name: str, pushed: Image, *tags: str, public: bool = True, sparse: bool = False) -> Digest:
        """Push an image as a client would."""
        for layer in pushed.layers:
            await self.push_blob(name, layer.blob, public=public)
        await self.push_blob(name, pushed.config, public=public)
        return await self.push_manifest(name, pushed.manifest, *tags, public=public, sparse=sparse)

    async def push_blob(self, name: str, content: bytes, *, public: bool = True) -> None:
        async def pieces() -> AsyncIterator[bytes]:
            for at in range(0, len(content), 1 << 20):
                yield content[at : at + (1 << 20)]

        door = Content(self.database, self.store, public_by_default=public)
        await door.receive(RepositoryName.parse(name), Digest.of(content), pieces())

    async def push_manifest(
        self,
        name: str,
        content: bytes,
        *tags: str,
        public: bool = True,
        sparse: bool = False,
        media_type: str | None = None,
    ) -> Digest:
        manifest = Manifest.parse(content, media_type)
        wanted = [Tag.parse(tag) for tag in tags]
        push = Push(RepositoryName.parse(name), manifest, wanted, "ada", public=public, sparse=sparse)
        await self.database.write(lambda tx: manifests.put(tx, push))
        return manifest.digest

    async def repository(self, name: str) -> Repository:
        return await repositories.find(self.database, RepositoryName.parse(name))

    async def settled(self, seconds: float = 60) -> None:
        """Return when every event has become a job, and no job waits but for another attempt."""
        async with asyncio.timeout(seconds):
            while not await self._is_settled():  # noqa: ASYNC110 - jobs are rows
                await asyncio.sleep(0.01)

    async def _is_settled(self) -> bool:
        cursor = (await cursors.read(self.database, SEARCH)).position
        if await events.count_after(self.database, cursor):
            return False
        return await self.database.one(_UNDONE, now=jobs.now()) is None

    async def image(self, name: str, digest: Digest) -> ImageDocument | None:
        """Return an image's document, as the newest commit has it."""
        found = (await self.engine.documents([image_id((await self.repository(name)).id, digest.text)]))[0]
        assert found is None or isinstance(found, ImageDocument)
        return found

    async def found(self, name: str, digest: Digest) -> ImageDocument:
        """Return an image's document, which is there."""
        document = await self.image(name, digest)
        assert document is not None
        return document

    async def repository_document(self, name: str) -> RepositoryDocument:
        (found,) = await self.engine.documents([f"repository:{(await self.repository(name)).id}"])
        assert isinstance(found, RepositoryDocument)
        return found

    async def layer(self, diff_id: Digest) -> LayerDocument | None:
        (found,) = await self.engine.documents([f"layer:{diff_id}"])
        assert found is None or isinstance(found, LayerDocument)
        return found

    async def package(self, name: str) -> PackageDocument | None:
        (found,) = await self.engine.documents([f"package:{name}"])
        assert found is None or isinstance(found, PackageDocument)
        return found

    async def everything(self) -> dict[str, Document]:
        """Return all documents of the index."""
        found: dict[str, Document] = {}
        for kind in ("repository", "image", "layer", "package"):
            answer = await self.engine.search(SearchRequest(Term("kind", kind), most=10_000))
            assert answer.total == len(answer.hits)
            found |= {hit.id: hit.document for hit in answer.hits}
        return found

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the worker and what it needs going."""
        tasks = [
            asyncio.create_task(self.pool.keep()),
            asyncio.create_task(self.worker.run()),
            asyncio.create_task(self.consumer.run(self.worker.wake)),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            for task in tasks:
                if not task.cancelled() and (error := task.exception()) is not None:
                    raise error


@asynccontextmanager
async def opened(
    database: Database,
    store: BlobStore,
    directory: Path,
    *,
    processes: int = 2,
    memory: int = 512 << 20,
    limits: ReadLimits | None = None,
    attempts: int = 3,
    made: MadeBy | None = None,
) -> AsyncIterator[Ingest]:
    """Open everything below *directory*, and start nothing; *made* pretends other catalogers than there are."""
    made = made or made_by()
    (directory / "store").mkdir(parents=True, exist_ok=True)
    derived = DirectoryDerived(directory / "store")
    facts = Facts(derived)
    async with RocksLayerIndex.open(directory / "index") as index:
        if not await can_answer(index):
            async with index.rebuilding():
                pass
        writer = await TantivyWriter.open(directory / "search")
        engine = TantivySearch(directory / "search")
        pool = Pool(processes, memory)
        reads: list[bool] = []
        layers = Layers(store, facts, index, pool, limits or ReadLimits(), made, lambda could, _: reads.append(could))
        documents = Documents(database, store, facts, index, "library")
        writing = Writing(database, documents, writer, engine)
        worker = Worker(database, layers, writing, attempts=attempts)
        try:
            yield Ingest(
                database,
                store,
                derived,
                facts,
                index,
                writer,
                engine,
                pool,
                layers,
                documents,
                writing,
                worker,
                Consumer(database),
                Renewal(database, derived, facts, made),
                reads,
            )
        finally:
            await writer.aclose()
            await engine.aclose()


async def can_answer(index: RocksLayerIndex) -> bool:
    from cas.errors import LayerIndexUnavailable

    try:
        await index.has_layers([])
    except LayerIndexUnavailable:
        return False
    return True


@asynccontextmanager
async def ingesting(database: Database, store: BlobStore, directory: Path, **options: Any) -> AsyncIterator[Ingest]:
    """Open everything, and keep it going."""
    async with opened(database, store, directory, **options) as ingest, ingest.running():
        yield ingest
