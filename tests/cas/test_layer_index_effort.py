"""What one question may cost the owner of the layer index: it is counted in keys, given up when nobody waits, refused
where too many are asked."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cas.digest import Digest
from cas.entries import FILE, Entry
from cas.errors import LayerIndexUnavailable
from cas.layer_index import By, FileQuery
from cas.layer_index.effort import LONGEST, Effort
from cas.layer_index.protocol import FoundFiles
from cas.layer_index.remote import TIMEOUT, RemoteLayerIndex
from cas.layer_index.rocks import MOST_SEARCHES, RocksLayerIndex
from cas.layer_index.server import MOST_UNDER_WAY, served
from cas.layer_index.tables import Tables
from cas.threads import Threads
from tests.contracts.layer_index import ONE, THREE, TWO

#: Ten directories of a hundred files.
LAYER = [Entry(f"usr/{number // 100}/{number % 100:02}.txt", FILE, 0o644) for number in range(1_000)]
NEVER = FileQuery(By.PATH, "us", pattern="us.*zzz")


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[Tables]:
    tables = Tables(tmp_path / "tables", begin=True)
    for diff_id in (ONE, TWO, THREE):
        tables.add_layer(diff_id, 1, LAYER, {})
    yield tables
    tables.close()


def test_a_search_that_looks_at_too_much_is_given_up(tables: Tables) -> None:
    effort = Effort(keys=500)

    assert tables.find_files(NEVER, 10, effort=effort) == FoundFiles([], True)
    assert effort.looked_at == 500


def test_what_was_found_until_then_is_told(tables: Tables) -> None:
    found = tables.find_files(FileQuery(By.PATH, "usr/", prefix=True), 1_000, effort=Effort(keys=500))

    assert (len(found.files), found.more) == (500, True)


def test_a_search_that_takes_too_long_is_given_up(tables: Tables) -> None:
    effort = Effort(seconds=-1)

    assert tables.find_files(NEVER, 10, effort=effort) == FoundFiles([], True)
    assert effort.looked_at < 3_000


def test_a_search_that_waits_for_others_too_long_is_given_up(tables: Tables) -> None:
    effort = Effort(pause=lambda: time.sleep(0.02), longest=0.05)

    assert tables.find_files(NEVER, 10, effort=effort) == FoundFiles([], True)
    assert effort.looked_at < 3_000


def test_all_searches_that_may_wait_are_done_before_whoever_asks_gives_up() -> None:
    assert MOST_SEARCHES * LONGEST < TIMEOUT


def test_a_search_that_nobody_waits_for_is_given_up(tables: Tables) -> None:
    effort = Effort()
    effort.stop()

    assert tables.find_files(NEVER, 10, effort=effort).more
    assert effort.looked_at == 0


def test_a_search_ends_soon_after_it_was_stopped(tables: Tables) -> None:
    """It is stopped by the second of its own pauses."""
    pauses: list[int] = []
    effort = Effort(pause=lambda: stop() if pauses else pauses.append(1))
    stop = effort.stop

    assert tables.find_files(NEVER, 10, effort=effort).more
    assert effort.looked_at < 1_000


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("usr/[3-4]/07[.]txt", ["usr/3/07.txt", "usr/4/07.txt"]),
        ("usr/[a-z].*", []),
        ("usr/./07[.]txt", [f"usr/{number}/07.txt" for number in range(10)]),
    ],
)
def test_what_cannot_match_is_passed_over(tables: Tables, pattern: str, names: list[str]) -> None:
    """Of directories in which nothing can match, a few keys are looked at, and so of the layers that have one file."""
    effort = Effort()
    found = tables.find_files(FileQuery(By.PATH, "us", pattern=pattern), 100, effort=effort)

    assert [file.path for file in found.files] == [name for name in names for _ in range(3)]
    assert effort.looked_at < 1_500


def test_layers_with_the_same_file_are_passed_over(tables: Tables) -> None:
    for number in range(4, 40):
        tables.add_layer(Digest.of(b"%d" % number), 1, [Entry("usr/same", FILE, 0o644)], {})
    effort = Effort()

    assert not tables.find_files(FileQuery(By.NAME, "sa", pattern="sam"), 9, effort=effort).files
    assert effort.looked_at < 20


class Slow(RocksLayerIndex):
    """An index whose searches by a pattern go on until they are let go."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.under_way = 0
        self.most_under_way = 0
        self.begun = asyncio.Event()
        self.let_go = asyncio.Event()
        self.given_up = asyncio.Event()

    async def _search(self, query: FileQuery, most: int, after: bytes) -> FoundFiles:
        self.under_way += 1
        self.most_under_way = max(self.under_way, self.most_under_way)
        self.begun.set()
        try:
            await self.let_go.wait()
            return await super()._search(query, most, after)
        except asyncio.CancelledError:
            self.given_up.set()
            raise
        finally:
            self.under_way -= 1


