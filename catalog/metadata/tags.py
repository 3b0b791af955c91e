"""Tags: names that a repository gives to its manifests, where they point, and where they pointed."""

from __future__ import annotations

import time
from typing import NamedTuple

from sqlalchemy import Integer, Text, bindparam, delete, insert, select, update

from cas import Digest, RepositoryName, Tag
from catalog.errors import TagUnknown
from catalog.metadata.tables import repositories, tag_history, tags
from database import Query, Transaction, events, insert_or
from database.protocol import Reader

_THIS = (tags.c.repository_id == bindparam("repository"), tags.c.name == bindparam("tag"))
_POINTS_TO = Query(select(tags.c.digest).where(*_THIS).with_for_update())
_ADD = Query(insert_or(tags).on_conflict_do_nothing(), "repository_id", "name", "digest", "moved")
_MOVE = Query(update(tags).where(*_THIS).values(digest=bindparam("new_digest"), moved=bindparam("now")))
_REMEMBER = Query(insert(tag_history), "repository_id", "name", "digest", "at", "subject")
_REMOVE = Query(delete(tags).where(*_THIS).returning(tags.c.digest))
_REMOVE_POINTING_TO = Query(
    delete(tags)
    .where(tags.c.repository_id == bindparam("repository"), tags.c.digest == bindparam("manifest"))
    .returning(tags.c.name)
)
_NAMES_AFTER = Query(
    select(tags.c.name)
    .join(repositories, repositories.c.id == tags.c.repository_id)
    .where(repositories.c.name == bindparam("repository"), tags.c.name > bindparam("last", type_=Text))
    .order_by(tags.c.name)
    .limit(bindparam("most", type_=Integer))
)
_HISTORY = Query(
    select(tag_history.c.digest, tag_history.c.at, tag_history.c.subject)
    .where(tag_history.c.repository_id == bindparam("repository"), tag_history.c.name == bindparam("tag"))
    .order_by(tag_history.c.sequence.desc())
    .limit(bindparam("most", type_=Integer))
)


class Move(NamedTuple):
    """One move of a tag: to which digest (None: it was removed), when (seconds since 1970), by whom."""

    digest: str | None
    at: int
    subject: str


async def move(
    tx: Transaction, repository_id: str, name: RepositoryName, tag: Tag, digest: Digest, subject: str
) -> None:
    """Point the tag to a manifest of its repository; nothing happens where it points there already."""
    now = int(time.time())
    was = await _point(tx, repository_id, tag, digest, now)
    if was == digest.text:
        return
    await tx.run(_REMEMBER, repository_id=repository_id, name=tag.text, digest=digest.text, at=now, subject=subject)
    body = {"name": name.text, "tag": tag.text, "digest": digest.text, "was": was}
    await events.record(tx, "tag.moved", repository_id, body)


async def _point(tx: Transaction, repository_id: str, tag: Tag, digest: Digest, now: int) -> str | None:
    """Return where the tag pointed until now, None where it was not there. Of two moves at once the later one sees
    the earlier: whoever reads the events must learn of every manifest that lost a tag."""
    while True:
        row = await tx.one(_POINTS_TO, repository=repository_id, tag=tag.text)
        if row is not None:
            if row[0] != digest.text:
                await tx.run(_MOVE, repository=repository_id, tag=tag.text, new_digest=digest.text, now=now)
            return str(row[0])
        if await tx.run(_ADD, repository_id=repository_id, name=tag.text, digest=digest.text, moved=now):
            return None


async def remove(tx: Transaction, repository_id: str, name: RepositoryName, tag: Tag, subject: str) -> None:
    """Take the tag away; the manifest stays.

    Raises:
        TagUnknown: there is no such tag.
    """
    removed = await tx.all(_REMOVE, repository=repository_id, tag=tag.text)
    if not removed:
        raise TagUnknown(name, tag)
    await _removed(tx, repository_id, name, tag.text, str(removed[0][0]), subject)


async def remove_pointing_to(
    tx: Transaction, repository_id: str, name: RepositoryName, digest: Digest, subject: str
) -> None:
    """Take all tags away that point to a manifest at this moment; one that was just moved elsewhere stays."""
    rows = await tx.all(_REMOVE_POINTING_TO, repository=repository_id, manifest=digest.text)
    for tag in sorted(str(tag) for (tag,) in rows):
        await _removed(tx, repository_id, name, tag, digest.text, subject)


async def _removed(tx: Transaction, repository_id: str, name: RepositoryName, tag: str, was: str, subject: str) -> None:
    now = int(time.time())
    await tx.run(_REMEMBER, repository_id=repository_id, name=tag, digest=None, at=now, subject=subject)
    await events.record(tx, "tag.deleted", repository_id, {"name": name.text, "tag": tag, "was": was})


async def names_after(reader: Reader, repository: RepositoryName, last: str, most: int) -> list[str]:
    """List a repository's tags in ASCII order after *last* (which need not exist), at most *most*."""
    rows = await reader.all(_NAMES_AFTER, repository=repository.text, last=last, most=most)
    return [str(name) for (name,) in rows]


async def history(reader: Reader, repository_id: str, tag: Tag, most: int = 100) -> list[Move]:
    """List a tag's moves, the newest first."""
    return [Move(*row) for row in await reader.all(_HISTORY, repository=repository_id, tag=tag.text, most=most)]
