"""Databases of both engines, with the stores that go with them, and ingest over them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cas import BlobStore
from cas.directory import DirectoryStore
from cas.memory import MemoryStore
from database import Database
from tests.database.engines import ENGINES, fresh_database

if TYPE_CHECKING:
    from tests.ingest.in_process import Ingest


@pytest.fixture(params=ENGINES)
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    async with fresh_database(request.param, request, tmp_path) as opened:
        yield opened


@pytest.fixture
def store(database: Database, tmp_path: Path) -> BlobStore:
    """Directories beside SQLite, and a store without files, as object stores are, beside PostgreSQL."""
    return DirectoryStore(tmp_path / "store") if database.dialect == "sqlite" else MemoryStore()


@pytest.fixture
async def ingest(database: Database, store: BlobStore, tmp_path: Path) -> AsyncIterator[Ingest]:
    """Everything, going."""
    from tests.ingest.in_process import ingesting  # the indexes' libraries are for those who need them

    async with ingesting(database, store, tmp_path) as going:
        yield going
