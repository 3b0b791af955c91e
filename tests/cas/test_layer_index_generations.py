"""The layer index as files: killed, damaged, removed, full, rebuilt; and never a wrong answer."""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cas.digest import Digest
from cas.errors import LayerIndexUnavailable, StorageFull
from cas.layer_index import BlobRecord, By, ChainRecord, FileQuery, LayerIndex
from cas.layer_index.generations import Generations
from cas.layer_index.keys import FORM
from cas.layer_index.rocks import RocksLayerIndex
from cas.layer_index.tables import CACHE, WRITE_BUFFER, Tables
from tests.cas.test_layer_index import built
from tests.contracts.layer_index import LAYER, ONE, PASSWD, THREE, TWO, file
from tests.end_to_end.small_disk import SmallDisk

PASSWD_ = FileQuery(By.NAME, "passwd")
EVERYTHING = FileQuery(By.PATH, "", prefix=True)

EVERY_QUESTION: list[Callable[[LayerIndex], Awaitable[object]]] = [
    lambda index: index.blobs([ONE]),
    lambda index: index.compressions(ONE),
    lambda index: index.has_layers([ONE]),
    lambda index: index.children(ONE, ""),
    lambda index: index.entries([(ONE, "etc")]),
    lambda index: index.find_files(PASSWD_, 1),
    lambda index: index.chains([ONE]),
    lambda index: index.facts(ONE, "apk"),
]


async def unavailable(index: LayerIndex) -> str:
    """Assert that nothing is answered, and return why."""
    reasons = set()
    for ask in EVERY_QUESTION:
        with pytest.raises(LayerIndexUnavailable) as error:
            await ask(index)
        assert error.value.retry_after > 0
        reasons.add(error.value.reason)
    (reason,) = reasons
    return reason


async def found(index: LayerIndex) -> list[Digest]:
    return [each.diff_id for each in (await index.find_files(PASSWD_, 10)).files]


def generations(root: Path) -> set[str]:
    return {path.name for path in root.iterdir() if path.is_dir()}


def pointer(root: Path, name: str = "CURRENT") -> str:
    return (root / name).read_text().strip()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "index"


async def test_what_was_added_is_there_when_it_is_opened_again(root: Path) -> None:
    async with built(root) as index:
        await index.add_layer(ONE, 1, LAYER, {"apk": b"1"})
        await index.add_blob(TWO, BlobRecord(ONE, 1, 2, 3))
        await index.add_chain(ONE, ChainRecord(ONE, None, 1))

    async with RocksLayerIndex.open(root) as index:
        assert await found(index) == [ONE]
        assert await index.facts(ONE, "apk") == b"1"
        assert await index.blobs([TWO]) == [BlobRecord(ONE, 1, 2, 3)]
        assert await index.chains([ONE]) == [ChainRecord(ONE, None, 1)]


def test_memory_is_bounded_when_it_is_opened_again_too(root: Path) -> None:
    """rocksdict would take a cache of its own choice, and no filters."""
    for _ in range(2):
        tables = Tables(root, begin=True)
        tables.add_chain(ONE, ChainRecord(ONE, None, 1))
        assert tables.memory() == (CACHE, 2 * WRITE_BUFFER)
        tables.close()
        options = max(root.glob("OPTIONS-*")).read_text()
        assert "filter_policy=bloomfilter" in options
        assert "partition_filters=true" in options


async def test_a_new_index_answers_nothing_before_it_is_built(root: Path) -> None:
    async with RocksLayerIndex.open(root) as index:
        assert "not built" in await unavailable(index)
        with pytest.raises(LayerIndexUnavailable):
            await index.add_layer(ONE, 1, LAYER, {})
        await index.lost()

        async with index.rebuilding():
            pass

        assert await found(index) == []


async def test_there_is_one_owner(root: Path) -> None:
    async with built(root):
        with pytest.raises(LayerIndexUnavailable, match="another process"):
            async with RocksLayerIndex.open(root):
                pass

        waiting = asyncio.ensure_future(anext(_open(root)))
        await asyncio.sleep(0.1)
        assert not waiting.done()
    await waiting