@pytest.fixture
async def slow(tmp_path: Path) -> AsyncIterator[Slow]:
    async with Slow.open(tmp_path / "index") as index:
        async with index.rebuilding():
            pass
        await index.add_layer(ONE, 1, LAYER, {})
        yield index


@pytest.fixture
async def remote(slow: Slow, tmp_path: Path) -> AsyncIterator[RemoteLayerIndex]:
    remote = RemoteLayerIndex(tmp_path / "ingest.sock")
    async with served(slow, tmp_path / "ingest.sock"):
        yield remote
        await remote.aclose()


async def test_searches_are_done_one_by_one_and_no_more_wait_than_will_be_waited_for(
    slow: Slow, remote: RemoteLayerIndex
) -> None:
    waiting = [asyncio.ensure_future(remote.find_files(NEVER, 10)) for _ in range(MOST_SEARCHES)]
    await slow.begun.wait()
    for _ in range(MOST_UNDER_WAY):
        with pytest.raises(LayerIndexUnavailable, match="too much at once"):
            await remote.find_files(NEVER, 10)

    slow.let_go.set()
    assert await asyncio.gather(*waiting) == [FoundFiles([], False)] * MOST_SEARCHES
    assert slow.most_under_way == 1
    assert await remote.find_files(NEVER, 10) == FoundFiles([], False)


async def test_nothing_else_waits_for_a_search(slow: Slow, remote: RemoteLayerIndex) -> None:
    waiting = [asyncio.ensure_future(remote.find_files(NEVER, 10)) for _ in range(MOST_SEARCHES)]
    await slow.begun.wait()

    await slow.add_layer(TWO, 1, LAYER, {})
    assert await remote.has_layers([ONE, TWO, THREE]) == [True, True, False]
    assert len((await remote.find_files(FileQuery(By.PATH, "usr/3/07.txt"), 10)).files) == 2
    assert not any(search.done() for search in waiting)
    slow.let_go.set()
    await asyncio.gather(*waiting)


async def test_what_nobody_waits_for_any_more_is_given_up(slow: Slow, remote: RemoteLayerIndex) -> None:
    """The connection stays: others of the same process are on it."""
    asking = asyncio.ensure_future(remote.find_files(NEVER, 10))
    queued = asyncio.ensure_future(remote.find_files(NEVER, 10))
    await slow.begun.wait()

    queued.cancel()
    asking.cancel()
    await asyncio.wait_for(slow.given_up.wait(), 10)

    slow.let_go.set()
    assert await remote.find_files(NEVER, 10) == FoundFiles([], False)
    assert slow.under_way == 0


async def test_who_waited_for_too_long_has_it_given_up(slow: Slow, remote: RemoteLayerIndex, tmp_path: Path) -> None:
    impatient = RemoteLayerIndex(tmp_path / "ingest.sock", timeout=0.2)
    with pytest.raises(LayerIndexUnavailable, match=r"within 0\.2 s"):
        await impatient.find_files(NEVER, 10)

    await asyncio.wait_for(slow.given_up.wait(), 10)
    await impatient.aclose()


async def test_a_thread_is_told_to_end_and_waited_for() -> None:
    threads = Threads(1)
    begun, stop, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        stop.wait()
        ended.set()

    task = asyncio.ensure_future(threads.run_stoppable(stop.set, work))
    assert await asyncio.to_thread(begun.wait, 10)
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_what_a_thread_raises_is_raised() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await Threads(1).run_stoppable(lambda: None, int, "x")
