"""Layers made to do harm, pushed like any other: each costs its own reading, and the rest goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path

import msgspec

from cas import BlobReader, BlobStore, Digest, UploadId
from cas.directory import DirectoryStore
from catalog.images.facts import LayerFacts
from catalog.images.objects import decode
from catalog.metadata import jobs
from database import Database
from ingest.errors import LayerUnreadable
from ingest.pool import Pool
from ingest.works import ReadBlob
from tests.end_to_end.parts import most_resident
from tests.ingest import tars
from tests.ingest.hostile import HOSTILE, SMALL
from tests.ingest.in_process import image, ingesting, status

GOOD = tars.layer({"var/lib/dpkg/status": status(("openssl", "3.0.11-1"))})
#: Bytes that a reader process may come to, whatever it reads (the images of the benchmarks stay far below).
MOST_RESIDENT = 250 << 20


async def test_each_costs_its_own_image_alone(database: Database, store: BlobStore, tmp_path: Path) -> None:
    """All of them at once, between images that are as they should be."""
    hostile = {name: each for name, each in HOSTILE.items() if each.limits == SMALL}
    assert len(hostile) >= 40
    async with ingesting(database, store, tmp_path, limits=SMALL, attempts=1) as ingest:
        pushed: dict[str, Digest] = {}
        for name, each in hostile.items():
            blob = each.build()
            layer = tars.Layer(blob, b"", tars.MEDIA_TYPES["gzip"])
            # What its diff_id is cannot be known here; where it is read, the failure is that the claim is wrong.
            wrong = image(layer, diff_ids=["sha256:" + "0" * 64])
            pushed[name] = await ingest.push("eve/app", wrong, f"t{len(pushed)}")
            if len(pushed) % 10 == 0:
                await ingest.push(f"ada/app{len(pushed)}", image(GOOD), "v1")
        await ingest.settled(300)

        failures = {failure.digest: failure for failure in await jobs.failures(database)}
        problems = {name: (await ingest.found("eve/app", digest)).problem for name, digest in pushed.items()}
        good = [await ingest.found(f"ada/app{number}", image(GOOD).digest) for number in range(10, len(pushed) + 1, 10)]
        pids = ingest.pool.pids
        peaks = [most_resident(pid) for pid in pids]

    for name, each in hostile.items():
        failure = failures[pushed[name].text]
        assert failure.parked, name
        assert failure.error == problems[name], name
        was_read = "when it is decompressed" in failure.error
        assert was_read == (each.error is None), (name, failure.error)
    assert all(document.packages and not document.problem for document in good)
    assert len(pids) == 2
    assert max(peaks) < MOST_RESIDENT


async def test_a_process_says_what_the_reading_says(tmp_path: Path) -> None:
    """Through the socket and back: the same error, or the same facts; and the process serves on."""
    store, pool = DirectoryStore(tmp_path), Pool(1, 512 << 20)
    keeping = asyncio.create_task(pool.keep())
    try:
        await pool.run("squash", {"made_by": "", "most_placed": 1}, [], seconds=60)  # it is there from now on
        before = pool.pids
        for name, each in HOSTILE.items():
            content = each.build()
            async with await stored(store, content) as blob:
                try:
                    about, found = await pool.run("read", asdict(each.limits), blob=blob, seconds=120)
                except LayerUnreadable as error:
                    assert each.error is not None, (name, error.reason)
                    continue
            assert each.error is None, name
            read, facts = msgspec.msgpack.decode(about, type=ReadBlob), decode(found, LayerFacts)
            assert (read.diff_id, read.size, read.raw_size) == (facts.diff_id, len(content), facts.size), name
            if each.paths is not None:
                assert {entry.path for entry in facts.entries} == each.paths, name
            assert each.unread in facts.unread, name
        assert pool.pids == before
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])


async def stored(store: DirectoryStore, content: bytes) -> BlobReader:
    """Put *content* into the store, and open it."""

    async def pieces() -> AsyncIterator[bytes]:
        yield content

    upload = UploadId.new()
    await store.append(upload, 0, pieces())
    await store.publish(upload, Digest.of(content))
    return await store.open(Digest.of(content))
