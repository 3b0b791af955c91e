"""From samples to ratios, verdicts and tables."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.rows import GOAL_CLIENTS, GOAL_WEB_PROCESSES, ROWS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.generator import Sample
    from benchmarks.rows import Row

#: From these shares of the machine on, a reader must be told: the generator is measured rather than the server, or
#: something else was running.
GENERATOR_ALARM = 0.5
ELSEWHERE_ALARM = 0.1


@dataclass(frozen=True, slots=True)
class Comparison:
    """Portolan beside distribution in one row: the ratio of their rates in each round, its median and its spread.

    *goal* is None where the combination is only reported. *ratios* is empty where a measurement failed.
    """

    row: Row
    clients: int
    server: str
    rate: float
    other_rate: float
    ratios: tuple[float, ...]
    goal: float | None

    @property
    def ratio(self) -> float:
        return median(self.ratios)

    @property
    def verdict(self) -> str:
        if not self.ratios:
            return "FAILED"
        if self.goal is None:
            return "reported"
        return "reached" if self.ratio >= self.goal else "MISSED"


def compare(samples: Sequence[Sample], servers: dict[str, int], other: str, judged: bool) -> list[Comparison]:
    """Compare each of *servers* (name and number of web processes) with the server named *other*, row by row.

    A ratio is always of two measurements of one round, taken one after the other, so what slows the machine down for
    some minutes slows both. Goals are judged if *judged*.
    """
    comparisons = []
    for clients, row in _combinations(samples):
        theirs = {s.round: s for s in _of(samples, row, clients, other)}
        for server, workers in servers.items():
            ours = {s.round: s for s in _of(samples, row, clients, server)}
            failed = any(s.error for s in (*ours.values(), *theirs.values()))
            pairs = [] if failed else [(ours[n].rate, theirs[n].rate) for n in sorted(ours.keys() & theirs.keys())]
            goal = row.goal if judged and clients == GOAL_CLIENTS and workers == GOAL_WEB_PROCESSES else None
            comparisons.append(
                Comparison(
                    row, clients, server,
                    rate=median(pair[0] for pair in pairs) if pairs else 0,
                    other_rate=median(pair[1] for pair in pairs) if pairs else 0,
                    ratios=tuple(a / b for a, b in pairs), goal=goal,
                )
            )  # fmt: skip
    return comparisons


def comparison_table(comparisons: Sequence[Comparison], other: str) -> str:
    """The table of ratios and verdicts, in Markdown."""
    lines = _header(
        "row", "clients", "server", "its rate", f"rate of {other}", "ratio (lowest–highest)", "goal", "verdict"
    )
    for c in comparisons:
        spread = f"{c.ratio:.2f} ({min(c.ratios):.2f}–{max(c.ratios):.2f})" if c.ratios else "–"
        goal = "–" if c.goal is None else f"≥ {c.goal:.1f}"
        lines.append(
            _line(
                c.row.title,
                c.clients,
                c.server,
                _rate(c.row, c.rate),
                _rate(c.row, c.other_rate),
                spread,
                goal,
                c.verdict,
            )
        )
    return "\n".join(lines)


def detail_table(samples: Sequence[Sample], servers: Sequence[str]) -> str:
    """What each server did in each row, medians over the rounds (of memory the largest), in Markdown."""
    lines = _header(
        "row", "clients", "server", "rate", "p50 ms", "p95 ms", "p99 ms", "server CPU ms/operation", "peak MiB",
        "CPU: server", "generator", "elsewhere", "operations",
    )  # fmt: skip
    for clients, row in _combinations(samples):
        for server in servers:
            good = [s for s in _of(samples, row, clients, server) if not s.error]
            if not good:
                lines.append(_line(row.title, clients, server, "failed", *[""] * 9))
                continue

            def middle(value: Callable[[Sample], float], good: Sequence[Sample] = good) -> float:
                return median(value(s) for s in good)

            lines.append(
                _line(
                    row.title, clients, server, _rate(row, middle(lambda s: s.rate)),
                    _milliseconds(middle(lambda s: s.p50)), _milliseconds(middle(lambda s: s.p95)),
                    _milliseconds(middle(lambda s: s.p99)), _milliseconds(middle(lambda s: s.server_cpu)),
                    f"{max(s.server_memory for s in good) / 2**20:.0f}",
                    f"{middle(lambda s: s.server_share):.0%}", f"{middle(lambda s: s.generator_share):.0%}",
                    f"{middle(lambda s: s.elsewhere_share):.0%}", f"{sum(s.operations for s in good):,}",
                )
            )  # fmt: skip
    return "\n".join(lines)


def remarks(samples: Sequence[Sample]) -> list[str]:
    """What a reader must know before believing the tables."""
    said = [
        f"{s.row}, {_number(s.clients)}, {s.server}, round {s.round + 1} failed: {s.error}" for s in samples if s.error
    ]
    for clients, row in _combinations(samples):
        good = [s for s in samples if s.row == row.name and s.clients == clients and not s.error]
        for name, alarm, text in (
            ("generator_share", GENERATOR_ALARM, "the load generator itself took"),
            ("elsewhere_share", ELSEWHERE_ALARM, "something other than server and generator took"),
        ):
            highest = max((getattr(s, name) for s in good), default=0)
            if highest > alarm:
                said.append(f"{row.title}, {_number(clients)}: {text} up to {highest:.0%} of the machine's processors")
        if reconnects := sum(s.reconnects for s in good):
            said.append(
                f"{row.title}, {_number(clients)}: servers closed {reconnects} connections that were to be kept"
            )
    return said


def verdicts(comparisons: Sequence[Comparison]) -> list[str]:
    """One line for each row that has a goal, and their count."""
    judged = [c for c in comparisons if c.goal is not None]
    lines = []
    for c in judged:
        measured = f"{c.ratio:.2f} × (lowest round {min(c.ratios):.2f})" if c.ratios else "no ratio"
        lines.append(f"{c.verdict:8} {c.row.title}: {measured}, goal {c.goal:.1f} ×")
    if judged:
        lines.append(f"{sum(c.verdict == 'reached' for c in judged)} of {len(judged)} goals reached")
    return lines


def _combinations(samples: Sequence[Sample]) -> list[tuple[int, Row]]:
    measured = {(s.clients, s.row) for s in samples}
    numbers = sorted({s.clients for s in samples}, reverse=True)
    return [(clients, row) for clients in numbers for row in ROWS if (clients, row.name) in measured]


def _of(samples: Sequence[Sample], row: Row, clients: int, server: str) -> list[Sample]:
    return [s for s in samples if (s.row, s.clients, s.server) == (row.name, clients, server)]


def _number(clients: int) -> str:
    return "1 client" if clients == 1 else f"{clients} clients"


def _rate(row: Row, rate: float) -> str:
    if not rate:
        return "–"
    return f"{rate / 1e6:,.0f} MB/s" if row.large else f"{rate:,.0f}/s"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:,.{0 if seconds >= 0.1 else 1 if seconds >= 0.01 else 2 if seconds >= 0.001 else 3}f}"


def _header(*cells: str) -> list[str]:
    return [_line(*cells), _line(*["---"] * len(cells))]


def _line(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |"
