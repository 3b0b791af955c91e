"""Migrations: one linear history of revisions in a directory, applied with Alembic, no file of settings.

An upgrade is one transaction on both engines: it is done as a whole, or not at all. Whoever calls `upgrade` holds a
lock (`database.locks`), since many processes start together.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from database.connect import is_sqlite, sqlite_path
from database.errors import DatabaseError, DatabaseUnavailable
from database.sqlite import open_connection

T = TypeVar("T")


class UnknownRevision(DatabaseError):
    """The database is at *revision*, which this program's history does not hold: a newer program made it."""

    def __init__(self, revision: str) -> None:
        super().__init__(revision)
        self.revision = revision

    def __str__(self) -> str:
        return f"the database is at revision {self.revision}, which is not known here: a newer version made it"


def head(directory: Path) -> str:
    """Return the newest revision of the history in *directory*."""
    newest = ScriptDirectory.from_config(_config(directory)).get_current_head()
    assert newest is not None
    return newest


def history(directory: Path) -> frozenset[str]:
    """Return all revisions in *directory*."""
    return frozenset(each.revision for each in ScriptDirectory.from_config(_config(directory)).walk_revisions())


async def current(url: str) -> str | None:
    """Return the revision that the database at *url* is at, None where it has no tables yet.

    Raises:
        DatabaseUnavailable: it cannot be opened.
    """

    def read(connection: Connection) -> str | None:
        return MigrationContext.configure(connection).get_current_revision()

    return await with_connection(url, read)


async def upgrade(url: str, directory: Path) -> tuple[str | None, str]:
    """Bring the database at *url* to the newest revision in *directory*; return the revisions before and after.

    Raises:
        UnknownRevision: the database is newer than the history; nothing was changed.
        DatabaseUnavailable: it cannot be opened.
    """
    config = _config(directory)

    def run(connection: Connection) -> tuple[str | None, str]:
        before = MigrationContext.configure(connection).get_current_revision()
        newest = head(directory)
        if before == newest:
            return before, newest
        if before is not None and before not in history(directory):
            raise UnknownRevision(before)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return before, newest

    return await with_connection(url, run)


def _config(directory: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(directory).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


async def with_connection(url: str, work: Callable[[Connection], T]) -> T:
    """Run *work* in one transaction on a connection of SQLAlchemy's."""
    try:
        if is_sqlite(url):
            path = sqlite_path(url)
            engine = create_engine("sqlite://", creator=lambda: open_connection(path), poolclass=NullPool)
            event.listen(engine, "begin", _begin)
            with engine.begin() as connection:
                return work(connection)
        asynchronous = create_async_engine(
            "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url), poolclass=NullPool
        )
        async with asynchronous.begin() as connection_:
            return await connection_.run_sync(work)
    except (DBAPIError, sqlite3.Error, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise DatabaseUnavailable(f"{url.rpartition('@')[2]}: {error}") from error


def _begin(connection: Any) -> None:
    """Take SQLite's write lock; the driver itself begins no transaction (`open_connection`)."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
