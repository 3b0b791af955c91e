"""What all clients have in common: a folder of their own, a registry, a way to be run."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from tests.end_to_end.images import DOCKER_LIST, DOCKER_MANIFEST, Content, Index
from tests.services import require
from tests.services.portolan import Person


class ClientFailed(Exception):
    """A client did not exit with 0; the message holds what it was asked and what it wrote."""


class Client:
    """One client, signed in to one registry or not. What it keeps, it keeps in *folder*, and nowhere in a home.

    Subclasses have a method for each verb; names of images (`reference`) are ``repository:tag`` or
    ``repository@digest``, without the registry. Every image of a test is new, so what a client remembers of others does
    no harm.
    """

    program: ClassVar[str]
    #: Whether it compresses layers again when it pushes: then they are compared by diff_id.
    compresses: ClassVar[bool] = False

    def __init__(self, folder: Path, address: str) -> None:
        self.folder = folder
        self.address = address
        self.commands: list[Sequence[str]] = []
        self._path = require(self.program)
        self._numbers = itertools.count(1)
        (folder / "home").mkdir(parents=True)
        inherited = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("PORTOLAN_", "XDG_", "DOCKER_", "CONTAINERS_", "REGISTRY_"))
            and "proxy" not in key.lower()
        }
        self._environment = inherited | {"HOME": str(folder / "home"), "TMPDIR": str(folder)} | self.own_settings()

    def own_settings(self) -> dict[str, str]:
        """The variables that keep the client in its folder."""
        raise NotImplementedError

    def run(self, *arguments: str | Path, input: str | bytes = b"", folder: Path | None = None) -> str:
        """Run it, in *folder*; return what it wrote to standard output.

        Raises:
            ClientFailed: it did not exit with 0.
        """
        return self.read(*arguments, input=input, folder=folder).decode()

    def read(self, *arguments: str | Path, input: str | bytes = b"", folder: Path | None = None) -> bytes:
        """Run it; return what it wrote to standard output, byte for byte.

        Raises:
            ClientFailed: it did not exit with 0.
        """
        command = [str(part) for part in arguments]
        self.commands.append(command)
        done = subprocess.run(
            [self._path, *command],
            cwd=folder or self.folder,
            env=self._environment,
            input=input.encode() if isinstance(input, str) else input,
            capture_output=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            told = (done.stdout[-4000:] + done.stderr[-4000:]).decode(errors="replace")
            raise ClientFailed(f"{self.program} {' '.join(command)}: exit {done.returncode}\n{told}")
        return done.stdout

    def ran(self, words: str, since: int = 0) -> bool:
        """Tell whether one of its commands from the one numbered *since* on had these words, in this order."""
        return any(_in_order(words.split(), command) for command in self.commands[since:])

    def fresh(self, name: str = "made") -> Path:
        """Name a folder that is not there yet."""
        return self.folder / f"{name}-{next(self._numbers)}"

    def at(self, reference: str) -> str:
        """Name an image with its registry."""
        return f"{self.address}/{reference}"

    def push(self, content: Content, reference: str) -> None:
        """Push *content*, with all that is below it."""
        raise NotImplementedError

    def log_in(self, person: Person) -> None:
        """Sign in, with the password on standard input where the client can."""
        raise NotImplementedError


def is_docker(content: Content) -> bool:
    """Tell whether *content* is in Docker's form, and not in OCI's."""
    return content.manifest.media_type in (DOCKER_MANIFEST, DOCKER_LIST)


def is_index(content: Content) -> bool:
    """Tell whether *content* lists manifests."""
    return isinstance(content, Index)


def platform_of(entry: Mapping[str, Any]) -> str:
    """Tell what platform an index says that one of its manifests is for."""
    platform = entry.get("platform", {})
    return "/".join(platform[part] for part in ("os", "architecture", "variant") if part in platform)


def _in_order(words: list[str], command: Iterable[str]) -> bool:
    parts = iter(command)
    return all(any(part == word or part.startswith(f"{word}=") for part in parts) for word in words)
