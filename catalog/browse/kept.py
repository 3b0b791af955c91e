"""Facts, read from the store's derived area and remembered: what is kept by content never changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Generic, TypeVar

from cas import Digest
from cas.derived import Derived, DerivedName
from cas.errors import DerivedUnknown
from catalog.images.facts import ChainFacts
from catalog.images.objects import BlobFacts, blob_name, chain_name, decode

T = TypeVar("T")

_MOST_BLOBS = 20_000
#: Bytes of the objects, as they are stored, whose facts are remembered: in memory they are about ten times as large.
_MOST_CHAIN_BYTES = 8 * 1024 * 1024


class KeptFacts:
    """What was verified of blobs, and what stacks of layers hold."""

    def __init__(self, derived: Derived) -> None:
        self._blobs = _Remembered[BlobFacts](derived, BlobFacts, _MOST_BLOBS, weighs=False)
        self._chains = _Remembered[ChainFacts](derived, ChainFacts, _MOST_CHAIN_BYTES, weighs=True)

    async def blobs(self, digests: Sequence[Digest]) -> list[BlobFacts | None]:
        """Return what was verified of each blob, None where nothing was."""
        return [await self._blobs.get(blob_name(digest)) for digest in digests]

    async def chain(self, chain_id: Digest) -> ChainFacts | None:
        """Return what a stack holds, None where that is not known."""
        return await self._chains.get(chain_name(chain_id))


class _Remembered(Generic[T]):
    """Objects of one kind; the longest unused are forgotten when there are *most*, or they weigh that much."""

    def __init__(self, derived: Derived, kind: type[T], most: int, *, weighs: bool) -> None:
        self._derived = derived
        self._kind = kind
        self._most = most
        self._weighs = weighs
        self._weight = 0
        self._objects: OrderedDict[str, tuple[int, T]] = OrderedDict()

    async def get(self, name: DerivedName) -> T | None:
        found = self._objects.get(name.text)
        if found is not None:
            self._objects.move_to_end(name.text)
            return found[1]
        try:
            content = await self._derived.get(name)
            value = decode(content, self._kind)
        except (DerivedUnknown, ValueError):  # not there, or damaged: either way it is to be made again
            return None
        self._remember(name.text, len(content) if self._weighs else 1, value)
        return value

    def _remember(self, name: str, weight: int, value: T) -> None:
        replaced = self._objects.pop(name, None)
        self._weight += weight - (replaced[0] if replaced else 0)
        self._objects[name] = (weight, value)
        while self._weight > self._most and len(self._objects) > 1:
            _, (dropped, _) = self._objects.popitem(last=False)
            self._weight -= dropped
