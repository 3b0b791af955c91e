"""The layer index's socket: who may connect, what happens when the owner goes, hangs, or is asked nonsense."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cas.digest import Digest
from cas.entries import Entry
from cas.errors import LayerIndexUnavailable, StorageFull
from cas.layer_index import By, FileQuery, messages
from cas.layer_index.messages import Progress
from cas.layer_index.remote import RemoteLayerIndex
from cas.layer_index.rocks import RocksLayerIndex
from cas.layer_index.server import MOST_UNDER_WAY, served
from tests.cas.test_layer_index import built
from tests.cas.test_layer_index_generations import unavailable
from tests.contracts.layer_index import LAYER, ONE, TWO, file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "ingest.sock"


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[RocksLayerIndex]:
    async with built(tmp_path / "index") as index:
        await index.add_layer(ONE, 1, LAYER, {"apk": b"1"})
        yield index


@pytest.fixture
async def remote(path: Path) -> AsyncIterator[RemoteLayerIndex]:
    remote = RemoteLayerIndex(path)
    yield remote
    await remote.aclose()


# Files of a test are looked at on its loop: nothing else waits for that.
# ruff: noqa: ASYNC240


async def test_only_the_owners_account_may_connect(index: RocksLayerIndex, path: Path) -> None:
    async with served(index, path):
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert list(path.parent.iterdir()) == []


async def test_a_path_may_be_longer_than_a_sockets_address(index: RocksLayerIndex, tmp_path: Path) -> None:
    deep = tmp_path.joinpath(*["a-directory-with-a-long-name"] * 8) / "ingest.sock"
    assert len(str(deep)) > 200
    remote = RemoteLayerIndex(deep)

    async with served(index, deep):
        assert await remote.has_layers([ONE]) == [True]
        await remote.aclose()


async def test_where_nobody_answers_it_is_unavailable(remote: RemoteLayerIndex, path: Path) -> None:
    await unavailable(remote)
    path.parent.mkdir()
    await unavailable(remote)
    path.write_text("no socket")
    await unavailable(remote)
    path.unlink()
    left = socket.socket(socket.AF_UNIX)
    with messages.address(path) as short:
        left.bind(short)
    left.close()  # as a killed process leaves it
    await unavailable(remote)


async def test_it_answers_again_when_the_owner_was_started_anew(
    index: RocksLayerIndex, remote: RemoteLayerIndex, path: Path
) -> None:
    for _ in range(3):
        async with served(index, path):
            assert await remote.has_layers([ONE, TWO]) == [True, False]
        assert "does not answer" in await unavailable(remote)


async def test_what_a_killed_owner_left_is_replaced(
    index: RocksLayerIndex, remote: RemoteLayerIndex, path: Path
) -> None:
    program = """
import asyncio, sys
from pathlib import Path
from cas.layer_index.server import served
from tests.cas.test_layer_index import built
from tests.contracts.layer_index import LAYER, TWO

async def main(root, path):
    async with built(root) as index, served(index, path):
        await index.add_layer(TWO, 1, LAYER, {})
        print("ready", flush=True)
        await asyncio.Event().wait()

asyncio.run(main(*map(Path, sys.argv[1:])))
"""
    with subprocess.Popen(  # noqa: ASYNC220 - it is waited for
        [sys.executable, "-c", program, str(path.parent.parent / "other"), str(path)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert await remote.has_layers([ONE, TWO]) == [False, True]
        asked = [asyncio.ensure_future(remote.has_layers([ONE])) for _ in range(5)]
        process.send_signal(signal.SIGKILL)
        for answer in asked:
            with suppress(LayerIndexUnavailable):
                assert await answer == [False]
    assert path.exists()
    await unavailable(remote)

    async with served(index, path):
        assert await remote.has_layers([ONE, TWO]) == [True, False]


async def test_a_socket_that_somebody_removed_is_made_again(
    index: RocksLayerIndex, remote: RemoteLayerIndex, path: Path
) -> None:
    async with served(index, path):
        assert await remote.has_layers([ONE]) == [True]
        shutil.rmtree(path.parent)
        await remote.aclose()

        async with asyncio.timeout(10):
            while True:
                try:
                    assert await remote.has_layers([ONE]) == [True]
                    break
                except LayerIndexUnavailable:
                    await asyncio.sleep(0.05)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_why_it_is_unavailable_is_passed_on(
    index: RocksLayerIndex, remote: RemoteLayerIndex, path: Path, tmp_path: Path
) -> None:
    async with served(index, path):
        async with index.rebuilding() as rebuild:
            assert "rebuilt" in await unavailable(remote)
            await rebuild.add_layer(TWO, 1, LAYER, {})
        assert await remote.has_layers([ONE, TWO]) == [False, True]

        shutil.rmtree(tmp_path / "index")
        assert "removed" in await unavailable(remote)


class Slow(RocksLayerIndex):
    """An index whose answers are ready when they are let go."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.asked = 0
        self.busy = asyncio.Event()
        self.let_go = asyncio.Event()

    async def has_layers(self, diff_ids: Sequence[Digest]) -> list[bool]:
        self.asked += 1
        if self.asked == MOST_UNDER_WAY:
            self.busy.set()
        await self.let_go.wait()
        return [True] * len(diff_ids)


