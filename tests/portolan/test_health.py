"""Readiness: each part's state, seldom asked."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from portolan import health as health_module
from portolan.health import Health


async def good() -> dict[str, object]:
    return {}


async def bad() -> dict[str, object]:
    raise OSError("the disk is gone: /secret/place")


async def test_ready_when_every_part_is(tmp_path: Path) -> None:
    ready, parts = await Health({"database": good, "store": good}, tmp_path / "heartbeat").ready()

    assert ready
    assert parts == {
        "database": {"state": "ready"},
        "store": {"state": "ready"},
        "ingest": {"state": "unknown"},
    }


async def test_one_part_that_fails_is_named_and_its_reason_is_for_the_log_alone(tmp_path: Path) -> None:
    ready, parts = await Health({"database": good, "store": bad}, tmp_path / "heartbeat").ready()

    assert not ready
    assert parts["store"] == {"state": "failing"}
    assert parts["database"] == {"state": "ready"}


async def test_a_part_that_does_not_answer_is_failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "_PATIENCE", 0.05)

    async def hang() -> dict[str, object]:
        await asyncio.sleep(3600)
        return {}

    ready, parts = await Health({"database": hang}, tmp_path / "heartbeat").ready()

    assert not ready
    assert parts["database"] == {"state": "failing"}


async def test_an_answer_is_good_for_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_module, "FRESH", 0.1)
    asked = 0

    async def count() -> dict[str, object]:
        nonlocal asked
        asked += 1
        return {}

    health = Health({"database": count}, tmp_path / "heartbeat")
    for _ in range(10):
        await health.ready()
    assert asked == 1
    await asyncio.sleep(0.12)
    await health.ready()
    assert asked == 2


async def test_a_process_that_was_told_to_stop_is_not_ready(tmp_path: Path) -> None:
    health = Health({"database": good}, tmp_path / "heartbeat")
    assert (await health.ready())[0]

    health.draining = True

    ready, parts = await health.ready()
    assert not ready
    assert parts["web"] == {"state": "stopping"}


async def test_ingest_is_told_of_and_decides_nothing(tmp_path: Path) -> None:
    heartbeat = tmp_path / "heartbeat"
    heartbeat.touch()
    assert (await Health({}, heartbeat).ready()) == (True, {"ingest": {"state": "ready"}})

    an_hour_ago = time.time() - 3600
    os.utime(heartbeat, (an_hour_ago, an_hour_ago))
    assert (await Health({}, heartbeat).ready()) == (True, {"ingest": {"state": "late"}})
