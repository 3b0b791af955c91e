"""An image as it stands at this moment: its rows, its manifest, its config.

A manifest may name blobs that its repository does not have (one that is kept elsewhere, or was pushed where images may
be sparse). What is known of such a blob is another repository's: it is as if it were not there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from cas import BlobStore, BlobUnknown, Digest
from catalog.images.chains import chain_ids
from catalog.images.config import MOST_BYTES, ImageConfig, read_config
from catalog.images.facts import ChainFacts
from catalog.images.manifests import ImageManifest, IndexManifest, Reference, read_manifest
from catalog.images.objects import BlobFacts
from catalog.metadata import documented, images, repositories
from catalog.metadata.repositories import Repository
from database.protocol import Reader
from ingest.errors import BlobMissing, ConfigUnreadable
from ingest.facts import Facts

#: Rows that are read together.
_AT_ONCE = 100
#: Bytes of a config above which it is read in a thread.
_LARGE = 64 * 1024


@dataclass(frozen=True, slots=True)
class StoredManifest:
    """A manifest of *repository*, and those of the blobs that it names which the repository has."""

    repository: Repository
    digest: Digest
    media_type: str
    pushed: int
    read: ImageManifest | IndexManifest | None
    linked: frozenset[str]

    @property
    def image(self) -> ImageManifest | None:
        """The manifest, if it is that of an image with a file system."""
        return self.read if isinstance(self.read, ImageManifest) and self.read.is_image else None

    def has(self, blob: Reference) -> bool:
        """Tell whether the repository has *blob*."""
        return blob.digest.text in self.linked


@dataclass(frozen=True, slots=True)
class Contents:
    """What an image's layers hold, all of it verified: the stack's facts, and what each layer's blob is."""

    chain: ChainFacts
    blobs: list[BlobFacts]

    @property
    def diff_ids(self) -> list[Digest]:
        """The layers, from the bottom up."""
        return [Digest.parse(blob.diff_id) for blob in self.blobs]

    @property
    def chain_ids(self) -> list[Digest]:
        """The names of each of its stacks."""
        return chain_ids(self.diff_ids)


async def find(reader: Reader, repository: Repository, digest: Digest) -> StoredManifest | None:
    """Return a manifest as it is now, None where it is gone."""
    kept = await documented.find(reader, repository.id, digest.text)
    if kept is None:
        return None
    read = read_manifest(kept.content, kept.media_type)
    linked: set[str] = set()
    if isinstance(read, ImageManifest):
        blobs = {read.config.digest.text, *(layer.digest.text for layer in read.layers)}
        linked = await images.linked(reader, repository.id, sorted(blobs))
    return StoredManifest(repository, digest, kept.media_type, kept.pushed, read, frozenset(linked))


async def every_image(database: Reader) -> AsyncIterator[StoredManifest]:
    """Yield all images of an installation, one at a time: a hostile manifest takes megabytes."""
    async for row_id in every_repository(database):
        last = ""
        while digests := await documented.digests_after(database, row_id, last, _AT_ONCE):
            last = digests[-1]
            repository = await repositories.by_id(database, row_id)
            if repository is None:
                break
            for digest in digests:
                stored = await find(database, repository, Digest.parse(digest))
                if stored is not None and stored.image is not None:
                    yield stored


async def every_repository(database: Reader) -> AsyncIterator[str]:
    """Yield the ids of all repositories."""
    last = ""
    while page := await repositories.after(database, last, _AT_ONCE):
        last = page[-1].id
        for repository in page:
            yield repository.id


async def config_of(store: BlobStore, stored: StoredManifest) -> ImageConfig:
    """Read an image's config.

    Raises:
        BlobMissing: the repository does not have it.
        ConfigUnreadable: it is too large.
    """
    assert stored.image is not None
    config = stored.image.config
    if not stored.has(config):
        raise BlobMissing(config.digest)
    try:
        blob = await store.open(config.digest)
    except BlobUnknown as error:
        raise BlobMissing(config.digest) from error
    async with blob:
        if blob.size > MOST_BYTES:
            raise ConfigUnreadable(f"it has {blob.size} bytes, and at most {MOST_BYTES} are read")
        content = b"".join([piece async for piece in blob.pieces(0, blob.size)])
    return await asyncio.to_thread(read_config, content) if len(content) > _LARGE else read_config(content)


async def known_contents(facts: Facts, stored: StoredManifest, config: ImageConfig) -> Contents | None:
    """Return what an image's layers hold, if all of it is known, and the config agrees."""
    assert stored.image is not None
    layers = stored.image.layers
    if len(config.diff_ids) != len(layers) or not all(stored.has(layer) for layer in layers):
        return None
    if not layers:
        return EMPTY
    blobs: list[BlobFacts] = []
    for layer, claimed in zip(layers, config.diff_ids, strict=True):
        blob = await facts.blob(layer.digest)
        if blob is None or blob.diff_id != claimed:
            return None
        blobs.append(blob)
    diff_ids = [Digest.parse(blob.diff_id) for blob in blobs]
    chain = await facts.chain(chain_ids(diff_ids)[-1])
    return None if chain is None else Contents(chain, blobs)


#: Of an image without layers.
EMPTY = Contents(ChainFacts("", [], []), [])
