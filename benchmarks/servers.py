"""The registries that are measured: how each is started, configured and stopped."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.tokens import Issuer, PortolanIssuer, claims

if TYPE_CHECKING:
    from collections.abc import Iterator

DISTRIBUTION = "github.com/distribution/distribution/v3"
DISTRIBUTION_VERSION = "v3.1.2"

#: How long a server may take to be ready, and to end after SIGTERM, in seconds.
_READY = 60
_DRAIN = 30


@dataclass(frozen=True, slots=True)
class Server:
    """A running registry: its *pid* is the root of its process tree, and all that it writes is under *directory*."""

    name: str
    address: str
    pid: int
    directory: Path

    def blobs_of_size(self, size: int) -> set[Path]:
        """Files of exactly *size* bytes among the blobs, whichever way the server lays them out."""
        found: set[Path] = set()
        for folder, _, names in os.walk(self.directory):
            if "blobs" in Path(folder).parts:
                found.update(path for name in names if (path := Path(folder, name)).stat().st_size == size)
        return found


@contextmanager
def portolan(directory: Path, web_workers: int) -> Iterator[tuple[Server, PortolanIssuer]]:
    """Start Portolan as `make run` would, with its defaults but for place, address and number of web processes."""
    command = Path(sys.executable).with_name("portolan")
    if not command.exists():
        raise SystemExit(f"{command} does not exist: run the benchmark with the Python that Portolan is installed for")
    directory.mkdir(parents=True, exist_ok=True)  # what it is to find may be there already
    address = _free_address()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PORTOLAN_")} | {
        "PORTOLAN_DATA": str(directory / "data"),
        "PORTOLAN_LISTEN": address,
        "PORTOLAN_WORKERS": str(web_workers),
    }
    password = secrets.token_urlsafe()
    added = subprocess.run(
        [command, "user", "add", "bench", "--admin", "--password-stdin"],
        env=environment, input=password + "\n", text=True, check=False, capture_output=True,
    )  # fmt: skip
    if added.returncode:
        raise SystemExit(f"`portolan user add` failed: {added.stderr or added.stdout}")
    name = f"Portolan, {web_workers} web process{'es' if web_workers > 1 else ''}"
    with _running(name, [str(command), "serve"], environment, address, "/readyz", directory) as server:
        yield server, PortolanIssuer(address, "bench", password)


@contextmanager
def distribution(directory: Path, issuer: Issuer) -> Iterator[Server]:
    """Start distribution on its filesystem driver, trusting the issuer's tokens.

    Its configuration is the one that its image ships (descriptors cached in memory), less what would only cost it: no
    line is logged for a request, no traces are sent, uploads are not purged.

    About durability: this version's driver synchronises a file before it counts as committed (`fileWriter.Commit`, and
    `Close` at the end of each PATCH), and for small files, such as links and tags, the directory after the rename
    (`PutContent`). The directory that a blob is moved to is not synchronised (`blobWriter.moveBlob`). So it does
    somewhat less for an acknowledged blob than Portolan does, which is in its favour here.
    """
    directory.mkdir(parents=True)
    address = _free_address()
    expected = claims(issuer.issue("library/bench", "pull"))
    audience = expected["aud"]
    keys = directory / "jwks.json"
    keys.write_bytes(issuer.keys())
    configuration = {
        "version": "0.1",
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {
            "cache": {"blobdescriptor": "inmemory"},
            "filesystem": {"rootdirectory": str(directory / "data")},
            "tag": {"concurrencylimit": 8},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "http": {"addr": address, "secret": secrets.token_hex(), "headers": {"X-Content-Type-Options": ["nosniff"]}},
        "auth": {
            "token": {
                "realm": issuer.realm,
                "service": audience if isinstance(audience, str) else audience[0],
                "issuer": expected["iss"],
                "jwks": str(keys),
                "signingalgorithms": ["ES256"],
            }
        },
        "health": {"storagedriver": {"enabled": True, "interval": "10s", "threshold": 3}},
    }
    file = directory / "configuration.yml"
    file.write_text(json.dumps(configuration, indent=1))  # which is YAML, too
    environment = dict(os.environ) | {"OTEL_TRACES_EXPORTER": "none"}
    with _running("distribution", [_registry(), "serve", str(file)], environment, address, "/", directory) as server:
        yield server


def _registry() -> str:
    """The program of distribution, from PATH or from where `go install` puts it."""
    candidates = [shutil.which("registry")]
    if go := shutil.which("go"):
        root = subprocess.run([go, "env", "GOPATH"], capture_output=True, text=True, check=True).stdout.strip()
        candidates.append(str(Path(root, "bin", "registry")))
    for candidate in filter(None, candidates):
        if Path(candidate).exists():
            said = subprocess.run([candidate, "--version"], capture_output=True, text=True, check=False).stdout
            if f"{DISTRIBUTION} {DISTRIBUTION_VERSION}" in said:
                return candidate
    raise SystemExit(f"distribution is not here: go install {DISTRIBUTION}/cmd/registry@{DISTRIBUTION_VERSION}")


@contextmanager
def _running(
    name: str, command: list[str], environment: dict[str, str], address: str, ready: str, directory: Path
) -> Iterator[Server]:
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env=environment, cwd=directory, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        _await(process, f"http://{address}{ready}", log)
        yield Server(name, address, process.pid, directory)
    finally:
        process.terminate()
        try:
            process.wait(_DRAIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + _READY
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except urllib.error.HTTPError as error:
            error.close()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        time.sleep(0.1)
    raise SystemExit(f"{url} was not ready in {_READY} s. Its log ends so:\n{log.read_text(errors='replace')[-2000:]}")


def _free_address() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{listener.getsockname()[1]}"
