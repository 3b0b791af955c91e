"""Where manifests are, by digest, over all repositories that a caller may read."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Integer, Text, bindparam, func, or_, select

from auth.access import Visible
from cas import Digest, RepositoryName, Role
from catalog.metadata.tables import jobs, links, manifest_references, manifests, pulls, repositories, tag_history, tags
from database import Query, json_items
from database.protocol import Reader

_DAY = 86_400

#: Seconds of the thirty days that pulls are counted over.
MONTH = 30 * _DAY

_MOST_ANCESTORS = 1000


def _among(parameter: str) -> Any:
    return select(json_items(bindparam(parameter, type_=Text)).table_valued("value").c.value)


_PLACES = Query(
    select(
        repositories.c.id,
        repositories.c.name,
        repositories.c.public,
        repositories.c.deprecated,
        manifests.c.media_type,
        manifests.c.pushed,
    )
    .join(repositories, repositories.c.id == manifests.c.repository_id)
    .where(
        manifests.c.digest == bindparam("wanted"),
        or_(
            bindparam("everything", type_=Integer) == 1,
            repositories.c.public == 1,
            repositories.c.namespace.in_(_among("namespaces")),
        ),
    )
    .order_by(repositories.c.name)
)
_CONTENT = Query(
    select(manifests.c.content).where(
        manifests.c.repository_id == bindparam("repository"), manifests.c.digest == bindparam("wanted")
    )
)
_MEDIA_TYPES = Query(
    select(manifests.c.digest, manifests.c.media_type).where(
        manifests.c.repository_id == bindparam("repository"), manifests.c.digest.in_(_among("digests"))
    )
)
_TAGS_OF = Query(
    select(tags.c.name, tags.c.digest)
    .where(tags.c.repository_id == bindparam("repository"), tags.c.digest.in_(_among("digests")))
    .order_by(tags.c.moved.desc(), tags.c.name)
)
_PARENTS = Query(
    select(manifest_references.c.parent).where(
        manifest_references.c.repository_id == bindparam("repository"),
        manifest_references.c.child == bindparam("wanted"),
        manifest_references.c.role == Role.MANIFEST.value,
    )
)
_JOB = Query(
    select(jobs.c.parked, jobs.c.error, jobs.c.waits_for).where(
        jobs.c.repository_id == bindparam("repository"), jobs.c.digest == bindparam("wanted")
    )
)
_JOBS = Query(
    select(jobs.c.digest, jobs.c.parked, jobs.c.error, jobs.c.waits_for).where(
        jobs.c.repository_id == bindparam("repository"), jobs.c.digest.in_(_among("digests"))
    )
)
_LINKED = Query(
    select(links.c.digest).where(
        links.c.repository_id == bindparam("repository"), links.c.digest.in_(_among("digests"))
    )
)
# Never their content: any number of tags may point to one manifest, and one has up to 4 MiB.
_TAG_COLUMNS = (tags.c.name, tags.c.digest, tags.c.moved, manifests.c.media_type)
_WITH_MANIFEST = tags.join(
    manifests, (manifests.c.repository_id == tags.c.repository_id) & (manifests.c.digest == tags.c.digest)
)
_TAGS_AFTER = Query(
    select(*_TAG_COLUMNS)
    .select_from(_WITH_MANIFEST)
    .where(tags.c.repository_id == bindparam("repository"), tags.c.name > bindparam("after", type_=Text))
    .order_by(tags.c.name)
    .limit(bindparam("most", type_=Integer))
)
_TAGS_OF_AFTER = Query(
    select(*_TAG_COLUMNS)
    .select_from(_WITH_MANIFEST)
    .where(
        tags.c.repository_id == bindparam("repository"),
        tags.c.digest.in_(_among("digests")),
        tags.c.name > bindparam("after", type_=Text),
    )
    .order_by(tags.c.name)
    .limit(bindparam("most", type_=Integer))
)
_NEWEST_TAGS = Query(
    select(*_TAG_COLUMNS)
    .select_from(_WITH_MANIFEST)
    .where(tags.c.repository_id == bindparam("repository"))
    .order_by(tags.c.moved.desc(), tags.c.name)
    .limit(bindparam("most", type_=Integer))
)
_TAG_COUNT = Query(select(func.count()).select_from(tags).where(tags.c.repository_id == bindparam("repository")))
_NEWEST_PUSH = Query(
    select(func.coalesce(func.max(manifests.c.pushed), 0)).where(manifests.c.repository_id == bindparam("repository"))
)
_PULLS_SINCE = Query(
    select(func.coalesce(func.sum(pulls.c.pulls), 0)).where(
        pulls.c.repository_id == bindparam("repository"), pulls.c.day >= bindparam("since", type_=Integer)
    )
)
_MOVES = Query(
    select(tag_history.c.sequence, tag_history.c.name, tag_history.c.digest, tag_history.c.at, tag_history.c.subject)
    .where(
        tag_history.c.repository_id == bindparam("repository"),
        or_(bindparam("tag", type_=Text) == "", tag_history.c.name == bindparam("tag", type_=Text)),
        tag_history.c.sequence < bindparam("before", type_=BigInteger),
    )
    .order_by(tag_history.c.sequence.desc())
    .limit(bindparam("most", type_=Integer))
)


class Holding(NamedTuple):
    """A repository that holds a manifest; *pushed* is in seconds since 1970."""

    repository_id: str
    name: RepositoryName
    public: bool
    deprecated: bool
    media_type: str
    pushed: int


class TagOf(NamedTuple):
    """A tag and the manifest that it points to; *moved* is in seconds since 1970."""

    name: str
    digest: str
    moved: int
    media_type: str


class ReadTag(NamedTuple):
    """A tag with the bytes of the manifest that it points to."""

    name: str
    digest: str
    media_type: str
    content: bytes


class Move(NamedTuple):
    """A move of a tag, the newest of which has the greatest *sequence*; *digest* is None where it was removed."""

    sequence: int
    tag: str
    digest: str | None
    at: int
    subject: str


class Waiting(NamedTuple):
    """A job: *error* is why it failed the last time, empty where it did not; *parked* where it is not tried again;
    *waits_for* is what was missing when it was last tried, empty where nothing was."""

    parked: bool
    error: str
    waits_for: str


async def holding(reader: Reader, visible: Visible, digest: Digest) -> list[Holding]:
    """List the repositories that *visible* admits and that hold the manifest, by name."""
    rows = await reader.all(
        _PLACES,
        wanted=digest.text,
        everything=int(visible.everything),
        namespaces=json.dumps(sorted(visible.namespaces)),
    )
    found = [
        Holding(row_id, RepositoryName(name), bool(public), bool(deprecated), *rest)
        for row_id, name, public, deprecated, *rest in rows
    ]
    return [each for each in found if visible.admits(each.name, each.public)]


async def content(reader: Reader, repository_id: str, digest: Digest) -> bytes | None:
    """Return a manifest's bytes, None where it has gone."""
    row = await reader.one(_CONTENT, repository=repository_id, wanted=digest.text)
    return None if row is None else bytes(row[0])


