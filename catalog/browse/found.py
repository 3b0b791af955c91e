"""Finding an image that a caller may read: where it is, what its manifest says, how far it was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from auth.access import Access
from auth.callers import Caller
from cas import BlobUnknown, Digest, RepositoryName
from cas.errors import LayerIndexUnavailable
from catalog.browse.answers import State
from catalog.browse.kept import KeptFacts
from catalog.content import Content
from catalog.errors import BlobNotLinked, ImageUnknown, ImageUnread
from catalog.images.chains import chain_id
from catalog.images.config import ImageConfig, read_config
from catalog.images.facts import ChainFacts
from catalog.images.manifests import DEEPEST, ImageManifest, IndexManifest, Reference, read_manifest
from catalog.images.objects import BlobFacts
from catalog.metadata import cursors, images
from catalog.metadata.images import Holding
from database import Database, events

#: Bytes of a config that are read, at most: the registry takes larger blobs, as nobody's config is.
MOST_CONFIG = 4 * 1024 * 1024
#: Repositories that hold one manifest of which more is told than that.
_MOST_HOLDINGS = 100


@dataclass(frozen=True, slots=True)
class FoundManifest:
    """A manifest that the caller may read in *held_in* repositories: *holdings* are the first 100 of them by name (at
    least one)."""

    digest: Digest
    content: bytes
    holdings: list[Holding]
    held_in: int
    read: ImageManifest | IndexManifest | None

    @property
    def media_type(self) -> str:
        """As it is served."""
        return self.holdings[0].media_type


@dataclass(frozen=True, slots=True)
class ReadLayers:
    """What is known of an image's layers: of each what was verified of its blob (None: nothing), and of all together
    what they hold (None unless *state* is ``read``)."""

    state: State
    blobs: list[BlobFacts | None]
    chain: ChainFacts | None

    @property
    def diff_ids(self) -> list[Digest]:
        """Those of all layers; none where one is not verified."""
        return [Digest.parse(blob.diff_id) for blob in self.blobs if blob is not None] if all(self.blobs) else []


def state_of(waiting: images.Waiting | None) -> State:
    """Tell how far something was read by the job that is still to be done for it."""
    if waiting is None:
        return State("read")
    if waiting.parked or (waiting.error and not waiting.waits_for):
        return State("failed", waiting.error)
    return State("waiting", waiting.waits_for)


class Finder:
    """Looks into the rows first: who may not read a manifest does not reach its bytes or facts."""

    def __init__(self, database: Database, access: Access, content: Content, kept: KeptFacts) -> None:
        self._database = database
        self._access = access
        self._content = content
        self._kept = kept

    async def manifest(self, caller: Caller, digest: Digest) -> FoundManifest:
        """Find a manifest of any kind.

        Raises:
            ImageUnknown: no repository that *caller* may read holds it.
        """
        holdings = await self.holdings(caller, digest)
        known = holdings[:_MOST_HOLDINGS]
        for holding in known:
            content = await images.content(self._database, holding.repository_id, digest)
            if content is not None:
                read = read_manifest(content, holding.media_type)
                return FoundManifest(digest, content, known, len(holdings), read)
        raise ImageUnknown(digest)

    async def holdings(self, caller: Caller, digest: Digest) -> list[Holding]:
        """List the repositories that *caller* may read and that hold the manifest, by name."""
        return await images.holding(self._database, await self._access.visible(caller), digest)

    async def image(
        self, caller: Caller, digest: Digest, platform: str | None = None
    ) -> tuple[FoundManifest, FoundManifest | None]:
        """Find an image, and the index that it was chosen from, if *digest* is one's. An index may list indexes.

        Raises:
            ImageUnknown: there is none, or the index has none for *platform*, or none that is near enough.
        """
        found, index = await self.manifest(caller, digest), None
        for _ in range(DEEPEST):
            if not isinstance(found.read, IndexManifest):
                return found, index
            index = index or found
            child = found.read.choose(platform)
            if child is None:
                break
            platform = None if child.platform else platform
            found = await self.manifest(caller, child.digest)
        raise ImageUnknown(digest)

    async def config(self, found: FoundManifest) -> ImageConfig | None:
        """Return an image's config; None where it is no image, or its config is not in a repository that holds it."""
        if not isinstance(found.read, ImageManifest) or not found.read.is_image:
            return None
        content = await self.blob(found, found.read.config)
        return None if content is None else read_config(content)

    async def blob(self, found: FoundManifest, reference: Reference) -> bytes | None:
        """Return the bytes of a small blob from a repository that holds the manifest *and* the blob: a manifest may
        name blobs that its repository never had."""
        return await self.small([holding.name for holding in found.holdings], reference.digest)

    async def small(self, repositories: Sequence[RepositoryName], digest: Digest) -> bytes | None:
        """Return the bytes of a small blob from the first of *repositories* that has it."""
        for repository in repositories:
            try:
                reader = await self._content.open(repository, digest)
            except (BlobNotLinked, BlobUnknown):
                continue
            async with reader:
                if reader.size > MOST_CONFIG:
                    return None
                return b"".join([piece async for piece in reader.pieces(0, reader.size)])
        return None

    async def layers(self, found: FoundManifest, config: ImageConfig | None) -> ReadLayers:
        """Tell what is known of an image's layers."""
        if not isinstance(found.read, ImageManifest) or not found.read.is_image:
            return ReadLayers(State("read"), [], None)
        blobs = await self._verified(found, found.read.layers)
        read = ReadLayers(State("read"), blobs, None)
        if (
            config is not None
            and len(read.diff_ids) == len(blobs)
            and config.diff_ids == [str(each) for each in read.diff_ids]
        ):
            chain = await self._kept.chain(chain_id(read.diff_ids)) if blobs else ChainFacts("", [], [])
            if chain is not None:
                return replace(read, chain=chain)
        return ReadLayers(await self._unread(found), blobs, None)

    async def state(self, found: FoundManifest) -> State:
        """Tell how far an image was read; an index is read with the first of its images."""
        return (await self.layers(found, await self.config(found))).state

    async def require_chain(self, found: FoundManifest, read: ReadLayers) -> ChainFacts:
        """Return what an image's layers hold.

        Raises:
            ImageUnread: they were not read, or could not be.
        """
        if read.chain is not None:
            return read.chain
        match read.state:
            case State("waiting", missing):
                raise ImageUnread(found.digest, waits_for=missing)
            case State("failed", problem):
                raise ImageUnread(found.digest, problem)
            case _:
                raise ImageUnread(found.digest, "it is no image")

    async def _verified(self, found: FoundManifest, layers: Sequence[Reference]) -> list[BlobFacts | None]:
        digests = [layer.digest.text for layer in layers]
        linked: set[str] = set()
        for holding in found.holdings:
            linked |= await images.linked(self._database, holding.repository_id, digests)
            if linked.issuperset(digests):
                break
        known = await self._kept.blobs([layer.digest for layer in layers if layer.digest.text in linked])
        verified = iter(known)
        return [next(verified) if digest in linked else None for digest in digests]

    async def _unread(self, found: FoundManifest) -> State:
        """Tell why facts are missing: there is a job, which waits or has failed; or there may be one soon, as something
        happened where the image is; or they are being made anew.

        Raises:
            LayerIndexUnavailable: there is no job: what was known has been lost.
        """
        for holding in found.holdings:
            job = await images.job(self._database, holding.repository_id, found.digest.text)
            if job is not None:
                return state_of(job)
        read = await cursors.read(self._database, cursors.SEARCH)
        for holding in found.holdings:
            if await events.count_after(self._database, read.position, holding.repository_id):
                return State("waiting")
        raise LayerIndexUnavailable("what is known of the image's layers is being made anew")
