"""Tags: names that a repository gives to its manifests, where they point, and where they pointed."""

from __future__ import annotations

import time
from typing import NamedTuple

from sqlalchemy import Integer, Text, bindparam, delete, insert, select, text

from cas import Digest, RepositoryName, Tag
from catalog.errors import TagUnknown
from catalog.metadata.tables import repositories, tag_history, tags
from database import Query, Transaction, events, insert_or
from database.protocol import Reader

_MOVE = Query(
    insert_or(tags).on_conflict_do_update(
        index_elements=["repository_id", "name"],
        set_={"digest": text("excluded.digest"), "moved": text("excluded.moved")},
        where=tags.c.digest != text("excluded.digest"),
    ),
    "repository_id",
    "name",
    "digest",
    "moved",
)
_REMEMBER = Query(insert(tag_history), "repository_id", "name", "digest", "at", "subject")
_REMOVE = Query(delete(tags).where(tags.c.repository_id == bindparam("repository"), tags.c.name == bindparam("tag")))
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
    if not await tx.run(_MOVE, repository_id=repository_id, name=tag.text, digest=digest.text, moved=now):
        return
    await tx.run(_REMEMBER, repository_id=repository_id, name=tag.text, digest=digest.text, at=now, subject=subject)
    body = {"name": name.text, "tag": tag.text, "digest": digest.text}
    await events.record(tx, "tag.moved", repository_id, body)


async def remove(tx: Transaction, repository_id: str, name: RepositoryName, tag: Tag, subject: str) -> None:
    """Take the tag away; the manifest stays.

    Raises:
        TagUnknown: there is no such tag.
    """
    if not await tx.run(_REMOVE, repository=repository_id, tag=tag.text):
        raise TagUnknown(name, tag)
    await _removed(tx, repository_id, name, tag.text, subject)


async def remove_pointing_to(
    tx: Transaction, repository_id: str, name: RepositoryName, digest: Digest, subject: str
) -> None:
    """Take all tags away that point to a manifest at this moment; one that was just moved elsewhere stays."""
    rows = await tx.all(_REMOVE_POINTING_TO, repository=repository_id, manifest=digest.text)
    for tag in sorted(str(tag) for (tag,) in rows):
        await _removed(tx, repository_id, name, tag, subject)


async def _removed(tx: Transaction, repository_id: str, name: RepositoryName, tag: str, subject: str) -> None:
    now = int(time.time())
    await tx.run(_REMEMBER, repository_id=repository_id, name=tag, digest=None, at=now, subject=subject)
    await events.record(tx, "tag.deleted", repository_id, {"name": name.text, "tag": tag})


async def names_after(reader: Reader, repository: RepositoryName, last: str, most: int) -> list[str]:
    """List a repository's tags in ASCII order after *last* (which need not exist), at most *most*."""
    rows = await reader.all(_NAMES_AFTER, repository=repository.text, last=last, most=most)
    return [str(name) for (name,) in rows]


async def history(reader: Reader, repository_id: str, tag: Tag, most: int = 100) -> list[Move]:
    """List a tag's moves, the newest first."""
    return [Move(*row) for row in await reader.all(_HISTORY, repository=repository_id, tag=tag.text, most=most)]