async def media_types(reader: Reader, repository_id: str, digests: Iterable[str]) -> dict[str, str]:
    """Return the media types of those of *digests* that are manifests of the repository, by digest."""
    rows = await reader.all(_MEDIA_TYPES, repository=repository_id, digests=json.dumps(sorted(set(digests))))
    return {str(digest): str(media_type) for digest, media_type in rows}


async def parents(reader: Reader, repository_id: str, digest: Digest) -> list[str]:
    """List the indexes of the repository that hold the manifest."""
    return [str(parent) for (parent,) in await reader.all(_PARENTS, repository=repository_id, wanted=digest.text)]


async def ancestors(reader: Reader, repository_id: str, digest: Digest) -> list[str]:
    """List the indexes of the repository that hold the manifest, and those that hold these: at most 1,000."""
    found: dict[str, None] = {}
    waiting = [digest]
    while waiting and len(found) < _MOST_ANCESTORS:
        for parent in await parents(reader, repository_id, waiting.pop()):
            if parent not in found:
                found[parent] = None
                waiting.append(Digest.parse(parent))
    return list(found)[:_MOST_ANCESTORS]


async def tags_of(reader: Reader, repository_id: str, digests: list[str]) -> list[str]:
    """List the tags that point to any of *digests*, those that moved last first."""
    rows = await reader.all(_TAGS_OF, repository=repository_id, digests=json.dumps(digests))
    return [str(name) for name, _ in rows]