async def _open(root: Path):  # type: ignore[no-untyped-def]
    async with RocksLayerIndex.open(root, wait=20) as index:
        yield index


# Rebuilding


async def test_nothing_is_answered_while_it_is_rebuilt_and_the_new_one_at_the_end(root: Path) -> None:
    async with built(root) as index:
        await index.add_layer(ONE, 1, LAYER, {})
        before = pointer(root)

        async with index.rebuilding() as rebuild:
            assert "rebuilt" in await unavailable(index)
            await rebuild.add_layer(TWO, 1, LAYER, {})
            await rebuild.add_blob(THREE, BlobRecord(TWO, 1, 2, 3))
            await rebuild.add_chain(TWO, ChainRecord(TWO, None, 1))
            assert await rebuild.has_layers([ONE, TWO]) == [False, True]
            assert await rebuild.blobs([THREE]) == [BlobRecord(TWO, 1, 2, 3)]
            assert pointer(root) == before

        assert await found(index) == [TWO]
        assert generations(root) == {pointer(root)} != {before}
        assert not (root / "BUILDING").exists()
    async with RocksLayerIndex.open(root) as index:
        assert await found(index) == [TWO]
        assert await index.chains([TWO]) == [ChainRecord(TWO, None, 1)]


async def test_what_is_added_meanwhile_is_in_the_new_one(root: Path) -> None:
    async with built(root) as index:
        async with index.rebuilding():
            await index.add_layer(ONE, 1, LAYER, {})

        assert await found(index) == [ONE]


async def test_a_rebuild_that_is_given_up_leaves_the_one_from_before_with_what_was_added(root: Path) -> None:
    async with built(root) as index:
        await index.add_layer(ONE, 1, LAYER, {})
        before = pointer(root)

        with pytest.raises(RuntimeError):
            async with index.rebuilding() as rebuild:
                await rebuild.add_layer(TWO, 1, LAYER, {})
                await index.add_layer(THREE, 1, LAYER, {})
                raise RuntimeError

        assert pointer(root) == before
        assert await found(index) == [ONE, THREE]
        begun = pointer(root, "BUILDING")

        async with index.rebuilding() as rebuild:
            assert pointer(root, "BUILDING") == begun
            assert await rebuild.has_layers([ONE, TWO, THREE]) == [False, True, True]
        assert pointer(root) == begun


async def test_a_rebuild_is_cancelled(root: Path) -> None:
    async with built(root) as index:
        await index.add_layer(ONE, 1, LAYER, {})
        begun = asyncio.Event()

        async def rebuild() -> None:
            async with index.rebuilding():
                begun.set()
                await asyncio.Event().wait()

        task = asyncio.ensure_future(rebuild())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert await found(index) == [ONE]


async def test_rebuilds_wait_for_each_other(root: Path) -> None:
    async with built(root) as index:
        under_way = 0

        async def rebuild(diff_id: Digest) -> None:
            nonlocal under_way
            async with index.rebuilding() as rebuild:
                under_way += 1
                assert under_way == 1
                await rebuild.add_layer(diff_id, 1, LAYER, {})
                under_way -= 1

        async with asyncio.TaskGroup() as group:
            for diff_id in (ONE, TWO, THREE):
                group.create_task(rebuild(diff_id))

        assert len(await found(index)) == 1
        assert len(generations(root)) == 1


# Removed under traffic


def _copy(root: Path) -> None:
    shutil.copytree(root, root.with_name("copy"))


REMOVALS: dict[str, Callable[[Path], object]] = {
    "all": shutil.rmtree,
    "what is in it": lambda root: [shutil.rmtree(each) if each.is_dir() else each.unlink() for each in root.iterdir()],
    "the generation": lambda root: shutil.rmtree(root / pointer(root)),
    "the pointer": lambda root: (root / "CURRENT").unlink(),
    "and put back": lambda root: (_copy(root), shutil.rmtree(root), root.with_name("copy").rename(root)),
}


