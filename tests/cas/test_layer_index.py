"""The layer index on RocksDB: the contract, asked directly and through the socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cas.layer_index.remote import RemoteLayerIndex
from cas.layer_index.rocks import RocksLayerIndex
from cas.layer_index.server import served
from tests.contracts.layer_index import LayerIndexContract, Opened, OpenIndex


@asynccontextmanager
async def built(root: Path) -> AsyncIterator[RocksLayerIndex]:
    """Open an index, and build it of nothing where there is none."""
    async with RocksLayerIndex.open(root) as index:
        if not index.answers:
            async with index.rebuilding():
                pass
        yield index


class TestRocksLayerIndex(LayerIndexContract):
    @pytest.fixture
    def open_index(self) -> OpenIndex:
        @asynccontextmanager
        async def open_index(root: Path) -> AsyncIterator[Opened]:
            async with built(root) as index:
                yield Opened(index, index)

        return open_index


class TestRemoteLayerIndex(LayerIndexContract):
    @pytest.fixture
    def open_index(self) -> OpenIndex:
        @asynccontextmanager
        async def open_index(root: Path) -> AsyncIterator[Opened]:
            path = root.with_name("ingest.sock")
            async with built(root) as index, served(index, path):
                remote = RemoteLayerIndex(path)
                yield Opened(index, remote)
                await remote.aclose()

        return open_index
