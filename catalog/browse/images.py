"""One image: what it is, what it holds, what it is built on."""

from __future__ import annotations

import time
from collections import Counter
from typing import Literal

from auth.callers import Caller
from cas import Digest, InvalidDigest
from cas.layer_index.protocol import LayerIndex
from catalog.browse.answers import (
    ConfigAnswer,
    FilesAnswer,
    ImageAnswer,
    ImageHit,
    LayerRow,
    Piece,
    Place,
    PlacesAnswer,
    PlatformRow,
    Relation,
    RelationsAnswer,
    Step,
)
from catalog.browse.found import Finder, FoundManifest, ReadLayers
from catalog.browse.glances import Glances
from catalog.errors import PathUnknown
from catalog.images.chains import chain_ids, history_names
from catalog.images.config import ImageConfig
from catalog.images.directories import list_directory
from catalog.images.manifests import ImageManifest, IndexManifest, size_of
from catalog.images.report import PackagesAnswer, distro_text, packages_answer
from catalog.metadata import images
from catalog.metadata.images import MONTH
from catalog.search.access import terms
from catalog.search.compile import declared_name
from catalog.search.conditions import Condition, Every, Prefix, Some, Term, Without
from catalog.search.engine import SearchRequest, Sort
from catalog.search.hits import shown_images
from catalog.search.look_ups import count_images, image_hits, images_with
from catalog.search.service import SearchService
from catalog.search.view import View, offset_of
from database import Database

_MOST_DERIVED = 25
_MOST_BASES = 10
_MOST_TAGS = 1000
#: Names of an image that others are asked for as having declared them.
_MOST_NAMES = 2000
#: Images of an index that are listed: an index may list 5,000.
_MOST_PLATFORMS = 100


