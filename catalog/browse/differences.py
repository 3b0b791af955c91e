"""How two images differ."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from auth.callers import Caller
from cas import Digest
from cas.derived import Derived
from cas.errors import DerivedUnknown, LayerIndexUnavailable
from catalog.browse.answers import DiffAnswer, FileChange, ImageHit, LayerRow
from catalog.browse.found import Finder, FoundManifest, ReadLayers
from catalog.browse.images import ImageAnswers
from catalog.images.compare import compare_configs, compare_files, compare_packages, shared_layers
from catalog.images.config import ImageConfig
from catalog.images.facts import ChainFacts, LayerFacts
from catalog.images.objects import decode, facts_name

#: Changes of files that are counted, and can be paged to: beyond that "many" is all that anybody needs to know.
_COUNTED = 100_000
#: Comparisons that are made at the same time: each holds two merged trees in memory.
_AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class _Side:
    found: FoundManifest
    config: ImageConfig | None
    read: ReadLayers
    chain: ChainFacts
    layers: list[LayerRow]
    hit: ImageHit


class DifferenceAnswers:
    """What `Browse` tells of two images."""

    def __init__(self, finder: Finder, images: ImageAnswers, derived: Derived) -> None:
        self._finder = finder
        self._images = images
        self._derived = derived
        self._comparing = asyncio.Semaphore(_AT_ONCE)

    async def diff(
        self,
        caller: Caller,
        before: Digest,
        after: Digest,
        platform: str | None = None,
        page: int = 1,
        size: int = 1000,
    ) -> DiffAnswer:
        """See `Browse.diff`."""
        old, new = await self._side(caller, before, platform), await self._side(caller, after, platform)
        shared = shared_layers([each.text for each in old.read.diff_ids], [each.text for each in new.read.diff_ids])
        start = (page - 1) * size
        files, count = await self._files(old.read.diff_ids, new.read.diff_ids, start, start + size)
        return DiffAnswer(
            before=old.hit,
            after=new.hit,
            shared=new.layers[:shared],
            only_before=old.layers[shared:],
            only_after=new.layers[shared:],
            packages=compare_packages(old.chain, new.chain),
            config=compare_configs(old.config, new.config),
            files=files,
            file_count=count,
            size_before=old.hit.size,
            size_after=new.hit.size,
            page=page,
            page_size=size,
        )

    async def _side(self, caller: Caller, digest: Digest, platform: str | None) -> _Side:
        found, _ = await self._finder.image(caller, digest, platform)
        config = await self._finder.config(found)
        read = await self._finder.layers(found, config)
        chain = await self._finder.require_chain(found, read)
        layers = await self._images.layers(caller, found, config, read)
        return _Side(found, config, read, chain, layers, await self._images.hit(found, config, read))

    async def _files(
        self, before: Sequence[Digest], after: Sequence[Digest], start: int, stop: int
    ) -> tuple[list[FileChange], int]:
        if list(before) == list(after):
            return [], 0
        async with self._comparing:
            objects = {each: await self._facts(each) for each in {*before, *after}}
            return await asyncio.to_thread(_compared, objects, before, after, start, stop)

    async def _facts(self, diff_id: Digest) -> bytes:
        try:
            return await self._derived.get(facts_name(diff_id))
        except DerivedUnknown:
            raise LayerIndexUnavailable("what is known of the image's layers is being made anew") from None


def _compared(
    objects: dict[Digest, bytes], before: Sequence[Digest], after: Sequence[Digest], start: int, stop: int
) -> tuple[list[FileChange], int]:
    """Return the changes from *start* to *stop*, and how many there are."""
    try:
        facts = {diff_id: decode(content, LayerFacts) for diff_id, content in objects.items()}
    except ValueError:
        raise LayerIndexUnavailable("what is known of the image's layers is being made anew") from None
    changes = islice(compare_files([facts[each] for each in before], [facts[each] for each in after]), _COUNTED)
    count, shown = 0, []
    for change in changes:
        if start <= count < stop:
            shown.append(change)
        count += 1
    return shown, count
