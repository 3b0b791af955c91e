"""The image is what docker/Dockerfile promises, and Portolan runs from it with next to no rights."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.docker.engine import Engine
from tests.end_to_end.images import Maker, everything
from tests.end_to_end.layouts import read_layout, write_layout
from tests.services import free_port, require, wait_until
from tests.services.processes import last_lines
from tests.services.web import answers

PASSWORD = "correct horse battery staple"

#: What compose.yaml asks for too: nothing can be written but the volume and /tmp, and no right can be gained.
HARDENED = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges")


class Container:
    """A running container with the machine's own network."""

    def __init__(self, engine: Engine, name: str, port: int) -> None:
        self.engine = engine
        self.name = name
        self.address = f"127.0.0.1:{port}"

    def execute(self, *command: str, input: str | None = None) -> str:
        """Run a command in the container."""
        return self.engine.podman("exec", "--interactive", self.name, *command, input=input)


@contextmanager
def started(engine: Engine, image: str, directory: Path, volume: str = "portolan-seen") -> Iterator[Container]:
    port = free_port()
    name = f"portolan-{port}"
    log = directory / "container.log"
    process = engine.start(
        "run", "--rm", f"--name={name}", "--network=host", *HARDENED, f"--env=PORTOLAN_LISTEN=127.0.0.1:{port}",
        f"--volume={volume}:/var/lib/portolan", image, log=log,
    )  # fmt: skip
    try:
        try:
            wait_until(
                lambda: process.poll() is not None or answers(f"http://127.0.0.1:{port}/readyz"), 60, "the container"
            )
            assert process.poll() is None
        except (TimeoutError, AssertionError):
            pytest.fail(f"Portolan does not start from its image:\n{last_lines(log)}")
        yield Container(engine, name, port)
        engine.podman("stop", "--time=30", name)
        assert process.wait(40) == 0, last_lines(log)
    finally:
        engine.podman("rm", "--force", "--time=1", name, check=False)
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def container(engine: Engine, image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """One container for the tests that only look at it."""
    with started(engine, image, tmp_path_factory.mktemp("container")) as container:
        yield container


def test_the_image_is_configured_as_promised(engine: Engine, image: str) -> None:
    found = engine.inspect("image", image)
    config = found["Config"]
    user, _, group = config["User"].partition(":")
    assert int(user) > 0, "not root, and a number, because orchestrators cannot look up a name"
    assert int(group) > 0
    assert config["Entrypoint"] == ["portolan"]
    assert config["Cmd"] == ["serve"]
    assert list(config["Volumes"]) == ["/var/lib/portolan"]
    assert list(config["ExposedPorts"]) == ["5000/tcp"]
    assert config["StopSignal"] == "SIGTERM"
    assert found["Healthcheck"]["Test"][0] == "CMD"


def test_the_image_is_small(engine: Engine, image: str) -> None:
    added = engine.inspect("image", image)["Size"] - engine.inspect("image", engine.base())["Size"]
    assert added < 200 * 1024 * 1024


def test_no_address_that_packages_came_from_is_in_the_image(engine: Engine, image: str) -> None:
    told = engine.podman("history", "--no-trunc", image) + json.dumps(engine.inspect("image", image))
    assert "://" not in told
    assert "index-url" not in told


def test_nothing_of_the_build_is_left_in_the_image(container: Container) -> None:
    """Neither pip, nor its settings, nor the sources."""
    script = (
        "import importlib.util, pathlib; "
        "places = ['/src', '/wheels', '/run/secrets', '/etc/pip.conf', '/opt/build']; "
        "print(importlib.util.find_spec('pip'), *(place for place in places if pathlib.Path(place).exists()))"
    )
    assert container.execute("/opt/portolan/bin/python3", "-c", script).split() == ["None"]


def test_nothing_but_the_volume_can_be_written(container: Container) -> None:
    for place in ("/", "/opt/portolan", "/etc", "/usr/bin"):
        with pytest.raises(RuntimeError, match="Read-only file system"):
            container.execute("python3", "-c", f"open('{place}/written', 'w')")
    container.execute("python3", "-c", "open('/var/lib/portolan/written', 'w')")


def test_it_runs_without_rights(container: Container) -> None:
    assert container.execute("id", "-u").strip() == "10001"
    status = container.execute("cat", "/proc/1/status")
    assert "CapEff:\t0000000000000000" in status
    assert "CapBnd:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status


def test_the_health_check_tells_whether_portolan_answers(engine: Engine, container: Container) -> None:
    engine.podman("healthcheck", "run", container.name)
    with pytest.raises(RuntimeError, match="Connection refused"):
        container.execute("env", "PORTOLAN_LISTEN=127.0.0.1:1", "python3", "-I", "/opt/portolan/health.py")


def test_an_image_is_pushed_pulled_and_kept(engine: Engine, image: str, tmp_path: Path) -> None:
    """An account, a push, a stop, a new container on the same volume, a pull."""
    made = Maker().image()
    layout = write_layout(tmp_path / "made", {"v1": made})
    environment = engine.environment | {"HOME": str(tmp_path), "DOCKER_CONFIG": str(tmp_path / "docker")}

    def run(*command: str | Path) -> None:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr

    with started(engine, image, tmp_path, "portolan-kept") as first:
        first.execute("portolan", "user", "add", "alice", "--admin", "--password-stdin", input=PASSWORD + "\n")
        target = f"docker://{first.address}/alice/app:v1"
        run(
            require("skopeo"),
            "copy",
            "--dest-tls-verify=false",
            f"--dest-creds=alice:{PASSWORD}",
            f"oci:{layout}:v1",
            target,
        )

    crane = require("crane")
    with started(engine, image, tmp_path, "portolan-kept") as second:
        run(crane, "auth", "login", second.address, "--insecure", "--username=alice", f"--password={PASSWORD}")
        run(crane, "pull", "--insecure", "--format=oci", f"{second.address}/alice/app:v1", tmp_path / "pulled")
    assert read_layout(tmp_path / "pulled") == everything(made)