class ImageAnswers:
    """What `Browse` tells of images."""

    def __init__(
        self,
        database: Database,
        finder: Finder,
        glances: Glances,
        search: SearchService,
        index: LayerIndex,
        default_namespace: str,
    ) -> None:
        self._database = database
        self._finder = finder
        self._glances = glances
        self._search = search
        self._index = index
        self._default_namespace = default_namespace

    async def image(self, caller: Caller, digest: Digest, platform: str | None = None) -> ImageAnswer:
        """See `Browse.image`."""
        found, index = await self._finder.image(caller, digest, platform)
        config = await self._finder.config(found)
        read = await self._finder.layers(found, config)
        image = found.read if isinstance(found.read, ImageManifest) else None
        chain = read.chain
        view = await self._search.view(caller)
        base_count, bases = await _bases(view, config, read, 1, _MOST_BASES)
        derived_count, derived = await self._derived(view, found, config, read, 1, _MOST_DERIVED)
        return ImageAnswer(
            digest=found.digest.text,
            index=None if index is None else index.digest.text,
            media_type=found.media_type,
            artifact_type="" if image is None or image.is_image else image.artifact_type,
            platform="" if config is None else config.platform,
            platforms=await self._platforms(index),
            size=0 if image is None else image.size,
            raw_size=sum(blob.raw_size for blob in read.blobs if blob is not None),
            files=0 if chain is None else chain.files,
            pushed=max(holding.pushed for holding in found.holdings),
            pulls=await self._pulls(found),
            distro="" if chain is None or chain.distro is None else chain.distro.name or chain.distro.id,
            state=read.state,
            places=[await self._place(holding, found.digest) for holding in found.holdings],
            place_count=found.held_in,
            layers=await self.layers(view, found, config, read),
            config=None if config is None else _config(config),
            config_digest="" if image is None else image.config.digest.text,
            annotations={} if image is None else image.annotations,
            packages={} if chain is None else dict(Counter(each.ecosystem for each in chain.packages)),
            removed_packages=0 if chain is None else len(chain.removed),
            base=await self._declared(caller, found, config) + bases,
            base_count=base_count,
            derived=derived,
            derived_count=derived_count,
            limits_reached=[
                *_left_out(index),
                *([] if chain is None else chain.limits),
                *([] if config is None else config.limits),
                *([] if image is None else image.limits),
            ],
        )

    async def bases(
        self, caller: Caller, digest: Digest, platform: str | None = None, page: int = 1, size: int = 25
    ) -> RelationsAnswer:
        """See `Browse.bases`."""
        _, config, read = await self._read(caller, digest, platform)
        total, bases = await _bases(await self._search.view(caller), config, read, page, size)
        return RelationsAnswer(bases, total, page, size)

    async def derived(
        self, caller: Caller, digest: Digest, platform: str | None = None, page: int = 1, size: int = 25
    ) -> RelationsAnswer:
        """See `Browse.derived`."""
        found, config, read = await self._read(caller, digest, platform)
        view = await self._search.view(caller)
        total, derived = await self._derived(view, found, config, read, page, size)
        return RelationsAnswer(derived, total, page, size)

    async def places(
        self, caller: Caller, digest: Digest, platform: str | None = None, page: int = 1, size: int = 25
    ) -> PlacesAnswer:
        """See `Browse.places`."""
        found, _ = await self._finder.image(caller, digest, platform)
        holdings = await self._finder.holdings(caller, found.digest)
        some = holdings[(page - 1) * size : page * size]
        return PlacesAnswer([await self._place(each, found.digest) for each in some], len(holdings), page, size)

    async def layers(
        self, view: View, found: FoundManifest, config: ImageConfig | None, read: ReadLayers
    ) -> list[LayerRow]:
        """Describe the layers of an image, with how many images of the caller's hold each."""
        if not isinstance(found.read, ImageManifest):
            return []
        layers = found.read.layers
        made_by = [] if config is None else config.created_by(len(layers))
        diff_ids = [blob.diff_id if blob is not None else "" for blob in read.blobs] or [""] * len(layers)
        counted = await count_images(
            view,
            [Term("layer", diff_id or layer.digest.text) for diff_id, layer in zip(diff_ids, layers, strict=True)],
        )
        rows = []
        for position, layer in enumerate(layers):
            blob = read.blobs[position] if read.blobs else None
            counts = read.chain.layers[position] if read.chain is not None else None
            rows.append(
                LayerRow(
                    index=position,
                    digest=layer.digest.text,
                    diff_id=diff_ids[position],
                    media_type=layer.media_type,
                    size=layer.size,
                    raw_size=0 if blob is None else blob.raw_size,
                    created_by=made_by[position] if position < len(made_by) else "",
                    unread="" if counts is None else counts.unread,
                    entries=0 if counts is None else counts.entries,
                    added=0 if counts is None else counts.added,
                    changed=0 if counts is None else counts.changed,
                    deleted=0 if counts is None else counts.deleted,
                    wasted=0 if counts is None else counts.wasted,
                    installed=[] if counts is None else counts.installed,
                    upgraded=[] if counts is None else counts.upgraded,
                    removed=[] if counts is None else counts.removed,
                    images=counted[position],
                )
            )
        return rows

    async def hit(self, found: FoundManifest, config: ImageConfig | None, read: ReadLayers) -> ImageHit:
        """Describe an image as a hit, in the first place where it may be read."""
        place = await self._place(found.holdings[0], found.digest)
        chain = read.chain
        return ImageHit(
            repository=place.repository,
            digest=found.digest.text,
            tags=place.tags,
            platform="" if config is None else config.platform,
            size=size_of(found.read),
            pushed=place.pushed,
            distro="" if chain is None else distro_text(chain),
            public=found.holdings[0].public,
            deprecated=place.deprecated,
            layers=len(read.blobs),
            packages=0 if chain is None else len(chain.packages),
            matched=[],
            marked_name=[Piece(place.repository)],
        )

    async def packages(self, caller: Caller, digest: Digest, platform: str | None = None) -> PackagesAnswer:
        """See `Browse.packages`."""
        found, _ = await self._finder.image(caller, digest, platform)
        config = await self._finder.config(found)
        read = await self._finder.layers(found, config)
        chain = await self._finder.require_chain(found, read)
        assert isinstance(found.read, ImageManifest)  # nothing else has a stack
        return packages_answer(found.digest.text, config, found.read.layers, read.diff_ids, chain, found.read.limits)

    async def files(
        self,
        caller: Caller,
        digest: Digest,
        path: str = "",
        platform: str | None = None,
        after: str = "",
        most: int = 500,
    ) -> FilesAnswer:
        """See `Browse.files`."""
        found, _ = await self._finder.image(caller, digest, platform)
        read = await self._finder.layers(found, await self._finder.config(found))
        chain = await self._finder.require_chain(found, read)
        listing = await list_directory(self._index, read.diff_ids, path, after, most, chain.placements)
        if listing is None:
            raise PathUnknown(found.digest, path)
        return FilesAnswer(found.digest.text, listing.path, listing.entries, listing.next)

    async def _platforms(self, index: FoundManifest | None) -> list[PlatformRow]:
        """Describe the first images of an index, whose sizes their manifests tell: one is looked into at a time."""
        if index is None or not isinstance(index.read, IndexManifest):
            return []
        children = index.read.children[:_MOST_PLATFORMS]
        where: dict[str, tuple[str, str]] = {}
        for holding in index.holdings:
            missing = {child.digest.text for child in children} - where.keys()
            if not missing:
                break
            there = await images.media_types(self._database, holding.repository_id, missing)
            where |= {digest: (holding.repository_id, media_type) for digest, media_type in there.items()}
        rows = []
        for child in children:
            repository_id, media_type = where.get(child.digest.text, ("", ""))
            glance = await self._glances.manifest(repository_id, child.digest.text, media_type) if media_type else None
            size = 0 if glance is None else glance.size
            rows.append(PlatformRow(child.platform, child.digest.text, size, child.artifact_type))
        return rows

    async def _pulls(self, found: FoundManifest) -> int:
        since = time.time() - MONTH
        return sum([await images.pulls_since(self._database, each.repository_id, since) for each in found.holdings])

    async def _place(self, holding: images.Holding, digest: Digest) -> Place:
        indexes = await images.ancestors(self._database, holding.repository_id, digest)
        tags = await images.tags_of(self._database, holding.repository_id, [digest.text, *indexes])
        name = holding.name.short(self._default_namespace)
        return Place(name, tags[:_MOST_TAGS], holding.pushed, holding.deprecated, len(tags))

    async def _read(
        self, caller: Caller, digest: Digest, platform: str | None
    ) -> tuple[FoundManifest, ImageConfig | None, ReadLayers]:
        """Return an image, its config, and what is known of its layers.

        Raises:
            ImageUnknown: there is no such image.
            ImageUnread: they were not read, or could not be.
        """
        found, _ = await self._finder.image(caller, digest, platform)
        config = await self._finder.config(found)
        read = await self._finder.layers(found, config)
        await self._finder.require_chain(found, read)
        return found, config, read

    async def _declared(self, caller: Caller, found: FoundManifest, config: ImageConfig | None) -> list[Relation]:
        """Tell what the image says that it is built on, and whether the caller may read that here."""
        if config is None or not isinstance(found.read, ImageManifest):
            return []
        name, digest = config.declared_base(found.read.annotations)
        if not name and not digest:
            return []
        try:
            here = bool(digest and await self._finder.holdings(caller, Digest.parse(digest)))
        except InvalidDigest:
            here = False
        return [Relation(name, [], digest, "", 0, "declared", here)]

    async def _derived(
        self, view: View, found: FoundManifest, config: ImageConfig | None, read: ReadLayers, page: int, size: int
    ) -> tuple[int, list[Relation]]:
        """Count the images that are built on this one, and list a page of them: those whose stack begins with its stack
        and goes on, or is the same and whose history does; and those that say so."""
        chains, histories = _names(config, read)
        tops = {*chains[-1:], *histories[-1:]}
        above = terms("chain", tops)
        others = Without(Term("digest", found.digest.text))
        built_on_it = Some((above, Every((await self._saying(found), others))))
        total, above_it = await images_with(view, built_on_it, page, size)
        return total, [
            _relation(hit, "declared" if tops.isdisjoint(each.chains[:-1] + each.histories[:-1]) else "layers")
            for each, hit in zip(above_it, image_hits(view, above_it), strict=True)
        ]

    async def _saying(self, found: FoundManifest) -> Condition:
        """Return the condition of images that say that they are built on this one: by its digest or that of an index
        that holds it, or, where they say no digest, by a name that it has now (of very many: by the first 2,000)."""
        digests, names = [found.digest.text], list[str]()
        for holding in found.holdings:
            digests += await images.ancestors(self._database, holding.repository_id, found.digest)
            tags = await images.tags_of(self._database, holding.repository_id, digests)
            repositories = dict.fromkeys((holding.name.text, holding.name.short(self._default_namespace)))
            names += (declared_name(f"{name}:{tag}") for name in repositories for tag in tags[:_MOST_TAGS])
        pinned = Some((Prefix("base", "sha256:"), Prefix("base", "sha512:")))
        return Some((terms("base", digests), Every((terms("base", names[:_MOST_NAMES]), Without(pinned)))))