async def job(reader: Reader, repository_id: str, digest: str) -> Waiting | None:
    """Return the job that is to read the manifest, None where nothing is to be done."""
    row = await reader.one(_JOB, repository=repository_id, wanted=digest)
    return None if row is None else Waiting(bool(row[0]), str(row[1]), str(row[2]))


async def jobs_among(reader: Reader, repository_id: str, digests: list[str]) -> dict[str, Waiting]:
    """Return the jobs that are to read any of *digests*, by digest."""
    rows = await reader.all(_JOBS, repository=repository_id, digests=json.dumps(sorted(set(digests))))
    return {str(digest): Waiting(bool(parked), str(error), str(missing)) for digest, parked, error, missing in rows}


async def linked(reader: Reader, repository_id: str, digests: list[str]) -> set[str]:
    """Return those of *digests* that are blobs of the repository."""
    rows = await reader.all(_LINKED, repository=repository_id, digests=json.dumps(digests))
    return {str(digest) for (digest,) in rows}


async def tags_after(reader: Reader, repository_id: str, after: str, most: int) -> list[TagOf]:
    """List tags by name, after *after*."""
    return [TagOf(*row) for row in await reader.all(_TAGS_AFTER, repository=repository_id, after=after, most=most)]


async def tags_of_after(reader: Reader, repository_id: str, digests: list[str], after: str, most: int) -> list[TagOf]:
    """List the tags that point to any of *digests*, by name, after *after*."""
    rows = await reader.all(
        _TAGS_OF_AFTER, repository=repository_id, digests=json.dumps(digests), after=after, most=most
    )
    return [TagOf(*row) for row in rows]


async def tags_moved_last(reader: Reader, repository_id: str, most: int) -> list[TagOf]:
    """List tags, those that moved last first."""
    return [TagOf(*row) for row in await reader.all(_NEWEST_TAGS, repository=repository_id, most=most)]


async def newest_tags(reader: Reader, repository_id: str, most: int) -> list[ReadTag]:
    """List tags with their manifests, those that moved last first; each manifest is read once."""
    contents: dict[str, bytes | None] = {}
    found = await tags_moved_last(reader, repository_id, most)
    for tag in found:
        if tag.digest not in contents:
            contents[tag.digest] = await content(reader, repository_id, Digest.parse(tag.digest))
    read = [(tag, contents[tag.digest]) for tag in found]
    return [ReadTag(tag.name, tag.digest, tag.media_type, content) for tag, content in read if content is not None]


async def tag_count(reader: Reader, repository_id: str) -> int:
    """Tell how many tags the repository has."""
    row = await reader.one(_TAG_COUNT, repository=repository_id)
    return int(row[0]) if row else 0


async def newest_push(reader: Reader, repository_id: str) -> int:
    """Tell when a manifest was last pushed, in seconds since 1970; 0 where none is there."""
    row = await reader.one(_NEWEST_PUSH, repository=repository_id)
    return int(row[0]) if row else 0


async def pulls_since(reader: Reader, repository_id: str, time: float) -> int:
    """Tell how often the repository was pulled from since the day of *time* (seconds since 1970)."""
    row = await reader.one(_PULLS_SINCE, repository=repository_id, since=int(time) // _DAY)
    return int(row[0]) if row else 0


async def moves(reader: Reader, repository_id: str, tag: str, before: int, most: int) -> list[Move]:
    """List moves of *tag* (empty: of all tags) before the sequence *before*, the newest first."""
    rows = await reader.all(_MOVES, repository=repository_id, tag=tag, before=before, most=most)
    return [Move(*row) for row in rows]
