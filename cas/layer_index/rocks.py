"""The layer index as its owner has it: RocksDB in generation directories, rebuilt when they are lost.

                       a generation answers
         open ──yes──► serving ◄───────────── rebuilt, CURRENT moved
           │              │  └─ rebuilding() ─► rebuilding ── given up ─► serving
           no             │ removed, damaged        ▲
           └──────► lost ◄┘ ── rebuilding() ────────┘ ── given up ─► lost

It answers while it is serving, and at no other time. What is added goes into the generation that answers and into the
one that is being built, so that neither lacks anything, whichever comes out of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Concatenate, ParamSpec, Self, TypeVar

from cas.digest import Digest
from cas.entries import Entry
from cas.errors import LayerIndexUnavailable
from cas.layer_index.effort import Effort
from cas.layer_index.generations import Generations
from cas.layer_index.protocol import BlobRecord, ChainRecord, FileQuery, FoundFiles
from cas.layer_index.tables import Broken, Tables
from cas.threads import Threads

T = TypeVar("T")
P = ParamSpec("P")

#: Seconds between two looks at whether the directories are still there, where nobody asks.
LOOK_EVERY = 1.0

_READERS = 4

#: Searches by a pattern that are answered or wait for that; one more is refused. Each takes two seconds at most, those
#: included that it waits for what is being written (`effort.LONGEST`), and all of them together less than whoever asks
#: waits (`remote.TIMEOUT`).
MOST_SEARCHES = 4

_REBUILDING = "it is being rebuilt"
_BUSY = "it is asked for too much at once"
_DAMAGED = "it is damaged, and has to be rebuilt"


class _Opened:
    """An open generation and how many are using it."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.broken: str | None = None
        self._users = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def used(self) -> Iterator[None]:
        """Keep it open."""
        self._users += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._users -= 1
            if self._users == 0:
                self._idle.set()

    async def close(self, threads: Threads) -> None:
        """Close it when nobody uses it any more."""
        await self._idle.wait()
        await threads.run(self.tables.close)