@pytest.mark.parametrize("how", REMOVALS)
async def test_an_index_whose_directory_was_removed_answers_no_more_until_it_is_rebuilt(root: Path, how: str) -> None:
    async with built(root) as index:
        await index.add_layer(ONE, 1, LAYER, {})
        lost = asyncio.ensure_future(index.lost())
        await asyncio.sleep(0.01)
        assert not lost.done()

        REMOVALS[how](root)

        assert "removed" in await unavailable(index)
        with pytest.raises(LayerIndexUnavailable):
            await index.add_layer(TWO, 1, LAYER, {})
        await asyncio.wait_for(lost, 5)
        async with index.rebuilding() as rebuild:
            await rebuild.add_layer(ONE, 1, LAYER, {})
        assert await found(index) == [ONE]
        await index.add_layer(TWO, 1, LAYER, {})
        assert await found(index) == [ONE, TWO]
    async with RocksLayerIndex.open(root) as index:
        assert await found(index) == [ONE, TWO]


async def test_nobody_has_to_ask_for_a_removal_to_be_noticed(root: Path) -> None:
    async with built(root) as index:
        lost = asyncio.ensure_future(index.lost())
        await asyncio.sleep(0)
        shutil.rmtree(root)

        await asyncio.wait_for(lost, 10)


async def test_it_may_be_removed_again_and_again_while_it_is_asked_and_rebuilt(root: Path) -> None:
    async with built(root) as index:
        await index.add_layer(ONE, 1, LAYER, {})
        done = asyncio.Event()
        answered = asyncio.Condition()
        right = refused = 0

        async def ask() -> None:
            nonlocal right, refused
            while not done.is_set():
                try:
                    assert await found(index) == [ONE]
                    assert await index.children(ONE, "etc") != []
                    right += 1
                    async with answered:
                        answered.notify_all()
                except LayerIndexUnavailable:
                    refused += 1
                    await asyncio.sleep(0.001)

        async def rebuild() -> None:
            while not done.is_set():
                await index.lost()
                try:
                    async with index.rebuilding() as rebuild:
                        await rebuild.add_layer(ONE, 1, LAYER, {})
                except (LayerIndexUnavailable, OSError):
                    await asyncio.sleep(0.01)

        async def remove() -> None:
            for _ in range(6):
                enough = right + 5
                async with answered:
                    while right < enough:
                        await answered.wait()
                await asyncio.to_thread(shutil.rmtree, root, ignore_errors=True)
            done.set()
            shutil.rmtree(root, ignore_errors=True)  # so that whoever waits for a loss goes on

        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for work in (ask(), ask(), rebuild(), remove()):
                group.create_task(work)
        assert right >= 30
        assert refused > 0


async def test_a_rebuild_whose_directory_is_removed_fails_and_the_next_one_does_not(root: Path) -> None:
    async with built(root) as index:
        with pytest.raises((LayerIndexUnavailable, OSError)):
            async with index.rebuilding() as rebuild:
                await rebuild.add_layer(ONE, 1, LAYER, {})
                shutil.rmtree(root)

        await unavailable(index)
        async with index.rebuilding() as rebuild:
            assert await rebuild.has_layers([ONE]) == [False]
            await rebuild.add_layer(TWO, 1, LAYER, {})
        assert await found(index) == [TWO]


async def test_the_generation_that_was_built_answers_though_its_name_was_removed(root: Path) -> None:
    """Whoever removes all may do so between that it is named and that it is there."""
    async with built(root) as index:
        async with index.rebuilding() as rebuild:
            await rebuild.add_layer(TWO, 1, LAYER, {})
            (root / "BUILDING").unlink()

        assert await found(index) == [TWO]
        assert pointer(root)


async def test_whoever_looks_while_the_new_generation_takes_over_removes_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = Generations._point

    def point_and_look(generations: Generations, *arguments: Path) -> None:
        point(generations, *arguments)
        looked.append(index.answers)

    looked: list[bool] = []
    async with built(root) as index:
        async with index.rebuilding() as rebuild:
            await rebuild.add_layer(TWO, 1, LAYER, {})
            monkeypatch.setattr(Generations, "_point", point_and_look)

        assert await found(index) == [TWO]
        assert pointer(root)
        assert looked == [False]