async def test_who_asks_does_not_wait_for_ever(path: Path, tmp_path: Path) -> None:
    slow = Slow(tmp_path / "slow")
    remote = RemoteLayerIndex(path, timeout=0.2)
    async with served(slow, path):
        with pytest.raises(LayerIndexUnavailable, match=r"within 0\.2 s"):
            await remote.has_layers([ONE])

        slow.let_go.set()
        assert await remote.has_layers([ONE, TWO]) == [True, True]  # and not the answer from before
        await remote.aclose()


async def test_answers_come_as_they_are_ready_and_no_more_are_under_way_than_may_be(
    path: Path, tmp_path: Path, remote: RemoteLayerIndex
) -> None:
    slow = Slow(tmp_path / "slow")
    other = RemoteLayerIndex(path)
    async with served(slow, path):
        waiting = [asyncio.ensure_future(remote.has_layers([ONE])) for _ in range(MOST_UNDER_WAY + 20)]
        await asyncio.wait_for(slow.busy.wait(), 10)
        with pytest.raises(LayerIndexUnavailable):  # from the same process, at once: that nothing is built
            await other.blobs([ONE])
        assert slow.asked == MOST_UNDER_WAY

        slow.let_go.set()

        assert await asyncio.gather(*waiting) == [[True]] * len(waiting)
        await other.aclose()
        await remote.aclose()


async def test_large_answers_and_small_ones_share_a_connection(
    index: RocksLayerIndex, remote: RemoteLayerIndex, path: Path
) -> None:
    large = os.urandom(20_000_000)
    await index.add_layer(TWO, 1, [file(f"d/{number:05}") for number in range(30_000)], {"dpkg": large})
    async with served(index, path):
        answers = await asyncio.gather(
            remote.facts(TWO, "dpkg"),
            remote.find_files(FileQuery(By.PATH, "d/", prefix=True), 40_000),
            *(remote.has_layers([ONE]) for _ in range(200)),
        )

        assert answers[0] == large
        assert len(answers[1].files) == 30_000
        assert answers[2:] == [[True]] * 200


async def test_an_answer_that_is_too_large_is_refused_and_the_next_is_not(
    index: RocksLayerIndex, remote: RemoteLayerIndex, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "MOST_ANSWER", 1_000)
    await index.add_layer(TWO, 1, [], {"dpkg": bytes(1_001), "apk": bytes(900)})
    async with served(index, path):
        with pytest.raises(LayerIndexUnavailable, match="too large"):
            await remote.facts(TWO, "dpkg")
        assert await remote.facts(TWO, "apk") == bytes(900)


# Nonsense


async def converse(path: Path, sent: bytes) -> bytes:
    """Send bytes and return all that comes back, until the other side ends the connection."""
    with messages.address(path) as short:
        reader, writer = await asyncio.open_unix_connection(short)
    try:
        writer.write(sent)
        writer.write_eof()
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def request(content: bytes, kind: int = messages.REQUEST) -> bytes:
    return messages.frame(7, kind, content)


NONSENSE: Mapping[str, bytes] = {
    "nothing": b"",
    "half a header": b"\x00\x00",
    "another protocol": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "a length of nothing": struct.pack(">IIB", 0, 1, 0),
    "a length of everything": struct.pack(">IIB", 0xFFFFFFFF, 1, 0),
    "an answer": request(b"", messages.ANSWER),
    "no msgpack": request(b"\xc1"),
    "no question": request(messages.pack(["drop", []])),
    "too few words": request(messages.pack(["children", ONE.text])),
    "other types": request(messages.pack(["blobs", 5])),
    "half a question": request(messages.pack(["blobs", [ONE.text] * 9]))[:-5],
}


@pytest.mark.parametrize("what", NONSENSE)
async def test_nonsense_ends_its_connection_and_no_other(
    index: RocksLayerIndex, remote: RemoteLayerIndex, path: Path, what: str
) -> None:
    async with served(index, path):
        assert await remote.has_layers([ONE]) == [True]

        assert await converse(path, NONSENSE[what]) == b""

        assert await remote.has_layers([ONE]) == [True]


