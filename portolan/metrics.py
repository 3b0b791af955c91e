"""Figures for Prometheus: gathered as plain numbers, added up over the processes when somebody asks.

Counting a request costs less than a microsecond: a look-up and a few additions in this process's own memory. About once
a second each web process writes its figures to a file of its own in a directory that the processes of one `serve`
share; whoever is asked adds the files up. A process that died leaves its file, so that counters never fall. (The files
of prometheus-client's multi-process mode are mapped into memory: a write to such a page on a full disk ends the
process, and each count costs several times as much.)
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from prometheus_client.core import Metric

#: Upper bounds of a duration's buckets, in seconds.
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
#: Seconds between two writings of a process's figures.
EVERY = 1.0
#: Seconds between two looks at how late the event loop is.
_LAG_EVERY = 0.25


class Timing(msgspec.Struct):
    """Durations of one kind of thing: how many, their sum in seconds, and how many fell into each bucket."""

    count: int = 0
    seconds: float = 0.0
    buckets: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BOUNDS) + 1))

    def add(self, seconds: float) -> None:
        """Count one."""
        self.count += 1
        self.seconds += seconds
        self.buckets[bisect_left(BOUNDS, seconds)] += 1

    def merge(self, other: Timing) -> None:
        """Add what another process counted."""
        self.count += other.count
        self.seconds += other.seconds
        self.buckets = [mine + theirs for mine, theirs in zip(self.buckets, other.buckets, strict=True)]


class Figures(msgspec.Struct):
    """What one process has counted since it started."""

    #: By "route method class", such as ``manifest GET 2xx``.
    requests: dict[str, Timing] = {}
    received: int = 0
    sent: int = 0
    writes: Timing = msgspec.field(default_factory=Timing)
    failed_writes: int = 0
    loop_lag: Timing = msgspec.field(default_factory=Timing)
    exceptions: int = 0
    #: Of layers that could be read, and of those that could not.
    layers: Timing = msgspec.field(default_factory=Timing)
    failed_layers: Timing = msgspec.field(default_factory=Timing)

    def request(self, route: str, method: str, status: int) -> Timing:
        """Return where requests of one kind are counted: look it up once, keep it."""
        return self.requests.setdefault(f"{route} {method} {status // 100}xx", Timing())

    def merge(self, other: Figures) -> None:
        """Add what another process counted."""
        for key, timing in other.requests.items():
            self.requests.setdefault(key, Timing()).merge(timing)
        self.received += other.received
        self.sent += other.sent
        self.writes.merge(other.writes)
        self.failed_writes += other.failed_writes
        self.loop_lag.merge(other.loop_lag)
        self.exceptions += other.exceptions
        self.layers.merge(other.layers)
        self.failed_layers.merge(other.failed_layers)


class Metrics:
    """The figures of this process, and the way to those of all."""

    def __init__(self, directory: Path | None = None) -> None:
        """Share figures through *directory*; None keeps them to this process."""
        self.figures = Figures()
        self._own = None if directory is None else directory / f"{os.getpid()}-{secrets.token_hex(4)}.json"

    async def keep(self) -> None:
        """Measure the event loop's lag and write the figures down now and then; ends when it is cancelled."""
        written = time.monotonic()
        try:
            while True:
                asleep = time.monotonic()
                await asyncio.sleep(_LAG_EVERY)
                now = time.monotonic()
                self.figures.loop_lag.add(max(0.0, now - asleep - _LAG_EVERY))
                if now - written >= EVERY:
                    self.write()
                    written = now
        finally:
            self.write()

    def write(self) -> None:
        """Write this process's figures where the others find them; no room for them is no reason to fail."""
        if self._own is not None:
            beside = self._own.with_suffix(".new")
            with suppress(OSError):
                beside.write_bytes(msgspec.json.encode(self.figures))
                beside.replace(self._own)

    def total(self) -> Figures:
        """Add up all processes."""
        total = Figures()
        total.merge(self.figures)
        if self._own is not None:
            for path in self._own.parent.glob("*.json"):
                if path != self._own:
                    with suppress(OSError, msgspec.MsgspecError):
                        total.merge(msgspec.json.decode(path.read_bytes(), type=Figures))
        return total

    def exposition(self, jobs: Mapping[str, int] | None = None) -> tuple[bytes, str]:
        """Return the figures of all processes in Prometheus's text format, and its media type; *jobs* are those that
        the database has at this moment, by their state."""
        from prometheus_client import CollectorRegistry
        from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

        registry = CollectorRegistry()
        registry.register(_Collector(self.total(), jobs or {}))
        return generate_latest(registry), CONTENT_TYPE_LATEST


class _Collector:
    """Names the figures."""

    def __init__(self, total: Figures, jobs: Mapping[str, int]) -> None:
        self._total = total
        self._jobs = jobs

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        total = self._total
        seconds = HistogramMetricFamily(
            "portolan_request_duration_seconds",
            "Time from a request's first byte to its response's last.",
            labels=["route", "method", "status"],
        )
        for key, timing in sorted(total.requests.items()):
            seconds.add_metric(key.split(" "), _cumulative(timing), timing.seconds)
        yield seconds
        yield CounterMetricFamily("portolan_received_bytes", "Bytes of request bodies.", value=total.received)
        yield CounterMetricFamily("portolan_sent_bytes", "Bytes of response bodies.", value=total.sent)
        yield CounterMetricFamily(
            "portolan_unexpected_exceptions", "Requests that ended in an error of the program.", value=total.exceptions
        )
        yield CounterMetricFamily(
            "portolan_database_failed_writes", "Transactions that changed nothing.", value=total.failed_writes
        )
        for name, meaning, timing in (
            (
                "portolan_database_write_duration_seconds",
                "Time of a transaction, its wait and its sync to disk included.",
                total.writes,
            ),
            ("portolan_event_loop_lag_seconds", "How late the event loop woke.", total.loop_lag),
        ):
            yield HistogramMetricFamily(name, meaning, buckets=_cumulative(timing), sum_value=timing.seconds)
        layers = HistogramMetricFamily(
            "portolan_layer_reading_duration_seconds", "Time to read a layer and to index it.", labels=["outcome"]
        )
        for outcome, timing in (("read", total.layers), ("failed", total.failed_layers)):
            layers.add_metric([outcome], _cumulative(timing), timing.seconds)
        yield layers
        waiting = GaugeMetricFamily("portolan_ingest_jobs", "Documents that are to be written anew.", labels=["state"])
        for state, count in self._jobs.items():
            waiting.add_metric([state], count)
        yield waiting


def _cumulative(timing: Timing) -> list[tuple[str, float]]:
    return list(zip([*map(str, BOUNDS), "+Inf"], map(float, accumulate(timing.buckets)), strict=True))


def clear(directory: Path) -> None:
    """Forget the figures of processes that are gone; for whoever starts the new ones. No room is no reason to fail."""
    with suppress(OSError):
        directory.mkdir(parents=True, exist_ok=True)
        for path in directory.iterdir():
            path.unlink(missing_ok=True)
