"""Figures: counted in one process, added up over all."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from database import DatabaseFull, Transaction
from portolan import metrics
from portolan.counted import CountedDatabase
from portolan.metrics import Figures, Metrics


def samples(exposition: bytes) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(exposition.decode())
        for sample in family.samples
    }


def test_durations_fall_into_buckets() -> None:
    figures = Figures()
    for seconds in (0.0005, 0.001, 0.002, 100.0):
        figures.request("manifest", "GET", 200).add(seconds)
    own = Metrics()
    own.figures = figures

    text, media_type = own.exposition()
    found = samples(text)

    assert media_type.startswith("text/plain")
    name = "portolan_request_duration_seconds"
    assert found[f"{name}_bucket", "0.001", "2xx", "GET", "manifest"] == 2
    assert found[f"{name}_bucket", "0.0025", "2xx", "GET", "manifest"] == 3
    assert found[f"{name}_bucket", "+Inf", "2xx", "GET", "manifest"] == 4
    assert found[f"{name}_count", "2xx", "GET", "manifest"] == 4
    assert abs(found[f"{name}_sum", "2xx", "GET", "manifest"] - 100.0035) < 1e-6


def test_whoever_is_asked_tells_of_all(tmp_path: Path) -> None:
    processes = [Metrics(tmp_path) for _ in range(3)]
    for number, process in enumerate(processes, 1):
        process.figures.received = number
        process.figures.request("blob", "HEAD", 200).add(0.001)
        process.write()

    for process in processes:
        found = samples(process.exposition()[0])
        assert found["portolan_received_bytes_total",] == 6
        assert found["portolan_request_duration_seconds_count", "2xx", "HEAD", "blob"] == 3


def test_what_a_process_counted_before_it_died_is_kept_until_the_next_start(tmp_path: Path) -> None:
    died, lives = Metrics(tmp_path), Metrics(tmp_path)
    died.figures.sent = 5
    died.write()

    assert lives.total().sent == 5

    metrics.clear(tmp_path)
    assert lives.total().sent == 0


def test_no_room_and_nonsense_are_no_reason_to_fail(tmp_path: Path) -> None:
    process = Metrics(tmp_path / "missing")
    process.write()
    (tmp_path / "1-x.json").write_bytes(b"half a f")

    assert Metrics(tmp_path).total() == Figures()


async def test_figures_are_written_while_the_process_runs_and_at_its_end(tmp_path: Path) -> None:
    process = Metrics(tmp_path)
    task = asyncio.create_task(process.keep())
    await asyncio.sleep(0.6)
    process.figures.sent = 7
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    total = Metrics(tmp_path).total()
    assert total.sent == 7
    assert total.loop_lag.count >= 1


class OneDatabase:
    """Does what it is asked, or is full."""

    dialect = "sqlite"
    full = False

    async def write(self, work: object) -> str:
        if self.full:
            raise DatabaseFull("portolan.db")
        return "written"

    async def one(self, *_: object, **__: object) -> tuple[int]:
        return (1,)

    async def all(self, *_: object, **__: object) -> list[tuple[int]]:
        return [(1,)]

    async def close(self) -> None:
        return


async def test_transactions_are_counted() -> None:
    figures, inner = Figures(), OneDatabase()
    database = CountedDatabase(inner, figures)  # type: ignore[arg-type]

    async def work(tx: Transaction) -> str:
        raise AssertionError("the database above does not run it")

    assert await database.write(work) == "written"
    inner.full = True
    with pytest.raises(DatabaseFull):
        await database.write(work)
    assert (figures.writes.count, figures.failed_writes) == (1, 1)
