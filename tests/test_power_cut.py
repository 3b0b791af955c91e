"""Cut the power under the whole service, anywhere, and look at what its clients find.

A registry over the local store and SQLite does what an image's life consists of, while every operation of the store on
the file system and every commit of the database are recorded in one order. Each world that a cut may leave is opened as
a registry again: what a client was told is so, and nothing is seen by halves. Then the same with one synchronisation
left out, with a database that does not wait for the disk, and with rows that are committed before their bytes: each of
which must be noticed, or this test would show nothing.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
import sqlalchemy
from sqlalchemy import text

from cas import BlobStore, BlobUnknown, Digest, RepositoryName, UploadId
from cas.directory import DirectoryStore
from cas.filesystem import PosixFileSystem
from catalog import garbage
from catalog.content import Content
from catalog.errors import BlobNotLinked
from catalog.metadata import blobs, repositories, uploads
from database import Database, Query, Transaction, metadata, new_id
from database.sqlite import SqliteDatabase
from tests.catalog.images import image
from tests.catalog.in_process import EVERYTHING, InProcess, start
from tests.power_cut import Cut, Recorder, Sync, cuts
from tests.promises import Promises

NAME = "team/app"
CONFIG, LAYER, CHUNKED = b"{}", b"a layer that came in one piece", b"a layer that came in two pieces"
FIRST, SECOND = image(CONFIG, LAYER), image(CONFIG, CHUNKED)
BLOBS = {Digest.of(content).text: content for content in (CONFIG, LAYER, CHUNKED)}
MANIFESTS = {Digest.of(content).text: content for content in (FIRST, SECOND)}

THERE = "there"

#: Worlds that are not only looked at.
GONE_ON_WITH = 100
SEED = 3


class Client:
    """Somebody who writes down in the record what they asked for and what they were told."""

    def __init__(self, http: httpx.AsyncClient, mark: Callable[[str], None] = lambda text: None) -> None:
        self._http = http
        self._mark = mark

    async def _change(self, states: dict[str, str], method: str, path: str, expected: int, **request: object) -> str:
        self._mark(json.dumps(["asked", states]))
        answer = await self._http.request(method, path, **request)  # type: ignore[arg-type]
        assert answer.status_code == expected, answer.text
        self._mark(json.dumps(["told", states]))
        location: str = answer.headers.get("location", "")
        return location

    async def push_at_once(self, content: bytes) -> None:
        digest = Digest.of(content).text
        states = {f"blob {digest}": THERE, f"bytes {digest}": THERE}
        path = f"/v2/{NAME}/blobs/uploads/?digest={digest}"
        await self._change(states, "POST", path, 201, content=content)

    async def push(self, content: bytes, *chunks: bytes) -> None:
        digest = Digest.of(content).text
        states = {f"blob {digest}": THERE, f"bytes {digest}": THERE}
        session = await self._change({}, "POST", f"/v2/{NAME}/blobs/uploads/", 202)
        for chunk in chunks:
            session = await self._change({}, "PATCH", session, 202, content=chunk)
        await self._change(states, "PUT", f"{session}?digest={digest}", 201)

    async def put(self, manifest: bytes, tag: str) -> None:
        digest = Digest.of(manifest).text
        states = {f"manifest {digest}": THERE, f"tag {tag}": digest}
        await self._change(states, "PUT", f"/v2/{NAME}/manifests/{tag}", 201, content=manifest)

    async def delete_manifest(self, manifest: bytes) -> None:
        digest = Digest.of(manifest).text
        await self._change({f"manifest {digest}": ""}, "DELETE", f"/v2/{NAME}/manifests/{digest}", 202)

    async def delete_blob(self, content: bytes) -> None:
        digest = Digest.of(content).text
        await self._change({f"blob {digest}": ""}, "DELETE", f"/v2/{NAME}/blobs/{digest}", 202)

    async def collect(self, running: InProcess, content: bytes) -> None:
        states = {f"bytes {Digest.of(content)}": ""}
        self._mark(json.dumps(["asked", states]))
        if await garbage.collect(running.database, running.store, grace=0):
            self._mark(json.dumps(["told", states]))


async def push_everything(client: Client) -> None:
    await client.push_at_once(CONFIG)
    await client.push(LAYER, LAYER)
    await client.put(FIRST, "latest")
    await client.push(CHUNKED, CHUNKED[:7], CHUNKED[7:])
    await client.put(SECOND, "latest")


async def live(running: InProcess, client: Client) -> None:
    """What an image's life consists of."""
    await push_everything(client)
    await client.delete_manifest(FIRST)
    await client.delete_blob(LAYER)
    await client.collect(running, LAYER)


