"""A repository, its tags, and where they pointed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from auth import people
from auth.access import Access
from auth.callers import Caller
from cas import Digest, Reference, RepositoryName, parse_reference
from catalog.browse.answers import RepositoryAnswer, TagHistoryAnswer, TagMove, TagRow, TagsAnswer
from catalog.browse.found import state_of
from catalog.browse.glances import Glance, Glances
from catalog.errors import RepositoryUnknown
from catalog.images.manifests import DEEPEST
from catalog.metadata import images, manifests, repositories
from catalog.metadata.images import MONTH, TagOf
from catalog.metadata.repositories import Repository
from database import Database

_NEWEST = 100
_LAST = 2**62


class RepositoryAnswers:
    """What `Browse` tells of repositories."""

    def __init__(self, database: Database, access: Access, glances: Glances, default_namespace: str) -> None:
        self._database = database
        self._access = access
        self._glances = glances
        self._default_namespace = default_namespace

    async def repository(self, caller: Caller, name: RepositoryName) -> RepositoryAnswer:
        """See `Browse.repository`."""
        found = await self._readable(caller, name)
        tags = await self._rows(found, await images.tags_moved_last(self._database, found.id, _NEWEST))
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

    async def _rows(self, repository: Repository, tags: Sequence[TagOf]) -> list[TagRow]:
        """Describe *tags*. An index is as large as its image that is shown first; a job that is still to be done for
        that says how far it was read. However many tags a manifest has, it is looked into once."""
        glances = await self._glances_of(repository, {tag.digest: tag.media_type for tag in tags})
        shown = await self._shown(repository, glances)
        waiting = await images.jobs_among(self._database, repository.id, [digest for digest, _ in shown.values()])
        configs = [glance.config for glance in glances.values()]
        platforms = await self._glances.platforms(repository.id, repository.name, configs)
        rows = []
        for tag in tags:
            glance, (digest, image) = glances[tag.digest], shown[tag.digest]
            one = platforms.get(glance.config, "")
            told = [one] if one else list(glance.platforms)
            state = state_of(waiting.get(digest))
            rows.append(TagRow(tag.name, tag.digest, tag.media_type, tag.moved, image.size, told, state))
        return rows

    async def _glances_of(self, repository: Repository, media_types: Mapping[str, str]) -> dict[str, Glance]:
        return {
            digest: await self._glances.manifest(repository.id, digest, media_type)
            for digest, media_type in media_types.items()
        }

    async def _shown(self, repository: Repository, glances: Mapping[str, Glance]) -> dict[str, tuple[str, Glance]]:
        """Return for each manifest the digest of the image that it stands for, and what is to be told of that: for an
        index, of the one that is shown first, and nothing where the repository does not have it."""
        shown = {digest: (digest, glance) for digest, glance in glances.items()}
        for _ in range(DEEPEST - 1):
            chosen = {digest: glance.shown for digest, (_, glance) in shown.items() if glance.shown}
            if not chosen:
                break
            there = await images.media_types(self._database, repository.id, chosen.values())
            children = await self._glances_of(repository, there)
            shown |= {digest: (child, children.get(child, Glance())) for digest, child in chosen.items()}
        return shown
