"""The hub on SQLite and on PostgreSQL: one suite for both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from database import Database, connect
from tests.auth.hub import PASSWORD, Cast, Hub, open_hub
from tests.database.engines import ENGINES, fresh_database

#: Opens the test's database once more, as another process would.
Another = Callable[[], Awaitable[Database]]


@pytest.fixture(params=ENGINES)
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    async with fresh_database(request.param, request, tmp_path) as opened:
        yield opened


@pytest.fixture
async def another(database: Database, request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Another]:
    if database.dialect == "sqlite":
        url = f"sqlite:///{tmp_path / 'portolan.db'}"
    else:
        url = request.getfixturevalue("postgresql_url")
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