@pytest.mark.parametrize(
    "question",
    [
        messages.Blobs(["sha256:../../etc/passwd"]),
        messages.Facts("md5:00", "apk"),
        messages.Children(ONE.text, b"\xff\xfe", b"", 10),
        messages.FindFiles("anything", b"x", False, None, 10, b""),
        messages.FindFiles("path", b"x", False, b"(", 10, b""),
        messages.Perform("drop everything", {}),
    ],
)
async def test_what_cannot_be_asked_is_refused(
    index: RocksLayerIndex, path: Path, question: messages.AnyQuestion
) -> None:
    async with served(index, path):
        with messages.address(path) as short:
            reader, writer = await asyncio.open_unix_connection(short)
        writer.write(request(messages.pack(question)))
        length, number, kind = messages.HEADER.unpack(await reader.readexactly(messages.HEADER.size))
        assert (number, kind) == (7, messages.INVALID)
        assert messages.read_invalid(await reader.readexactly(length - 5))
        writer.close()


@given(st.binary(max_size=200))
def test_any_bytes_are_a_question_or_refused(sent: bytes) -> None:
    try:
        question = messages.read_question(sent)
    except ValueError:
        return
    assert messages.read_question(messages.pack(question)) == question


async def test_an_owner_that_speaks_another_language_is_no_owner(path: Path) -> None:
    path.parent.mkdir()
    answers = iter([b"HTTP/1.1 400 Bad Request\r\n\r\n", struct.pack(">IIB", 1 << 30, 1, 2), b""])

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(next(answers, b""))
        writer.close()

    with messages.address(path) as short:
        server = await asyncio.start_unix_server(answer, short)
    async with server:
        remote = RemoteLayerIndex(path, timeout=5)
        for _ in range(3):
            with pytest.raises(LayerIndexUnavailable):
                await remote.has_layers([ONE])
        await remote.aclose()


# Work


async def told(remote: RemoteLayerIndex, work: str, **options: bool) -> list[Progress]:
    return [progress async for progress in remote.perform(work, options)]


async def test_work_tells_how_far_it_has_come(index: RocksLayerIndex, remote: RemoteLayerIndex, path: Path) -> None:
    async def count(options: Mapping[str, bool], tell: Callable[[Progress], None]) -> None:
        for number in range(3):
            tell(Progress("counting", number + 1, 3))
            await asyncio.sleep(0.06)
        assert options == {"loud": True}

    async with served(index, path, {"count": count}):
        assert await told(remote, "count", loud=True) == [Progress("counting", number, 3) for number in (1, 2, 3)]
        with pytest.raises(ValueError, match="no work"):
            await told(remote, "other")


async def test_why_work_failed_is_told(index: RocksLayerIndex, remote: RemoteLayerIndex, path: Path) -> None:
    async def fail(options: Mapping[str, bool], tell: Callable[[Progress], None]) -> None:
        if options.get("own"):
            raise StorageFull("the disk")
        raise RuntimeError

    async with served(index, path, {"fail": fail}):
        with pytest.raises(LayerIndexUnavailable, match="StorageFull: the disk"):
            await told(remote, "fail", own=True)
        with pytest.raises(LayerIndexUnavailable, match="its owner failed"):
            await told(remote, "fail")
        assert await remote.has_layers([ONE]) == [True]


async def test_work_that_nobody_listens_to_any_more_is_given_up(
    index: RocksLayerIndex, remote: RemoteLayerIndex, path: Path
) -> None:
    ended = asyncio.Event()

    async def last(options: Mapping[str, bool], tell: Callable[[Progress], None]) -> None:
        try:
            while True:
                tell(Progress("on and on", 1, 2))
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    async with served(index, path, {"last": last}):
        async with aclosing(remote.perform("last", {})) as progress:
            async for _ in progress:
                break
        await asyncio.wait_for(ended.wait(), 10)


async def test_work_whose_owner_ends_is_not_taken_for_done(
    index: RocksLayerIndex, remote: RemoteLayerIndex, path: Path
) -> None:
    begun = asyncio.Event()

    async def last(options: Mapping[str, bool], tell: Callable[[Progress], None]) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with served(index, path, {"last": last}):
        asking = asyncio.ensure_future(told(remote, "last"))
        await begun.wait()
    with pytest.raises(LayerIndexUnavailable, match="does not answer"):
        await asking


async def test_an_index_is_asked_by_several_processes_at_once(index: RocksLayerIndex, path: Path) -> None:
    program = """
import asyncio, sys
from pathlib import Path
from cas.layer_index import By, FileQuery
from cas.layer_index.remote import RemoteLayerIndex

async def main(path):
    remote = RemoteLayerIndex(path)
    answers = await asyncio.gather(*(remote.find_files(FileQuery(By.NAME, "passwd"), 10) for _ in range(100)))
    print(sum(len(answer.files) for answer in answers))

asyncio.run(main(Path(sys.argv[1])))
"""
    await index.add_layer(TWO, 1, [Entry("etc", "d"), file("etc/passwd")], {})
    async with served(index, path):
        processes = [
            await asyncio.create_subprocess_exec(
                sys.executable, "-c", program, str(path), stdout=asyncio.subprocess.PIPE
            )
            for _ in range(3)
        ]
        for process in processes:
            output, _ = await process.communicate()
            assert output == b"200\n"