class RocksLayerIndex:
    """An `OwnedLayerIndex` in the directory *root*. Make one by `open`."""

    def __init__(self, root: Path) -> None:
        self._generations = Generations(root)
        self._readers = Threads(_READERS)
        self._searcher = Threads(1)
        self._searches = 0
        self._searching = asyncio.Lock()
        self._writer = Threads(1)
        self._serving: _Opened | None = None
        self._building: _Opened | None = None
        self._retired: list[_Opened] = []
        self._why = "it was not built yet"
        self._lost = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    @classmethod
    @asynccontextmanager
    async def open(cls, root: Path, wait: float = 0.0) -> AsyncIterator[Self]:
        """Become the owner of the layer index in *root*, for the time of the block.

        It may have to be rebuilt before it answers: see `lost`.

        Raises:
            LayerIndexUnavailable: another process owned it for *wait* seconds.
            StorageFull: no room is left.
        """
        index = cls(root)
        deadline = time.monotonic() + wait
        while not await index._writer.run(index._generations.lock):
            if time.monotonic() >= deadline:
                raise LayerIndexUnavailable("another process of this machine owns it")
            await asyncio.sleep(0.05)
        try:
            await index._begin()
            yield index
        finally:
            await index._close()

    async def _begin(self) -> None:
        current = await self._writer.run(self._generations.current)
        if current is not None:
            try:
                self._serving = _Opened(await self._writer.run(Tables, current))
                self._generations.adopt()
            except Broken:
                self._why = _DAMAGED
                await self._writer.run(self._generations.discard_current)
        if self._serving is None:
            self._lost.set()
        await self._writer.run(self._generations.remove_leftovers)

    async def _close(self) -> None:
        for opened in (self._serving, self._building):
            if opened is not None:
                self._retired.append(opened)
        self._serving = self._building = None
        self._why = "its owner is ending"
        await self._close_retired()
        await self._writer.run(self._generations.unlock)

    async def _close_retired(self) -> None:
        while self._retired:
            await self._retired.pop().close(self._writer)

    # Whether it answers

    def _look(self) -> None:
        """Notice it where the generation that answers was removed."""
        if self._serving is not None:
            directory = self._serving.tables.directory
            if not self._generations.intact(directory, answers=True):
                self._give_up(self._serving, "its directory was removed")

    def _give_up(self, opened: _Opened, why: str) -> None:
        opened.broken = why
        if opened is self._serving:
            self._retired.append(opened)
            self._serving = None
            self._why = why
            self._generations.discard_current()
            self._lost.set()

    def _answering(self) -> _Opened:
        self._look()
        if self._building is not None:
            raise LayerIndexUnavailable(_REBUILDING)
        if self._serving is None:
            raise LayerIndexUnavailable(self._why)
        return self._serving

    @property
    def answers(self) -> bool:
        """Whether a generation answers at this moment."""
        self._look()
        return self._serving is not None and self._building is None

    async def lost(self) -> None:
        """Return as soon as no generation answers: it has to be rebuilt. Who removes one is noticed within a second."""
        while True:
            self._look()
            if self._serving is None:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY):
                    await self._lost.wait()

    # Reading

    @contextmanager
    def _used(self) -> Iterator[Tables]:
        """Keep the generation that answers open for the time of the block; give it up where it is broken."""
        opened = self._answering()
        with opened.used():
            try:
                yield opened.tables
            except Broken as error:
                self._give_up(opened, _DAMAGED)
                raise LayerIndexUnavailable(_DAMAGED) from error

    async def _read(self, ask: Callable[Concatenate[Tables, P], T], *arguments: P.args, **options: P.kwargs) -> T:
        with self._used() as tables:
            return await self._readers.run(lambda: ask(tables, *arguments, **options))

    async def blobs(self, digests: Sequence[Digest]) -> list[BlobRecord | None]:
        return await self._read(Tables.blobs, digests)

    async def compressions(self, diff_id: Digest) -> list[Digest]:
        return await self._read(Tables.compressions, diff_id)

    async def has_layers(self, diff_ids: Sequence[Digest]) -> list[bool]:
        return await self._read(Tables.has_layers, diff_ids)

    async def children(self, diff_id: Digest, directory: str, after: str = "", most: int = 1000) -> list[Entry]:
        return await self._read(Tables.children, diff_id, directory, after, most)

    async def entries(self, wanted: Sequence[tuple[Digest, str]]) -> list[list[Entry]]:
        return await self._read(Tables.entries, wanted)

    async def find_files(self, query: FileQuery, most: int, after: bytes = b"") -> FoundFiles:
        if query.pattern is None:
            return await self._read(Tables.find_files, query, most, after)
        # By a pattern, what is looked at may be much more than what is found: in a thread of its own, one at a time, so
        # that questions that are answered at once never wait for it, and what is written little.
        if self._searches >= MOST_SEARCHES:
            raise LayerIndexUnavailable(_BUSY)
        self._searches += 1
        try:
            async with self._searching:
                return await self._search(query, most, after)
        finally:
            self._searches -= 1

    async def _search(self, query: FileQuery, most: int, after: bytes) -> FoundFiles:
        with self._used() as tables:
            effort = Effort(pause=tables.let_write)
            return await self._searcher.run_stoppable(effort.stop, tables.find_files, query, most, after, effort)

    async def chains(self, chain_ids: Sequence[Digest]) -> list[ChainRecord | None]:
        return await self._read(Tables.chains, chain_ids)

    async def facts(self, diff_id: Digest, kind: str) -> bytes | None:
        return await self._read(Tables.facts, diff_id, kind)

    # Writing

    async def add_layer(
        self, diff_id: Digest, raw_size: int, entries: Sequence[Entry], facts: Mapping[str, bytes]
    ) -> None:
        await self._add(lambda tables: tables.add_layer(diff_id, raw_size, entries, facts))

    async def add_blob(self, digest: Digest, record: BlobRecord) -> None:
        await self._add(lambda tables: tables.add_blob(digest, record))

    async def add_chain(self, chain_id: Digest, record: ChainRecord) -> None:
        await self._add(lambda tables: tables.add_chain(chain_id, record))

    async def _add(self, add: Callable[[Tables], None]) -> None:
        """Add to the generation that answers and to the one that is being built.

        While there is neither, nothing is added: whoever adds has to come again. What is in one of them, and in the
        objects that a rebuild reads, is lost by nobody.
        """
        self._look()
        added = False
        for opened in [each for each in (self._building, self._serving) if each is not None]:
            if opened.broken is None:
                with opened.used(), suppress(LayerIndexUnavailable):
                    await self._change(opened, add)
                    added = True
        if not added:
            raise LayerIndexUnavailable(self._why)

    async def _change(self, opened: _Opened, change: Callable[[Tables], None]) -> None:
        try:
            await self._writer.run(change, opened.tables)
        except Broken as error:
            self._give_up(opened, _DAMAGED)
            raise LayerIndexUnavailable(_DAMAGED) from error

    # Rebuilding

    @asynccontextmanager
    async def rebuilding(self) -> AsyncIterator[Rebuild]:
        """Build a new generation for the time of the block, which answers from its end on.

        Where the block is left by an exception, or this process ends, the generation from before answers again, if
        there is one; what was built is kept, and the next rebuild goes on with it. Of several rebuilds one is done at a
        time, and the others wait.

        Raises:
            LayerIndexUnavailable: the directory was removed meanwhile, or RocksDB failed.
            StorageFull: no room is left.
        """
        async with self._one_at_a_time:
            opened = await self._begin_building()
            self._building = opened
            try:
                yield Rebuild(opened, self._change, self._readers)
                await self._finish_building(opened)
            finally:
                if self._building is opened:
                    self._building = None
                    await opened.close(self._writer)

    async def _begin_building(self) -> _Opened:
        await self._close_retired()
        directory = await self._writer.run(self._generations.building)
        try:
            return _Opened(await self._writer.run(lambda: Tables(directory, begin=True)))
        except Broken:
            await self._writer.run(self._generations.discard_building)
            directory = await self._writer.run(self._generations.building)
        try:
            return _Opened(await self._writer.run(lambda: Tables(directory, begin=True)))
        except Broken as error:
            raise LayerIndexUnavailable("it cannot be made") from error

    async def _finish_building(self, opened: _Opened) -> None:
        if opened.broken is None:
            await self._change(opened, Tables.flush)
        if opened.broken is None and not self._generations.intact(opened.tables.directory, answers=False):
            opened.broken = "its directory was removed"
        if opened.broken is not None:
            await self._writer.run(self._generations.discard_building)
            raise LayerIndexUnavailable(opened.broken)
        # While CURRENT moves, nobody takes it for removed: the generation from before answers no more anyhow.
        before, self._serving = self._serving, None
        try:
            await self._writer.run(self._generations.finish_building, opened.tables.directory)
        except BaseException:
            self._serving = before
            raise
        self._serving, self._building = opened, None
        self._lost.clear()
        if before is not None:
            self._retired.append(before)
        await self._close_retired()
        await self._writer.run(self._generations.remove_leftovers)


