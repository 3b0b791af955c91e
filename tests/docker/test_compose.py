"""The compose file is valid by the specification's own program, and podman-compose starts Portolan with it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests.docker.engine import ROOT, Engine
from tests.services import free_port, require, wait_until
from tests.services.web import answers

COMPOSE = ROOT / "docker" / "compose.yaml"


def test_the_compose_file_is_valid_and_gives_next_to_no_rights() -> None:
    done = subprocess.run(
        [require("compose-spec"), "-format=json", COMPOSE.name],
        cwd=COMPOSE.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    service = json.loads(done.stdout)["services"]["portolan"]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges"]
    assert service["ports"][0]["host_ip"] == "127.0.0.1", "nobody else is let in before its owner decides so"
    assert Path(service["build"]["context"]) == ROOT
    assert (ROOT / service["build"]["dockerfile"]).exists()
    assert service["volumes"][0]["target"] == "/var/lib/portolan"


def test_portolan_starts_with_compose(engine: Engine, image: str) -> None:
    port = free_port()
    environment = engine.environment | {"PORTOLAN_PORT": str(port)}

    def compose(*arguments: str) -> None:
        done = subprocess.run(
            [require("podman-compose"), "--podman-path", engine.podman_program, "-f", COMPOSE, *arguments],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    assert image == "localhost/portolan:latest", "which is what compose.yaml's name for it means to podman"
    try:
        compose("up", "--detach", "--no-build")
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz"), 60, "Portolan")
    finally:
        compose("down", "--volumes")
