"""The layer index is asked from processes that run on uvloop: its transports are of no class of asyncio's."""

from __future__ import annotations

from pathlib import Path

import uvloop

from cas import Digest
from cas.layer_index.protocol import BlobRecord
from cas.layer_index.remote import RemoteLayerIndex
from cas.layer_index.server import served
from tests.cas.test_layer_index import built


def test_it_answers_on_uvloop(tmp_path: Path) -> None:
    blob, record = Digest.of(b"blob"), BlobRecord(Digest.of(b"tar"), 4, 3, 1)

    async def ask() -> list[BlobRecord | None]:
        async with built(tmp_path / "index") as index, served(index, tmp_path / "ingest.sock"):
            await index.add_blob(blob, record)
            remote = RemoteLayerIndex(tmp_path / "ingest.sock")
            try:
                return await remote.blobs([blob, Digest.of(b"another")])
            finally:
                await remote.aclose()

    assert uvloop.run(ask()) == [record, None]
