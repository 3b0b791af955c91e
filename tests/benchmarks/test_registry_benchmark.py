"""The registry benchmark itself works: its generator is sound, and one tiny round passes. Nothing here is timed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import registry
from benchmarks.generator import SOURCE
from benchmarks.rows import ROWS

needs_go = pytest.mark.skipif(
    shutil.which("go") is None, reason="the load generator is written in Go, which is not on PATH"
)
needs_portolan = pytest.mark.skipif(
    not Path(sys.executable).with_name("portolan").exists(), reason="Portolan's command is not installed"
)

TINY = ["--rounds=1", "--seconds=0.1", "--clients=2", "--web-workers=1", "--large-mib=1", "--tags=5", "--check"]


@needs_go
def test_the_generator_passes_its_own_tests() -> None:
    for command in (["go", "vet", "./..."], ["go", "test", "./..."]):
        done = subprocess.run(command, cwd=SOURCE, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    unformatted = subprocess.run(["gofmt", "-l", "."], cwd=SOURCE, capture_output=True, text=True, check=True).stdout
    assert unformatted == ""


@needs_go
@needs_portolan
def test_a_tiny_round_measures_every_row_of_portolan(tmp_path: Path) -> None:
    result = tmp_path / "result.json"

    status = registry.main([*TINY, "--portolan-only", "--directory", str(tmp_path), "--json", str(result)])

    samples = json.loads(result.read_text())["samples"]
    assert {sample["row"]: sample["error"] for sample in samples} == {row.name: "" for row in ROWS}
    assert all(sample["operations"] > 0 and sample["server_memory"] > 0 for sample in samples)
    assert status == 0
    assert [path for path in tmp_path.iterdir() if path != result] == []
