"""Facts objects of the derived area, as the ingest process reads and writes them.

What cannot be read (none there, damaged, of another form) is None: it is made again.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import TypeVar

import msgspec

from cas import Digest
from cas.derived import Derived, DerivedName
from cas.errors import DerivedUnknown
from catalog.images.facts import ChainFacts, LayerFacts
from catalog.images.objects import BlobFacts, blob_name, chain_name, decode, decoded_size, encode, facts_name


class _Made(msgspec.Struct):
    """What is read of `ChainFacts` to know who made them."""

    made_by: str = ""


T = TypeVar("T", BlobFacts, LayerFacts, ChainFacts, _Made)

#: Bytes of an object, decompressed, above which it is read in a thread: a few ms and more.
_LARGE = 256 * 1024
#: Bytes of an object, decompressed, above which one is read at a time.
HUGE = 4 << 20


class Facts:
    """What is known of blobs, layers and stacks. Nothing is remembered: objects are many, most are asked for once."""

    def __init__(self, derived: Derived) -> None:
        self._derived = derived
        self._one_by_one = asyncio.Lock()

    async def blob(self, digest: Digest) -> BlobFacts | None:
        """Return what was verified of a blob."""
        return await self._get(blob_name(digest), BlobFacts)

    async def blobs(self, digests: list[Digest]) -> list[BlobFacts | None]:
        """Return what was verified of each of *digests*."""
        return [await self.blob(digest) for digest in digests]

    async def layer(self, diff_id: Digest) -> LayerFacts | None:
        """Return what a layer holds."""
        return await self._get(facts_name(diff_id), LayerFacts)

    async def layer_object(self, diff_id: Digest) -> bytes | None:
        """Return what a layer holds, as it is kept."""
        return await self._content(facts_name(diff_id))

    async def chain(self, chain_id: Digest) -> ChainFacts | None:
        """Return what a stack holds."""
        return await self._get(chain_name(chain_id), ChainFacts)

    async def stack_made_by(self, chain_id: Digest) -> str | None:
        """Tell by what the facts of a stack were made, None where there are none."""
        made = await self._get(chain_name(chain_id), _Made)
        return None if made is None else made.made_by

    async def put_blob(self, digest: Digest, facts: BlobFacts) -> None:
        """Keep what was verified of a blob: the last of its objects, for it says that the others are there."""
        await self._derived.put(blob_name(digest), encode(facts))

    async def put_layer(self, diff_id: Digest, content: bytes) -> None:
        """Keep what a layer holds."""
        await self._derived.put(facts_name(diff_id), content)

    async def put_chain(self, chain_id: Digest, content: bytes) -> None:
        """Keep what a stack holds."""
        await self._derived.put(chain_name(chain_id), content)

    async def _get(self, name: DerivedName, kind: type[T]) -> T | None:
        content = await self._content(name)
        if content is None:
            return None
        try:
            return await self._decoded(content, kind)
        except ValueError:
            return None

    async def _decoded(self, content: bytes, kind: type[T]) -> T:
        size = decoded_size(content)
        if size <= _LARGE:
            return decode(content, kind)
        async with self._one_by_one if size > HUGE else nullcontext():
            return await asyncio.to_thread(decode, content, kind)

    async def _content(self, name: DerivedName) -> bytes | None:
        try:
            return await self._derived.get(name)
        except DerivedUnknown:
            return None
