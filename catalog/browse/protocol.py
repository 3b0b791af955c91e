"""The questions that pages and the JSON API ask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from cas import Digest, RepositoryName
from catalog.browse.answers import (
    DiffAnswer,
    FilesAnswer,
    FoundFilesAnswer,
    HitType,
    ImageAnswer,
    LayerAnswer,
    PackageAnswer,
    PlacesAnswer,
    RelationsAnswer,
    RepositoryAnswer,
    SearchAnswer,
    Suggestion,
    TagHistoryAnswer,
    TagsAnswer,
)
from catalog.images.report import PackagesAnswer

if TYPE_CHECKING:  # the form of answers is used where nobody signs in, and signing in is slow to import
    from auth.callers import Caller


class Browse(Protocol):
    """Answers, each narrowed to what *caller* may read at this moment.

    Raises, beside what the methods name: `QueryError`, `TooBroad`, `OutOfWindow` (catalog.search.errors) for what was
    asked; `SearchUnavailable`, `LayerIndexUnavailable` where a part is being rebuilt: to be tried again.
    """

    async def search(
        self,
        caller: Caller,
        text: str,
        *,
        type: HitType | None = None,
        sort: str | None = None,
        page: int = 1,
        size: int = 25,
        facets: bool = True,
    ) -> SearchAnswer:
        """Find what *text* (the query language) asks for; *type* and *sort* win over those in it."""

    async def suggest(self, caller: Caller, text: str, most: int = 8) -> list[Suggestion]:
        """Complete what is being typed."""

    async def repository(self, caller: Caller, name: RepositoryName) -> RepositoryAnswer:
        """Raises: RepositoryUnknown."""

    async def tags(
        self, caller: Caller, name: RepositoryName, after: str = "", most: int = 100, digest: Digest | None = None
    ) -> TagsAnswer:
        """Raises: RepositoryUnknown."""

    async def tag_history(
        self, caller: Caller, name: RepositoryName, tag: str | None = None, before: int | None = None, most: int = 100
    ) -> TagHistoryAnswer:
        """Raises: RepositoryUnknown."""

    async def resolve(self, caller: Caller, name: RepositoryName, reference: str) -> Digest:
        """Return the digest that a tag, or the text of a digest, names in a repository.

        Raises: RepositoryUnknown, ManifestUnknown.
        """

    async def image(self, caller: Caller, digest: Digest, platform: str | None = None) -> ImageAnswer:
        """*platform* chooses from an index (default ``linux/amd64``, else its first). Raises: ImageUnknown."""

    async def bases(
        self, caller: Caller, digest: Digest, platform: str | None = None, page: int = 1, size: int = 25
    ) -> RelationsAnswer:
        """List the images whose layers are the bottom ones of the image's. Raises: ImageUnknown, ImageUnread."""

    async def derived(
        self, caller: Caller, digest: Digest, platform: str | None = None, page: int = 1, size: int = 25
    ) -> RelationsAnswer:
        """List the images that have more layers on the image's, or declare it as their base. Raises: ImageUnknown,
        ImageUnread."""

    async def places(
        self, caller: Caller, digest: Digest, platform: str | None = None, page: int = 1, size: int = 25
    ) -> PlacesAnswer:
        """List the repositories that hold the image, with its tags there. Raises: ImageUnknown."""

    async def packages(self, caller: Caller, digest: Digest, platform: str | None = None) -> PackagesAnswer:
        """Raises: ImageUnknown, ImageUnread."""

    async def files(
        self,
        caller: Caller,
        digest: Digest,
        path: str = "",
        platform: str | None = None,
        after: str = "",
        most: int = 500,
    ) -> FilesAnswer:
        """List a directory of the merged tree. Raises: ImageUnknown, ImageUnread, PathUnknown."""

    async def manifest(self, caller: Caller, digest: Digest) -> tuple[str, bytes]:
        """Return the media type and the bytes of a manifest. Raises: ImageUnknown."""

    async def config(self, caller: Caller, digest: Digest) -> bytes:
        """Return the bytes of an image's config (at most 4 MiB of them). Raises: ImageUnknown."""

    async def layer(self, caller: Caller, digest: Digest, page: int = 1, size: int = 25) -> LayerAnswer:
        """*digest* is a diff_id or that of a blob. Raises: LayerUnknown."""

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
        """*range* is as in the query language: ``<3.0.7``, ``>=1,<2`` or a version. Versions and images have pages of
        their own. Raises: PackageUnknown."""

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
        """Find files by exactly one of path, name (each may end in ``*``) and sha256; *deleted* is empty, ``yes`` (only
        those that an upper layer hides) or ``include``."""

    async def diff(
        self,
        caller: Caller,
        before: Digest,
        after: Digest,
        platform: str | None = None,
        page: int = 1,
        size: int = 1000,
    ) -> DiffAnswer:
        """Compare two images; the files that differ come in pages. Raises: ImageUnknown, ImageUnread."""
