"""What the tests of the command line share: commands run in this process, on settings of their own."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result

from portolan.command import cli

#: Runs a command: `run("user", "list", input="...")`.
Run = Callable[..., Result]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Settings of this test alone, as variables; return the data directory, which is not made yet."""
    for name in os.environ:
        if name.startswith(("PORTOLAN_", "XDG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PORTOLAN_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PORTOLAN_LISTEN", "127.0.0.1:0")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


@pytest.fixture
def run(settings: Path) -> Iterator[Run]:
    """A function that runs `portolan` with the words it is given, and returns what came of it."""
    handlers, level = logging.root.handlers[:], logging.root.level
    ingest = logging.getLogger("ingest")
    ingest_level = ingest.level

    def invoke(*words: str, input: str | None = None) -> Result:
        return CliRunner().invoke(cli, list(words), input=input, prog_name="portolan")

    yield invoke
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    ingest.setLevel(ingest_level)
    structlog.reset_defaults()
