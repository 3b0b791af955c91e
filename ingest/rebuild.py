"""What is derived, made again while the service runs: the layer index, the facts, the search index.

    rebuild              layer index   ◄── facts objects; the layers of images that they lack are read
    rebuild --facts      facts         ◄── every layer, in a reader process; then the layer index
    rebuild --search     search        ◄── rows and facts, after the others

Each can be cut off anywhere, by anything, and be begun again: it goes on with what is there. The layer index answers
nothing while it is rebuilt; facts are replaced one by one, and search goes on to answer from what it has.

In the ingest process:

    async with own_layer_index(settings.layer_index) as index:
        layers = Layers(store, facts, index, pool, limits, made_by())
        writing = Writing(database, Documents(database, store, facts, index, namespace), writer, engine)
        rebuilding = Rebuilding(database, derived, index, layers, writing)
        ...
        group.create_task(rebuilding.keep(settings.ingest_socket))     # answers, and rebuilds what was removed
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol, TypeVar

import msgspec

from cas import CasError, Digest, InvalidDigest
from cas.derived import Derived, DerivedName
from cas.errors import DerivedUnknown, LayerIndexUnavailable
from cas.layer_index.messages import Progress
from cas.layer_index.protocol import BlobRecord
from cas.layer_index.rocks import Rebuild, RocksLayerIndex
from cas.layer_index.server import served
from catalog.images.chains import chain_id, chain_ids
from catalog.images.facts import LayerFacts
from catalog.images.objects import BLOBS, CHAINS, FACTS, BlobFacts, blob_name, chain_name, decode, digest_of
from catalog.metadata import documented, images
from catalog.metadata.jobs import EVERYTHING
from catalog.search.errors import SearchUnavailable
from database import Database, DatabaseError
from ingest.consumer import ask_again
from ingest.errors import IngestError, NotStarted
from ingest.images import StoredManifest, every_image, every_repository
from ingest.indexing import by_cataloger, chain_records

T = TypeVar("T")

_log = logging.getLogger(__name__)

#: The name of the work that is asked for at the socket, and its options.
REBUILD, FACTS_TOO, SEARCH_TOO = "rebuild", "facts", "search"

#: When a reading of all layers began that was not finished: blobs that were read since need not be read again.
_BEGUN = DerivedName("rebuild/facts")

#: Seconds before a rebuild that nobody asked for is tried again: at first, and at most.
_FIRST_RETRY = 1.0
_LONGEST_RETRY = 60.0

#: Told how far it has come: what is being done, how many are done, and of how many (0: nobody knows).
Tell = Callable[[str, int, int], None]


class Reads(Protocol):
    """What is asked of `ingest.layers.Layers`."""

    async def read(self, stored: StoredManifest) -> None: ...

    async def read_again(self, digest: Digest) -> BlobFacts: ...

    async def squash_again(self, diff_ids: list[Digest]) -> None: ...


class Writes(Protocol):
    """What is asked of `ingest.writing.Writing`."""

    async def rebuild(self, tell: Callable[[int, int], None]) -> None: ...


class _Again:
    """What a reading of all layers has done: each blob is read once, and whoever needs it meanwhile waits."""

    def __init__(self, begun: int) -> None:
        self.begun = begun
        self.read: set[Digest] = set()
        self.squashed: set[Digest] = set()
        self.turns: defaultdict[Digest, asyncio.Lock] = defaultdict(asyncio.Lock)


class _Stack(msgspec.Struct):
    """What is read of `ChainFacts` here."""

    diff_ids: list[str]


def own_layer_index(root: Path, wait: float = 3600.0) -> AbstractAsyncContextManager[RocksLayerIndex]:
    """Own the layer index in *root* for the time of a block, waiting for a process that is about to end.

    Raises:
        LayerIndexUnavailable: another process owned it for *wait* seconds.
        StorageFull: no room is left.
    """
    return RocksLayerIndex.open(root, wait)


class Rebuilding:
    """Rebuilds, one after the other."""

    def __init__(
        self,
        database: Database,
        derived: Derived,
        index: RocksLayerIndex,
        layers: Reads,
        writing: Writes,
        at_once: int = 2,
    ) -> None:
        """Read *at_once* images at a time: there are so many reader processes."""
        self._database = database
        self._derived = derived
        self._index = index
        self._layers = layers
        self._writing = writing
        self._at_once = at_once
        self._one_at_a_time = asyncio.Lock()

    async def keep(self, socket: Path) -> None:
        """Answer at *socket* for the layer index until cancelled, do what is asked for there, and rebuild the layer
        index whenever it is lost."""
        async with served(self._index, socket, {REBUILD: self._perform}):
            retry = _FIRST_RETRY
            while True:
                await self._index.lost()
                try:
                    async with self._one_at_a_time:
                        if not self._index.answers:
                            _log.info("the layer index is not there, and is made of the facts")
                            await self.layer_index(lambda stage, done, total: None)
                            _log.info("the layer index answers")
                except (CasError, DatabaseError, NotStarted, OSError) as error:
                    _log.warning("the layer index could not be rebuilt, tried again in %g s: %s", retry, error)
                    await asyncio.sleep(retry)
                    retry = min(retry * 2, _LONGEST_RETRY)
                else:
                    retry = _FIRST_RETRY

    async def idle(self) -> None:
        """Return when no rebuild is under way."""
        async with self._one_at_a_time:
            pass

    async def _perform(self, options: Mapping[str, bool], tell: Callable[[Progress], None]) -> None:
        def pass_on(stage: str, done: int, total: int) -> None:
            tell(Progress(stage, done, total))

        try:
            await self.run(pass_on, facts=options.get(FACTS_TOO, False), search=options.get(SEARCH_TOO, False))
        except (SearchUnavailable, DatabaseError, IngestError) as error:
            raise LayerIndexUnavailable(f"{type(error).__name__}: {error}") from error

    async def run(self, tell: Tell, *, facts: bool = False, search: bool = False) -> None:
        """Rebuild the layer index; before it the *facts*, after it the index of *search*.

        Raises:
            LayerIndexUnavailable, SearchUnavailable, StorageFull, DatabaseError, NotStarted: it cannot be done at this
                moment; what was done so far need not be done again.
        """
        if self._one_at_a_time.locked():
            tell("waiting for another rebuild", 0, 0)
        async with self._one_at_a_time:
            if facts:
                await self.facts(tell)
            await self.layer_index(tell)
            if facts and not search:
                await self._write_documents_again()
            if search:
                await self._writing.rebuild(lambda done, total: tell("search", done, total))

    # The layer index

    async def layer_index(self, tell: Tell) -> None:
        """Build the layer index of the facts objects, and of the layers of images that these lack."""
        totals = Counter[str]()
        async for name in self._derived.names(""):
            totals[name.text.rpartition("/sha")[0]] += 1
        async with self._index.rebuilding() as rebuild:
            await self._add_layers(rebuild, tell, totals[FACTS])
            await self._add_blobs(rebuild, tell, totals[BLOBS])
            await self._add_chains(rebuild, tell, totals[CHAINS])
            await self._read_missing(rebuild, tell)

    async def _add_layers(self, rebuild: Rebuild, tell: Tell, total: int) -> None:
        done = 0
        async for name, diff_id in self._objects(FACTS):
            facts = await self._decoded(name, LayerFacts)
            if facts is not None and facts.diff_id != diff_id.text:
                _log.warning("%s is of another layer and removed", name)
                await self._derived.delete(name)
            elif facts is not None:
                await rebuild.add_layer(diff_id, facts.size, facts.entries, by_cataloger(facts))
            done += 1
            tell("layers", done, max(total, done))

    async def _add_blobs(self, rebuild: Rebuild, tell: Tell, total: int) -> None:
        done = 0
        async for name, digest in self._objects(BLOBS):
            blob = await self._decoded(name, BlobFacts)
            if blob is not None:
                diff_id = Digest.parse(blob.diff_id)
                if (await rebuild.has_layers([diff_id]))[0]:
                    await rebuild.add_blob(digest, BlobRecord(diff_id, blob.size, blob.raw_size, blob.verified))
                else:
                    # It says that the layer's facts are there. Whoever believes it would never read the layer.
                    await self._derived.delete(name)
            done += 1
            tell("blobs", done, max(total, done))

    async def _add_chains(self, rebuild: Rebuild, tell: Tell, total: int) -> None:
        done = 0
        async for name, _ in self._objects(CHAINS):
            stack = await self._decoded(name, _Stack)
            if stack is not None:
                diff_ids = [Digest.parse(diff_id) for diff_id in stack.diff_ids]
                for chain_id, record in chain_records(diff_ids, chain_ids(diff_ids)):
                    await rebuild.add_chain(chain_id, record)
            done += 1
            tell("stacks", done, max(total, done))

    async def _read_missing(self, rebuild: Rebuild, tell: Tell) -> None:
        """Read the layers that images are made of and of which no facts are there, or damaged ones.

        Images whose job is not done are left to it, those that could not be read among them: nobody was told yet what
        they hold.
        """
        found = 0
        async for stored in every_image(self._database):
            assert stored.image is not None
            row_id, digest = stored.repository.id, stored.digest.text
            layers = [layer.digest for layer in stored.image.layers if layer.is_layer and stored.has(layer)]
            if await images.job(self._database, row_id, digest) is not None or await self._is_known(rebuild, layers):
                continue
            try:
                await self._layers.read(stored)
            except NotStarted:
                raise
            except IngestError as error:
                _log.warning("%s cannot be read any more: %s", digest, error)
                await self._ask(row_id, digest)
            found += 1
            tell("layers without facts", found, 0)

    async def _is_known(self, rebuild: Rebuild, layers: list[Digest]) -> bool:
        """Tell whether facts are there of *layers* and of their stack."""
        blobs = await rebuild.blobs(layers)
        diff_ids = [blob.diff_id for blob in blobs if blob is not None]
        if len(diff_ids) < len(layers):
            return False
        if not diff_ids:
            return True
        try:
            # Not what the index says of stacks: it knows those too that others stand on, and that nobody put together.
            await self._derived.mark(chain_name(chain_id(diff_ids)))
        except DerivedUnknown:
            return False
        return True

    async def _objects(self, prefix: str) -> AsyncIterator[tuple[DerivedName, Digest]]:
        async for name in self._derived.names(prefix):
            try:
                yield name, digest_of(name)
            except InvalidDigest:
                continue

    async def _decoded(self, name: DerivedName, kind: type[T]) -> T | None:
        """Read an object; one that is damaged is removed, so that it is made again. None where there is none."""
        try:
            content = await self._derived.get(name)
            return await asyncio.to_thread(decode, content, kind)
        except DerivedUnknown:
            return None
        except ValueError as error:
            _log.warning("%s is damaged and removed: %s", name, error)
            await self._derived.delete(name)
            return None

    # Facts

    async def facts(self, tell: Tell) -> None:
        """Read the layers of all images anew, and squash their stacks; what cannot be read any more stays known."""
        again = _Again(await self._begin_facts())
        done = 0
        _, total = await documented.counts(self._database)
        turn = asyncio.Lock()
        waiting = every_image(self._database)

        async def work() -> None:
            nonlocal done
            while True:
                async with turn:  # one draws at a time
                    stored = await anext(waiting, None)
                if stored is None:
                    return
                await self._read_image_again(stored, again)
                done += 1
                tell("layers of images", done, max(total, done))

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._at_once):
                    group.create_task(work())
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        tell("layers of images", done, done)
        await self._derived.delete(_BEGUN)

    async def _begin_facts(self) -> int:
        """Tell when the reading began (seconds since 1970), of which this is the rest."""
        try:
            return int(await self._derived.get(_BEGUN))
        except (DerivedUnknown, ValueError):
            begun = int(time.time())
            await self._derived.put(_BEGUN, str(begun).encode())
            return begun

    async def _read_image_again(self, stored: StoredManifest, again: _Again) -> None:
        assert stored.image is not None
        diff_ids: list[Digest] = []
        for layer in stored.image.layers:
            if not layer.is_layer or not stored.has(layer):
                return
            async with again.turns[layer.digest]:
                known = await self._decoded(blob_name(layer.digest), BlobFacts)
                if layer.digest not in again.read and (known is None or known.verified <= again.begun):
                    try:
                        known = await self._layers.read_again(layer.digest)
                    except NotStarted:
                        raise
                    except IngestError as error:
                        _log.warning("%s cannot be read: %s", layer.digest, error)
                    again.read.add(layer.digest)
            if known is None:
                return
            diff_ids.append(Digest.parse(known.diff_id))
        if not diff_ids:
            return
        stack = chain_ids(diff_ids)[-1]
        if stack not in again.squashed:
            again.squashed.add(stack)
            try:
                await self._layers.squash_again(diff_ids)
            except NotStarted:
                raise
            except IngestError as error:
                _log.warning("the layers of %s cannot be put together: %s", stored.digest, error)

    async def _write_documents_again(self) -> None:
        """Ask for the documents of everything: what they are made of may be other than before."""
        async for row_id in every_repository(self._database):
            await self._ask(row_id, EVERYTHING)

    async def _ask(self, repository_id: str, digest: str) -> None:
        await ask_again(self._database, {repository_id: [digest]})
