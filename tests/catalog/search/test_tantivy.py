"""tantivy keeps the contract; what is its own: files, processes, leftovers."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from catalog.search import tantivy_generations, tantivy_writer
from catalog.search.conditions import All, Between, Term
from catalog.search.documents import document_id
from catalog.search.engine import Remove, RemoveAll, SearchRequest, Write
from catalog.search.errors import SearchUnavailable, WriterBusy
from catalog.search.tantivy_engine import TantivySearch
from catalog.search.tantivy_writer import TantivyWriter
from tests.contracts.search_engine import OpenEngine, SearchEngineContract, image, write

#: Writes batches of ten images in a process of its own, and says the number of each that was written.
WRITING = """
import asyncio, sys
from pathlib import Path
from catalog.search.engine import Write
from catalog.search.tantivy_writer import TantivyWriter
from tests.contracts.search_engine import image

async def main():
    writer = await TantivyWriter.open(Path(sys.argv[1]))
    batch = int(sys.argv[2])
    print("ready", flush=True)
    while True:
        await writer.apply([Write(image(batch * 10 + n, tags=["even", f"batch{batch}"]), 1) for n in range(10)])
        print(batch, flush=True)
        batch += 1

asyncio.run(main())
"""

#: A writer whose disk is full for a time: a limit on the size of files stands for it.
FULL_DISK = """
import asyncio, resource, sys
from pathlib import Path
from catalog.search.conditions import All, Term
from catalog.search.engine import Write
from catalog.search.errors import SearchUnavailable
from catalog.search.tantivy_engine import TantivySearch
from catalog.search.tantivy_writer import TantivyWriter
from tests.contracts.search_engine import image

async def main():
    directory = Path(sys.argv[1])
    writer, engine = await TantivyWriter.open(directory), TantivySearch(directory)
    await writer.apply([Write(image(1), 1)])
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))
    for _ in range(3):
        try:
            await writer.apply([Write(image(n, tags=["lost"]), 1) for n in range(1, 50)])
        except SearchUnavailable:
            continue
        raise AssertionError("written to a full disk")
    assert await engine.count([All(), Term("tag", "lost")]) == [1, 0]
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await writer.apply([Write(image(n, tags=["kept"]), 1) for n in range(1, 50)])
    assert await engine.count([All(), Term("tag", "kept"), Term("tag", "lost")]) == [49, 49, 0]

asyncio.run(main())
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "search"


@pytest.fixture
async def writer(directory: Path) -> AsyncIterator[TantivyWriter]:
    writer = await TantivyWriter.open(directory)
    yield writer
    await writer.aclose()


@pytest.fixture
async def open_engine(directory: Path) -> AsyncIterator[OpenEngine]:
    opened: list[TantivySearch] = []

    def open_one() -> TantivySearch:
        opened.append(TantivySearch(directory))
        return opened[-1]

    yield open_one
    for engine in opened:
        await engine.aclose()


def generations(directory: Path) -> list[str]:
    """Return the names of all generations that there are."""
    return sorted(entry.name for entry in directory.iterdir() if entry.is_dir() and not entry.is_symlink())


def names(directory: Path) -> list[str]:
    """Return the names of everything in *directory*."""
    return sorted(entry.name for entry in directory.iterdir())


def temporary(directory: Path) -> list[str]:
    """Return the names of files that were to be renamed."""
    return [path.name for path in directory.glob("*/.tmp*")]


class TestTantivy(SearchEngineContract):
    pass


class TestWriters:
    async def test_are_one_at_a_time(self, directory: Path, writer: TantivyWriter) -> None:
        with pytest.raises(WriterBusy):
            await TantivyWriter.open(directory)
        await writer.aclose()
        await (await TantivyWriter.open(directory)).aclose()

    async def test_that_are_killed_lose_no_batch_that_was_applied(
        self, directory: Path, open_engine: OpenEngine
    ) -> None:
        """Each follows the one before at once: no lock is left behind, no half batch, no temporary file for long."""
        engine = open_engine()
        batch = 0
        for turn in range(4):
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", WRITING, str(directory), str(batch)), stdout=asyncio.subprocess.PIPE
            )
            try:
                assert process.stdout is not None
                assert await process.stdout.readline() == b"ready\n"
                for _ in range(3 + turn):
                    batch = int(await process.stdout.readline()) + 1
            finally:
                process.send_signal(signal.SIGKILL)
                rest, _ = await process.communicate()
            if rest.endswith(b"\n"):
                batch = int(rest.split()[-1]) + 1
            total, *written = await engine.count([All(), *(Term("tag", f"batch{each}") for each in range(batch))])
            assert written == [10] * batch
            assert total in (batch * 10, batch * 10 + 10), "the batch that was being written is there wholly, or not"
        writer = await TantivyWriter.open(directory)
        await write(writer, image(10**6))
        assert await engine.count([All()]) == [total + 1]
        assert temporary(directory) == []
        await writer.aclose()

    async def test_go_on_when_a_full_disk_has_room_again(self, directory: Path) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", FULL_DISK, str(directory)), stderr=asyncio.subprocess.PIPE
        )
        _, said = await process.communicate()
        assert process.returncode == 0, said.decode()

    async def test_remove_what_a_dead_one_left(self, directory: Path, writer: TantivyWriter) -> None:
        await write(writer, image(1))
        await (await writer.begin_rebuild()).apply([Write(image(2), 1)])
        await writer.aclose()
        (current,) = [name for name in generations(directory) if (directory / name).samefile(directory / "CURRENT")]
        (directory / current / ".tmpAbC").write_bytes(b"half")
        (directory / "CURRENT.0123").symlink_to("nowhere")
        assert len(generations(directory)) == 2

        again = await TantivyWriter.open(directory)
        assert generations(directory) == [current]
        assert names(directory) == sorted([current, "CURRENT", "lock"])
        assert temporary(directory) == []
        await again.aclose()

    async def test_remember_a_bounded_number_of_removals(
        self, directory: Path, writer: TantivyWriter, open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tantivy_writer, "MOST_TOMBSTONES", 10)
        await writer.apply([Remove(document_id(image(number)), 100 + number) for number in range(25)])
        await writer.apply([Remove(document_id(image(25)), 125)])
        await writer.apply([Remove(document_id(image(26)), 126)])
        await writer.apply([Write(image(number), 50) for number in range(27)])
        engine = open_engine()
        found = {hit.id for hit in (await engine.search(SearchRequest(All(), most=100))).hits}
        forgotten = {document_id(image(number)) for number in range(27)} - {
            document_id(image(number)) for number in range(16, 27)
        }
        assert found == forgotten
        assert await engine.count([Between("pulls")]) == [len(forgotten)]

    async def test_remove_all_that_were_written_before_in_the_batch(
        self, writer: TantivyWriter, open_engine: OpenEngine
    ) -> None:
        await write(writer, image(1, tags=["old"]), version=9)
        await writer.apply(
            [
                Write(image(1, tags=["new"]), 10),
                Write(image(2, tags=["old"]), 10),
                RemoveAll("tag", "old"),
                Write(image(2, tags=["newer"]), 1),
            ]
        )
        counted = await open_engine().count([Term("tag", tag) for tag in ("old", "new", "newer")])
        assert counted == [0, 1, 1]


