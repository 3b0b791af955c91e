"""Search by tantivy: the writer's side. There is one writer; a lock that dies with it sees to that.

A batch is first decided, then written. What is decided: of all changes to one document, and of what the index holds of
it, which is the newest. What is written: one deletion and one addition for each document that changes, and one commit,
which a reader sees whole or not at all.

A document that was removed leaves a *tombstone*, which has the version of the removal: what is written later with an
older one, by somebody who was slower, does not bring it back. The newest `MOST_TOMBSTONES` are kept: a write that is
older than all of these removals is not told from a new one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar, TypeVarTuple

import tantivy
from tantivy import FieldType, Order, Query

from cas.threads import Threads
from catalog.search.analysis import analyse, keyword
from catalog.search.conditions import MOST_TERMS
from catalog.search.documents import document_id
from catalog.search.engine import Change, Remove, RemoveAll, SearchRebuild, Write
from catalog.search.errors import SearchUnavailable
from catalog.search.fields import FIELDS, Type
from catalog.search.tantivy_generations import Generations, open_index, reload_index
from catalog.search.tantivy_queries import Queries, both
from catalog.search.tantivy_schema import GONE, KEY, STATE, VERSION, id_of, indexed, tombstone

_log = logging.getLogger(__name__)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

#: Bytes of documents that tantivy gathers before it writes a segment. A batch may have more.
HEAP = 64_000_000

#: Documents of a rebuild that are committed together.
MOST_UNCOMMITTED = 100_000

#: Removals that are remembered.
MOST_TOMBSTONES = 100_000


@dataclass(frozen=True, slots=True)
class _Held:
    """What there is of a document: that it stands there, or that it is gone, since *version*."""

    version: int
    gone: bool


class _Batch:
    """Decides what changes come to. *held* is what the index has of the documents that they name."""

    def __init__(self, held: dict[str, _Held]) -> None:
        self._before = held
        self._held = dict(held)
        self.outcome: dict[str, Write | Remove | None] = {}

    def add(self, change: Write | Remove) -> None:
        """Take a change, unless a newer one was before it."""
        identity = _id_of(change)
        held = self._held.get(identity)
        if held is not None and held.version > change.version:
            return
        self._held[identity] = _Held(change.version, isinstance(change, Remove))
        self.outcome[identity] = change

    def forget(self, removed: RemoveAll, ids: Iterable[str]) -> None:
        """Let go of what *removed* removes: of *ids*, which the index holds, and of what came before in the batch."""
        for identity in ids:
            if identity not in self.outcome:
                self._held.pop(identity, None)
        for identity, change in list(self.outcome.items()):
            if isinstance(change, Write) and removed.value in _values(change, removed.field):
                self.outcome[identity] = None
                del self._held[identity]

    def standing(self) -> list[str]:
        """Return the ids of documents that the index holds and that nothing has changed yet."""
        return [identity for identity in self._held if identity not in self.outcome]

    def before(self, identity: str) -> _Held | None:
        """Return what the index holds of a document, before the batch."""
        return self._before.get(identity)


class Generation:
    """A generation, as it is written. For one thread at a time."""

    def __init__(self, path: Path, threads: int = 1) -> None:
        self.path = path
        self._threads = threads
        self._index: tantivy.Index | None = None
        self._writer: tantivy.IndexWriter | None = None
        #: What was written since the last commit.
        self._uncommitted: set[str] = set()

    def gather(self, changes: Sequence[Change]) -> None:
        """Make *changes* in a generation that nobody reads yet. They are committed together with later ones: what a
        commit costs, and the merging of many small segments, is most of what small batches cost.

        Raises:
            SearchUnavailable: the files cannot be written; all of the generation has to be written again.
        """
        named = {_id_of(change) for change in changes if isinstance(change, Write)}
        if len(named) < len(changes) or named & self._uncommitted:
            self.commit()
            self.apply(changes)
            return
        index, writer = self._opened()
        self._write(index, writer, changes)
        self._uncommitted |= named
        if len(self._uncommitted) >= MOST_UNCOMMITTED:
            self.commit()

    def commit(self) -> None:
        """Commit what was gathered."""
        if self._uncommitted:
            index, writer = self._opened()
            _do(writer.commit)
            reload_index(index)
            self._uncommitted.clear()

    def apply(self, changes: Sequence[Change]) -> None:
        """Make *changes*, or none of them.

        Raises:
            SearchUnavailable: the files cannot be written; the next call tries anew.
        """
        for change in changes:
            if isinstance(change, RemoveAll) and FIELDS.get(change.field) is not Type.KEYWORD:
                raise ValueError(f"{change.field} is no keyword")
        index, writer = self._opened()
        try:
            self._write(index, writer, changes)
            _do(writer.commit)
        except BaseException:
            # Nothing of the batch may be left for the next commit to publish.
            try:
                writer.rollback()
            except (OSError, ValueError):
                self.close()
            raise
        reload_index(index)

    def close(self) -> None:
        """Let go of the files, merges that have begun being ended."""
        writer, self._index, self._writer = self._writer, None, None
        if writer is not None:
            with suppress(OSError, ValueError):
                writer.wait_merging_threads()

    def _opened(self) -> tuple[tantivy.Index, tantivy.IndexWriter]:
        if self._index is None or self._writer is None:
            index = open_index(self.path)
            self._writer = _do(index.writer, HEAP * self._threads, self._threads)
            self._index = index
        return self._index, self._writer

    def _write(self, index: tantivy.Index, writer: tantivy.IndexWriter, changes: Sequence[Change]) -> None:
        present = _Present(index)
        batch = _Batch(present.of({_id_of(change) for change in changes if not isinstance(change, RemoveAll)}))
        for change in changes:
            if isinstance(change, RemoveAll):
                batch.forget(change, present.among(batch.standing(), change))
                _do(writer.delete_documents_by_term, change.field, change.value)
            else:
                batch.add(change)
        for identity, outcome in batch.outcome.items():
            held = batch.before(identity)
            if held is not None:
                _do(writer.delete_documents_by_term, GONE if held.gone else "id", identity)
            match outcome:
                case Write(document, version):
                    _do(writer.add_document, indexed(document, version, index.schema))
                case Remove(_, version):
                    _do(writer.add_document, tombstone(identity, version, index.schema))
                case None:
                    pass
        forgotten = present.old_tombstones()
        if forgotten is not None:
            _do(writer.delete_documents_by_query, forgotten)


class _Present:
    """What the newest commit holds."""

    def __init__(self, index: tantivy.Index) -> None:
        self._searcher = index.searcher()
        self._schema = index.schema
        self._queries = Queries(index.schema)

    def of(self, ids: Iterable[str]) -> dict[str, _Held]:
        """Return what there is of each of *ids*."""
        held: dict[str, _Held] = {}
        names = sorted(ids) if self._searcher.num_docs else []
        fields = ("id", GONE) if self._searcher.doc_freq(STATE, "gone") else ("id",)
        for start in range(0, len(names), MOST_TERMS):
            some = names[start : start + MOST_TERMS]
            for field in fields:
                query = Query.term_set_query(self._schema, field, some)
                hits = self._searcher.search(query, limit=len(some), count=False, order_by_field=KEY).hits
                versions = self._searcher.fast_field_values(VERSION, [address for _, address in hits])
                for (key, _), version in zip(hits, versions, strict=True):
                    assert isinstance(version, int)
                    held[id_of(key)] = _Held(version, field == GONE)
        return held

    def among(self, ids: Sequence[str], removed: RemoveAll) -> list[str]:
        """Return those of *ids* that *removed* removes."""
        found: list[str] = []
        for start in range(0, len(ids), MOST_TERMS):
            some = ids[start : start + MOST_TERMS]
            query = both(self._queries.terms("id", some), self._queries.term(removed.field, removed.value))
            hits = self._searcher.search(query, limit=len(some), count=False, order_by_field=KEY).hits
            found += [id_of(key) for key, _ in hits]
        return found

    def old_tombstones(self) -> Query | None:
        """Return a query for the tombstones that need no longer be kept, if there are many."""
        gone = Query.term_query(self._schema, STATE, "gone", "basic")
        if self._searcher.doc_freq(STATE, "gone") <= 2 * MOST_TOMBSTONES:
            return None
        kept = self._searcher.search(gone, limit=MOST_TOMBSTONES, order_by_field=VERSION, order=Order.Desc).hits
        if len(kept) < MOST_TOMBSTONES or not kept[-1][0]:
            return None
        older = Query.range_query(self._schema, VERSION, FieldType.Unsigned, 0, kept[-1][0] - 1)
        return both(gone, older)


class TantivyWriter:
    """Writes the index in *directory* (`catalog.search.engine.SearchWriter`). Made by `open`."""

    def __init__(self, generations: Generations, lock: IO[bytes], generation: Generation | None) -> None:
        self._generations = generations
        self._lock = lock
        self._generation = generation
        self._thread = Threads(1)

    @classmethod
    async def open(cls, directory: Path, *, create: bool = True) -> TantivyWriter:
        """Become the writer, and make an empty index where there is none, so that a new installation finds nothing
        instead of failing. Where there are images already (*create* is False) it waits for a rebuild instead: until
        then, and where the index is of a version with other fields, `apply` raises `SearchUnavailable`.

        Raises:
            WriterBusy: another process is the writer.
        """
        return await Threads(1).run(cls._open, Generations(directory), create)

    @classmethod
    def _open(cls, generations: Generations, create: bool) -> TantivyWriter:
        lock = generations.lock()
        try:
            generations.sweep()
            if create and generations.pointer() is None:
                generations.switch(generations.create())
        except BaseException:
            lock.close()
            raise
        try:
            return cls(generations, lock, Generation(generations.current()))
        except SearchUnavailable:
            return cls(generations, lock, None)

    async def apply(self, changes: Sequence[Change]) -> None:
        """See `SearchWriter.apply`."""
        await self._thread.run(self._apply, changes)

    async def begin_rebuild(self) -> SearchRebuild:
        """See `SearchWriter.begin_rebuild`."""
        path = await self._thread.run(self._generations.create)
        return TantivyRebuild(self, Generation(path, threads=2))

    async def aclose(self) -> None:
        """See `SearchWriter.aclose`."""
        await self._thread.run(self._close)

    async def switch(self, generation: Generation) -> None:
        """Let *generation*, which is complete, take the place of the present one."""
        await self._thread.run(self._switch, generation)

    async def discard(self, generation: Generation) -> None:
        """Remove *generation*, which is not the present one."""
        await self._thread.run(self._discard, generation)

    # In the thread

    def _apply(self, changes: Sequence[Change]) -> None:
        if self._generation is None or self._generations.current() != self._generation.path:
            raise SearchUnavailable("the search index has to be rebuilt")
        if changes:
            self._generation.apply(changes)

    def _switch(self, generation: Generation) -> None:
        before, previous = self._generations.pointer(), self._generation
        self._generations.switch(generation.path)
        self._generation = generation
        if previous is not None:
            previous.close()
        if before is not None:
            self._generations.remove(before)

    def _discard(self, generation: Generation) -> None:
        generation.close()
        self._generations.remove(generation.path)

    def _close(self) -> None:
        if self._generation is not None:
            self._generation.close()
            self._generation = None
        self._lock.close()


class TantivyRebuild:
    """A generation in the making (`catalog.search.engine.SearchRebuild`), in a thread of its own."""

    def __init__(self, writer: TantivyWriter, generation: Generation) -> None:
        self._writer = writer
        self._generation = generation
        self._thread = Threads(1)

    async def apply(self, changes: Sequence[Change]) -> None:
        """See `SearchRebuild.apply`."""
        if changes:
            await self._thread.run(self._generation.gather, changes)

    async def finish(self) -> None:
        """See `SearchRebuild.finish`."""
        await self._thread.run(self._generation.commit)
        await self._writer.switch(self._generation)

    async def abandon(self) -> None:
        """See `SearchRebuild.abandon`."""
        # In its own thread: what was cancelled may still be writing there.
        await self._thread.run(self._generation.close)
        await self._writer.discard(self._generation)


def _id_of(change: Write | Remove) -> str:
    return keyword(document_id(change.document) if isinstance(change, Write) else change.id)


def _values(change: Write, field: str) -> list[str]:
    values = analyse(change.document).get(field, [])
    assert isinstance(values, list)
    return values


def _do(work: Callable[[*Ts], T], *arguments: *Ts) -> T:
    """Let tantivy do *work*; what it cannot do it says as ValueError or OSError (a full disk, files removed)."""
    try:
        return work(*arguments)
    except (OSError, ValueError) as error:
        _log.warning("the search index cannot be written: %s", error)
        raise SearchUnavailable("the search index cannot be written") from error
