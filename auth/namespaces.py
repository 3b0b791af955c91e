"""Namespaces: the first component of a repository's name, and whose it is."""

from __future__ import annotations

import time

from sqlalchemy import bindparam, insert, select

from auth.tables import namespaces
from database import Query, Transaction, insert_or
from database.protocol import Reader

_ENSURE = Query(insert_or(namespaces).on_conflict_do_nothing(), "name", "owner_id", "created")
_INSERT = Query(insert(namespaces), "name", "owner_id", "created")
_OWNER = Query(select(namespaces.c.owner_id).where(namespaces.c.name == bindparam("name")))
_OWNED = Query(select(namespaces.c.name).where(namespaces.c.owner_id == bindparam("person")))


async def ensure(tx: Transaction, name: str) -> None:
    """Make the namespace *name*, owned by the administrators, when there is none."""
    if await tx.one(_OWNER, name=name) is None:
        await tx.run(_ENSURE, name=name, owner_id=None, created=int(time.time()))


async def add(tx: Transaction, name: str, owner_id: str) -> None:
    """Make the namespace *name* for a person.

    Raises:
        Conflict: it exists.
    """
    await tx.run(_INSERT, name=name, owner_id=owner_id, created=int(time.time()))


async def exists(reader: Reader, name: str) -> bool:
    """Tell whether there is a namespace *name*."""
    return await reader.one(_OWNER, name=name) is not None


async def owner(reader: Reader, name: str) -> str | None:
    """Return the id of the person who owns *name*; None where the administrators do, or nobody made it yet."""
    row = await reader.one(_OWNER, name=name)
    return None if row is None else row[0]


async def owned_by(reader: Reader, person_id: str) -> frozenset[str]:
    """Return the names of the namespaces that a person owns."""
    return frozenset(name for (name,) in await reader.all(_OWNED, person=person_id))
