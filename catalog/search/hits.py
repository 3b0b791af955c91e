"""From documents to what people are shown of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cas import RepositoryName
from catalog.browse.answers import ImageHit, Piece, RepositoryHit
from catalog.search.documents import RepositoryDocument, ShownImage
from catalog.search.engine import Hit
from catalog.search.highlighting import Marker

#: Characters of a description in a hit.
_DESCRIPTION = 1_000


def short_name(name: str, default_namespace: str) -> str:
    """Return the name of a repository as people write it."""
    return RepositoryName(name).short(default_namespace)


def repository_hit(document: RepositoryDocument, default_namespace: str, marker: Marker) -> RepositoryHit:
    """Return what is shown of a repository."""
    name = short_name(document.name, default_namespace)
    return RepositoryHit(
        name=name,
        description=document.description[:_DESCRIPTION],
        public=document.public,
        official=document.official,
        deprecated=document.deprecated,
        pulls=document.pulls,
        pushed=document.pushed,
        tags=document.tags,
        platforms=list(document.platforms),
        marked_name=marker.mark(name),
        marked_description=marker.excerpt(document.description) if document.description else [],
    )


def shown_images(hits: Iterable[Hit]) -> list[ShownImage]:
    """Return what lists show of those of *hits* that are images."""
    return [image for hit in hits if isinstance(image := hit.shown, ShownImage)]


def image_hit(
    document: ShownImage, default_namespace: str, marker: Marker | None = None, matched: Sequence[str] = ()
) -> ImageHit:
    """Return what is shown of an image; *matched* is what it was found for."""
    name = short_name(document.repository, default_namespace)
    distro = document.distro_name or " ".join(part for part in document.distro or () if part)
    return ImageHit(
        repository=name,
        digest=document.digest,
        tags=list(document.tags),
        platform=document.platform,
        size=document.size,
        pushed=document.pushed,
        distro=distro,
        public=document.public,
        deprecated=document.deprecated,
        layers=len(document.layers),
        packages=document.packages,
        matched=list(matched),
        marked_name=marker.mark(name) if marker is not None else [Piece(name)],
    )
