"""What an image's layers hold: looked up where it is known, read where it is not.

    blob ──not known──► a reader process ──► facts of the layer ──► layer index ──► facts of the blob
                                                   │
    all layers known ──► a reader process ──► facts of the stack ──► layer index

The facts of a blob are written last: they say that all the others are there. Nothing is ever looked up by what a config
claims; what it claims is held against what was computed.

Nothing that was found stays in memory: it is kept in the store's derived area, and whoever makes something of it reads
it there, one image at a time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext, suppress
from dataclasses import asdict

import msgspec

from cas import BlobStore, BlobUnknown, Digest
from cas.errors import LayerIndexUnavailable
from cas.layer_index.protocol import BlobRecord, OwnedLayerIndex
from catalog.images.chains import chain_ids
from catalog.images.facts import LayerFacts
from catalog.images.manifests import Reference
from catalog.images.objects import BlobFacts, decode, decoded_size
from ingest.claims import check_diff_ids, kept_elsewhere, not_read
from ingest.errors import BlobMissing, IngestError, LayerUnread, LayerUnreadable, NotStarted, StackUnreadable
from ingest.facts import HUGE, Facts
from ingest.images import StoredManifest, config_of
from ingest.in_vain import InVain
from ingest.indexing import by_cataloger, chain_records
from ingest.limits import ReadLimits
from ingest.pool import Pool
from ingest.versions import MadeBy
from ingest.works import ReadBlob

#: Seconds that a reader process has beyond its own limit: it tells better than we do what took so long.
_LENIENCE = 30.0

_log = logging.getLogger(__name__)

#: Told of each blob that was read: whether it could be, and how long it took.
OnRead = Callable[[bool, float], None]
#: Awaited when the turn of something has come, before it is read.
Begin = Callable[[], Awaitable[None]]


async def _no_matter() -> None:
    """Whose turn it is."""


class Layers:
    """Reads layers, each blob once at a time whoever asks for it."""

    def __init__(
        self,
        store: BlobStore,
        facts: Facts,
        index: OwnedLayerIndex,
        pool: Pool,
        limits: ReadLimits,
        made_by: MadeBy,
        on_read: OnRead = lambda read, seconds: None,
    ) -> None:
        """Take what others than *made_by* made of a layer for what is to be read again."""
        self._store = store
        self._facts = facts
        self._index = index
        self._pool = pool
        self._limits = limits
        self._made_by = made_by
        self._on_read = on_read
        self._under_way: dict[Digest, asyncio.Future[BlobFacts]] = {}
        # One more than there are processes, so that the next blob is open when one of them is free; what they found
        # takes memory here until it is in the index.
        self._room = asyncio.Semaphore(pool.processes + 1)
        self._one_by_one = asyncio.Lock()
        self._one_config = asyncio.Lock()
        #: Blobs that others read and that cannot be read again, and stacks that were squashed with what these found.
        #: Whoever moves a tag to and fro does not keep the readers busy with them.
        self._in_vain = InVain()

    async def read(self, stored: StoredManifest, begin: Begin = _no_matter) -> None:
        """See to it that what the layers of an image hold is known: read those that are not, and squash them. Until
        *begin* was awaited nothing was done but to wait, and to look at what is known.

        Raises:
            LayerUnread: one of them could not be read. All others were.
            BlobMissing, ConfigUnreadable: the config is not there, or cannot be read.
            DiffIdMismatch, ConfigUnreadable: it does not fit the layers.
            StackUnreadable: they could not be put together.
            NotStarted, LayerIndexUnavailable, StorageFull: it cannot be done at this moment.
        """
        assert stored.image is not None
        layers = stored.image.layers
        unread = _of_no_kind(stored)
        if unread is not None:
            raise unread
        read = await asyncio.gather(*(self._read(layer, begin) for layer in layers), return_exceptions=True)
        blobs: list[BlobFacts] = []
        for index, (layer, found) in enumerate(zip(layers, read, strict=True)):
            if isinstance(found, IngestError) and not isinstance(found, NotStarted):
                raise LayerUnread(index, layer.digest, str(found)) from found
            if isinstance(found, BaseException):
                raise found
            blobs.append(found)
        diff_ids = [Digest.parse(blob.diff_id) for blob in blobs]
        async with self._one_config:
            check_diff_ids(layers, (await config_of(self._store, stored)).diff_ids, diff_ids)
        if not layers:
            return
        chains = chain_ids(diff_ids)
        made_by = await self._facts.stack_made_by(chains[-1])
        as_it_is = chains[-1], hash(tuple(blob.made_by for blob in blobs))
        if made_by is None or (made_by != self._made_by.stack and as_it_is not in self._in_vain):
            await self._squash(layers, diff_ids, chains[-1], begin)
            if any(blob.made_by != self._made_by.layer for blob in blobs):
                self._in_vain.add(as_it_is)
        await self._add_chains(diff_ids, chains)

    async def read_again(self, digest: Digest) -> BlobFacts:
        """Read a blob whatever is known of it, and put what is found in the place of that.

        Raises:
            IngestError: it cannot be read; what is known of it stays.
            StorageFull: it cannot be done at this moment.
        """
        return await self._read_anew(digest, replace=True, indexed_later=True)

    async def squash_again(self, diff_ids: list[Digest]) -> None:
        """Squash layers that are known, and put what comes of it in the place of what was known of the stack.

        Raises:
            StackUnreadable: they could not be put together, or one of them is not known.
            NotStarted, StorageFull: it cannot be done at this moment.
        """
        content = await self._squashed(diff_ids)
        if content is None:
            raise StackUnreadable("facts of layers were removed meanwhile")
        await self._facts.put_chain(chain_ids(diff_ids)[-1], content)

    async def _read(self, layer: Reference, begin: Begin, *, anew: bool = False) -> BlobFacts:
        """Return what *layer* is, reading it where that is not known. Whoever comes meanwhile waits for that too."""
        under_way = self._under_way.get(layer.digest)
        if under_way is not None:
            return await asyncio.shield(under_way)
        done: asyncio.Future[BlobFacts] = asyncio.get_running_loop().create_future()
        self._under_way[layer.digest] = done
        try:
            known = None if anew else await self._facts.blob(layer.digest)
            found = known if known is not None else await self._read_anew(layer.digest, begin)
            if found.made_by != self._made_by.layer and layer.digest not in self._in_vain:
                found = await self._renewed(layer.digest, found, begin)
        except Exception as error:
            done.set_exception(error)
            done.exception()  # looked at: there may be nobody else who waits for it
            raise
        except BaseException:
            done.cancel()
            raise
        else:
            done.set_result(found)
            return found
        finally:
            del self._under_way[layer.digest]

    async def _renewed(self, digest: Digest, known: BlobFacts, begin: Begin) -> BlobFacts:
        """Read again what others read; what they found stays where it cannot be."""
        try:
            return await self._read_anew(digest, begin, replace=True)
        except NotStarted:
            raise
        except IngestError as error:
            self._in_vain.add(digest)
            _log.warning("%s cannot be read again, and what is known of it stays: %s", digest, error)
            return known

    async def _read_anew(
        self, digest: Digest, begin: Begin = _no_matter, *, replace: bool = False, indexed_later: bool = False
    ) -> BlobFacts:
        """Read a blob; with *indexed_later* a layer index that is not there is no obstacle: it is made of the facts."""
        absent = suppress(LayerIndexUnavailable) if indexed_later else nullcontext()
        async with self._room:
            await begin()
            begun = time.monotonic()
            try:
                read, content = await self._in_a_process(digest)
            except IngestError:
                self._on_read(False, time.monotonic() - begun)
                raise
            diff_id = Digest.parse(read.diff_id)
            async with self._one_by_one if decoded_size(content) > HUGE else nullcontext():
                facts = None if replace else await self._facts.layer(diff_id)
                if facts is None or facts.versions != read.versions:
                    await self._facts.put_layer(diff_id, content)
                    facts = await asyncio.to_thread(decode, content, LayerFacts)
                with absent:
                    await self._index.add_layer(diff_id, facts.size, facts.entries, by_cataloger(facts))
                del facts
            found = BlobFacts(read.diff_id, read.size, read.raw_size, int(time.time()), self._made_by.layer)
            with absent:
                await self._index.add_blob(digest, BlobRecord(diff_id, found.size, found.raw_size, found.verified))
            await self._facts.put_blob(digest, found)
            self._on_read(True, time.monotonic() - begun)
            return found

    async def _in_a_process(self, digest: Digest) -> tuple[ReadBlob, bytes]:
        try:
            blob = await self._store.open(digest)
        except BlobUnknown as error:
            raise BlobMissing(digest) from error
        async with blob:
            seconds = self._limits.seconds + _LENIENCE
            about, content = await self._pool.run("read", asdict(self._limits), blob=blob, seconds=seconds)
            read = msgspec.msgpack.decode(about, type=ReadBlob)
            if read.size != blob.size:
                raise LayerUnreadable(f"{read.size} of its {blob.size} bytes were read")
            return read, content

    async def _squash(
        self, layers: tuple[Reference, ...], diff_ids: list[Digest], chain_id: Digest, begin: Begin
    ) -> None:
        content = await self._squashed(diff_ids, begin)
        if content is None:  # facts of layers were removed, while those of the blobs stayed, or are there again
            for layer in layers:
                await self._read(layer, begin, anew=True)
            content = await self._squashed(diff_ids, begin)
        if content is None:
            raise StackUnreadable("facts of layers were removed meanwhile")
        await self._facts.put_chain(chain_id, content)

    async def _squashed(self, diff_ids: list[Digest], begin: Begin = _no_matter) -> bytes | None:
        """Squash layers by their facts; None where those of one are not there."""
        async with self._room:
            await begin()
            objects: list[bytes] = []
            for diff_id in diff_ids:
                kept = await self._facts.layer_object(diff_id)
                if kept is None:
                    return None
                objects.append(kept)
            try:
                parameters = {"made_by": self._made_by.stack, "most_placed": self._limits.placed}
                seconds = self._limits.squash_seconds
                (content,) = await self._pool.run("squash", parameters, objects, seconds=seconds)
            except NotStarted:
                raise
            except IngestError as error:
                raise StackUnreadable(str(error)) from error
            return content

    async def _add_chains(self, diff_ids: list[Digest], chains: list[Digest]) -> None:
        """Add a stack and all below it to the family tree, the lowest first."""
        for chain_id, record in chain_records(diff_ids, chains):
            await self._index.add_chain(chain_id, record)


def _of_no_kind(stored: StoredManifest) -> LayerUnread | None:
    """Tell which layer is none that is read, and why."""
    assert stored.image is not None
    for index, layer in enumerate(stored.image.layers):
        reason = not_read(layer)
        if reason:
            return LayerUnread(index, layer.digest, reason, final=True)
        if not stored.has(layer):
            if kept_elsewhere(layer):
                return LayerUnread(index, layer.digest, "it is kept elsewhere", final=True)
            return LayerUnread(index, layer.digest, "it is not in the repository")
    return None
