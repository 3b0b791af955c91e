"""The history of the tables: it leads to what the code declares, on both engines, once, however many start it."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.dialects import postgresql

import auth.tables
import catalog.metadata.tables
import database.events
from database import DatabaseUnavailable, metadata, migrations
from database.locks import held
from portolan.app import MIGRATIONS

#: Whose tables the code declares; importing them is what declares them.
OWNERS = (auth.tables, catalog.metadata.tables, database.events)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an empty database on either engine."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/portolan.db"
    else:
        yield request.getfixturevalue("postgresql_url")


async def test_the_history_leads_to_the_tables_that_the_code_declares(url: str) -> None:
    await migrations.upgrade(url, MIGRATIONS)

    def differences(connection: Connection) -> list[object]:
        return list(compare_metadata(MigrationContext.configure(connection), metadata))

    assert await migrations.with_connection(url, differences) == []


async def test_every_column_of_a_name_compares_by_bytes(url: str) -> None:
    """Comparing metadata does not look at collations, and the lists' order is the protocol's."""
    await migrations.upgrade(url, MIGRATIONS)
    if url.startswith("sqlite"):
        return  # its own collation is by bytes

    def collations(connection: Connection) -> set[tuple[str, str]]:
        rows = connection.execute(
            text(
                "select table_name, column_name from information_schema.columns"
                " where table_schema = 'public' and collation_name = 'C'"
            )
        )
        return {(table, column) for table, column in rows}

    declared = {
        (table.name, column.name)
        for table in metadata.tables.values()
        for column in table.columns
        if getattr(column.type.dialect_impl(postgresql.dialect()), "collation", None) == "C"
    }
    assert await migrations.with_connection(url, collations) == declared


async def test_repositories_that_are_there_are_kept_and_not_deprecated(tmp_path: Path, url: str) -> None:
    before = tmp_path / "history"
    shutil.copytree(MIGRATIONS, before)
    for later in before.glob("versions/*.py"):
        if later.name[:4] > "0002" and later.name[:4].isdigit():
            later.unlink()
    await migrations.upgrade(url, before)

    def insert(connection: Connection) -> None:
        connection.execute(text("insert into namespaces (name, created) values ('ada', 0)"))
        connection.execute(
            text("insert into repositories (id, name, namespace, public, created) values ('r', 'ada/app', 'ada', 1, 7)")
        )

    await migrations.with_connection(url, insert)

    assert (await migrations.upgrade(url, MIGRATIONS))[0] == "0002"

    def rows(connection: Connection) -> list[tuple[object, ...]]:
        found = connection.execute(text("select id, name, public, description, created, deprecated from repositories"))
        return [tuple(row) for row in found]

    assert await migrations.with_connection(url, rows) == [("r", "ada/app", 1, "", 7, 0)]


async def test_an_upgrade_tells_where_it_came_from_and_a_second_one_does_nothing(url: str) -> None:
    newest = migrations.head(MIGRATIONS)
    assert await migrations.current(url) is None

    assert await migrations.upgrade(url, MIGRATIONS) == (None, newest)
    assert await migrations.upgrade(url, MIGRATIONS) == (newest, newest)
    assert await migrations.current(url) == newest


async def test_a_database_of_a_newer_program_is_left_alone(url: str) -> None:
    await migrations.upgrade(url, MIGRATIONS)
    await migrations.with_connection(
        url, lambda connection: connection.execute(text("update alembic_version set version_num = '9999'"))
    )

    with pytest.raises(migrations.UnknownRevision) as refused:
        await migrations.upgrade(url, MIGRATIONS)

    assert refused.value.revision == "9999"


async def test_an_upgrade_that_fails_leaves_nothing(tmp_path: Path, url: str) -> None:
    """Each engine's DDL is part of the transaction."""
    history = tmp_path / "history"
    (history / "versions").mkdir(parents=True)
    (history / "env.py").write_text((MIGRATIONS / "env.py").read_text())
    (history / "versions" / "0001_fails.py").write_text(
        "from alembic import op\nfrom sqlalchemy import Column, Integer\n"
        "revision = '0001'\ndown_revision = None\n"
        "def upgrade():\n    op.create_table('half', Column('id', Integer))\n    raise RuntimeError('power cut')\n"
    )

    with pytest.raises(RuntimeError, match="power cut"):
        await migrations.upgrade(url, history)

    def tables(connection: Connection) -> list[str]:
        return connection.dialect.get_table_names(connection)

    assert await migrations.with_connection(url, tables) == []


async def test_a_lock_is_held_by_one_at_a_time(url: str) -> None:
    inside = 0
    most = 0

    async def enter() -> None:
        nonlocal inside, most
        async with held(url, "test") as still_held:
            inside += 1
            most = max(most, inside)
            await still_held()
            await asyncio.sleep(0.02)
            inside -= 1

    await asyncio.wait_for(asyncio.gather(*(enter() for _ in range(5))), 20)

    assert most == 1


async def test_locks_of_other_names_do_not_wait(url: str) -> None:
    async with held(url, "one"), asyncio.timeout(10), held(url, "other"):
        pass


async def test_who_waits_for_a_lock_can_be_told_to_stop(url: str) -> None:
    async def wait() -> None:
        async with held(url, "test"):
            raise AssertionError("it was held")

    async with held(url, "test"):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wait(), 0.2)

    async with asyncio.timeout(10), held(url, "test"):
        pass


async def test_a_lock_that_was_lost_is_noticed(postgresql_url: str) -> None:
    with pytest.raises(DatabaseUnavailable):
        async with held(postgresql_url, "test") as still_held:
            other = await asyncpg.connect(postgresql_url)
            await other.execute(
                "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted"
            )
            await other.close()
            await still_held()


async def test_a_database_that_cannot_be_reached_is_told(tmp_path: Path) -> None:
    for url in (f"sqlite:///{tmp_path}/missing/portolan.db", "postgresql://nobody@127.0.0.1:1/nothing"):
        with pytest.raises(DatabaseUnavailable):
            await migrations.current(url)
        with pytest.raises(DatabaseUnavailable):
            async with held(url, "test"):
                pass


async def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "portolan.db").write_bytes(b"not a database" * 1000)

    with pytest.raises(DatabaseUnavailable):
        await migrations.current(f"sqlite:///{tmp_path}/portolan.db")


async def test_migrated_sqlite_keeps_foreign_keys(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/portolan.db"
    await migrations.upgrade(url, MIGRATIONS)

    def orphan(connection: Connection) -> None:
        connection.execute(text("insert into namespaces (name, owner_id, created) values ('a', 'nobody', 0)"))

    with pytest.raises((DatabaseUnavailable, sqlite3.IntegrityError)):
        await migrations.with_connection(url, orphan)
