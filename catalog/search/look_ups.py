"""What pages of images, layers, packages and files look up, each within one view."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cas.layer_index.protocol import FileQuery
from catalog.browse.answers import FileHit, ImageHit
from catalog.search import analysis, file_hits
from catalog.search.conditions import Condition, Every, Term, Terms
from catalog.search.documents import PackageDocument, ShownImage
from catalog.search.engine import SearchRequest, Sort
from catalog.search.hits import image_hit, shown_images
from catalog.search.versions import newest_first
from catalog.search.view import View, offset_of


async def images_with(view: View, condition: Condition, page: int = 1, size: int = 25) -> tuple[int, list[ShownImage]]:
    """Return how many images *condition* holds for, and one page of them, the most recently pushed first."""
    offset = offset_of(page, size)
    request = SearchRequest(view.images(condition), sort=Sort("pushed"), offset=offset, most=size)
    found = await view.engine.search(request)
    return found.total, shown_images(found.hits)


def image_hits(view: View, images: Iterable[ShownImage]) -> list[ImageHit]:
    """Return what lists show of *images*."""
    return [image_hit(image, view.default_namespace) for image in images]


async def count_images(view: View, conditions: Sequence[Condition]) -> list[int]:
    """Tell of each of *conditions* how many images it holds for."""
    return await view.engine.count([view.images(condition) for condition in conditions]) if conditions else []


async def package_versions(view: View, ecosystem: str, name: str) -> list[tuple[str, int]]:
    """Return the versions of a package that images have, the newest first, each with the number of images."""
    package = Terms("package", (analysis.package_value(ecosystem, name),))
    found = await view.engine.search(SearchRequest(Every((Term("kind", "package"), package)), most=100))
    documents = [hit.document for hit in found.hits if isinstance(hit.document, PackageDocument)]
    versions = list(dict.fromkeys(version for document in documents for version in document.versions))
    values = [analysis.package_value(ecosystem, name, version) for version in versions]
    counts = await view.engine.counts(analysis.package_field("package"), values, view.images()) if values else []
    images = {version: count for version, count in zip(versions, counts, strict=True) if count}
    return [(version, images[version]) for version in newest_first(ecosystem, images)]


async def files(
    view: View, query: FileQuery, deleted: str = "", page: int = 1, size: int = 25
) -> tuple[list[tuple[FileHit, Condition]], bool]:
    """Find files: one page of them by path, each with the condition of the images that have it; and whether there are
    others after it. *deleted* is empty, ``yes`` or ``include``."""
    offset = offset_of(page, size)
    counted = await file_hits.found_files(view, [await view.files.of_queries([query])], deleted)
    rows = counted.rows[offset : offset + size]
    hits = [(hit, file.held(deleted)) for hit, file in await file_hits.file_hits(view, rows)]
    return hits, counted.more or len(counted.rows) > offset + size
