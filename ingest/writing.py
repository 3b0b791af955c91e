"""Documents on their way into the search index: made and written in turns.

    a turn:   rows are read ─► documents are made of them ─► they are written, in one commit, or some at a time

What layers hold is in memory while the document of one image is made of it. Documents are gathered up to a number of
bytes, of which most turns stay far below.

There is one turn at a time. So what is written later was made of rows that were read later, and nothing old replaces
anything new, whatever was going on meanwhile. A document's version is that of the newest event that had become a job
when its turn began.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from cas import Digest
from catalog.metadata import cursors, documented, repositories
from catalog.metadata.repositories import Repository
from catalog.search.documents import (
    Document,
    ImageDocument,
    LayerDocument,
    PackageDocument,
    document_id,
    image_id,
)
from catalog.search.engine import Change, Remove, RemoveAll, SearchEngine, SearchRebuild, SearchWriter, Write
from catalog.search.errors import SearchUnavailable
from database import Database
from ingest.consumer import SEARCH
from ingest.documents import Documents, Made, package_document, packages_of
from ingest.images import find

#: Documents that many images add to.
Shared = LayerDocument | PackageDocument

#: Manifests whose documents are written in one turn, where a repository has many.
_AT_ONCE = 200
#: Documents that are written at once into a new index.
_REBUILT_AT_ONCE = 1000
#: Bytes of documents that are in memory at once, about: as many again may be what they are analysed into.
_MOST_BYTES = 16 << 20


class Wanted(NamedTuple):
    """What is to be written: the document of a repository, or (*digest*) that of a manifest, whose layers were read, or
    why they could not be. A repository that is gone takes all its documents along."""

    repository_id: str
    digest: Digest | None = None
    problem: str = ""


class Writing:
    """The one way into the search index."""

    def __init__(self, database: Database, documents: Documents, writer: SearchWriter, engine: SearchEngine) -> None:
        """Write by *writer*; *engine* tells what is there of documents that are added to."""
        self._database = database
        self._documents = documents
        self._writer = writer
        self._engine = engine
        self._turn = asyncio.Lock()
        self._one_rebuild = asyncio.Lock()
        self._rebuild: _Rebuild | None = None

    async def write(self, wanted: Sequence[Wanted]) -> None:
        """Write documents, or remove those of what is gone: all of it in one turn.

        Raises:
            SearchUnavailable: not all of it can be written at this moment.
            StackUnreadable: what layers hold that were read is not known any more.
        """
        async with self._turn:
            version = await self._version()
            await self._apply(self._changes(wanted, version), version)

    async def write_everything(self, repository_id: str) -> None:
        """Write a repository's document and those of all that it holds, of what is known; others take their turns in
        between.

        Raises:
            SearchUnavailable: not all of it could be written.
        """
        await self.write([Wanted(repository_id)])
        last = ""
        while True:
            async with self._turn:
                version = await self._version()
                repository = await repositories.by_id(self._database, repository_id)
                if repository is None:
                    break
                digests = await documented.digests_after(self._database, repository_id, last, _AT_ONCE)
                if not digests:
                    return
                last = digests[-1]
                await self._apply(self._known(repository, digests), version)
        await self.write([Wanted(repository_id)])

    async def rebuild(self, tell: Callable[[int, int], None] = lambda done, of: None, *, whole: bool = False) -> None:
        """Make the whole index anew from what is known, beside the present one, which goes on to answer and to be
        written. *tell* gets how many documents are done, and of about how many. A *whole* one has nothing less than was
        known before.

        Raises:
            SearchUnavailable: the new index cannot be written; the present one stays.
            LayerIndexUnavailable: what layers hold is not known at this moment.
            FactsMissing: some of it has to be read again first, for a whole one; a rebuild of the layer index does so.
        """
        async with self._one_rebuild:
            await self._rebuild_alone(tell, whole=whole)

    async def _rebuild_alone(self, tell: Callable[[int, int], None], *, whole: bool) -> None:
        async with self._turn:
            # Less than anything that is written from now on: whatever that is, it is newer than what we read.
            version = max(await self._version() - 1, 0)
            rebuild = self._rebuild = _Rebuild(await self._writer.begin_rebuild())
        try:
            done, about = 0, await self._documents.count()
            async for documents in _batches(self._documents.all(whole=whole), _REBUILT_AT_ONCE):
                rebuild.remember(documents)
                await rebuild.index.apply([Write(document, version) for document in documents])
                rebuild.check()
                done += len(documents)
                tell(done, max(about, done))
            async with self._turn:
                rebuild.check()
                version = await self._version()
                await rebuild.index.apply(rebuild.last_changes(version))
                await rebuild.index.finish()
                self._rebuild = None
        except BaseException:
            self._rebuild = None
            await asyncio.shield(rebuild.index.abandon())
            raise

    # Within a turn

    async def _version(self) -> int:
        return (await cursors.read(self._database, SEARCH)).version

    async def _changes(self, wanted: Sequence[Wanted], version: int) -> AsyncIterator[Change | Made]:
        for each in wanted:
            repository = await repositories.by_id(self._database, each.repository_id)
            if each.digest is None:
                yield (
                    RemoveAll("repository_id", each.repository_id)
                    if repository is None
                    else Write(await self._documents.repository(repository), version)
                )
                continue
            stored = None if repository is None else await find(self._database, repository, each.digest)
            if stored is None:
                yield Remove(image_id(each.repository_id, each.digest.text), version)
            elif (made := await self._documents.image(stored, each.problem)) is not None:
                yield made

    async def _known(self, repository: Repository, digests: Sequence[str]) -> AsyncIterator[Change | Made]:
        for digest in digests:
            made = await self._documents.known_image(repository, digest)
            if made is not None:
                yield made

    async def _apply(self, wanted: AsyncIterator[Change | Made], version: int) -> None:
        """Write what is wanted, as much at a time as may be in memory."""
        changes: list[Change] = []
        found: list[Made] = []
        size = 0
        async for each in wanted:
            if isinstance(each, Made):
                found.append(each)
                changes.append(Write(each.document, version))
                size += _size(each.document)
            else:
                changes.append(each)
            if size >= _MOST_BYTES:
                await self._commit(changes, found, version)
                changes, found, size = [], [], 0
        await self._commit(changes, found, version)

    async def _commit(self, changes: list[Change], found: Sequence[Made], version: int) -> None:
        shared = await self._shared(found)
        changes += [Write(document, version) for document in shared]
        if self._rebuild is not None:
            await self._rebuild.apply(changes)
        if changes:
            await self._writer.apply(changes)

    async def _shared(self, found: Iterable[Made]) -> list[Shared]:
        """Return the documents of layers and packages that images tell something new of: what stands there already,
        and what they add."""
        layers: dict[str, Shared] = {}
        versions: dict[str, set[str]] = {}
        for made_of in found:
            for layer in _layers(made_of):
                before = layers.get(layer.diff_id)
                layers[layer.diff_id] = _joined(before, layer)
            for name, version in packages_of(made_of.document):
                versions.setdefault(name, set()).add(version)
        made: list[Shared] = [*layers.values()]
        made += [package_document(name, some) for name, some in versions.items()]
        if not made:
            return []
        names = [document_id(each) for each in made]
        try:
            standing: Sequence[Document | None] = await self._engine.documents(names)
        except SearchUnavailable:  # there is no index, or it is an older version's: nothing is added to it either
            standing = [None] * len(names)
        joined = [
            each if before is None else _joined(before, each) for each, before in zip(made, standing, strict=True)
        ]
        return [each for each, before in zip(joined, standing, strict=True) if each != before]


class _Rebuild:
    """A new index, which gets what is written meanwhile too. Documents of layers and packages are added to, and what
    the present index has of them may be less than what the new one gets: they are joined at the end."""

    def __init__(self, index: SearchRebuild) -> None:
        self.index = index
        self._read: dict[str, Shared] = {}
        self._added: dict[str, Shared] = {}
        self._removed: list[Change] = []
        self._failure: SearchUnavailable | None = None

    def check(self) -> None:
        """Raise what kept the new index from being written."""
        if self._failure is not None:
            raise self._failure

    async def apply(self, changes: Sequence[Change]) -> None:
        """Write what is written to the present index. That the new one cannot be is its own affair."""
        own: list[Change] = []
        for change in changes:
            if isinstance(change, Write) and isinstance(change.document, LayerDocument | PackageDocument):
                name = document_id(change.document)
                before = self._added.get(name)
                self._added[name] = _joined(before, change.document)
            else:
                if isinstance(change, RemoveAll):
                    self._removed.append(change)
                own.append(change)
        try:
            await self.index.apply(own)
        except SearchUnavailable as error:
            self._failure = error

    def remember(self, documents: Iterable[Document]) -> None:
        """Keep what may have to be joined: what was added so far is little."""
        for document in documents:
            if isinstance(document, LayerDocument | PackageDocument):
                self._read[document_id(document)] = document

    def last_changes(self, version: int) -> list[Change]:
        """Return what makes the new index whole: what was removed meanwhile is removed once more, for what was read of
        it before may have been written after that; and what was added to is joined with what was read of it."""
        joined = [_joined(self._read.get(name), added) for name, added in self._added.items()]
        return [*self._removed, *(Write(document, version) for document in joined)]


def _size(document: Document) -> int:
    """Return about how many bytes *document* takes in memory."""
    if not isinstance(document, ImageDocument):
        return 1_000
    short = [document.tags, document.layers, document.diff_ids, document.chains, document.licenses]
    short += [document.histories, document.hidden, document.moved]
    pairs = (document.packages, document.removed, document.sources)
    named = (document.labels, document.annotations)
    texts = (document.env, document.entrypoint, document.command, document.history)
    written = [text for listed in texts for text in listed]
    written += [text for each in named for pair in each.items() for text in pair]
    written += [text for each in document.placed for text in (each.path, each.source)]
    return 100 * sum(map(len, short)) + 200 * sum(map(len, pairs)) + sum(100 + len(text) for text in written)


def _layers(made: Made) -> list[LayerDocument]:
    return [
        LayerDocument(
            diff_id=blob.diff_id,
            blobs={digest: blob.size},
            raw_size=blob.raw_size,
            entries=made.entries[blob.diff_id],
        )
        for digest, blob in (zip(made.document.layers, made.blobs, strict=True) if made.blobs else ())
    ]


def _joined(one: Document | None, other: Shared) -> Shared:
    """Return what both say together."""
    match one, other:
        case LayerDocument(), LayerDocument():
            return replace(other, blobs=dict(sorted({**one.blobs, **other.blobs}.items())))
        case PackageDocument(), PackageDocument():
            return replace(other, versions=sorted({*one.versions, *other.versions}))
    return other


async def _batches(documents: AsyncIterator[Document], size: int) -> AsyncIterator[list[Document]]:
    batch: list[Document] = []
    weight = 0
    async for document in documents:
        batch.append(document)
        weight += _size(document)
        if len(batch) >= size or weight >= _MOST_BYTES:
            yield batch
            batch, weight = [], 0
    if batch:
        yield batch
