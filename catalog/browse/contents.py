"""Layers, packages and files over all images: candidates come from what is known of content, answers from images."""

from __future__ import annotations

import asyncio

from auth.callers import Caller
from cas import Digest
from cas.layer_index.protocol import By, FileQuery, LayerIndex
from catalog.browse.answers import (
    FoundFileRow,
    FoundFilesAnswer,
    LayerAnswer,
    PackageAnswer,
    VersionRow,
)
from catalog.errors import LayerUnknown, PackageUnknown
from catalog.search.analysis import package_field, package_value
from catalog.search.candidates import blobs_seen
from catalog.search.conditions import MOST_TERMS, Term, Terms
from catalog.search.documents import LayerDocument
from catalog.search.errors import QueryError
from catalog.search.language import Field, Value, write
from catalog.search.look_ups import count_images, files, image_hits, images_with, package_versions
from catalog.search.service import SearchService
from catalog.search.versions import read_range, within
from catalog.search.view import View

#: Images that are shown of each file.
_EXAMPLES = 10


class ContentAnswers:
    """What `Browse` tells of layers, packages and files."""

    def __init__(self, search: SearchService, index: LayerIndex) -> None:
        self._search = search
        self._index = index

    async def layer(self, caller: Caller, digest: Digest, page: int = 1, size: int = 25) -> LayerAnswer:
        """See `Browse.layer`."""
        view = await self._search.view(caller)
        total, images = await images_with(view, Term("layer", digest.text), page, size)
        if not total:
            raise LayerUnknown(digest)
        found = await self._content(view, digest)
        blobs = {digest.text: 0} if found is None else (await blobs_seen(view, [found]))[0]
        return LayerAnswer(
            diff_id="" if found is None else found.diff_id,
            digests=list(blobs),
            size=min(blobs.values(), default=0),
            raw_size=0 if found is None else found.raw_size,
            entries=0 if found is None else found.entries,
            image_count=total,
            images=image_hits(view, images),
            page=page,
            page_size=size,
        )

    async def _content(self, view: View, digest: Digest) -> LayerDocument | None:
        """Return what is known of the layer. A manifest may name a blob that its repository never had: that an image
        names *digest* shows nothing of it; that one's verified diff_ids have it, does."""
        record = (await self._index.blobs([digest]))[0]
        diff_id = digest if record is None else record.diff_id
        (counted,) = await count_images(view, [Term("layer", diff_id.text)])
        if not counted:
            return None
        document = (await view.engine.documents([f"layer:{diff_id}"]))[0]
        return document if isinstance(document, LayerDocument) else None

    async def package(
        self,
        caller: Caller,
        ecosystem: str,
        name: str,
        range: str = "",
        page: int = 1,
        size: int = 25,
        versions_page: int = 1,
        versions_size: int = 100,
    ) -> PackageAnswer:
        """See `Browse.package`."""
        try:
            comparisons = read_range(range)
        except ValueError as error:
            raise QueryError(range, 0, len(range), str(error)) from None
        view = await self._search.view(caller)
        found = await package_versions(view, ecosystem, name)
        if not found:
            raise PackageUnknown(ecosystem, name)
        chosen = [(version, images) for version, images in found if within(ecosystem, version, comparisons)]
        values = tuple(package_value(ecosystem, name, version) for version, _ in chosen[:MOST_TERMS])
        total, images = await images_with(view, Terms(package_field("package"), values), page, size)
        return PackageAnswer(
            ecosystem=ecosystem,
            name=name,
            range=range,
            versions=[
                VersionRow(version, images, write(Field("package", (Value(f"{ecosystem}/{name}@{version}"),))))
                for version, images in chosen[(versions_page - 1) * versions_size : versions_page * versions_size]
            ],
            version_count=len(chosen),
            image_count=total,
            images=image_hits(view, images),
            page=page,
            page_size=size,
        )

    async def find_files(
        self,
        caller: Caller,
        *,
        path: str = "",
        name: str = "",
        sha256: str = "",
        deleted: str = "",
        page: int = 1,
        size: int = 25,
    ) -> FoundFilesAnswer:
        """See `Browse.find_files`."""
        asked = [(By.PATH, path.lstrip("/")), (By.NAME, name), (By.SHA256, sha256)]
        given = [(by, text) for by, text in asked if text]
        if len(given) != 1:
            text = path or name or sha256
            raise QueryError(text, 0, len(text), "expected exactly one of path, name and sha256")
        by, text = given[0]
        prefix = by is not By.SHA256 and text.endswith("*")
        query = FileQuery(by, text.removesuffix("*") if prefix else text, prefix)
        view = await self._search.view(caller)
        hits, more = await files(view, query, deleted, page, size)
        examples = await asyncio.gather(*(images_with(view, held, 1, _EXAMPLES) for _, held in hits))
        rows = [
            FoundFileRow(hit.path, hit.size, hit.sha256, hit.diff_id, hit.images, image_hits(view, images))
            for (hit, _), (_, images) in zip(hits, examples, strict=True)
        ]
        return FoundFilesAnswer(rows, more, page, size)
