"""Fresh databases with all tables, on each engine: what the suites over SQL run on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from database import Database, connect, metadata

ENGINES = ["sqlite", "postgresql"]


@asynccontextmanager
async def fresh_database(
    engine: str, request: pytest.FixtureRequest, directory: Path, *more: sqlalchemy.MetaData
) -> AsyncIterator[Database]:
    """Give an empty database of *engine*, with the tables of all packages that were imported, and *more*."""
    if engine == "sqlite":
        url = f"sqlite:///{directory / 'portolan.db'}"
        synchronous = sqlalchemy.create_engine(url)
        for tables in (metadata, *more):
            tables.create_all(synchronous)
        synchronous.dispose()
    else:
        url = request.getfixturevalue("postgresql_url")
        asynchronous = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
        async with asynchronous.begin() as connection:
            for tables in (metadata, *more):
                await connection.run_sync(tables.create_all)
        await asynchronous.dispose()
    database = await connect(url)
    try:
        yield database
    finally:
        await database.close()
