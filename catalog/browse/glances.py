"""What lists tell of a manifest, without holding manifests: a list has a thousand rows, and a manifest up to 4 MiB.

A manifest, and a config, is read once and by itself, a large one in a thread, and what rows need of it is remembered:
what is named by its content never changes. Who asks was told by a row of the database that the repository has it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable
from typing import NamedTuple, TypeVar, cast

from cas import Digest, RepositoryName
from catalog.browse.found import Finder
from catalog.images.config import read_config
from catalog.images.manifests import UNKNOWN, ImageManifest, IndexManifest, read_manifest
from catalog.metadata import images
from database import Database

T = TypeVar("T")

#: Platforms of an index that are told, and characters of one.
MOST_PLATFORMS = 32
_LONGEST_PLATFORM = 100
#: Manifests and configs that are remembered: those of two whole lists. With the most that is kept of each, 10 MiB.
_MOST_REMEMBERED = 2_048
#: Manifests and configs that are in memory at once, for all who ask.
_AT_ONCE = 4
#: Bytes above which one is read in a thread, and no second one beside it.
_LARGE = 64 * 1024


class Glance(NamedTuple):
    """What rows tell of a manifest: of an image its *size* and the digest of its *config* (empty where it describes no
    file system), of an index up to 32 different *platforms* of its images and the digest of the child that is *shown*
    first. Of what is neither, nothing."""

    size: int = 0
    config: str = ""
    platforms: tuple[str, ...] = ()
    shown: str = ""


class Glances:
    """Looks into manifests and configs of a repository, one after the other."""

    def __init__(self, database: Database, finder: Finder) -> None:
        self._database = database
        self._finder = finder
        self._remembered: OrderedDict[Hashable, object] = OrderedDict()
        self._few = asyncio.Semaphore(_AT_ONCE)
        self._one_by_one = asyncio.Lock()

    async def manifest(self, repository_id: str, digest: str, media_type: str) -> Glance:
        """Look into a manifest that the repository has as *media_type*."""
        known = self._known((digest, media_type), Glance)
        if known is not None:
            return known
        async with self._few:
            known = self._known((digest, media_type), Glance)
            if known is not None:
                return known
            content = await images.content(self._database, repository_id, Digest.parse(digest))
            if content is None:  # it has gone just now
                return Glance()
            return await self._read((digest, media_type), lambda of: _glance(of, media_type), content)

    async def platforms(self, repository_id: str, name: RepositoryName, configs: Iterable[str]) -> dict[str, str]:
        """Return the platforms of those of *configs* that are blobs of the repository, by digest."""
        wanted = sorted(set(configs) - {""})
        linked = await images.linked(self._database, repository_id, wanted) if wanted else set()
        return {digest: await self._platform(name, digest) for digest in wanted if digest in linked}

    async def _platform(self, name: RepositoryName, digest: str) -> str:
        known = self._known(digest, str)
        if known is not None:
            return known
        async with self._few:
            known = self._known(digest, str)
            if known is not None:
                return known
            content = await self._finder.small([name], Digest.parse(digest))
            return "" if content is None else await self._read(digest, _platform, content)

    def _known(self, key: Hashable, kind: type[T]) -> T | None:
        if key not in self._remembered:
            return None
        self._remembered.move_to_end(key)
        return cast(T, self._remembered[key])

    async def _read(self, key: Hashable, read: Callable[[bytes], T], content: bytes) -> T:
        if len(content) <= _LARGE:
            value = read(content)
        else:
            async with self._one_by_one:
                value = await asyncio.to_thread(read, content)
        self._remembered[key] = value
        if len(self._remembered) > _MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return value


def _glance(content: bytes, media_type: str) -> Glance:
    match read_manifest(content, media_type):
        case ImageManifest() as image:
            return Glance(size=image.size, config=image.config.digest.text if image.is_image else "")
        case IndexManifest() as index:
            platforms = dict.fromkeys(child.platform[:_LONGEST_PLATFORM] for child in index.children)
            told = [platform for platform in platforms if platform not in ("", UNKNOWN)]
            child = index.choose()
            return Glance(platforms=tuple(told[:MOST_PLATFORMS]), shown="" if child is None else child.digest.text)
    return Glance()


def _platform(content: bytes) -> str:
    return read_config(content).platform[:_LONGEST_PLATFORM]
