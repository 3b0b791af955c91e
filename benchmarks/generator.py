"""The load generator: how it is built, and one run of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import processes
from benchmarks.rows import LARGE

if TYPE_CHECKING:
    from benchmarks.rows import Row
    from benchmarks.servers import Server
    from benchmarks.tokens import Wallet

SOURCE = Path(__file__).with_name("load")

#: Small rows are warmed for this long, in seconds, so that every cache has what it would have after a minute. Rows of
#: large blobs are not: an operation of theirs is long enough to show the same.
_WARM = 0.3

#: What a measurement may take beyond its time before it counts as failed, in seconds: clients finish what they began.
_LIMIT = 300


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement of one row on one server.

    *rate* is in operations a second, of a large row in bytes a second. Latencies are of an operation, in seconds, as is
    *server_cpu*; *server_memory* is in bytes. The shares are parts of all the machine's processor time in that period:
    the server's, the generator's own, and that of anything else.
    """

    row: str
    clients: int
    server: str
    round: int
    error: str = ""
    rate: float = 0.0
    operations: int = 0
    seconds: float = 0.0
    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    slowest: float = 0.0
    server_cpu: float = 0.0
    server_memory: int = 0
    server_share: float = 0.0
    generator_share: float = 0.0
    elsewhere_share: float = 0.0
    reconnects: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What all measurements of a run have in common.

    *seed* names the content that servers are filled with. With *hash_large* the generator verifies large blobs by their
    digest instead of comparing them byte for byte with what was pushed.
    """

    seed: str
    seconds: float
    large_bytes: int = LARGE
    chunk_bytes: int = 16 << 20
    tags: int = 1000
    hash_large: bool = False


class Generator:
    """The built load generator, which does one job in each process."""

    def __init__(self, program: Path, plan: Plan) -> None:
        self._program = program
        self._plan = plan
        self._samples = 0

    def prepare(self, name: str, server: Server, wallet: Wallet, repository: str) -> None:
        """Fill *server* with what the preparation *name* says."""
        job = self._job(name, server, repository, wallet.tokens(1, repository, "pull,push"))
        done = subprocess.run([self._program], input=_line(job), capture_output=True, check=False)
        answer = json.loads(done.stdout or b"{}")
        if done.returncode:
            raise SystemExit(
                f"{server.name} could not be filled ({name}): {answer.get('error') or done.stderr.decode()}"
            )

    def measure(self, row: Row, server: Server, wallet: Wallet, clients: int, number: int) -> Sample:
        """Measure *row* on *server* once, in round *number*."""
        job = self._job(row.name, server, row.repository, wallet.tokens(clients, row.repository, row.actions))
        job["warm_seconds"] = 0 if row.large else _WARM
        os.sync()  # what was written before is not to be written at this measurement's cost
        with subprocess.Popen([self._program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(_line(job))
            process.stdin.flush()
            answer = json.loads(process.stdout.readline() or "{}")
            if answer.get("event") != "ready":
                return Sample(row.name, clients, server.name, number, error=answer.get("error", "the generator died"))
            processes.reset_peak_memory(server.pid)
            machine, used = processes.machine_seconds(), processes.cpu_seconds(server.pid)
            process.stdin.write(b"go\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline() or "{}")
            # What the generator does from here on is to check what was pushed.
            used, machine = processes.cpu_seconds(server.pid) - used, processes.machine_seconds() - machine
            memory = processes.peak_memory(server.pid)
            result = json.loads(process.stdout.readline() or "{}") if answer.get("event") == "measured" else answer
        if process.returncode or not result.get("operations"):
            return Sample(row.name, clients, server.name, number, error=result.get("error", "the generator died"))
        capacity = result["seconds"] * (os.cpu_count() or 1)
        return Sample(
            row=row.name,
            clients=clients,
            server=server.name,
            round=number,
            rate=(result["bytes"] if row.large else result["operations"]) / result["seconds"],
            operations=result["operations"],
            seconds=result["seconds"],
            p50=result["p50"],
            p95=result["p95"],
            p99=result["p99"],
            slowest=result["slowest"],
            server_cpu=used / result["operations"],
            server_memory=memory,
            server_share=used / capacity,
            generator_share=result["generator_cpu_seconds"] / capacity,
            elsewhere_share=max(machine - used - result["generator_cpu_seconds"], 0) / capacity,
            reconnects=result["reconnects"],
        )

    def _job(self, name: str, server: Server, repository: str, tokens: list[str]) -> dict[str, Any]:
        self._samples += 1
        return {
            "row": name,
            "address": server.address,
            "repository": repository,
            "tokens": tokens,
            "seed": self._plan.seed,
            "seconds": self._plan.seconds,
            "limit_seconds": self._plan.seconds + _LIMIT,
            "large_bytes": self._plan.large_bytes,
            "chunk_bytes": self._plan.chunk_bytes,
            "tags": self._plan.tags,
            "hash_large": self._plan.hash_large,
            "sample": self._samples,
        }


def build(directory: Path) -> Path:
    """Build the load generator into *directory*, from the standard library alone."""
    go = shutil.which("go")
    if go is None:
        raise SystemExit("the load generator is written in Go: put `go` on PATH")
    program = directory / "load"
    directory.mkdir(parents=True, exist_ok=True)
    subprocess.run([go, "build", "-o", program, "."], cwd=SOURCE, env=os.environ | {"CGO_ENABLED": "0"}, check=True)
    return program


def _line(job: dict[str, Any]) -> bytes:
    return json.dumps(job).encode() + b"\n"
