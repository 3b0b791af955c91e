"""How far each reader of the events has come."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import bindparam, select, update

from catalog.metadata.tables import cursors
from database import Query, Transaction, insert_or
from database.events import Position
from database.protocol import Reader

_READ = Query(
    select(cursors.c.transaction_id, cursors.c.sequence, cursors.c.version).where(cursors.c.name == bindparam("reader"))
)
_BEGIN = Query(insert_or(cursors).on_conflict_do_nothing(), "name", "transaction_id", "sequence", "version")
_MOVE = Query(
    update(cursors)
    .where(
        cursors.c.name == bindparam("reader"),
        cursors.c.transaction_id == bindparam("seen_transaction_id"),
        cursors.c.sequence == bindparam("seen_sequence"),
        cursors.c.version == bindparam("seen_version"),
    )
    .values(
        transaction_id=bindparam("new_transaction_id"),
        sequence=bindparam("new_sequence"),
        version=bindparam("new_version"),
    )
)


#: The reader that makes jobs of events.
SEARCH = "search"


class Cursor(NamedTuple):
    """Everything up to *position* was read; *version* is what the last of it got: see `tables.cursors`."""

    position: Position = Position()
    version: int = 0


async def read(reader: Reader, name: str) -> Cursor:
    """Return how far *name* has come: the very beginning where it never read."""
    row = await reader.one(_READ, reader=name)
    return Cursor() if row is None else Cursor(Position(int(row[0]), int(row[1])), int(row[2]))


async def move(tx: Transaction, name: str, seen: Cursor, to: Cursor) -> bool:
    """Note that *name* has come from *seen* to *to*; False, and nothing noted, where somebody else has moved it."""
    new = {"transaction_id": to.position.transaction_id, "sequence": to.position.sequence, "version": to.version}
    if seen == Cursor():
        return bool(await tx.run(_BEGIN, name=name, **new))
    return bool(
        await tx.run(
            _MOVE,
            reader=name,
            seen_transaction_id=seen.position.transaction_id,
            seen_sequence=seen.position.sequence,
            seen_version=seen.version,
            **{f"new_{column}": value for column, value in new.items()},
        )
    )
