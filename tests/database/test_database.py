"""One suite for both engines: what `Database` promises, and the outbox of events."""

from __future__ import annotations

import asyncio
import sqlite3
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import BigInteger, Column, ForeignKey, Integer, MetaData, Table, Text, bindparam, insert, select, text
from sqlalchemy.ext.asyncio import create_async_engine

from database import (
    Conflict,
    Database,
    DatabaseFull,
    DatabaseUnavailable,
    Query,
    Transaction,
    connect,
    insert_or,
    json_items,
    metadata,
    new_id,
)
from database import events as outbox
from database.sqlite import SqliteDatabase, open_connection
from tests.database.engines import ENGINES, fresh_database

#: Not the program's: its history of migrations knows nothing of harbours.
of_this_test = MetaData()

harbours = Table(
    "test_harbours",
    of_this_test,
    Column("name", Text, primary_key=True),
    Column("depth", BigInteger, nullable=False),
)
ships = Table(
    "test_ships",
    of_this_test,
    Column("name", Text, primary_key=True),
    Column("harbour", Text, ForeignKey("test_harbours.name"), nullable=False),
)

ADD = Query(insert(harbours), "name", "depth")
ADD_SHIP = Query(insert(ships), "name", "harbour")
DEEPEN = Query(
    insert_or(harbours).on_conflict_do_update(
        index_elements=["name"],
        set_={"depth": text("excluded.depth")},
        where=harbours.c.depth < text("excluded.depth"),
    ),
    "name",
    "depth",
)
DEPTH = Query(select(harbours.c.depth).where(harbours.c.name == bindparam("harbour")))
AMONG = Query(
    select(harbours.c.name)
    .where(harbours.c.name.in_(select(json_items(bindparam("names", type_=Text)).table_valued("value").c.value)))
    .order_by(harbours.c.name)
)
DEEPER_THAN_TEN = Query(
    select(harbours.c.name)
    .where(harbours.c.depth > 10)
    .order_by(harbours.c.name)
    .limit(bindparam("most", type_=Integer))
)


@pytest.fixture(params=ENGINES)
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    async with fresh_database(request.param, request, tmp_path, of_this_test) as opened:
        yield opened


def with_harbours(directory: Path) -> Path:
    """Make a file of SQLite with the one table that is written to; return its path."""
    path = directory / "portolan.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE test_harbours (name TEXT PRIMARY KEY, depth INTEGER NOT NULL)")
    connection.close()
    return path


async def add(database: Database, name: str, depth: int) -> None:
    await database.write(lambda tx: tx.run(ADD, name=name, depth=depth))


async def test_what_was_written_is_read(database: Database) -> None:
    await add(database, "Genoa", 2**40)

    assert await database.one(DEPTH, harbour="Genoa") == (2**40,)
    assert await database.one(DEPTH, harbour="Pisa") is None


async def test_constants_in_a_statement_need_no_value(database: Database) -> None:
    await add(database, "Genoa", 15)
    await add(database, "Pisa", 3)

    assert await database.all(DEEPER_THAN_TEN, most=10) == [("Genoa",)]


async def test_a_missing_value_is_an_error(database: Database) -> None:
    with pytest.raises(KeyError):
        await database.one(DEPTH)


async def test_a_list_is_one_parameter(database: Database) -> None:
    for name in ("Genoa", "Pisa", "Venice"):
        await add(database, name, 1)

    assert await database.all(AMONG, names='["Venice", "Genoa", "Atlantis"]') == [("Genoa",), ("Venice",)]
    assert await database.all(AMONG, names="[]") == []


async def test_an_upsert_tells_whether_it_changed_anything(database: Database) -> None:
    async def deepen(tx: Transaction) -> list[int]:
        return [await tx.run(DEEPEN, name="Genoa", depth=depth) for depth in (5, 9, 9, 7)]

    assert await database.write(deepen) == [1, 1, 0, 0]
    assert await database.one(DEPTH, harbour="Genoa") == (9,)


async def test_work_that_fails_leaves_nothing(database: Database) -> None:
    async def fail(tx: Transaction) -> None:
        await tx.run(ADD, name="Genoa", depth=1)
        raise RuntimeError("the ship sank")

    with pytest.raises(RuntimeError, match="the ship sank"):
        await database.write(fail)

    assert await database.one(DEPTH, harbour="Genoa") is None


async def test_a_second_row_of_one_key_is_a_conflict(database: Database) -> None:
    await add(database, "Genoa", 1)

    with pytest.raises(Conflict):
        await add(database, "Genoa", 2)

    assert await database.one(DEPTH, harbour="Genoa") == (1,)


async def test_a_key_that_points_nowhere_is_a_conflict(database: Database) -> None:
    with pytest.raises(Conflict):
        await database.write(lambda tx: tx.run(ADD_SHIP, name="Pinta", harbour="Atlantis"))


async def test_a_failure_among_many_takes_only_its_own_changes_back(database: Database) -> None:
    await add(database, "h7", 0)

    outcomes = await asyncio.gather(*(add(database, f"h{n}", n) for n in range(50)), return_exceptions=True)

    assert [type(outcome) for outcome in outcomes if outcome is not None] == [Conflict]
    assert await database.one(DEPTH, harbour="h7") == (0,)
    assert await database.one(DEPTH, harbour="h49") == (49,)


