"""The registry on one machine's engines, and on those of many."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cas import BlobStore
from cas.directory import DirectoryStore
from cas.memory import MemoryStore
from database import Database
from tests.catalog.in_process import InProcess, start
from tests.database.engines import ENGINES, fresh_database


@pytest.fixture(params=ENGINES)
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    async with fresh_database(request.param, request, tmp_path) as opened:
        yield opened


@pytest.fixture
def store(database: Database, tmp_path: Path) -> BlobStore:
    """Directories beside SQLite, and a store without files, as object stores are, beside PostgreSQL."""
    return DirectoryStore(tmp_path / "store") if database.dialect == "sqlite" else MemoryStore()


@pytest.fixture
async def running(database: Database, store: BlobStore) -> InProcess:
    """A registry: SQLite over directories, and PostgreSQL over a store that behaves as an object store does."""
    return await start(database, store)