class TestReaders:
    async def test_without_an_index_say_so(self, directory: Path, open_engine: OpenEngine) -> None:
        engine = open_engine()
        for answer in (
            engine.search(SearchRequest(All())),
            engine.count([All()]),
            engine.counts("tag", ["a"], All()),
            engine.documents(["a"]),
        ):
            with pytest.raises(SearchUnavailable):
                await answer
        writer = await TantivyWriter.open(directory)
        assert await engine.count([All()]) == [0]
        await writer.aclose()

    async def test_of_an_index_that_was_deleted_say_so_until_it_is_rebuilt(
        self, directory: Path, writer: TantivyWriter, open_engine: OpenEngine
    ) -> None:
        """An answer from what is gone would be wrong, and so would be an empty one."""
        engine = open_engine()
        await write(writer, image(1))
        assert await engine.count([All()]) == [1]
        shutil.rmtree(directory)
        with pytest.raises(SearchUnavailable):
            await engine.count([All()])
        with pytest.raises(SearchUnavailable):
            await write(writer, image(2))
        rebuild = await writer.begin_rebuild()
        await rebuild.apply([Write(image(1), 1), Write(image(2), 1)])
        with pytest.raises(SearchUnavailable):
            await engine.count([All()])
        await rebuild.finish()
        assert await engine.count([All()]) == [2]
        await write(writer, image(3))
        assert await engine.count([All()]) == [3]

    async def test_of_an_index_whose_files_were_deleted_say_so(
        self, directory: Path, writer: TantivyWriter, open_engine: OpenEngine
    ) -> None:
        await write(writer, image(1))
        for file in (directory / "CURRENT").iterdir():
            file.unlink()
        with pytest.raises(SearchUnavailable):
            await open_engine().count([All()])

    async def test_wait_for_the_rebuild_where_there_are_images_already(
        self, directory: Path, open_engine: OpenEngine
    ) -> None:
        writer = await TantivyWriter.open(directory, create=False)
        engine = open_engine()
        with pytest.raises(SearchUnavailable):
            await engine.count([All()])
        with pytest.raises(SearchUnavailable):
            await write(writer, image(1))
        rebuild = await writer.begin_rebuild()
        await rebuild.apply([Write(image(1), 1)])
        await rebuild.finish()
        assert await engine.count([All()]) == [1]
        await writer.aclose()

    async def test_do_not_ask_an_index_of_other_fields(
        self, directory: Path, writer: TantivyWriter, open_engine: OpenEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await write(writer, image(1))
        await writer.aclose()
        monkeypatch.setattr(tantivy_generations, "fingerprint", lambda: "another")
        later, engine = await TantivyWriter.open(directory), open_engine()
        with pytest.raises(SearchUnavailable, match="another version"):
            await engine.count([All()])
        with pytest.raises(SearchUnavailable):
            await write(later, image(2))
        rebuild = await later.begin_rebuild()
        await rebuild.apply([Write(image(2), 1)])
        await rebuild.finish()
        assert await engine.count([All()]) == [1]
        assert len(generations(directory)) == 1
        await later.aclose()

    async def test_follow_the_pointer(self, directory: Path, writer: TantivyWriter, open_engine: OpenEngine) -> None:
        """Ten rebuilds under questions: each answer is of one of them, and none is an error."""
        engine = open_engine()
        await write(writer, image(0))
        finished = asyncio.Event()
        seen: set[int] = set()

        async def watch() -> None:
            while not finished.is_set():
                seen.update(await engine.count([All()]))

        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(watch())
            for size in range(2, 12):
                rebuild = await writer.begin_rebuild()
                await rebuild.apply([Write(image(number), 1) for number in range(size)])
                await rebuild.finish()
                assert await engine.count([All()]) == [size]
            finished.set()
        assert seen <= set(range(1, 12))
        assert len(generations(directory)) == 1