def promised(marks: Iterable[str]) -> Promises:
    """Read from marks what a client may rely on."""
    promises = Promises()
    for mark in marks:
        verb, states = json.loads(mark)
        for thing, state in states.items():
            (promises.asked if verb == "asked" else promises.told)(thing, state)
    return promises


# Recording


@dataclass(frozen=True)
class Fault:
    """What is left out of a run, to see that it is missed."""

    synchronisation: int | None = None
    durable_commits: bool = True
    content: type[Content] = Content


NO_FAULT = Fault()


class HastyContent(Content):
    """Commits the row before the bytes are published."""

    async def _publish(self, name: RepositoryName, upload: UploadId, digest: Digest) -> None:
        size = await self._store.size(upload)

        async def commit(tx: Transaction) -> None:
            repository_id = await repositories.ensure(tx, name, public=False)
            await blobs.link(tx, repository_id, digest, size)
            await uploads.end(tx, upload)

        await self._database.write(commit)
        await self._store.publish(upload, digest)


def snapshot(path: Path) -> bytes:
    """Copy a database that others use."""
    connection = sqlite3.connect(path)
    try:
        return connection.serialize()
    finally:
        connection.close()


async def registry(database: Database, store: BlobStore, content: type[Content] = Content) -> InProcess:
    running = await start(database, store)
    return replace(running, registry=replace(running.registry, content=content(database, store)))


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database with its tables and nothing in them."""
    path = tmp_path_factory.mktemp("empty") / "portolan.db"
    engine = sqlalchemy.create_engine(f"sqlite:///{path}")
    metadata.create_all(engine)
    engine.dispose()
    return snapshot(path)


async def record(directory: Path, empty: bytes, fault: Fault = NO_FAULT) -> Recorder:
    """Let an image live on a disk under *directory*."""
    base, path = directory / "disk", directory / "portolan.db"
    base.mkdir(parents=True)
    path.write_bytes(empty)
    recorder = Recorder(base, fault.synchronisation)
    recorder.commit(empty)
    database = SqliteDatabase(path, lambda: recorder.commit(snapshot(path), fault.durable_commits))
    try:
        running = await registry(database, DirectoryStore(base / "store", recorder), fault.content)
        async with running.client({NAME: EVERYTHING}) as http:
            await live(running, Client(http, recorder.mark))
    finally:
        await database.close()
    return recorder


# Looking


class Unsynchronised(PosixFileSystem):
    """For looking at worlds: what is done to them need not last."""

    def sync(self, file: int) -> None: ...

    def sync_directory(self, path: str) -> None: ...


class Worlds:
    """Opens one world after the other. Looking changes nothing, so each state of the database is opened once."""

    def __init__(self, directory: Path, stack: AsyncExitStack) -> None:
        self._base = directory / "world"
        self._databases = directory / "databases"
        self._databases.mkdir(parents=True)
        self._stack = stack
        self._opened: dict[bytes, tuple[InProcess, httpx.AsyncClient]] = {}

    async def examine(self, cut: Cut) -> None:
        """See that every promise is kept, and that nothing is there by halves.

        Raises:
            AssertionError: it is not so.
        """
        cut.write_to(self._base)
        try:
            assert cut.snapshot is not None
            if cut.snapshot not in self._opened:
                self._opened[cut.snapshot] = await self._open(cut.snapshot)
            await examine(*self._opened[cut.snapshot], promised(cut.marks))
        finally:
            shutil.rmtree(self._base)

    async def go_on(self, cut: Cut) -> None:
        """See that the image can live through everything again.

        Raises:
            AssertionError: it cannot.
        """
        cut.write_to(self._base)
        try:
            assert cut.snapshot is not None
            marks = list(cut.marks)
            running, http = await self._open(cut.snapshot)
            client = Client(http, marks.append)
            # What a collector left undone is done by the next one, once it is taken for dead.
            await running.database.write(_let_time_pass)
            await client.collect(running, LAYER)
            await live(running, client)
            await examine(running, http, promised(marks))
        finally:
            shutil.rmtree(self._base)

    async def _open(self, content: bytes) -> tuple[InProcess, httpx.AsyncClient]:
        path = self._databases / f"{new_id()}.db"
        path.write_bytes(content)
        database = SqliteDatabase(path)
        self._stack.push_async_callback(database.close)
        running = await registry(database, DirectoryStore(self._base / "store", Unsynchronised()))
        return running, await self._stack.enter_async_context(running.client({NAME: EVERYTHING}))


async def _let_time_pass(tx: Transaction) -> None:
    await tx.run(Query(text("UPDATE blobs SET changed = 0")))


async def examine(running: InProcess, http: httpx.AsyncClient, promises: Promises) -> None:
    """Look at a registry as its clients do, and once more at what stands behind it."""
    for digest, content in BLOBS.items():
        found = await read(http, f"blobs/{digest}", content)
        assert found in promises.possible(f"blob {digest}"), f"blob {digest}"
        # A row without bytes would let a manifest in that nobody can pull.
        assert found == await linked(running.database, digest), f"link of {digest}"
        assert await stored(running.store, digest) in promises.possible(f"bytes {digest}"), f"bytes of {digest}"
    for digest, content in MANIFESTS.items():
        found = await read(http, f"manifests/{digest}", content)
        assert found in promises.possible(f"manifest {digest}"), f"manifest {digest}"
        if found:
            for each in (manifest := json.loads(content))["layers"] + [manifest["config"]]:
                assert await read(http, f"blobs/{each['digest']}", BLOBS[each["digest"]]), f"a blob of {digest}"
    answer = await http.get(f"/v2/{NAME}/manifests/latest")
    digest = answer.headers["docker-content-digest"] if answer.status_code == 200 else ""
    assert digest in promises.possible("tag latest"), "tag latest"
    assert not digest or answer.content == MANIFESTS[digest]


async def read(http: httpx.AsyncClient, path: str, content: bytes) -> str:
    """Tell whether something is there; if it is, it has to be *content*."""
    answer = await http.get(f"/v2/{NAME}/{path}")
    if answer.status_code == 404:
        return ""
    assert (answer.status_code, answer.content) == (200, content), path
    return THERE


async def linked(database: Database, digest: str) -> str:
    try:
        await blobs.linked_size(database, RepositoryName(NAME), Digest.parse(digest))
    except BlobNotLinked:
        return ""
    return THERE


async def stored(store: BlobStore, digest: str) -> str:
    try:
        await store.stat(Digest.parse(digest))
    except BlobUnknown:
        return ""
    return THERE


@asynccontextmanager
async def opened(directory: Path) -> AsyncIterator[Worlds]:
    async with AsyncExitStack() as stack:
        yield Worlds(directory, stack)


def worlds_after(recorder: Recorder) -> list[Cut]:
    """List what a cut may leave, once there is a database."""
    return [cut for cut in cuts(recorder.events) if cut.snapshot is not None]


async def complaint(recorder: Recorder, directory: Path) -> str:
    """Tell what is wrong in one of the worlds, ``""`` where nothing is in any; the last are looked at first."""
    async with opened(directory) as worlds:
        for cut in reversed(worlds_after(recorder)):
            try:
                await worlds.examine(cut)
            except AssertionError as error:
                return str(error)
    return ""


async def test_what_was_acknowledged_survives_and_nothing_half_done_is_seen(empty: bytes, tmp_path: Path) -> None:
    recorder = await record(tmp_path, empty)
    left = worlds_after(recorder)

    assert len(left) > 400
    async with opened(tmp_path) as worlds:
        for cut in left:
            await worlds.examine(cut)


async def test_after_a_cut_everything_can_be_done_again(empty: bytes, tmp_path: Path) -> None:
    recorder = await record(tmp_path, empty)

    async with opened(tmp_path) as worlds:
        for cut in random.Random(SEED).sample(worlds_after(recorder), GONE_ON_WITH):
            await worlds.go_on(cut)


async def test_no_synchronisation_can_be_left_out(empty: bytes, tmp_path: Path) -> None:
    whole = await record(tmp_path / "whole", empty)
    left_out: set[str] = set()
    for number in range(sum(isinstance(event, Sync) for event in whole.events)):
        directory = tmp_path / str(number)
        recorder = await record(directory, empty, Fault(synchronisation=number))
        left_out.add(recorder.forgotten)
        assert await complaint(recorder, directory), f"nobody noticed that {recorder.forgotten} was not synchronised"

    shards = [f"store/blobs/sha256/{digest.hex[:2]}/{digest.hex[2:4]}" for digest in map(Digest.parse, BLOBS)]
    parents = {str(parent) for shard in shards for parent in Path(shard).parents}
    assert left_out == {"a file", *(f"the directory {path}" for path in (*shards, *parents))}


async def test_the_database_has_to_wait_for_the_disk(empty: bytes, tmp_path: Path) -> None:
    recorder = await record(tmp_path, empty, Fault(durable_commits=False))

    assert re.match(r"(blob|link|manifest|tag) ", await complaint(recorder, tmp_path))


async def test_bytes_have_to_be_durable_before_their_row_is_committed(empty: bytes, tmp_path: Path) -> None:
    recorder = await record(tmp_path, empty, Fault(content=HastyContent))

    assert (await complaint(recorder, tmp_path)).startswith("link of sha256:")
