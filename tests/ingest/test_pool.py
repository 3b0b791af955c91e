"""The pool, with real processes: what is done to one of them is told to whoever asked, and the next one serves."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cas import BlobReader, BlobStore, Digest, UploadId
from cas.directory import DirectoryStore
from cas.memory import MemoryStore
from ingest import pool as pools
from ingest import readers
from ingest.errors import (
    AnswerTooLarge,
    LayerUnreadable,
    NotStarted,
    OutOfMemory,
    ProgramFault,
    ReaderKilled,
    TooSlow,
)
from ingest.pool import Pool
from tests.services.processes import is_alive, wait_until

MODULE = "tests.ingest.works"
MEMORY = 256 << 20


@asynccontextmanager
async def running(processes: int = 1, memory: int = MEMORY, module: str = MODULE) -> AsyncIterator[Pool]:
    pool = Pool(processes, memory, module)
    keeping = asyncio.create_task(pool.keep())
    try:
        yield pool
    finally:
        keeping.cancel()
        await asyncio.wait([keeping])


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    async with running() as one:
        yield one


async def echo(pool: Pool, text: str = "hello") -> str:
    (said,) = await pool.run("echo", {"text": text}, seconds=30)
    return said.decode()


async def until(condition: object, what: str) -> None:
    assert callable(condition)
    await asyncio.to_thread(wait_until, condition, 30, what)


@asynccontextmanager
async def opened(store: BlobStore, content: bytes) -> AsyncIterator[BlobReader]:
    upload = UploadId.new()

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(content), 1 << 20):
            yield content[at : at + (1 << 20)]

    await store.append(upload, 0, pieces())
    await store.publish(upload, Digest.of(content))
    async with await store.open(Digest.of(content)) as blob:
        yield blob


async def test_parts_go_there_and_back(pool: Pool) -> None:
    parts = [b"", b"\0" * 3_000_000, os.urandom(700_000)]

    found = await pool.run("echo", {"text": "ahoy"}, parts, seconds=30)

    assert found == [b"ahoy", *parts]


@pytest.mark.parametrize("kind", [DirectoryStore, MemoryStore])
async def test_a_blob_is_read_by_descriptor_or_fed(pool: Pool, kind: type, tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path) if kind is DirectoryStore else MemoryStore()
    content = os.urandom(5_000_000)
    async with opened(store, content) as blob:
        assert (blob.fileno() is not None) == (kind is DirectoryStore)
        (found,) = await pool.run("digest", {}, blob=blob, seconds=30)

    assert found.decode() == hashlib.sha256(content).hexdigest()


async def test_a_reader_that_has_seen_enough_stops_what_feeds_it(pool: Pool) -> None:
    async with opened(MemoryStore(), b"\x1f\x8b\x08\x00" + bytes(8_000_000)) as blob:
        assert await pool.run("begin", {}, blob=blob, seconds=30) == [b"\x1f\x8b\x08\x00"]
    assert await echo(pool) == "hello"


async def test_a_blob_that_breaks_off_is_no_shorter_blob(pool: Pool) -> None:
    """What is cut off may look whole: the store's failure is told, not what was read."""
    async with opened(MemoryStore(), bytes(4_000_000)) as blob:

        class BreaksOff:
            size = blob.size

            def fileno(self) -> None:
                return None

            async def pieces(self, start: int, stop: int) -> AsyncIterator[bytes]:
                yield bytes(1_000_000)
                raise OSError(5, "the store went away")

        with pytest.raises(OSError, match="went away"):
            await pool.run("digest", {}, blob=BreaksOff(), seconds=30)  # type: ignore[arg-type]
    assert await echo(pool) == "hello"


@pytest.mark.parametrize(
    ("work", "parameters", "error", "words"),
    [
        ("hoard", {}, OutOfMemory, "more than 256 MiB"),
        ("hang", {}, TooSlow, "more than 0.5 seconds"),
        ("spin", {}, TooSlow, "more than 0.5 seconds"),
        ("die", {"signal": int(signal.SIGKILL)}, ReaderKilled, "SIGKILL"),
        ("die", {"signal": int(signal.SIGSEGV)}, ReaderKilled, "SIGSEGV"),
        ("die", {"signal": int(signal.SIGABRT)}, OutOfMemory, "more than 256 MiB"),
        ("leave", {}, ReaderKilled, "ended with status 3"),
        ("boast", {}, AnswerTooLarge, "more than 128 MiB"),
        ("fail", {}, ProgramFault, "error of the program"),
        ("recurse", {}, ProgramFault, "error of the program"),
        ("no such work", {}, ProgramFault, "error of the program"),
        ("refuse", {}, LayerUnreadable, "it is no tar"),
    ],
)
async def test_what_befalls_one_work_is_its_own_error_alone(
    monkeypatch: pytest.MonkeyPatch, work: str, parameters: dict[str, object], error: type, words: str
) -> None:
    monkeypatch.setattr(readers, "MOST_ANSWER", 128 << 20)
    async with running(2, 256 << 20 if work != "boast" else 1 << 30) as pool:
        await until(lambda: len(pool.pids) == 2, "the processes")
        before = set(pool.pids)
        seconds = 0.5 if error is TooSlow else 30

        failing = asyncio.create_task(pool.run(work, parameters, seconds=seconds))
        others = await asyncio.gather(*(echo(pool, str(number)) for number in range(20)))

        with pytest.raises(error, match=words):
            await failing
        assert others == [str(number) for number in range(20)]
        await until(lambda: len(pool.pids) == 2, "a process in the place of the one that was given up")
        if error is not LayerUnreadable:
            assert len(before & set(pool.pids)) == 1


