"""The derived area: the contract, and what only files can show."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from cas.derived import DerivedName, DirectoryDerived, MemoryDerived
from cas.errors import DerivedUnknown, InvalidDerivedName, StorageFull
from cas.filesystem import PosixFileSystem
from cas.memory import Bucket
from tests.contracts.derived import DerivedContract, OpenDerived, listed
from tests.power_cut import Recorder, cuts

NAME = DerivedName.parse("facts/1/sha256/ab/abcd")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


def putting(root: Path) -> list[str]:
    return [path.name for path in (root / "derived" / ".putting").iterdir()]


class TestDirectoryDerived(DerivedContract):
    @pytest.fixture
    def open_derived(self, root: Path) -> OpenDerived:
        return lambda: DirectoryDerived(root)


class TestMemoryDerived(DerivedContract):
    @pytest.fixture
    def open_derived(self) -> OpenDerived:
        bucket = Bucket()
        return lambda: MemoryDerived(bucket)


@pytest.mark.parametrize(
    "text",
    ["", "/", "a/", "/a", "a//b", ".", "..", "a/..", "a/.b", "-a", "A", "ä", "a b", "a\n", "a/b\x00", "a" * 256],
)
def test_what_could_lead_elsewhere_is_no_name(text: str) -> None:
    with pytest.raises(InvalidDerivedName):
        DerivedName.parse(text)


async def test_the_layout_is_the_documented_one(root: Path) -> None:
    derived = DirectoryDerived(root)

    await derived.put(NAME, b"facts")

    assert (root / "derived/facts/1/sha256/ab/abcd").read_bytes() == b"facts"
    assert putting(root) == []


async def test_what_is_no_object_is_not_listed(root: Path) -> None:
    derived = DirectoryDerived(root)
    await derived.put(NAME, b"facts")
    (root / "derived" / "facts" / "A NOTE").write_text("left by somebody")
    (root / "derived" / "Other").mkdir()
    (root / "derived" / "Other" / "a").write_text("left by somebody")

    assert await listed(derived, "") == [NAME.text]


async def test_removed_directories_are_made_again(root: Path) -> None:
    derived = DirectoryDerived(root)
    await derived.put(NAME, b"one")
    shutil.rmtree(root / "derived")

    with pytest.raises(DerivedUnknown):
        await derived.get(NAME)
    assert await listed(derived, "") == []
    await derived.put(NAME, b"two")

    assert await derived.get(NAME) == b"two"


async def test_the_whole_area_may_be_removed_while_objects_are_put(root: Path) -> None:
    derived = DirectoryDerived(root)
    done = asyncio.Event()
    removals = 0

    def remove() -> None:
        nonlocal removals
        while not done.is_set():
            shutil.rmtree(root / "derived", ignore_errors=True)
            removals += 1

    removing = asyncio.get_running_loop().run_in_executor(None, remove)
    put = tried = 0
    deadline = time.monotonic() + 60
    try:
        while (tried < 150 or not put or removals < 2) and time.monotonic() < deadline:
            tried += 1
            try:
                await derived.put(DerivedName.parse(f"facts/1/{tried}"), b"x" * 1000)
                put += 1
            except FileNotFoundError:  # removed as fast as it was made
                pass
    finally:
        done.set()
        await removing

    await derived.put(NAME, b"facts")
    assert put > 0
    assert removals > 1
    assert await derived.get(NAME) == b"facts"


# Killed processes and full disks

_PUTS_AND_HANGS = """
import asyncio, sys
from pathlib import Path
from cas.derived import DerivedName, DirectoryDerived
from cas.filesystem import PosixFileSystem

class Hanging(PosixFileSystem):
    def sync(self, file):
        print("putting", flush=True)
        sys.stdin.read()

asyncio.run(DirectoryDerived(Path(sys.argv[1]), Hanging()).put(DerivedName.parse("facts/1/a"), b"half" * 1000))
"""


async def test_what_a_killed_process_left_is_removed_and_what_a_living_one_puts_is_not(root: Path) -> None:
    def start() -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", _PUTS_AND_HANGS, str(root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert process.stdout is not None
        assert process.stdout.readline() == b"putting\n"
        return process

    await DirectoryDerived(root).put(NAME, b"before")
    with start() as killed, start() as living:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert len(putting(root)) == 2

        after = DirectoryDerived(root)
        await after.put(NAME, b"after")

        assert len(putting(root)) == 1
        assert await listed(after, "") == [NAME.text]
        living.communicate(b"")
        assert living.returncode == 0
    assert await listed(after, "") == ["facts/1/a", NAME.text]
    assert putting(root) == []


class SmallDisk(PosixFileSystem):
    """A disk with room for some bytes."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, file: int, pieces: Sequence[bytes]) -> int:
        if self.room == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = super().write(file, [b"".join(pieces)[: self.room]])
        self.room -= taken
        return taken


async def test_a_full_disk_is_told_and_what_was_there_stays(root: Path) -> None:
    disk = SmallDisk(10)
    derived = DirectoryDerived(root, disk)
    await derived.put(NAME, b"before")

    with pytest.raises(StorageFull) as full:
        await derived.put(NAME, b"more than fits")

    assert (full.value.what, full.value.place) == ("the store", str(root))
    assert await derived.get(NAME) == b"before"
    assert putting(root) == []


async def test_a_cancelled_put_is_whole_or_not_there(root: Path) -> None:
    derived = DirectoryDerived(root)
    await derived.put(NAME, b"before")
    task = asyncio.ensure_future(derived.put(NAME, b"after" * 100_000))
    await asyncio.sleep(0)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert await derived.get(NAME) in (b"before", b"after" * 100_000)
    assert putting(root) == []


# Power cuts

OLD, NEW = b"old facts" * 3, b"new facts, which are longer" * 3


async def _torn_or_lost(base: Path, tmp_path: Path, forget: int | None = None) -> tuple[set[str], Recorder]:
    """Put an object twice, cut the power everywhere, and tell what was found that must not be."""
    recorder = Recorder(base, forget)
    derived = DirectoryDerived(base / "store", recorder)
    await derived.put(NAME, OLD)
    recorder.mark("old")
    await derived.put(NAME, NEW)
    recorder.mark("new")
    wrong = set()
    for number, cut in enumerate(cuts(recorder.events)):
        world = tmp_path / f"world-{number}"
        world.mkdir()
        cut.write_to(world)
        after = DirectoryDerived(world / "store")
        try:
            found = await after.get(NAME)
        except DerivedUnknown:
            found = None
        if found not in (None, OLD, NEW):
            wrong.add("torn")
        if ("old" in cut.marks and found is None) or ("new" in cut.marks and found != NEW):
            wrong.add("lost")
        await after.put(NAME, OLD)
        assert await after.get(NAME) == OLD
        shutil.rmtree(world)
    return wrong, recorder


async def test_a_power_cut_leaves_the_old_object_or_the_new_one_whole(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()

    wrong, _ = await _torn_or_lost(base, tmp_path)

    assert wrong == set()


async def test_without_any_one_synchronisation_a_power_cut_would_do_harm(tmp_path: Path) -> None:
    number = 0
    while True:
        base = tmp_path / f"base-{number}"
        base.mkdir()
        wrong, recorder = await _torn_or_lost(base, tmp_path, forget=number)
        if not recorder.forgotten:
            break
        assert wrong, f"nothing is lost without synchronising {recorder.forgotten}"
        number += 1
    assert number > 5
