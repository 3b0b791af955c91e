"""Portolan beside distribution, measured in one run: `python -m benchmarks.registry`.

Both servers are up from the start and only the one being measured receives load. Round by round and row by row they
take turns, and the order changes from round to round.
"""

from __future__ import annotations

import argparse
import json
import re
import secrets
import shutil
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import generator, machine, report, servers
from benchmarks.rows import LARGE, PREPARATIONS, ROWS
from benchmarks.tokens import Issuer, OwnIssuer, Wallet

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.generator import Sample
    from benchmarks.rows import Row
    from benchmarks.servers import Server

_CACHE = Path(__file__).parent.parent / ".cache" / "benchmarks"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit status is 1 only with `--check` and a goal missed or a measurement failed."""
    options = _options(arguments)
    rows = [row for row in ROWS if re.search(options.rows, row.name)]
    if not rows:
        raise SystemExit(f"no row matches {options.rows!r}; there are: {', '.join(row.name for row in ROWS)}")
    program = generator.build(_CACHE)
    options.directory.mkdir(parents=True, exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="registry-", dir=options.directory))
    described = machine.describe(directory)
    if described["file system"] in ("tmpfs", "ramfs"):
        _say("WARNING: this directory is in memory, where synchronising costs nothing. Choose another --directory.")
    try:
        with ExitStack() as stack:
            run = Run(stack, program, directory, options)
            run.prepare(rows)
            run.measure(rows)
    finally:
        if options.keep:
            _say(f"kept: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    return _report(run, options, described)


class Run:
    """The servers of one run, and what was measured of them."""

    def __init__(self, stack: ExitStack, program: Path, directory: Path, options: argparse.Namespace) -> None:
        self.samples: list[Sample] = []
        self.portolans: dict[str, int] = {}
        self.servers: list[tuple[Server, Wallet]] = []
        self._options = options
        self._seeded: dict[str, set[Path]] = {}
        plan = generator.Plan(
            secrets.token_hex(8),
            options.seconds,
            options.large_mib << 20,
            tags=options.tags,
            hash_large=options.hash_large,
        )
        self._large_bytes = plan.large_bytes
        self._generator = generator.Generator(program, plan)
        issuer: Issuer = OwnIssuer()
        if not options.distribution_only:
            # The first Portolan is the hub that distribution trusts, so both verify tokens of one issuer.
            for workers in reversed(options.web_workers):
                server, issuer = stack.enter_context(servers.portolan(directory / f"portolan-{workers}", workers))
                self.portolans[server.name] = workers
                self.servers.insert(0, (server, Wallet(issuer)))
        if not options.portolan_only:
            other = stack.enter_context(servers.distribution(directory / "distribution", issuer))
            self.servers.append((other, Wallet(issuer)))

    def prepare(self, rows: Sequence[Row]) -> None:
        """Fill all servers with the same content, as far as *rows* read it."""
        for server, wallet in self.servers:
            for name, repository, needed_by in PREPARATIONS:
                if needed_by is None or any(row.name == needed_by for row in rows):
                    _say(f"{server.name}: {name}")
                    self._generator.prepare(name, server, wallet, repository)
            self._seeded[server.name] = server.blobs_of_size(self._large_bytes)

    def measure(self, rows: Sequence[Row]) -> None:
        """Measure all rounds: the outermost loop, so that a disturbance of minutes spoils one round and no median."""
        for number in range(self._options.rounds):
            turn = number % len(self.servers)
            for clients in self._options.clients:
                for row in rows:
                    for server, wallet in self.servers[turn:] + self.servers[:turn]:
                        sample = self._generator.measure(row, server, wallet, clients, number)
                        self.samples.append(sample)
                        rate = (
                            sample.error
                            or f"{sample.rate / (1e6 if row.large else 1):,.0f} {'MB' if row.large else ''}/s"
                        )
                        _say(f"round {number + 1}, {clients} clients, {row.title}, {server.name}: {rate}")
                        if row.large:
                            self._remove_large_blobs(server)

    def _remove_large_blobs(self, server: Server) -> None:
        """Make room after a push of large blobs: a run writes more of them than many disks hold.

        They are taken away behind the server's back, at once and for nothing. Nobody asks for them again.
        """
        for path in server.blobs_of_size(self._large_bytes) - self._seeded[server.name]:
            path.unlink(missing_ok=True)


def _report(run: Run, options: argparse.Namespace, described: dict[str, str]) -> int:
    comparisons = []
    if run.portolans and not options.portolan_only:
        comparisons = report.compare(
            run.samples, run.portolans, "distribution", judged=options.large_mib << 20 == LARGE
        )
    print(", ".join(f"{name}: {value}" for name, value in described.items()))
    print(
        f"{options.rounds} rounds, {options.seconds:g} s each; rates, latencies and shares are medians of the rounds.\n"
    )
    if comparisons:
        print(report.comparison_table(comparisons, "distribution"), end="\n\n")
    print(report.detail_table(run.samples, [server.name for server, _ in run.servers]), end="\n\n")
    for line in (*report.remarks(run.samples), *report.verdicts(comparisons)):
        print(line)
    if options.json:
        ratios = [
            {
                "row": c.row.name,
                "clients": c.clients,
                "server": c.server,
                "ratio": c.ratio if c.ratios else None,
                "ratios": c.ratios,
                "goal": c.goal,
                "verdict": c.verdict,
            }
            for c in comparisons
        ]
        content = {"machine": described, "comparisons": ratios, "samples": [asdict(sample) for sample in run.samples]}
        options.json.write_text(json.dumps(content, indent=1) + "\n")
    failed = any(s.error for s in run.samples) or any(c.verdict in ("MISSED", "FAILED") for c in comparisons)
    return 1 if options.check and failed else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.registry", description=__doc__)
    parser.add_argument("--rows", default="", metavar="REGEX", help="measure only the rows whose name matches")
    parser.add_argument("--clients", type=_numbers, default=[16, 1], metavar="N,…", help="numbers of clients (16,1)")
    parser.add_argument(
        "--web-workers", type=_numbers, default=[1, 2], metavar="N,…", help="Portolan's web processes (1,2)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds, an odd number (3)")
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement (3)")
    parser.add_argument(
        "--directory", type=Path, default=_CACHE, help="where both servers keep their data: on a real disk"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument("--keep", action="store_true", help="keep the servers' data and logs")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a goal is missed or a measurement fails")
    alone = parser.add_mutually_exclusive_group()
    alone.add_argument("--portolan-only", action="store_true", help="without distribution, and so without ratios")
    alone.add_argument("--distribution-only", action="store_true", help="without Portolan: how quiet is this machine?")
    parser.add_argument("--large-mib", type=int, default=256, help="size of large blobs; the goals are for 256 alone")
    parser.add_argument(
        "--hash-large", action="store_true", help="verify large blobs by digest (costs the generator more)"
    )
    parser.add_argument("--tags", type=int, default=1000, help="length of the list of tags")
    return parser.parse_args(arguments)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
