"""An image of any source, analysed without a server.

    source ──► manifest ──► config ──► each layer ──► facts, diff_id ──► squashed ──► what its packages are
                                           │ ▲
                                       cache: facts by diff_id, diff_id by the digest of a blob

It is the reading that the service does, by the same processes. Both names of a layer are computed from its bytes: the
digest that the manifest names, so that what is kept under it is true of every image that names it; and the diff_id,
which the config has to agree with. What is kept of a layer is used as long as the same catalogers would read it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import msgspec

from cas import BlobReader, Digest, StorageFull
from cas.derived import Derived, DirectoryDerived
from cas.filesystem import PosixFileSystem
from catalog.images.chains import chain_id
from catalog.images.config import ImageConfig, read_config
from catalog.images.facts import ChainFacts
from catalog.images.manifests import DEEPEST, UNKNOWN, ImageManifest, IndexManifest, Reference, read_manifest
from catalog.images.objects import BlobFacts, decode
from catalog.images.report import PackagesAnswer, packages_answer
from ingest.claims import check_diff_ids, check_number, not_read
from ingest.errors import IngestError, LayerUnread, StackUnreadable
from ingest.facts import Facts
from ingest.limits import ReadLimits
from ingest.pool import Pool
from ingest.sources import FetchedManifest, Source, SourceError, SourceUnreadable
from ingest.sources.streams import Verified
from ingest.starting import Started
from ingest.versions import made_by
from ingest.works import ReadBlob

#: Images of an index that are analysed, at most.
_MOST_IMAGES = 200
#: Seconds that a reader process has beyond its own limit.
_LENIENCE = 30.0

#: Told how many bytes of layers there are to read, and how many of them were, again and again.
OnProgress = Callable[[int, int], None]


class NoSuchPlatform(SourceError):
    """*what* has images for *platforms*, and none for *wanted*."""

    def __init__(self, what: str, wanted: str, platforms: Sequence[str]) -> None:
        super().__init__(what, wanted, tuple(platforms))
        self.what = what
        self.wanted = wanted
        self.platforms = tuple(platforms)

    def __str__(self) -> str:
        there = ", ".join(self.platforms[:20]) or "no image at all"
        return f"{self.what} has no image for {self.wanted}: it has {there}"


def cache_in(directory: Path) -> Derived:
    """Keep what is found in *directory*. Another reader or cataloger begins anew, beside what is there."""
    return DirectoryDerived(directory / made_by().stack, _Hasty())


class Analysis:
    """Analyses images; layers that they share are read once."""

    def __init__(
        self, pools: _Pools, kept: Derived, limits: ReadLimits, on_progress: OnProgress = lambda done, total: None
    ) -> None:
        self._pools = pools
        self._facts = Facts(kept)
        self._limits = limits
        self._made_by = made_by()
        self._on_progress = on_progress
        self._total = 0
        self._done = 0

    async def one(self, source: Source, what: str, platform: str | None = None) -> PackagesAnswer:
        """Analyse the image of *source* (which people call *what*); of an index that for *platform*, else that for
        ``linux/amd64``, else the first.

        Raises:
            SourceError, IngestError
        """
        found = await source.manifest()
        for _ in range(DEEPEST):
            read = read_manifest(found.content, found.media_type)
            if isinstance(read, ImageManifest):
                return await self._image(source, what, found, read, platform)
            if read is None:
                break
            chosen = read.choose(platform)
            if chosen is None:
                platforms = [child.platform for child in read.children if child.platform not in ("", UNKNOWN)]
                raise NoSuchPlatform(what, platform or "any platform", platforms)
            found = await source.manifest(chosen.digest)
            platform = platform if not chosen.platform else None  # it was found; what the config says is told
        raise SourceUnreadable(what, "is no image: neither a manifest of one nor an index")

    async def every(self, source: Source, what: str) -> list[PackagesAnswer]:
        """Analyse all images of an index, in their order; an image alone is the only one.

        Raises:
            SourceError, IngestError
        """
        images: dict[Digest, tuple[FetchedManifest, ImageManifest]] = {}
        await self._gather(source, what, await source.manifest(), images, 0)
        if not images:
            raise SourceUnreadable(what, "has no image")
        return [await self._image(source, what, found, read, None) for found, read in images.values()]

    async def _gather(
        self,
        source: Source,
        what: str,
        found: FetchedManifest,
        images: dict[Digest, tuple[FetchedManifest, ImageManifest]],
        depth: int,
    ) -> None:
        read = read_manifest(found.content, found.media_type)
        if isinstance(read, ImageManifest) and (read.is_image or depth == 0):
            images[found.digest] = (found, read)
            if len(images) > _MOST_IMAGES:
                raise SourceUnreadable(what, f"has more than {_MOST_IMAGES} images")
        elif isinstance(read, IndexManifest):
            if depth == DEEPEST:
                raise SourceUnreadable(what, "has indexes of indexes, too deep to be read")
            for child in read.children:
                if child.platform != UNKNOWN and child.digest not in images:
                    await self._gather(source, what, await source.manifest(child.digest), images, depth + 1)

    async def _image(
        self, source: Source, what: str, found: FetchedManifest, image: ImageManifest, platform: str | None
    ) -> PackagesAnswer:
        if not image.is_image:
            raise SourceUnreadable(what, f"is no image, but {image.artifact_type or 'something else'}")
        config = read_config(await source.small_blob(image.config.digest))
        if platform is not None and config.platform != platform and not config.platform.startswith(f"{platform}/"):
            raise NoSuchPlatform(what, platform, [config.platform] if config.platform else [])
        layers = image.layers
        check_number(layers, config.diff_ids)
        for index, layer in enumerate(layers):
            if reason := not_read(layer):
                raise LayerUnread(index, layer.digest, reason, final=True)
        if not layers:
            return packages_answer(found.digest.text, config, [], [], ChainFacts("", [], []), image.limits)
        diff_ids, objects = await self._read_all(source, layers, config)
        check_diff_ids(layers, config.diff_ids, diff_ids)
        chain = await self._chain(source, layers, diff_ids, objects)
        return packages_answer(found.digest.text, config, layers, diff_ids, chain, image.limits)

    async def _read_all(
        self, source: Source, layers: Sequence[Reference], config: ImageConfig
    ) -> tuple[list[Digest], dict[Digest, bytes]]:
        """Return the diff_id of each layer, and the objects of those that were read now."""
        known: dict[Digest, BlobFacts | None] = {}
        for layer in layers:
            known[layer.digest] = await self._facts.blob(layer.digest)
        to_read = {layer.digest: (index, layer) for index, layer in enumerate(layers) if known[layer.digest] is None}
        self._total += sum(layer.size for _, layer in to_read.values())
        self._on_progress(self._done, self._total)
        objects: dict[Digest, bytes] = {}
        diff_ids = {digest: Digest.parse(facts.diff_id) for digest, facts in known.items() if facts is not None}
        self._pools.want(len(to_read))
        room = asyncio.Semaphore(self._pools.most + 1)

        async def read(index: int, layer: Reference) -> None:
            async with room:
                try:
                    diff_id, content = await self._read(source, layer)
                except (IngestError, SourceError) as error:
                    raise LayerUnread(index, layer.digest, str(error)) from error
            diff_ids[layer.digest], objects[diff_id] = diff_id, content

        try:
            async with asyncio.TaskGroup() as group:
                # The largest first: a large one that is read last keeps one process busy, and the others idle.
                for index, layer in sorted(to_read.values(), key=lambda each: -each[1].size):
                    group.create_task(read(index, layer))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        return [diff_ids[layer.digest] for layer in layers], objects

    async def _read(self, source: Source, layer: Reference) -> tuple[Digest, bytes]:
        async with Verified(await source.open(layer), layer.digest, layer.size) as blob:
            about, content = await self._run("read", asdict(self._limits), [], blob, self._limits.seconds)
            read = msgspec.msgpack.decode(about, type=ReadBlob)
            await blob.check(read.size)
        diff_id = Digest.parse(read.diff_id)
        with self._unkept():
            await self._facts.put_layer(diff_id, content)
            # Last, for it says that the facts are there.
            await self._facts.put_blob(
                layer.digest, BlobFacts(read.diff_id, read.size, read.raw_size, int(time.time()), self._made_by.layer)
            )
        self._done += layer.size
        self._on_progress(self._done, self._total)
        return diff_id, content

    async def _chain(
        self, source: Source, layers: Sequence[Reference], diff_ids: list[Digest], objects: dict[Digest, bytes]
    ) -> ChainFacts:
        name = chain_id(diff_ids)
        chain = await self._facts.chain(name)
        if chain is not None:
            return chain
        kept = {each: await self._facts.layer_object(each) for each in diff_ids if each not in objects}
        content = None
        if all(kept.values()):
            try:
                content = await self._squash([objects.get(each) or kept[each] or b"" for each in diff_ids])
            except StackUnreadable:
                if not kept:
                    raise
        if content is None:  # something of the cache is gone, or damaged
            for layer, diff_id in zip(layers, diff_ids, strict=True):
                if diff_id not in objects:
                    _, objects[diff_id] = await self._read(source, layer)
            content = await self._squash([objects[each] for each in diff_ids])
        with self._unkept():
            await self._facts.put_chain(name, content)
        return decode(content, ChainFacts)

    async def _squash(self, parts: Sequence[bytes]) -> bytes:
        try:
            seconds = self._limits.squash_seconds
            parameters = {"made_by": self._made_by.stack, "most_placed": self._limits.placed}
            (content,) = await self._run("squash", parameters, parts, None, seconds)
        except IngestError as error:
            raise StackUnreadable(str(error)) from error
        return content

    async def _run(
        self, work: str, parameters: dict[str, object], parts: Sequence[bytes], blob: BlobReader | None, seconds: float
    ) -> list[bytes]:
        return await self._pools.run(work, parameters, parts, blob, seconds + _LENIENCE)

    @staticmethod
    def _unkept() -> suppress:
        """Go on where the cache cannot be written: it only saves time."""
        return suppress(StorageFull, OSError)


@asynccontextmanager
async def analysing(
    processes: int,
    memory: int,
    kept: Derived,
    limits: ReadLimits,
    on_progress: OnProgress,
    first: Started | None = None,
) -> AsyncIterator[Analysis]:
    """Analyse with *processes* of *memory* bytes each, which run as long as the context is open; *first* is one that
    was started already."""
    try:
        async with asyncio.TaskGroup() as group:
            pools = _Pools(processes, memory, group, first)
            try:
                yield Analysis(pools, kept, limits, on_progress)
            finally:
                pools.end()
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None


class _Pools:
    """As many processes as there is work for: to start one that nobody needs takes as long as to read a small layer."""

    def __init__(self, most: int, memory: int, group: asyncio.TaskGroup, first: Started | None) -> None:
        self.most = most
        self._first = first
        self._memory = memory
        self._group = group
        self._pool: Pool | None = None
        self._running: list[asyncio.Task[None]] = []

    def want(self, works: int) -> None:
        """Be told that *works* are about to come, all at once."""
        processes = min(works, self.most)
        if works and (self._pool is None or processes > self._pool.processes):
            self.end()
            first, self._first = self._first, None
            self._pool = Pool(processes, self._memory, first=first)
            self._running.append(self._group.create_task(self._pool.keep()))

    async def run(
        self, work: str, parameters: dict[str, object], parts: Sequence[bytes], blob: BlobReader | None, seconds: float
    ) -> list[bytes]:
        """See `Pool.run`."""
        self.want(1)
        assert self._pool is not None
        return await self._pool.run(work, parameters, parts, blob, seconds=seconds)

    def end(self) -> None:
        """End those that there are. Nothing is under way whenever this is called."""
        for running in self._running:
            running.cancel()
        self._running.clear()


class _Hasty(PosixFileSystem):
    """Files of a cache need not survive a power cut: one that comes out of it cut off is read as none at all."""

    def sync(self, file: int) -> None:
        """There is no need."""

    def sync_directory(self, path: str) -> None:
        """There is no need."""
