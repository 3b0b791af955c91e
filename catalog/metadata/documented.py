"""What documents are made of: manifests by repository, and what was counted of them."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Integer, Text, bindparam, func, select

from catalog.metadata.tables import manifests, pulls, repositories, tags
from database import Query
from database.protocol import Reader

_DAY = 86_400

_OF_REPOSITORY = manifests.c.repository_id == bindparam("repository")
_FIND = Query(
    select(manifests.c.media_type, manifests.c.pushed, manifests.c.content).where(
        _OF_REPOSITORY, manifests.c.digest == bindparam("manifest")
    )
)
_SIZE = Query(select(manifests.c.size).where(_OF_REPOSITORY, manifests.c.digest == bindparam("manifest")))
_AFTER = Query(
    select(manifests.c.digest)
    .where(_OF_REPOSITORY, manifests.c.digest > bindparam("last", type_=Text))
    .order_by(manifests.c.digest)
    .limit(bindparam("most", type_=Integer))
)
_LAST_MOVE = Query(
    select(func.coalesce(func.max(tags.c.moved), 0)).where(tags.c.repository_id == bindparam("repository"))
)
_LAST_PULL = Query(select(func.max(pulls.c.day)).where(pulls.c.repository_id == bindparam("repository")))
_PULLED_SINCE = Query(select(pulls.c.repository_id).where(pulls.c.day >= bindparam("since", type_=Integer)).distinct())
_COUNT_REPOSITORIES = Query(select(func.count()).select_from(repositories))
_COUNT_MANIFESTS = Query(select(func.count()).select_from(manifests))


class Kept(NamedTuple):
    """A manifest as it is kept; *pushed* is in seconds since 1970."""

    media_type: str
    pushed: int
    content: bytes


async def find(reader: Reader, repository_id: str, digest: str) -> Kept | None:
    """Return a manifest, None where it is gone."""
    row = await reader.one(_FIND, repository=repository_id, manifest=digest)
    return None if row is None else Kept(row[0], row[1], bytes(row[2]))


async def size(reader: Reader, repository_id: str, digest: str) -> int:
    """Tell how many bytes a manifest has; 0 where it is gone."""
    row = await reader.one(_SIZE, repository=repository_id, manifest=digest)
    return 0 if row is None else int(row[0])


async def digests_after(reader: Reader, repository_id: str, last: str, most: int) -> list[str]:
    """List the digests of a repository's manifests, those after *last*."""
    rows = await reader.all(_AFTER, repository=repository_id, last=last, most=most)
    return [str(digest) for (digest,) in rows]


async def last_move(reader: Reader, repository_id: str) -> int:
    """Tell when a tag of the repository was last moved, in seconds since 1970; 0 where there is none."""
    row = await reader.one(_LAST_MOVE, repository=repository_id)
    return int(row[0]) if row else 0


async def last_pull(reader: Reader, repository_id: str) -> int:
    """Tell the day on which somebody last pulled, as its first second since 1970; 0 where nobody did."""
    row = await reader.one(_LAST_PULL, repository=repository_id)
    return int(row[0]) * _DAY if row and row[0] is not None else 0


async def pulled_since(reader: Reader, time: float) -> list[str]:
    """List the repositories that were pulled from since the day of *time* (seconds since 1970)."""
    return [str(row_id) for (row_id,) in await reader.all(_PULLED_SINCE, since=int(time) // _DAY)]


async def counts(reader: Reader) -> tuple[int, int]:
    """Tell how many repositories and how many manifests there are."""
    counted = [await reader.one(query) for query in (_COUNT_REPOSITORIES, _COUNT_MANIFESTS)]
    of_repositories, of_manifests = (int(row[0]) if row else 0 for row in counted)
    return of_repositories, of_manifests
