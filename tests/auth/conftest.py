"""The hub on SQLite and on PostgreSQL: one suite for both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from auth.tables import namespaces, people, secrets, sessions, setup_links, signing_keys, tokens
from database import Database, Query, Transaction, connect, metadata
from tests.auth.hub import PASSWORD, Cast, Hub, open_hub
from tests.services import PostgreSQL

#: Opens the test's database once more, as another process would.
Another = Callable[[], Awaitable[Database]]

TABLES = [people, namespaces, tokens, sessions, signing_keys, secrets, setup_links]
EMPTY = [Query(sqlalchemy.delete(table)) for table in reversed(TABLES)]


@pytest.fixture(scope="session")
def emptied_postgresql_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of one database for all tests of the hub, who find its tables empty: making one takes a while."""
    server: PostgreSQL = request.getfixturevalue("postgresql")
    name = server.create()
    url = server.url(name)

    async def create() -> None:
        engine = create_async_engine(url.replace("postgresql://", "postgresql+asyncpg://"))
        async with engine.begin() as connection:
            await connection.run_sync(metadata.create_all, tables=TABLES)
        await engine.dispose()

    asyncio.run(create())
    yield url
    server.drop(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database with the hub's tables, all empty or about to be."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("emptied_postgresql_url"))
    url = f"sqlite:///{tmp_path / 'portolan.db'}"
    engine = sqlalchemy.create_engine(url)
    metadata.create_all(engine, tables=TABLES)
    engine.dispose()
    return url


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    async def empty(tx: Transaction) -> None:
        for delete in EMPTY:
            await tx.run(delete)

    database = await connect(url)
    await database.write(empty)
    yield database
    await database.close()


@pytest.fixture
async def another(database: Database, url: str) -> AsyncIterator[Another]:
    async with AsyncExitStack() as opened:

        async def another() -> Database:
            made = await connect(url, connections=1)
            opened.push_async_callback(made.close)
            return made

        yield another


@pytest.fixture
async def hub(database: Database) -> AsyncIterator[Hub]:
    hub, passwords = await open_hub(database)
    yield hub
    await passwords.close()


@pytest.fixture
async def cast(hub: Hub) -> Cast:
    return Cast(
        root=await hub.people.add("harbourmaster", PASSWORD, administrator=True),
        alice=await hub.people.add("alice", PASSWORD),
        bob=await hub.people.add("bob", PASSWORD),
    )
