"""Repositories whose documents say too much: made private or deleted, and not yet so for search."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, select, text

from catalog.metadata.tables import repositories, tightened
from database import Query, Transaction, insert_or
from database.protocol import Reader

_ADD = Query(
    insert_or(tightened).on_conflict_do_update(
        index_elements=["repository_id"], set_={"version": text("excluded.version")}
    ),
    "repository_id",
    "version",
)
_ALL = Query(select(tightened.c.repository_id).order_by(tightened.c.repository_id))
_AS_THEY_ARE = Query(
    select(tightened.c.repository_id, repositories.c.name, repositories.c.public)
    .select_from(tightened.outerjoin(repositories, repositories.c.id == tightened.c.repository_id))
    .order_by(tightened.c.repository_id)
)
_VERSION = Query(select(tightened.c.version).where(tightened.c.repository_id == bindparam("repository")))
_REMOVE = Query(
    delete(tightened).where(
        tightened.c.repository_id == bindparam("repository"), tightened.c.version == bindparam("seen")
    )
)


async def add(tx: Transaction, repository_id: str, version: int) -> None:
    """Subtract the repository from every answer, from the commit of *tx* on; *version* is what no other change has."""
    await tx.run(_ADD, repository_id=repository_id, version=version)


async def repository_ids(reader: Reader) -> list[str]:
    """List the repositories to be subtracted. Whoever searches reads this first, and the index's newest state after
    it: one that is not in the list any more is in the index as it is."""
    return [str(row_id) for (row_id,) in await reader.all(_ALL)]


async def as_they_are(reader: Reader) -> list[tuple[str, str | None, bool]]:
    """List the same with the name and visibility that their rows have now; None for one that was deleted."""
    rows = await reader.all(_AS_THEY_ARE)
    return [(str(row_id), None if name is None else str(name), bool(public)) for row_id, name, public in rows]


async def version(reader: Reader, repository_id: str) -> int | None:
    """Return what `remove` has to be given, read before the repository's documents are made; None: not subtracted."""
    row = await reader.one(_VERSION, repository=repository_id)
    return None if row is None else int(row[0])


async def remove(tx: Transaction, repository_id: str, seen: int) -> None:
    """Admit the repository to answers again, unless it was tightened once more since *seen* was read."""
    await tx.run(_REMOVE, repository=repository_id, seen=seen)
