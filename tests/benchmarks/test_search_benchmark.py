"""The search benchmark itself works: a tiny corpus is loaded, and every question is answered. Nothing here is timed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import search
from benchmarks.search_queries import QUESTIONS


@pytest.mark.skipif(
    not Path(sys.executable).with_name("portolan").exists(), reason="Portolan's command is not installed"
)
def test_a_tiny_corpus_answers_every_question(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = tmp_path / "result.json"

    assert search.main(["--images=200", "--rounds=2", "--directory", str(tmp_path), "--json", str(result)]) == 0

    rows = json.loads(result.read_text())["rows"]
    assert len(rows) == len(QUESTIONS) + 5
    assert all(len(row["milliseconds"]) == 2 for row in rows.values())
    found = {name.partition(":")[0]: row["found"] for name, row in rows.items()}
    assert 150 < found["images with a package"] < 200, "most images have it, and some have not"
    for name in (
        "images without a package",
        "images that contain a layer",
        "images that hold a file",
        "images that hold a file below a path",
    ):
        assert 0 < found[name] < 200, name
    assert "| all together |" in capsys.readouterr().out
    assert [path for path in tmp_path.iterdir() if path != result] == []


def test_a_percentile_is_the_sample_at_the_nearest_rank() -> None:
    samples = [float(number) for number in range(20, 0, -1)]
    assert [search.percentile(samples, share) for share in (0.0, 0.5, 0.95, 1.0)] == [1.0, 10.0, 19.0, 20.0]
