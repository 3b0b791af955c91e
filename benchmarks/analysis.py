"""`portolan analyze` beside Trivy, on one image of this machine's files: `python -m benchmarks.analysis`.

Round by round both read the same OCI layout with nothing in their caches, in turns, and the order changes from round to
round; then Portolan reads a second image that shares nine of ten layers with the first, which it knows by then. It does
so twice: by the command, which is started anew, and in a process whose readers run already, as those of the service do.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks import analysis_image, machine
from benchmarks.processes import machine_seconds, tree
from tests.services.programs import find

_BUILD = Path(__file__).parent.parent / "build" / "analysis"
_POOL = "ingest.reader_process"
_MIB = 1 << 20

#: At least that many times as quick as Trivy; at most as many CPU seconds; a pool process; a second image.
GOAL_WALL, GOAL_CPU, GOAL_MEMORY, GOAL_SECOND = 1.3, 1.0, 250 * _MIB, 0.1


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of a program: seconds of wall and processor time of it and all its processes, and peaks in bytes."""

    program: str
    wall: float
    cpu: float
    #: Of what else the machine did meanwhile, in processors.
    others: float
    peak: int
    pool_peaks: list[int] = field(default_factory=list)
    packages: int = 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; the exit status is 1 only with `--check` and a goal missed."""
    options = _options(arguments)
    trivy = find("trivy")
    if trivy is None:
        raise SystemExit("trivy is not installed: run `bash tests/services/scanners.sh`")
    images = analysis_image.make(options.directory, options.files, options.raw_mb * 1_000_000)
    _say(f"the image has {images.layers} layers, {images.files} files, {images.compressed / 1e6:.0f} MB compressed")
    samples: dict[str, list[Sample]] = {"portolan": [], "trivy": [], "second": []}
    running: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory(prefix="analysis-", dir=options.directory) as work:
        for path in (images.first / "blobs" / "sha256").iterdir():
            path.read_bytes()  # both find it in the page cache
        for number in range(options.rounds):
            for program in ("portolan", "trivy") if number % 2 == 0 else ("trivy", "portolan"):
                cache = Path(work, f"{program}-{number}")
                if program == "trivy":
                    samples[program].append(_trivy(trivy, images.first, cache))
                else:
                    samples[program].append(_portolan(images.first, cache, "portolan"))
                    samples["second"].append(_portolan(images.second, cache, "second"))
                shutil.rmtree(cache)
                _say(f"round {number + 1}, {samples[program][-1]}")
            running.append(_running(images, Path(work, f"running-{number}")))
            _say(f"round {number + 1}, {samples['second'][-1]}, in a running process {running[-1]}")
    return _report(images, samples, running, options)


def _portolan(layout: Path, cache: Path, name: str) -> Sample:
    command = Path(sys.executable).with_name("portolan")
    sample, told = _measured(name, [command, "analyze", f"oci:{layout}", "--json"], {"XDG_CACHE_HOME": str(cache)})
    return Sample(**asdict(sample) | {"packages": len(json.loads(told)["packages"])})


def _running(images: analysis_image.Images, cache: Path) -> tuple[float, float]:
    """Return the seconds of the first image and of the second in one process."""
    cache.mkdir()
    command = [sys.executable, "-m", "benchmarks.analysis_running", cache, images.first, images.second]
    first, second = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    shutil.rmtree(cache)
    return first, second


def _trivy(program: Path, layout: Path, cache: Path) -> Sample:
    options = ["--offline-scan", "--skip-db-update", "--list-all-pkgs", "--format=cyclonedx", "--quiet"]
    command = [program, "image", f"--input={layout}", f"--cache-dir={cache}", *options]
    sample, told = _measured("trivy", command, {"TMPDIR": str(cache)})
    found = [each for each in json.loads(told)["components"] if "purl" in each]
    return Sample(**asdict(sample) | {"packages": len(found)})


def _measured(name: str, command: Sequence[str | Path], variables: dict[str, str]) -> tuple[Sample, bytes]:
    for directory in variables.values():
        Path(directory).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile() as output:
        before, begun = machine_seconds(), time.perf_counter()
        process = subprocess.Popen(command, stdout=output, stdin=subprocess.DEVNULL, env=os.environ | variables)
        watch = _Watch(process.pid)
        watch.start()
        # wait4 tells of the program and of all its processes that it has waited for.
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - begun
        others = machine_seconds() - before
        process.returncode = os.waitstatus_to_exitcode(status)
        watch.ended.set()
        watch.join()
        if process.returncode:
            raise SystemExit(f"{name} exited with {process.returncode}")
        output.seek(0)
        told = output.read()
    cpu = used.ru_utime + used.ru_stime
    peaks = [peak for _, peak in watch.pool.items()]
    return Sample(name, wall, cpu, max(0.0, others - cpu) / wall, watch.peak, peaks), told


class _Watch(threading.Thread):
    """Looks at the peaks of a program's processes, fifty times a second: each tells its own, until it ends."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.ended = threading.Event()
        self.pool: dict[int, int] = {}
        self.peak = 0
        self._pid = pid

    def run(self) -> None:
        while not self.ended.wait(0.02):
            for pid in tree(self._pid):
                try:
                    status = Path(f"/proc/{pid}/status").read_text()
                    command = Path(f"/proc/{pid}/cmdline").read_text()
                except (OSError, UnicodeDecodeError):
                    continue
                peak = next((int(row.split()[1]) << 10 for row in status.splitlines() if row.startswith("VmHWM:")), 0)
                self.peak = max(self.peak, peak)
                if _POOL in command:
                    self.pool[pid] = max(peak, self.pool.get(pid, 0))


