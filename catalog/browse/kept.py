"""Facts, read from the store's derived area and remembered.

A stack that is read or squashed again has its facts replaced, in another process than those that remember them: so each
time somebody asks, what is remembered is held against what is there, which costs a look at a file. What a blob was
verified to be stays true.

Whoever may push decides how much a stack's facts take, and compression says nothing of it: 200,000 files that are
hidden are 70 KiB as they are stored, and 26 MiB as values. So the files that a stack hides are passed over here
(documents have them); what remains is weighed as what it is, and a stack that is too large to be remembered is read
anew each time, in a thread.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Generic, NamedTuple, TypeVar

import msgspec

from cas import Digest
from cas.derived import Derived, DerivedName
from cas.errors import DerivedUnknown
from catalog.images.facts import ChainFacts
from catalog.images.objects import BlobFacts, blob_name, chain_name, decode, decoded_size

T = TypeVar("T", bound=msgspec.Struct)

_MOST_BLOBS = 20_000
#: Bytes of the stacks that are remembered, as msgpack: as values they take some four times as many. The average image
#: has 50 to 100 KiB.
_MOST_CHAINS = 8 << 20
#: Of these, one stack has at most an eighth.
_SHARE = 8
#: Bytes of an object, decompressed, above which it is read in a thread, and above which one is read at a time.
_LARGE = 256 * 1024
_HUGE = 4 << 20


class _ShownFacts(ChainFacts, frozen=True, omit_defaults=True, rename={"hidden": "hidden files are passed over"}):
    """A stack without the files that it hides: their member has a name here that no object has."""

    hidden: list[tuple[int, str]] = msgspec.field(default_factory=list)


class KeptFacts:
    """What was verified of blobs, and what stacks of layers hold."""

    def __init__(self, derived: Derived) -> None:
        self._blobs = _Remembered(derived, BlobFacts, lambda blob: 1, _MOST_BLOBS, replaced=False)
        self._chains = _Remembered(derived, _ShownFacts, _weight, _MOST_CHAINS, replaced=True)

    async def blobs(self, digests: Sequence[Digest]) -> list[BlobFacts | None]:
        """Return what was verified of each blob, None where nothing was."""
        return [await self._blobs.get(blob_name(digest)) for digest in digests]

    async def chain(self, chain_id: Digest) -> ChainFacts | None:
        """Return what a stack holds, but for the files that it hides; None where that is not known."""
        return await self._chains.get(chain_name(chain_id))


class _Object(NamedTuple, Generic[T]):
    """An object as it was read: what it was known by then, and what it weighs."""

    mark: str
    weight: int
    value: T


class _Remembered(Generic[T]):
    """Objects of one kind, which others may take the place of (*replaced*); the longest unused are forgotten when all
    together weigh more than *most*."""

    def __init__(
        self, derived: Derived, kind: type[T], weigh: Callable[[T], int], most: int, *, replaced: bool
    ) -> None:
        self._derived = derived
        self._kind = kind
        self._weigh = weigh
        self._most = most
        self._replaced = replaced
        self._weight = 0
        self._objects: OrderedDict[str, _Object[T]] = OrderedDict()
        self._one_by_one = asyncio.Lock()

    async def get(self, name: DerivedName) -> T | None:
        try:
            # Before reading: what takes the object's place meanwhile has another mark, and is read the next time.
            mark = await self._derived.mark(name) if self._replaced else ""
            found = self._objects.get(name.text)
            if found is not None and found.mark == mark:
                self._objects.move_to_end(name.text)
                return found.value
            weight, value = await self._read(await self._derived.get(name))
        except (DerivedUnknown, ValueError):  # not there, or damaged: either way it is to be made again
            return None
        self._remember(name.text, _Object(mark, weight, value))
        return value

    async def _read(self, content: bytes) -> tuple[int, T]:
        size = decoded_size(content)
        if size <= _LARGE:
            return self._weighed(content)
        async with self._one_by_one if size > _HUGE else nullcontext():
            return await asyncio.to_thread(self._weighed, content)

    def _weighed(self, content: bytes) -> tuple[int, T]:
        value = decode(content, self._kind)
        return self._weigh(value), value

    def _remember(self, name: str, read: _Object[T]) -> None:
        before = self._objects.pop(name, None)
        self._weight -= 0 if before is None else before.weight
        if read.weight > self._most // _SHARE:
            return
        self._weight += read.weight
        self._objects[name] = read
        while self._weight > self._most:
            _, dropped = self._objects.popitem(last=False)
            self._weight -= dropped.weight


def _weight(chain: ChainFacts) -> int:
    return len(msgspec.msgpack.encode(chain))