async def test_what_a_transaction_wrote_it_reads(database: Database) -> None:
    async def work(tx: Transaction) -> object:
        await tx.run(ADD, name="Genoa", depth=4)
        return await tx.one(DEPTH, harbour="Genoa")

    assert await database.write(work) == (4,)


async def test_events_are_read_in_order_and_from_a_position(database: Database) -> None:
    for number in range(5):
        await database.write(lambda tx, number=number: outbox.record(tx, "ship.seen", None, {"number": number}))

    first = await outbox.read_after(database, outbox.Position(), most=2)
    rest = await outbox.read_after(database, first[-1].position)

    assert [event.body["number"] for event in [*first, *rest]] == [0, 1, 2, 3, 4]
    assert await outbox.read_after(database, rest[-1].position) == []


async def test_an_event_goes_with_its_change(database: Database) -> None:
    async def work(tx: Transaction) -> None:
        await outbox.record(tx, "ship.seen", None, {})
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await database.write(work)

    assert await outbox.read_after(database, outbox.Position()) == []


async def test_a_late_commit_is_not_skipped(postgresql_url: str) -> None:
    """On PostgreSQL a later sequence may be visible first; a reader must not pass the earlier one."""
    engine = create_async_engine(postgresql_url.replace("postgresql://", "postgresql+asyncpg://"))
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    await engine.dispose()
    database = await connect(postgresql_url)
    slow = await asyncpg.connect(postgresql_url)
    try:
        transaction = slow.transaction()
        await transaction.start()
        sql, arguments = outbox.RECORD.compiled("postgresql")
        await slow.execute(sql, *arguments({"at": 1, "kind": "first", "repository_id": None, "body": "{}"}))
        await database.write(lambda tx: outbox.record(tx, "second", None, {}))

        assert await outbox.read_after(database, outbox.Position()) == []

        await transaction.commit()
        assert [event.kind for event in await outbox.read_after(database, outbox.Position())] == ["first", "second"]
    finally:
        await slow.close()
        await database.close()


async def test_a_server_that_is_down_is_said_without_its_password() -> None:
    with pytest.raises(DatabaseUnavailable) as raised:
        await connect("postgresql://portolan:secret@127.0.0.1:1/portolan")

    assert "127.0.0.1:1" in raised.value.reason
    assert "secret" not in raised.value.reason


async def test_another_kind_of_url_is_refused() -> None:
    with pytest.raises(ValueError, match="sqlite:/// or postgresql://"):
        await connect("mysql://localhost/portolan")


async def test_sqlite_every_connection_syncs_each_commit(tmp_path: Path) -> None:
    connection = open_connection(tmp_path / "portolan.db")
    try:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA foreign_keys").fetchone() == (1,)
    finally:
        connection.close()


async def test_sqlite_waiting_for_something_else_in_a_transaction_is_an_error(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "portolan.db")

    async def work(tx: Transaction) -> None:
        await asyncio.sleep(0)

    try:
        with pytest.raises(RuntimeError, match="awaited something other"):
            await database.write(work)
    finally:
        await database.close()


async def test_sqlite_many_writes_share_a_commit(tmp_path: Path) -> None:
    commits = 0

    def committed() -> None:
        nonlocal commits
        commits += 1

    path = with_harbours(tmp_path)
    database = SqliteDatabase(path, committed)
    try:
        await asyncio.gather(*(add(database, f"h{n}", n) for n in range(200)))
    finally:
        await database.close()

    assert commits < 100


async def test_sqlite_the_writer_outlives_a_fault_of_ours(tmp_path: Path) -> None:
    faults = iter([True, False])

    def committed() -> None:
        if next(faults):
            raise LookupError("a fault of ours")

    path = with_harbours(tmp_path)
    database = SqliteDatabase(path, committed)
    try:
        with pytest.raises(LookupError):
            await add(database, "Genoa", 1)
        await add(database, "Pisa", 1)
        assert await database.one(DEPTH, harbour="Pisa") == (1,)
    finally:
        await database.close()


async def test_a_closed_database_takes_no_more_writes(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "portolan.db")
    await database.close()

    with pytest.raises(DatabaseUnavailable):
        await add(database, "Genoa", 1)


async def test_sqlite_a_full_disk_is_said_and_survived(tmp_path: Path) -> None:
    path = with_harbours(tmp_path)
    database = SqliteDatabase(path)
    try:
        await database.write(lambda tx: tx.run(Query(text("PRAGMA max_page_count = 4"))))
        with pytest.raises(DatabaseFull) as raised:
            await add(database, "x" * 100_000, 1)
        assert raised.value.what == str(path)

        await add(database, "Genoa", 1)
        assert await database.one(DEPTH, harbour="Genoa") == (1,)
    finally:
        await database.close()


def test_ids_are_uuids_of_version_7_in_the_order_of_time() -> None:
    first, second = new_id(), new_id()

    assert uuid.UUID(first).version == 7
    assert uuid.UUID(first).variant == uuid.RFC_4122
    assert first[:13] <= second[:13]
