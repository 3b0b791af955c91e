"""Layers, packages and files over all images: candidates come from what is known of content, answers from images."""

from __future__ import annotations

from auth.callers import Caller
from cas import Digest
from cas.layer_index.protocol import By, FileQuery, LayerIndex
from catalog.browse.answers import (
    FoundFileRow,
    FoundFilesAnswer,
    ImageHit,
    LayerAnswer,
    PackageAnswer,
    VersionRow,
)
from catalog.errors import LayerUnknown, PackageUnknown
from catalog.search.analysis import package_field, package_value
from catalog.search.conditions import MOST_TERMS, Condition, Term, Terms
from catalog.search.documents import LayerDocument
from catalog.search.engine import SearchEngine
from catalog.search.errors import QueryError
from catalog.search.language import Field, Value, write
from catalog.search.service import SearchService
from catalog.search.versions import read_range, within

#: Images that are shown of each file.
_EXAMPLES = 10


class ContentAnswers:
    """What `Browse` tells of layers, packages and files."""

    def __init__(self, search: SearchService, engine: SearchEngine, index: LayerIndex) -> None:
        self._search = search
        self._engine = engine
        self._index = index

    async def layer(self, caller: Caller, digest: Digest, page: int = 1, size: int = 25) -> LayerAnswer:
        """See `Browse.layer`."""
        total, hits = await self._search.images_with(caller, Term("layer", digest.text), page, size)
        if not total:
            raise LayerUnknown(digest)
        found = await self._content(caller, digest)
        blobs = {digest.text: 0} if found is None else await self._search.blobs_of(caller, found)
        return LayerAnswer(
            diff_id="" if found is None else found.diff_id,
            digests=list(blobs),
            size=min(blobs.values(), default=0),
            raw_size=0 if found is None else found.raw_size,
            entries=0 if found is None else found.entries,
            image_count=total,
            images=hits,
            page=page,
            page_size=size,
        )

    async def _content(self, caller: Caller, digest: Digest) -> LayerDocument | None:
        """Return what is known of the layer. A manifest may name a blob that its repository never had: that an image
        names *digest* shows nothing of it; that one's verified diff_ids have it, does."""
        record = (await self._index.blobs([digest]))[0]
        diff_id = digest if record is None else record.diff_id
        counted = await self._search.count_images(caller, [Term("layer", diff_id.text)])
        if not counted[0]:
            return None
        document = (await self._engine.documents([f"layer:{diff_id}"]))[0]
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
        found = await self._search.package_versions(caller, ecosystem, name)
        if not found:
            raise PackageUnknown(ecosystem, name)
        chosen = [(version, images) for version, images in found if within(ecosystem, version, comparisons)]
        values = tuple(package_value(ecosystem, name, version) for version, _ in chosen[:MOST_TERMS])
        total, hits = await self._search.images_with(caller, Terms(package_field("package"), values), page, size)
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
            images=hits,
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
        hits, more = await self._search.file_hits(caller, query, deleted, page, size)
        rows = [
            FoundFileRow(hit.path, hit.size, hit.sha256, hit.diff_id, hit.images, await self._examples(caller, held))
            for hit, held in hits
        ]
        return FoundFilesAnswer(rows, more, page, size)

    async def _examples(self, caller: Caller, held: Condition) -> list[ImageHit]:
        """Return some of the images that hold a file as was asked."""
        _, images = await self._search.images_with(caller, held, 1, _EXAMPLES)
        return images
