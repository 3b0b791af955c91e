"""`Browse`, put together from its parts."""

from __future__ import annotations

import re

from auth.access import Access
from auth.callers import Caller
from cas import Digest, RepositoryName
from cas.derived import Derived
from cas.layer_index.protocol import LayerIndex
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
from catalog.browse.contents import ContentAnswers
from catalog.browse.differences import DifferenceAnswers
from catalog.browse.found import Finder
from catalog.browse.glances import Glances
from catalog.browse.images import ImageAnswers
from catalog.browse.kept import KeptFacts
from catalog.browse.repositories import RepositoryAnswers
from catalog.content import Content
from catalog.errors import ImageUnknown
from catalog.images.manifests import ImageManifest
from catalog.images.report import PackagesAnswer
from catalog.search.engine import SearchEngine
from catalog.search.language import Term, both, write
from catalog.search.service import SearchService
from database import Database

#: A word that is one in the query language too; any other means the same in quotes, but for that it is not completed.
_PLAIN = re.compile(r"(?!(?:AND|OR|NOT)\Z)\w[\w./-]*")


class BrowseService:
    """Answers from the database, the store's facts, the layer index and the search engine. See `Browse`."""

    def __init__(
        self,
        database: Database,
        content: Content,
        derived: Derived,
        index: LayerIndex,
        engine: SearchEngine,
        access: Access,
        default_namespace: str = "library",
    ) -> None:
        self._search = SearchService(engine, index, database, access, default_namespace)
        self._finder = Finder(database, access, content, KeptFacts(derived))
        glances = Glances(database, self._finder)
        self._repositories = RepositoryAnswers(database, access, glances, default_namespace)
        self._images = ImageAnswers(database, self._finder, glances, self._search, index, default_namespace)
        self._contents = ContentAnswers(self._search, index)
        self._differences = DifferenceAnswers(self._finder, self._search, self._images, derived)

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
        return await self._search.search(caller, text, type=type, sort=sort, page=page, size=size, facets=facets)

    async def repositories_with(self, caller: Caller, words: str, page: int = 1, size: int = 25) -> SearchAnswer:
        """Find repositories by *words*, whatever these would mean as a query: `docker search` knows no language."""
        query = write(both(Term(word, quoted=not _PLAIN.fullmatch(word)) for word in words.split()))
        return await self._search.search(caller, query, type="repository", page=page, size=size, facets=False)

    async def suggest(self, caller: Caller, text: str, most: int = 8) -> list[Suggestion]:
        return await self._search.suggest(caller, text, most)

    async def repository(self, caller: Caller, name: RepositoryName) -> RepositoryAnswer:
        return await self._repositories.repository(caller, name)

    async def tags(
        self, caller: Caller, name: RepositoryName, after: str = "", most: int = 100, digest: Digest | None = None
    ) -> TagsAnswer:
        return await self._repositories.tags(caller, name, after, most, digest)

    async def tag_history(
        self, caller: Caller, name: RepositoryName, tag: str | None = None, before: int | None = None, most: int = 100
    ) -> TagHistoryAnswer:
        return await self._repositories.tag_history(caller, name, tag, before, most)

    async def resolve(self, caller: Caller, name: RepositoryName, reference: str) -> Digest:
        return await self._repositories.resolve(caller, name, reference)

    async def image(self, caller: Caller, digest: Digest, platform: str | None = None) -> ImageAnswer:
        return await self._images.image(caller, digest, platform)

    async def bases(
        self, caller: Caller, digest: Digest, platform: str | None = None, page: int = 1, size: int = 25
    ) -> RelationsAnswer:
        return await self._images.bases(caller, digest, platform, page, size)

    async def derived(
        self, caller: Caller, digest: Digest, platform: str | None = None, page: int = 1, size: int = 25
    ) -> RelationsAnswer:
        return await self._images.derived(caller, digest, platform, page, size)

    async def places(
        self, caller: Caller, digest: Digest, platform: str | None = None, page: int = 1, size: int = 25
    ) -> PlacesAnswer:
        return await self._images.places(caller, digest, platform, page, size)

    async def packages(self, caller: Caller, digest: Digest, platform: str | None = None) -> PackagesAnswer:
        return await self._images.packages(caller, digest, platform)

    async def files(
        self,
        caller: Caller,
        digest: Digest,
        path: str = "",
        platform: str | None = None,
        after: str = "",
        most: int = 500,
    ) -> FilesAnswer:
        return await self._images.files(caller, digest, path, platform, after, most)

    async def manifest(self, caller: Caller, digest: Digest) -> tuple[str, bytes]:
        found = await self._finder.manifest(caller, digest)
        return found.media_type, found.content

    async def config(self, caller: Caller, digest: Digest) -> bytes:
        found = await self._finder.manifest(caller, digest)
        content = await self._finder.blob(found, found.read.config) if isinstance(found.read, ImageManifest) else None
        if content is None:
            raise ImageUnknown(digest)
        return content

    async def layer(self, caller: Caller, digest: Digest, page: int = 1, size: int = 25) -> LayerAnswer:
        return await self._contents.layer(caller, digest, page, size)

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
        return await self._contents.package(caller, ecosystem, name, range, page, size, versions_page, versions_size)

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
        return await self._contents.find_files(
            caller, path=path, name=name, sha256=sha256, deleted=deleted, page=page, size=size
        )

    async def diff(
        self,
        caller: Caller,
        before: Digest,
        after: Digest,
        platform: str | None = None,
        page: int = 1,
        size: int = 1000,
    ) -> DiffAnswer:
        return await self._differences.diff(caller, before, after, platform, page, size)