async def _bases(
    view: View, config: ImageConfig | None, read: ReadLayers, page: int, size: int
) -> tuple[int, list[Relation]]:
    """Count the images that the image is built on, and list a page of them, from the nearest on: those of its own
    layers whose history its own goes on from, then those whose stack is the bottom of its own."""
    chains, histories = _names(config, read)
    conditions = [terms("top", [name]) for name in reversed(histories[:-1])]
    if len(chains) > 1:
        # The longest stacks are the nearest: in the order of their layers, one request finds them among any number.
        conditions.append(terms("top", chains[:-1]))
    conditions = [view.images(each) for each in conditions]
    counts = await view.engine.count(conditions) if conditions else []
    found: list[Relation] = []
    offset = offset_of(page, size)
    for condition, count in zip(conditions, counts, strict=True):
        if offset < count and len(found) < size:
            request = SearchRequest(condition, sort=Sort("layers"), offset=offset, most=size - len(found))
            hits = (await view.engine.search(request)).hits
            found += map(_relation, image_hits(view, shown_images(hits)))
        offset = max(0, offset - count)
    return sum(counts), found


def _names(config: ImageConfig | None, read: ReadLayers) -> tuple[list[str], list[str]]:
    """Return the chain_ids of an image's stacks and the names of its history; none where its layers were not read."""
    if config is None or read.chain is None:
        return [], []
    return [each.text for each in chain_ids(read.diff_ids)], history_names(config, read.diff_ids)


def _left_out(index: FoundManifest | None) -> list[str]:
    """Say how many images of an index are not listed, in words."""
    count = len(index.read.children) if index is not None and isinstance(index.read, IndexManifest) else 0
    if count <= _MOST_PLATFORMS:
        return []
    return [f"the index lists {count} manifests, of which the first {_MOST_PLATFORMS} are shown"]


def _relation(hit: ImageHit, certainty: Literal["declared", "layers"] = "layers") -> Relation:
    return Relation(hit.repository, hit.tags, hit.digest, hit.platform, hit.layers, certainty, True)


def _config(config: ImageConfig) -> ConfigAnswer:
    return ConfigAnswer(
        created=config.created,
        author=config.author,
        user=config.user,
        env=config.env,
        entrypoint=config.entrypoint,
        command=config.command,
        working_dir=config.working_dir,
        ports=config.ports,
        volumes=config.volumes,
        stop_signal=config.stop_signal,
        labels=config.labels,
        history=[Step(each.created, each.created_by, each.comment, each.layer) for each in config.history],
    )