async def test_a_request_that_does_not_fit_into_memory_fails_alone(pool: Pool) -> None:
    with pytest.raises(OutOfMemory):
        await pool.run("echo", {"text": ""}, [bytes(100 << 20)] * 3, seconds=30)
    assert await echo(pool) == "hello"


async def test_a_process_that_is_killed_while_it_is_idle_is_replaced_and_fails_nothing(pool: Pool) -> None:
    await echo(pool)
    (idle,) = pool.pids
    os.kill(idle, signal.SIGKILL)

    assert [await echo(pool, str(number)) for number in range(3)] == ["0", "1", "2"]
    assert idle not in pool.pids


async def test_processes_are_ready_before_they_are_needed() -> None:
    async with running(2) as pool:
        await until(lambda: len(pool.pids) == 2, "the processes")
        assert await echo(pool) == "hello"


async def test_a_process_is_replaced_after_many_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "_MOST_WORKS", 3)
    async with running() as pool:
        pids = [(await pool.run("who", {}, seconds=30))[0] for _ in range(7)]

    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [3, 3, 1]


async def test_a_process_that_has_grown_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running() as pool:
        (first,) = await pool.run("who", {}, seconds=30)
        monkeypatch.setattr(pools, "_MOST_RESIDENT", 1 << 20)
        await pool.run("who", {}, seconds=30)
        monkeypatch.undo()
        (second,) = await pool.run("who", {}, seconds=30)

    assert first != second


async def test_a_process_has_no_secrets_of_its_parent_and_a_session_of_its_own(
    pool: Pool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PORTOLAN_DATABASE_URL", "postgresql://me:hunter2@host/name")
    with (tmp_path / "inherited").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        session, variables, opened_files = await pool.run("surroundings", {}, seconds=30)

    assert int(session) != os.getsid(0)
    assert "PORTOLAN" not in variables.decode()
    # standard input, output and error, the socket, and the directory that is being listed
    assert len(opened_files.split()) == 5


async def test_a_pool_whose_processes_cannot_start_says_so(caplog: pytest.LogCaptureFixture) -> None:
    async with running(module="tests.ingest.there_is_no_such_module") as pool:
        with pytest.raises(NotStarted, match="no process could be started"):
            await echo(pool)
    assert "ended with 1" in caplog.text


async def test_processes_end_with_the_pool() -> None:
    async with running(2) as pool:
        await until(lambda: len(pool.pids) == 2, "the processes")
        pids = pool.pids

    assert len(pids) == 2
    await until(lambda: not any(map(is_alive, pids)), "their end")


async def test_what_waits_is_forgotten_with_whoever_waited(pool: Pool) -> None:
    await echo(pool)
    waiting = asyncio.create_task(pool.run("hang", {}, seconds=1))
    behind = asyncio.create_task(echo(pool))
    await asyncio.sleep(0)  # both stand in line now
    behind.cancel()

    with pytest.raises(TooSlow):
        await waiting
    assert await echo(pool, "after") == "after"


PARENT = """
import asyncio, sys
from ingest.pool import Pool

async def main():
    pool = Pool(1, 256 << 20, "tests.ingest.works")
    keeping = asyncio.create_task(pool.keep())
    await pool.run(sys.argv[1], {"file": sys.argv[2]}, seconds=600)

asyncio.run(main())
"""


@pytest.mark.parametrize("work", ["hang", "spin"])
async def test_a_process_ends_with_its_parent_in_the_middle_of_a_work(work: str, tmp_path: Path) -> None:
    """The parent is killed, and cannot tell."""
    there = tmp_path / "pid"
    parent = subprocess.Popen(  # noqa: ASYNC220 - it is not waited for
        [sys.executable, "-c", PARENT, work, str(there)], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    )

    def children() -> list[int]:
        try:
            return [int(pid) for pid in Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()]
        except OSError:
            return []

    try:
        if work == "hang":
            await until(lambda: there.exists() and there.read_text(), "the work to begin")
        await until(lambda: bool(children()), "a process")
        (child,) = children()
    finally:
        parent.kill()
        parent.wait()

    await until(lambda: not is_alive(child), "its end")