class Rebuild:
    """A generation in the making. What is added becomes durable at the end; what is in it already costs little."""

    def __init__(
        self, opened: _Opened, change: Callable[[_Opened, Callable[[Tables], None]], Awaitable[None]], readers: Threads
    ) -> None:
        self._opened = opened
        self._change = change
        self._readers = readers

    async def has_layers(self, diff_ids: Sequence[Digest]) -> list[bool]:
        """Tell of each whether it is in the new generation."""
        return await self._ask(Tables.has_layers, diff_ids)

    async def blobs(self, digests: Sequence[Digest]) -> list[BlobRecord | None]:
        """Return what the new generation knows of each of *digests*."""
        return await self._ask(Tables.blobs, digests)

    async def chains(self, chain_ids: Sequence[Digest]) -> list[ChainRecord | None]:
        """Return what the new generation knows of each of *chain_ids*."""
        return await self._ask(Tables.chains, chain_ids)

    async def _ask(self, ask: Callable[[Tables, Sequence[Digest]], T], digests: Sequence[Digest]) -> T:
        with self._opened.used():
            try:
                return await self._readers.run(ask, self._opened.tables, digests)
            except Broken as error:
                self._opened.broken = _DAMAGED
                raise LayerIndexUnavailable(_DAMAGED) from error

    async def add_layer(
        self, diff_id: Digest, raw_size: int, entries: Sequence[Entry], facts: Mapping[str, bytes]
    ) -> None:
        await self._add(lambda tables: tables.add_layer(diff_id, raw_size, entries, facts, durably=False))

    async def add_blob(self, digest: Digest, record: BlobRecord) -> None:
        await self._add(lambda tables: tables.add_blob(digest, record, durably=False))

    async def add_chain(self, chain_id: Digest, record: ChainRecord) -> None:
        await self._add(lambda tables: tables.add_chain(chain_id, record, durably=False))

    async def _add(self, add: Callable[[Tables], None]) -> None:
        if self._opened.broken is not None:
            raise LayerIndexUnavailable(self._opened.broken)
        with self._opened.used():
            await self._change(self._opened, add)
