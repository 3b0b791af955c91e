"""podman and buildah, with a storage, a network and limits of their own, on machines that are containers themselves.

What is particular here, each with its reason:

- All of it happens in a mount namespace that a sleeping process holds, so that no mount is left behind on the machine.
- crun refuses a machine that mounts both versions of control groups: in the namespace the second one is unmounted.
- The storage driver is overlay where that can be mounted; elsewhere vfs, which needs nothing and copies everything.
- While building, isolation is chroot, which needs no namespaces of its own.
- Containers take no control groups, and their limits are low ones: a machine that is itself a container may neither
  make groups nor raise limits.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.services.programs import refuse, require

ROOT = Path(__file__).resolve().parents[2]

#: Kept between runs; ignored by git.
_BASE = ROOT / "build" / "docker" / "base-bookworm.tar"
_SECOND_CONTROL_GROUPS = "/sys/fs/cgroup/unified"

_CONTAINERS = """
[containers]
cgroups = "disabled"
default_ulimits = ["nofile=4096:4096", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_config_dir = "{directory}/networks"
"""

_STORAGE = """
[storage]
driver = "{driver}"
graphroot = "{directory}/storage"
runroot = "{directory}/run"
"""


class Engine:
    """Builds images and runs containers in *directory*. A context manager: all of it is removed on leaving."""

    def __init__(self, directory: Path) -> None:
        if os.geteuid() != 0:
            refuse("building an image needs root here (debootstrap and mounts)")
        for program in ("podman", "buildah"):
            require(program)
        self.directory = directory
        (directory / "networks").mkdir(parents=True)
        self._holder = subprocess.Popen(
            [
                "unshare",
                "--mount",
                "sh",
                "-c",
                f"umount {_SECOND_CONTROL_GROUPS} 2>/dev/null; echo; exec sleep infinity",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
        )
        assert self._holder.stdout is not None
        self._holder.stdout.readline()  # by now the namespace is as it is to be
        (directory / "containers.conf").write_text(_CONTAINERS.format(directory=directory))
        (directory / "storage.conf").write_text(_STORAGE.format(directory=directory, driver=self._driver()))
        self.environment = os.environ | {
            "CONTAINERS_CONF": str(directory / "containers.conf"),
            "CONTAINERS_STORAGE_CONF": str(directory / "storage.conf"),
        }
        # Programs, so that podman-compose can be given one of them too.
        self.podman_program = self._program("podman")
        self._buildah_program = self._program("buildah")

    def _program(self, name: str) -> Path:
        """Write a program that runs *name* in the namespace and in the folder that it is called from."""
        program = self.directory / name
        inside = f'nsenter --mount=/proc/{self._holder.pid}/ns/mnt sh -c \'cd "$0" && exec {name} "$@"\''
        program.write_text(f'#!/bin/sh\nexec {inside} "$PWD" "$@"\n')
        program.chmod(0o755)
        return program

    def _driver(self) -> str:
        folders = [self.directory / "try" / name for name in ("lower", "upper", "work", "merged")]
        for folder in folders:
            folder.mkdir(parents=True)
        lower, upper, work, merged = folders
        options = f"lowerdir={lower},upperdir={upper},workdir={work}"
        mount = ["unshare", "--mount", "mount", "-t", "overlay", "overlay", "-o", options, str(merged)]
        return "overlay" if subprocess.run(mount, capture_output=True, check=False).returncode == 0 else "vfs"

    def podman(self, *arguments: str | Path, check: bool = True, input: str | None = None) -> str:
        """Run podman; return what it printed."""
        return self._run([self.podman_program, *arguments], check, input)

    def buildah(self, *arguments: str | Path) -> str:
        """Run buildah; return what it printed."""
        return self._run([self._buildah_program, *arguments], True, None)

    def start(self, *arguments: str | Path, log: Path) -> subprocess.Popen[bytes]:
        """Run podman in the background, its output in *log*."""
        with log.open("ab") as output:
            return subprocess.Popen(
                [self.podman_program, *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def inspect(self, kind: str, name: str) -> Any:
        """Read what podman knows of an ``image`` or a ``container``."""
        return json.loads(self.podman(kind, "inspect", name))[0]

    def base(self) -> str:
        """Make the base image, a minimal Debian with Python; return its name."""
        self.podman("import", "--quiet", base_archive(), "localhost/base:bookworm")
        return "localhost/base:bookworm"

    def build(self, name: str) -> str:
        """Build ``docker/Dockerfile`` on that base; return *name*."""
        secrets: list[str] = []
        for secret, content in self._package_settings().items():
            (self.directory / secret).write_text(content)
            secrets.append(f"--secret=id={secret},src={self.directory / secret}")
        self.buildah(
            "build", "--isolation=chroot", "--format=docker", "--pull-never", f"--build-arg=BASE={self.base()}",
            *secrets, f"--file={ROOT / 'docker' / 'Dockerfile'}", f"--tag={name}", ROOT,
        )  # fmt: skip
        return name

    def _package_settings(self) -> dict[str, str]:
        """What pip needs in the build to reach the same packages as here: a certificate authority, an index."""
        settings = ["[global]"]
        secrets: dict[str, str] = {}
        authorities = ssl.get_default_verify_paths().cafile
        if authorities is not None:
            settings.append("cert = /run/secrets/ca.pem")
            secrets["ca.pem"] = Path(authorities).read_text()
        index = os.environ.get("PIP_INDEX_URL")
        if index:
            settings.append(f"index-url = {index}")
        return secrets | {"pip.conf": "\n".join(settings) + "\n"}

    def _run(self, command: list[str | Path], check: bool, input: str | None) -> str:
        done = subprocess.run(
            command,
            env=self.environment,
            input=input or "",
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        if check and done.returncode != 0:
            raise RuntimeError(
                f"{Path(command[0]).name} {command[1]} exited with {done.returncode}\n{done.stdout}{done.stderr}"
            )
        return done.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.podman("rm", "--all", "--force", "--time=1", check=False)
        self._holder.kill()
        self._holder.communicate()
        shutil.rmtree(self.directory, ignore_errors=True)


def base_archive() -> Path:
    """Return a tar of that Debian; made once, then kept between runs."""
    if not _BASE.exists():
        if os.geteuid() != 0:
            refuse("making a Debian needs root (debootstrap)")
        _make_base(_BASE)
    return _BASE


def _make_base(target: Path) -> None:
    """Make a minimal Debian with Python, from the mirror that this machine's apt uses."""
    target.parent.mkdir(parents=True, exist_ok=True)
    mirror: list[str] = []
    if Path("/etc/debian_version").exists():
        sites = ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages", "Component: main"]
        mirror = subprocess.run(sites, capture_output=True, text=True, check=False).stdout.split()[:1]
    with tempfile.TemporaryDirectory(dir=target.parent) as made:
        root = Path(made) / "root"
        done = subprocess.run(
            [require("debootstrap"), "--variant=minbase", "--include=python3,python3-venv", "bookworm", root, *mirror],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"debootstrap exited with {done.returncode}\n{done.stdout[-4000:]}{done.stderr}")
        for folder in ("var/cache/apt", "var/lib/apt/lists"):
            shutil.rmtree(root / folder, ignore_errors=True)
        archive = Path(made) / "base.tar"
        subprocess.run(["tar", "--numeric-owner", "-C", root, "-cf", archive, "."], check=True)
        archive.rename(target)
