"""Chores: done again and again, each for itself."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable

import pytest

from ingest import periodic
from ingest.periodic import Chore, run_chores


async def ours() -> None:
    """Nobody else has taken over."""


async def run_for(seconds: float, *chores: Chore, still_ours: Callable[[], Awaitable[None]] = ours) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(run_chores(chores, still_ours), seconds)


async def test_a_chore_is_done_at_once_and_then_at_its_interval() -> None:
    times: list[float] = []

    async def work() -> None:
        times.append(asyncio.get_running_loop().time())

    await run_for(0.35, Chore("count", 0.1, work))

    assert 3 <= len(times) <= 4
    assert all(0.08 < later - earlier < 0.2 for earlier, later in itertools.pairwise(times))


async def test_one_that_fails_is_logged_tried_again_and_stops_no_other(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(periodic, "FIRST_RETRY", 0.02)
    failed = done = 0

    async def fail() -> None:
        nonlocal failed
        failed += 1
        raise ValueError("no luck")

    async def succeed() -> None:
        nonlocal done
        done += 1

    await run_for(0.3, Chore("fails", 0.1, fail), Chore("works", 0.05, succeed))

    assert failed >= 3
    assert done >= 4
    assert "the chore 'fails' failed" in caplog.text


async def test_a_retry_comes_sooner_than_the_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(periodic, "FIRST_RETRY", 0.02)
    attempts = 0

    async def fail_once() -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise ValueError("no luck")

    await run_for(0.2, Chore("once", 3600, fail_once))

    assert attempts == 2


async def test_losing_the_lock_ends_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process does the chores from then on; this one is started anew and waits for its turn."""
    asked = 0

    async def lost() -> None:
        nonlocal asked
        asked += 1
        if asked > 2:
            raise ConnectionError("the session is gone")

    async def work() -> None:
        pass

    with pytest.raises(ExceptionGroup) as ended:
        await run_chores([Chore("one", 0.01, work), Chore("other", 3600, work)], lost)

    assert ended.group_contains(ConnectionError)
