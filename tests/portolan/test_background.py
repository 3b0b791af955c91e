"""The ingest process: its chores on real rows and bytes, its sign of life, and that one of several works."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path

import pytest

from cas import RepositoryName, UploadId
from catalog.content import Content
from ingest.limits import ReadLimits
from portolan import app, background, first_steps
from portolan.metrics import Figures
from portolan.settings import Settings
from tests.conftest import StartPortolan
from tests.services.processes import wait_until

NAME = RepositoryName.parse("ada/app")


@pytest.fixture
async def settings(tmp_path: Path) -> Settings:
    made = Settings.load({"PORTOLAN_DATA": str(tmp_path / "data"), "PORTOLAN_UPLOAD_EXPIRY": "1h"})
    await first_steps.take(made)
    return made


@pytest.fixture
async def foundations(settings: Settings) -> AsyncIterator[app.Foundations]:
    async with app.foundations(settings) as opened:
        yield opened


def test_every_limit_is_a_setting_or_given_by_a_format() -> None:
    given = {"header", "path", "ratio_from", "window"}
    settings = Settings.load(
        {
            f"PORTOLAN_{name.upper()}": value
            for name, value in {
                "layer_size_limit": "1GiB",
                "layer_ratio_limit": "100",
                "layer_entries_limit": "2000",
                "layer_names_limit": "2MiB",
                "layer_holes_limit": "3MiB",
                "layer_text_limit": "4KiB",
                "layer_time_limit": "5s",
                "package_file_limit": "6MiB",
                "package_files_limit": "7MiB",
                "packages_limit": "9000",
                "package_list_limit": "10MiB",
                "package_list_files_limit": "11000",
                "placed_files_limit": "12",
                "squash_time_limit": "8s",
            }.items()
        }
    )
    usual, set_here = asdict(ReadLimits()), asdict(background.read_limits(settings))
    assert {name for name, value in set_here.items() if value == usual[name]} == given
    assert background.read_limits(Settings.load({})) == ReadLimits()


async def one_piece(content: bytes) -> AsyncIterator[bytes]:
    yield content


def age(root: Path, seconds: float) -> None:
    """Make everything below *root* look as if it had last been changed so many *seconds* ago."""
    then = time.time() - seconds
    for path in root.rglob("*"):
        os.utime(path, (then, then))


async def do(settings: Settings, foundations: app.Foundations, name: str) -> None:
    (chore,) = [each for each in await background.chores(settings, foundations) if each.name == name]
    await chore.work()


async def test_bytes_that_no_session_names_go_when_they_are_old(
    settings: Settings, foundations: app.Foundations
) -> None:
    """A request that a crash cut off leaves such."""
    old, new = UploadId.new(), UploadId.new()
    await foundations.store.append(old, 0, one_piece(b"left behind"))
    age(settings.store / "uploads", 2 * 3600)
    await foundations.store.append(new, 0, one_piece(b"just now"))

    await do(settings, foundations, "expire uploads")

    assert await foundations.store.size(old) == 0
    assert await foundations.store.size(new) == 8


async def test_a_session_that_is_in_use_stays(settings: Settings, foundations: app.Foundations) -> None:
    content = Content(foundations.database, foundations.store)
    upload = await content.begin(NAME, "somebody")
    await content.append(NAME, upload, "somebody", 0, one_piece(b"a chunk"))

    await do(settings, foundations, "expire uploads")

    assert await content.size(NAME, upload, "somebody") == 7


async def test_every_chore_can_be_done_when_there_is_nothing_to_do(
    settings: Settings, foundations: app.Foundations
) -> None:
    for chore in await background.chores(settings, foundations):
        assert chore.interval > 0
        await chore.work()
        await chore.work()


async def test_one_process_works_and_another_stands_by(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    at_work: asyncio.Queue[asyncio.Task[None] | None] = asyncio.Queue()

    async def work(*_: object) -> None:
        await at_work.put(asyncio.current_task())
        await asyncio.sleep(3600)

    monkeypatch.setattr(background, "run_chores", work)
    async with app.foundations(settings) as opened, asyncio.timeout(30):
        both = {asyncio.create_task(background._work(settings, opened, Figures())) for _ in range(2)}
        first = await at_work.get()
        await asyncio.sleep(0.3)
        assert at_work.empty()

        assert first is not None
        first.cancel()
        assert {await at_work.get()} == both - {first}
        for task in both:
            task.cancel()
        await asyncio.wait(both)


def test_the_process_gives_signs_of_life_and_ends_on_sigterm(start_portolan: StartPortolan) -> None:
    service = start_portolan()
    heartbeat = service.data / "run" / "ingest.heartbeat"
    wait_until(heartbeat.exists, 20, "the first sign of life")
    assert service.stop() == 0


def test_the_process_alone_runs_beside_web_processes(start_portolan: StartPortolan, tmp_path: Path) -> None:
    web = start_portolan(command=("web",), directory=tmp_path)
    ingest = subprocess.Popen([sys.executable, "-m", "portolan", "ingest"], env=web.environment)
    try:
        wait_until(lambda: web.readiness()["parts"]["ingest"]["state"] == "ready", 30, "its first sign of life")
    finally:
        ingest.terminate()
        assert ingest.wait(30) == 0
