"""The outbox: what changed, written in the transaction of the change, read in the order of the commits.

A sequence is handed out when a row is inserted, not when it is committed: on PostgreSQL a reader may see 12 before 11
is there. So each row keeps the id of its transaction, and readers go only up to the oldest transaction still running
(`pg_snapshot_xmin`); below that nothing can appear any more. SQLite has one writer at a time, its sequence is the order
of commits, and the transaction's id is 0.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    FunctionElement,
    Index,
    Integer,
    Table,
    Text,
    bindparam,
    func,
    insert,
    or_,
    select,
    tuple_,
)
from sqlalchemy.ext.compiler import compiles

from database.protocol import Reader, Transaction
from database.statements import Query, metadata

events = Table(
    "events",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("transaction_id", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("repository_id", Text),
    Column("body", Text, nullable=False),
    Index("ix_events_transaction_id_sequence", "transaction_id", "sequence"),
    sqlite_autoincrement=True,
)


class _transaction_id(FunctionElement[int]):
    type = BigInteger()
    inherit_cache = True


class _horizon(FunctionElement[int]):
    type = BigInteger()
    inherit_cache = True


@compiles(_transaction_id, "sqlite")
def _transaction_id_sqlite(*_: Any, **__: Any) -> str:
    return "0"


@compiles(_transaction_id, "postgresql")
def _transaction_id_postgresql(*_: Any, **__: Any) -> str:
    return "(pg_current_xact_id()::text)::bigint"


@compiles(_horizon, "sqlite")
def _horizon_sqlite(*_: Any, **__: Any) -> str:
    return "1"


@compiles(_horizon, "postgresql")
def _horizon_postgresql(*_: Any, **__: Any) -> str:
    return "(pg_snapshot_xmin(pg_current_snapshot())::text)::bigint"


class Position(NamedTuple):
    """How far a reader has come; positions compare in the order of reading."""

    transaction_id: int = 0
    sequence: int = 0


class Event(NamedTuple):
    """One change: *kind* says which, *body* holds its facts, *at* is in seconds since 1970."""

    position: Position
    at: int
    kind: str
    repository_id: str | None
    body: dict[str, Any]


RECORD = Query(
    insert(events).values(transaction_id=_transaction_id()).returning(events.c.sequence),
    "at",
    "kind",
    "repository_id",
    "body",
)
_AFTER = Query(
    select(events)
    .where(
        tuple_(events.c.transaction_id, events.c.sequence)
        > tuple_(bindparam("transaction_id", type_=BigInteger), bindparam("after", type_=BigInteger)),
        events.c.transaction_id < _horizon(),
    )
    .order_by(events.c.transaction_id, events.c.sequence)
    .limit(bindparam("most", type_=Integer))
)


_COUNT_AFTER = Query(
    select(func.count()).where(
        tuple_(events.c.transaction_id, events.c.sequence)
        > tuple_(bindparam("transaction_id", type_=BigInteger), bindparam("after", type_=BigInteger)),
        or_(
            bindparam("of_all", type_=Integer) == 1,
            events.c.repository_id == bindparam("repository", type_=Text),
        ),
    )
)


async def record(tx: Transaction, kind: str, repository_id: str | None, body: Mapping[str, object]) -> int:
    """Add an event to the change that *tx* makes; return its sequence."""
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    ((sequence,),) = await tx.all(RECORD, at=int(time.time()), kind=kind, repository_id=repository_id, body=text)
    return int(sequence)


async def read_after(reader: Reader, position: Position, most: int = 100) -> list[Event]:
    """Return the next events after *position*, at most *most*, in an order that later events never disturb."""
    rows = await reader.all(_AFTER, transaction_id=position.transaction_id, after=position.sequence, most=most)
    return [
        Event(Position(transaction_id, sequence), at, kind, repository_id, json.loads(body))
        for sequence, transaction_id, at, kind, repository_id, body in rows
    ]


async def count_after(reader: Reader, position: Position, repository_id: str | None = None) -> int:
    """Tell how many events, of all or of one repository, come after *position*; those that cannot be read for the
    moment are among them."""
    row = await reader.one(
        _COUNT_AFTER,
        transaction_id=position.transaction_id,
        after=position.sequence,
        of_all=int(repository_id is None),
        repository=repository_id or "",
    )
    return int(row[0]) if row else 0
