"""How two images differ."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice

import msgspec

from auth.callers import Caller
from cas import Digest
from cas.derived import Derived
from cas.entries import Entry
from cas.errors import DerivedUnknown, LayerIndexUnavailable
from catalog.browse.answers import DiffAnswer, FileChange, ImageHit, LayerRow
from catalog.browse.found import Finder, FoundManifest, ReadLayers
from catalog.browse.images import ImageAnswers
from catalog.images.compare import FileComparison, compare_configs, compare_packages, shared_layers
from catalog.images.config import ImageConfig
from catalog.images.facts import ChainFacts
from catalog.images.objects import decode, facts_name
from catalog.search.service import SearchService
from catalog.search.view import View

#: Changes of files that are counted, and can be paged to: beyond that "many" is all that anybody needs to know.
_COUNTED = 100_000
#: Entries of the layers of two images up to which their files are compared. Large images have 200,000; what the trees
#: keep of one takes some 600 bytes.
_MOST_ENTRIES = 300_000


class _Entries(msgspec.Struct):
    """What is read of `catalog.images.facts.LayerFacts`."""

    entries: list[Entry]


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

    def __init__(self, finder: Finder, search: SearchService, images: ImageAnswers, derived: Derived) -> None:
        self._finder = finder
        self._search = search
        self._images = images
        self._derived = derived
        self._one_by_one = asyncio.Lock()

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
        view = await self._search.view(caller)
        old, new = await self._side(view, caller, before, platform), await self._side(view, caller, after, platform)
        shared = shared_layers([each.text for each in old.read.diff_ids], [each.text for each in new.read.diff_ids])
        start = (page - 1) * size
        files, count, limits = await self._files(old, new, shared, start, start + size)
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
            limits_reached=limits,
        )

    async def _side(self, view: View, caller: Caller, digest: Digest, platform: str | None) -> _Side:
        found, _ = await self._finder.image(caller, digest, platform)
        config = await self._finder.config(found)
        read = await self._finder.layers(found, config)
        chain = await self._finder.require_chain(found, read)
        layers = await self._images.layers(view, found, config, read)
        return _Side(found, config, read, chain, layers, await self._images.hit(found, config, read))

    async def _files(
        self, old: _Side, new: _Side, shared: int, start: int, stop: int
    ) -> tuple[list[FileChange], int, list[str]]:
        """Return the changes of files from *start* to *stop*, how many there are, and why they are not known, if so."""
        before, after = old.read.diff_ids, new.read.diff_ids
        if before == after:
            return [], 0, []
        entries = sum(layer.entries for layer in (*old.chain.layers, *new.chain.layers[shared:]))
        if entries > _MOST_ENTRIES:
            return [], 0, [f"the layers have {entries} entries; files are compared up to {_MOST_ENTRIES} of them"]
        async with self._one_by_one:
            comparison = FileComparison()
            for diff_id in before[:shared]:
                await self._lay(comparison.lay_both, diff_id)
            for diff_id in before[shared:]:
                await self._lay(comparison.lay_before, diff_id)
            for diff_id in after[shared:]:
                await self._lay(comparison.lay_after, diff_id)
            return *await asyncio.to_thread(_listed, comparison, start, stop), []

    async def _lay(self, lay: Callable[[Sequence[Entry]], None], diff_id: Digest) -> None:
        """Lay a layer, and let go of it."""

        def decode_and_lay(content: bytes) -> None:
            lay(decode(content, _Entries).entries)

        try:
            await asyncio.to_thread(decode_and_lay, await self._derived.get(facts_name(diff_id)))
        except (DerivedUnknown, ValueError):
            raise LayerIndexUnavailable("what is known of the image's layers is being made anew") from None


def _listed(comparison: FileComparison, start: int, stop: int) -> tuple[list[FileChange], int]:
    count, shown = 0, []
    for change in islice(comparison.changes(), _COUNTED):
        if start <= count < stop:
            shown.append(change)
        count += 1
    return shown, count
