"""The program as a whole: it starts, says so, keeps what it has over restarts and crashes, and ends when told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.conftest import StartPortolan
from tests.services import Portolan, free_port, require, wait_until
from tests.services.processes import is_alive, last_lines
from tests.services.programs import refuse
from tests.services.web import answers

ROOT = Path(__file__).resolve().parents[2]


def test_it_says_that_it_is_alive_and_ready(portolan: Portolan) -> None:
    assert portolan.status("/healthz")[0] == 200
    assert portolan.status("/readyz")[0] == 200
    assert isinstance(portolan.readiness(), dict)
    assert len(portolan.pids()) > 1, "web and ingest are processes of their own"


def test_doctor_finds_nothing_wrong(portolan: Portolan) -> None:
    assert portolan.run("doctor").returncode == 0


def test_accounts_outlive_a_restart_and_a_crash(start_portolan: StartPortolan) -> None:
    service = start_portolan()
    service.add_person("alice", admin=True)
    family = service.pids()
    assert service.stop() == 0, "SIGTERM ends all of it, and that is success"
    assert not any(map(is_alive, family))
    service.start()
    assert "alice" in service.run("user", "list").stdout
    service.kill()
    service.start()
    assert "alice" in service.run("user", "list").stdout


def test_it_runs_on_postgresql(start_portolan: StartPortolan, postgresql_url: str) -> None:
    service = start_portolan({"PORTOLAN_DATABASE_URL": postgresql_url})
    service.add_person("alice", admin=True)
    assert "alice" in service.run("user", "list").stdout


def test_two_nodes_start_at_once_on_one_database(
    start_portolan: StartPortolan, postgresql_url: str, tmp_path: Path
) -> None:
    """Migrations, the first signing key and the set-up link are made once, whoever comes first."""
    settings = {"PORTOLAN_DATABASE_URL": postgresql_url, "PORTOLAN_DATA": str(tmp_path / "shared")}
    nodes = [Portolan(tmp_path / name, settings=settings) for name in ("first", "second")]
    try:
        for node in nodes:
            node.start(wait=False)
        for node in nodes:
            node.wait_ready()
        assert nodes[0].status("/.well-known/jwks.json") == nodes[1].status("/.well-known/jwks.json")
    finally:
        for node in nodes:
            node.kill()


def test_make_run_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    make = require("make")
    if Path(sys.prefix) != ROOT / ".venv" or not (ROOT / ".venv" / ".installed").exists():
        refuse("these tests do not run in the .venv that make made, and are not to change another one")
    port = free_port()
    settings = {"PORTOLAN_DATA": str(tmp_path / "data"), "PORTOLAN_LISTEN": f"127.0.0.1:{port}"}
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [make, "--no-print-directory", "run"],
            cwd=ROOT,
            env=os.environ | settings,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        told = "the first start tells how to push a first image"
        wait_until(lambda: process.poll() is not None or "push" in log.read_text(), 60, told)
        assert process.poll() is None, last_lines(log)
        assert answers(f"http://127.0.0.1:{port}/readyz")

        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C at a terminal does: the whole foreground group

        process.wait(40)
        wait_until(lambda: not answers(f"http://127.0.0.1:{port}/healthz"), 10, "the port to close")
        assert "Traceback" not in log.read_text()
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