# Damaged


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 4, len(content) // 2):
        content[place] ^= 0x55
    path.write_bytes(content)


@pytest.mark.parametrize("which", ["MANIFEST-*", "CURRENT", "*.sst"])
async def test_a_damaged_generation_answers_nothing(root: Path, which: str) -> None:
    async with built(root) as index, index.rebuilding() as rebuild:
        many = [file(f"d/{number:06}", b"%d" % number) for number in range(20_000)]
        await rebuild.add_layer(ONE, 1, [*many, *LAYER], {})
    for path in (root / pointer(root)).glob(which):
        _flip(path)

    async with RocksLayerIndex.open(root) as index:
        with pytest.raises(LayerIndexUnavailable, match="damaged") as told:
            await index.find_files(EVERYTHING, 100_000)
        assert not any(word in told.value.reason for word in (str(root), ".sst", "MANIFEST", "CURRENT", "Corruption"))
        assert "damaged" in await unavailable(index)
        await index.lost()
        async with index.rebuilding() as rebuild:
            await rebuild.add_layer(ONE, 1, LAYER, {})
        assert await found(index) == [ONE]


@pytest.mark.parametrize(
    "content", ["", "../../etc\n", f"{FORM}-0123456789abcdef\n", "0-0123456789abcdef\n", "\xff\x00"]
)
async def test_a_pointer_to_nowhere_is_as_good_as_none(root: Path, content: str) -> None:
    async with built(root):
        pass
    (root / "CURRENT").write_text(content, "latin-1")

    async with RocksLayerIndex.open(root) as index:
        assert "not built" in await unavailable(index)


async def test_a_generation_that_was_emptied_is_not_taken_for_an_index_of_nothing(root: Path) -> None:
    async with built(root) as index:
        await index.add_layer(ONE, 1, LAYER, {})
    for path in (root / pointer(root)).iterdir():
        path.unlink()

    async with RocksLayerIndex.open(root) as index:
        await unavailable(index)


async def test_leftovers_are_removed_and_what_is_used_is_not(root: Path) -> None:
    async with built(root) as index:
        with pytest.raises(RuntimeError):
            async with index.rebuilding():
                raise RuntimeError
    used = {pointer(root), pointer(root, "BUILDING")}
    (root / "1-00000000000000aa").mkdir()
    (root / "1-00000000000000aa" / "000001.sst").write_bytes(b"old")
    (root / ".CURRENT.new").write_text("cut off")

    async with RocksLayerIndex.open(root):
        assert generations(root) == used
        assert not (root / ".CURRENT.new").exists()


# Killed


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", program, *(str(argument) for argument in arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


