"""A repository, its tags, and where they pointed."""

from __future__ import annotations

import time
from collections.abc import Sequence

from auth import people
from auth.access import Access
from auth.callers import Caller
from cas import Digest, Reference, RepositoryName, parse_reference
from catalog.browse.answers import RepositoryAnswer, TagHistoryAnswer, TagMove, TagRow, TagsAnswer
from catalog.browse.found import Finder, FoundManifest, state_of
from catalog.errors import RepositoryUnknown
from catalog.images.manifests import DEEPEST, UNKNOWN, ImageManifest, IndexManifest, read_manifest, size_of
from catalog.metadata import images, manifests, repositories
from catalog.metadata.images import MONTH, Holding, TagOf
from catalog.metadata.repositories import Repository
from database import Database

_NEWEST = 100
_LAST = 2**62

_Read = ImageManifest | IndexManifest | None


class RepositoryAnswers:
    """What `Browse` tells of repositories."""

    def __init__(self, database: Database, access: Access, finder: Finder, default_namespace: str) -> None:
        self._database = database
        self._access = access
        self._finder = finder
        self._default_namespace = default_namespace

    async def repository(self, caller: Caller, name: RepositoryName) -> RepositoryAnswer:
        """See `Browse.repository`."""
        found = await self._readable(caller, name)
        tags = await self._rows(found, await images.newest_tags(self._database, found.id, _NEWEST))
        sizes = {tag.digest: tag.size for tag in tags}
        return RepositoryAnswer(
            name=name.short(self._default_namespace),
            public=found.public,
            official=name.namespace == self._default_namespace,
            deprecated=found.deprecated,
            description=found.description,
            created=found.created,
            pushed=await images.newest_push(self._database, found.id),
            pulls=await repositories.pull_count(self._database, found),
            pulls_30_days=await images.pulls_since(self._database, found.id, time.time() - MONTH),
            size=sum(sizes.values()),
            tag_count=await images.tag_count(self._database, found.id),
            tags=tags,
            actions=sorted(await self._access.actions(caller, name)),
        )

    async def tags(
        self, caller: Caller, name: RepositoryName, after: str = "", most: int = 100, digest: Digest | None = None
    ) -> TagsAnswer:
        """See `Browse.tags`."""
        found = await self._readable(caller, name)
        if digest is None:
            rows = await images.tags_after(self._database, found.id, after, most + 1)
        else:
            among = [digest.text, *await images.ancestors(self._database, found.id, digest)]
            rows = await images.tags_of_after(self._database, found.id, among, after, most + 1)
        page = rows[:most]
        return TagsAnswer(tags=await self._rows(found, page), next=page[-1].name if len(rows) > most else None)

    async def tag_history(
        self, caller: Caller, name: RepositoryName, tag: str | None = None, before: int | None = None, most: int = 100
    ) -> TagHistoryAnswer:
        """See `Browse.tag_history`."""
        found = await self._readable(caller, name)
        rows = await images.moves(self._database, found.id, tag or "", before or _LAST, most + 1)
        page = rows[:most]
        names = await self._names(caller, name, {row.subject for row in page})
        return TagHistoryAnswer(
            moves=[TagMove(row.tag, row.digest or "", row.at, names.get(row.subject, "")) for row in page],
            next=page[-1].sequence if len(rows) > most else None,
        )

    async def resolve(self, caller: Caller, name: RepositoryName, reference: str) -> Digest:
        """See `Browse.resolve`."""
        parsed: Reference = parse_reference(reference)
        await self._readable(caller, name)
        return Digest.parse((await manifests.stat(self._database, name, parsed)).digest)

    async def _names(self, caller: Caller, name: RepositoryName, subjects: set[str]) -> dict[str, str]:
        """Return the names of people by their ids, for those who may push there: who works on an image is nobody
        else's business."""
        if "push" not in await self._access.actions(caller, name):
            return {}
        found = [await people.by_id(self._database, subject) for subject in sorted(subjects - {""})]
        return {person.id: person.name for person in found if person is not None}

    async def _readable(self, caller: Caller, name: RepositoryName) -> Repository:
        if "pull" not in await self._access.actions(caller, name):
            raise RepositoryUnknown(name)
        return await repositories.find(self._database, name)

    async def _rows(self, repository: Repository, tags: list[TagOf]) -> list[TagRow]:
        """Describe *tags*. An index is as large as its image that is shown first; a job that is still to be done for
        that says how far it was read."""
        read = [read_manifest(tag.content, tag.media_type) for tag in tags]
        shown = await self._shown(repository, tags, read)
        waiting = await images.jobs_among(self._database, repository.id, [digest for digest, _ in shown])
        rows = []
        for tag, manifest, (digest, image) in zip(tags, read, shown, strict=True):
            if isinstance(manifest, IndexManifest):
                platforms = [child.platform for child in manifest.children if child.platform not in ("", UNKNOWN)]
            else:
                platforms = await self._platform(repository, tag, manifest)
            state = state_of(waiting.get(digest))
            rows.append(TagRow(tag.name, tag.digest, tag.media_type, tag.moved, size_of(image), platforms, state))
        return rows

    async def _shown(
        self, repository: Repository, tags: Sequence[TagOf], read: Sequence[_Read]
    ) -> list[tuple[str, _Read]]:
        """Return the digest and the manifest of the image that each tag stands for: of an index, the one that is shown
        first; the manifest is None where the repository does not have it."""
        shown = [(tag.digest, manifest) for tag, manifest in zip(tags, read, strict=True)]
        for _ in range(DEEPEST - 1):
            chosen = {
                place: child.digest.text
                for place, (_, manifest) in enumerate(shown)
                if isinstance(manifest, IndexManifest) and (child := manifest.choose()) is not None
            }
            if not chosen:
                break
            contents = await images.contents(self._database, repository.id, list(chosen.values()))
            for place, digest in chosen.items():
                media_type, content = contents.get(digest, ("", b""))
                shown[place] = digest, read_manifest(content, media_type)
        return shown

    async def _platform(self, repository: Repository, tag: TagOf, manifest: _Read) -> list[str]:
        here = Holding(
            repository.id, repository.name, repository.public, repository.deprecated, tag.media_type, tag.moved
        )
        config = await self._finder.config(FoundManifest(Digest.parse(tag.digest), tag.content, [here], 1, manifest))
        return [config.platform] if config is not None and config.platform else []