def _report(
    images: analysis_image.Images,
    samples: dict[str, list[Sample]],
    running: list[tuple[float, float]],
    options: argparse.Namespace,
) -> int:
    ours, theirs, second = samples["portolan"], samples["trivy"], samples["second"]
    wall = [t.wall / p.wall for p, t in zip(ours, theirs, strict=True)]
    cpu = [p.cpu / t.cpu for p, t in zip(ours, theirs, strict=True)]
    again = [s.wall / p.wall for p, s in zip(ours, second, strict=True)]
    known = [after / before for before, after in running]
    pool = max(peak for each in (*ours, *second) for peak in each.pool_peaks)
    described = machine.describe(options.directory)
    print(", ".join(f"{name}: {value}" for name, value in described.items()))
    print(
        f"{images.layers} layers, {images.files} files, {images.compressed / 1e6:.0f} MB compressed, "
        f"{images.raw / 1e6:.0f} MB in files; the second image's new layer: {images.new / images.compressed:.2%}\n"
    )
    print("| program | wall s | CPU s | largest process MiB | packages | others on the machine, processors |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, of in (("portolan analyze", ours), ("trivy", theirs), ("portolan analyze, second image", second)):
        print(
            f"| {name} | {_spread([s.wall for s in of])} | {_spread([s.cpu for s in of])} "
            f"| {max(s.peak for s in of) >> 20} | {of[0].packages} | {statistics.median(s.others for s in of):.1f} |"
        )
    goals = [
        ("Trivy's wall time by ours", _spread(wall), f"≥ {GOAL_WALL}", statistics.median(wall) >= GOAL_WALL),
        ("our CPU time by Trivy's", _spread(cpu), f"≤ {GOAL_CPU}", statistics.median(cpu) <= GOAL_CPU),
        ("largest pool process", f"{pool >> 20} MiB", f"< {GOAL_MEMORY >> 20} MiB", pool < GOAL_MEMORY),
        (
            f"second image by the first, readers running: {_spread([each for _, each in running])} s by "
            f"{_spread([each for each, _ in running])} s",
            _spread(known),
            f"≤ {GOAL_SECOND}",
            statistics.median(known) <= GOAL_SECOND,
        ),
        (
            "the same by the command, which is started anew",
            _spread(again),
            f"≤ {GOAL_SECOND}",
            statistics.median(again) <= GOAL_SECOND,
        ),
    ]
    print("\n| goal | measured | wanted | |\n| --- | --- | --- | --- |")
    for name, measured, wanted, reached in goals:
        print(f"| {name} | {measured} | {wanted} | {'reached' if reached else 'MISSED'} |")
    if options.json:
        kept = {
            "machine": described,
            "image": asdict(images),
            "running": running,
            "samples": {k: [asdict(s) for s in v] for k, v in samples.items()},
        }
        options.json.write_text(json.dumps(kept, indent=1, default=str) + "\n")
    return 1 if options.check and not all(reached for *_, reached in goals) else 0


def _spread(values: Sequence[float]) -> str:
    """Write the median, and the lowest and the highest."""
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.analysis", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="rounds, an odd number (3)")
    parser.add_argument("--directory", type=Path, default=_BUILD, help="where the images are made and kept")
    parser.add_argument("--files", type=int, default=analysis_image.FILES, help="smaller images, for trying things out")
    parser.add_argument("--raw-mb", type=int, default=analysis_image.RAW_BYTES // 1_000_000, help="their size in MB")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything that was measured")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a goal is missed")
    return parser.parse_args(arguments)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