_ADDS = """
import asyncio, sys
from pathlib import Path
from cas.digest import Digest
from cas.layer_index.rocks import RocksLayerIndex
from tests.contracts.layer_index import file

async def main(root, first):
    async with RocksLayerIndex.open(root, wait=10) as index:
        if not index.answers:
            async with index.rebuilding():
                pass
        for number in range(first, 1000):
            entries = [file(f"layer/{number}/{each:05}", b"%d" % each) for each in range(3_000)]
            await index.add_layer(Digest.of(b"%d" % number), 1, entries, {"apk": b"%d" % number})
            print(number, flush=True)

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


async def test_a_process_that_is_killed_while_it_adds_leaves_each_layer_whole_or_not_there(root: Path) -> None:
    chance = random.Random(7)
    acknowledged: set[int] = set()
    begun = 0
    for turn in range(6):
        with start(_ADDS, root, begun) as process:
            assert process.stdout is not None
            for _ in range(chance.randint(1, 3)):
                acknowledged.add(int(process.stdout.readline()))
            await asyncio.sleep(chance.uniform(0, 0.08))
            process.send_signal(signal.SIGKILL)
            acknowledged |= {int(line) for line in process.stdout.read().split()}

        begun = max(acknowledged) + 2
        async with RocksLayerIndex.open(root) as index:
            digests = [Digest.of(b"%d" % number) for number in range(begun)]
            present = await index.has_layers(digests)
            assert {number for number in range(begun) if present[number]} >= acknowledged
            for number in range(begun):
                files = await index.find_files(FileQuery(By.PATH, f"layer/{number}/", prefix=True), 10_000)
                names = await index.find_files(FileQuery(By.NAME, f"{number:05}"), 10_000)
                children = await index.children(digests[number], f"layer/{number}", most=10_000)
                assert len(files.files) == len(children) == (3_000 if present[number] else 0), (turn, number)
                assert len(names.files) == sum(present), (turn, number)
            for number in {begun - 1, *acknowledged}:  # a repeat does no harm, also of what was cut off
                entries = [file(f"layer/{number}/{each:05}", b"%d" % each) for each in range(3_000)]
                await index.add_layer(digests[number], 1, entries, {"apk": b"%d" % number})
                acknowledged.add(number)
            assert len((await index.find_files(FileQuery(By.NAME, "00000"), 10_000)).files) == len(
                {*acknowledged, *(number for number in range(begun) if present[number])}
            )


_REBUILDS = """
import asyncio, sys
from pathlib import Path
from cas.digest import Digest
from cas.layer_index.rocks import RocksLayerIndex
from tests.contracts.layer_index import file

async def main(root):
    async with RocksLayerIndex.open(root, wait=10) as index:
        async with index.rebuilding() as rebuild:
            for number in range(10_000):
                entries = [file(f"layer/{number}/{each:05}", b"%d" % each) for each in range(300)]
                await rebuild.add_layer(Digest.of(b"%d" % number), 1, entries, {})
                print(number, flush=True)

asyncio.run(main(Path(sys.argv[1])))
"""


async def test_a_process_that_is_killed_while_it_rebuilds_leaves_the_old_one_and_what_was_built(root: Path) -> None:
    async with built(root) as index:
        await index.add_layer(ONE, 1, LAYER, {})
    with start(_REBUILDS, root) as process:
        assert process.stdout is not None
        for _ in range(50):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)

    async with RocksLayerIndex.open(root) as index:
        assert await found(index) == [ONE]
        async with index.rebuilding() as rebuild:
            digests = [Digest.of(b"%d" % number) for number in range(50)]
            assert all(await rebuild.has_layers(digests))
            await rebuild.add_layer(ONE, 1, [PASSWD], {})
        assert len((await index.find_files(FileQuery(By.NAME, "00007"), 10_000)).files) >= 50


# Full


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
async def test_on_a_full_disk_nothing_is_lost_and_it_goes_on_when_there_is_room(tmp_path: Path, kind: str) -> None:
    with SmallDisk(tmp_path, kind) as disk:  # type: ignore[arg-type]
        async with built(disk.path / "index") as index:
            await index.add_layer(ONE, 1, LAYER, {})
            with (disk.path / "filler").open("wb") as filler:
                while disk.free() > 4 * 1024 * 1024:
                    filler.write(b"x" * 1024 * 1024)
                    filler.flush()
            added = []
            with pytest.raises(StorageFull):
                for number in range(200):
                    many = [file(f"d/{number}/{each}", b"%d %d" % (number, each)) for each in range(2_000)]
                    await index.add_layer(Digest.of(b"%d" % number), 1, many, {})
                    added.append(Digest.of(b"%d" % number))

            assert await found(index) == [ONE]
            assert all(await index.has_layers(added))
            assert await index.has_layers([Digest.of(b"%d" % len(added))]) == [False]
            (disk.path / "filler").unlink()
            async with asyncio.timeout(60):
                while True:
                    try:
                        await index.add_layer(TWO, 1, LAYER, {})
                        break
                    except StorageFull:
                        await asyncio.sleep(0.2)
            assert await found(index) == [ONE, TWO]
        async with RocksLayerIndex.open(disk.path / "index") as index:
            assert await found(index) == [ONE, TWO]
            assert all(await index.has_layers(added))
