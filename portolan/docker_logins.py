"""What other programs keep after their ``login``: names and passwords of registries, in files of one form.

    $REGISTRY_AUTH_FILE                                       podman, buildah, skopeo (containers-auth.json(5))
    $XDG_RUNTIME_DIR/containers/auth.json
    $XDG_CONFIG_HOME/containers/auth.json                     ~/.config without the variable
    $DOCKER_CONFIG/config.json                                docker; ~/.docker without the variable

The first that knows a registry is believed. ``auths`` alone is read: programs that keep passwords elsewhere
(``credsStore``, ``credHelpers``) are not run, for a program that a file names is nothing to be started unasked.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


class DockerLogins:
    """The files, read anew for each question."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def find(self, host: str, repository: str = "") -> tuple[str, str] | None:
        """Return the name and the password for *repository* of *host*; None where no file has them."""
        for kept in self._files():
            auths = kept.get("auths")
            if not isinstance(auths, dict):
                continue
            known = {_plain(key): value for key, value in auths.items()}
            for place in _places(host, repository):
                found = _read(known.get(place))
                if found is not None:
                    return found
        return None

    def helper(self, host: str) -> str:
        """Name the program that keeps the password for *host* for others, empty where none does."""
        for kept in self._files():
            helpers = kept.get("credHelpers")
            if isinstance(helpers, dict) and isinstance(helpers.get(host), str):
                return str(helpers[host])
            auths = kept.get("auths")
            store = kept.get("credsStore")
            if isinstance(store, str) and isinstance(auths, dict) and host in map(_plain, auths):
                return store
        return ""

    def _files(self) -> Iterator[dict[str, Any]]:
        for path in self._paths():
            try:
                read = json.loads(path.read_bytes())
            except (OSError, ValueError, RecursionError):
                continue  # not there, or not what its program wrote: then it knows nothing
            if isinstance(read, dict):
                yield read

    def _paths(self) -> Iterator[Path]:
        home = Path(self._variables.get("HOME") or Path.home())
        if chosen := self._variables.get("REGISTRY_AUTH_FILE"):
            yield Path(chosen)
        if runtime := self._variables.get("XDG_RUNTIME_DIR"):
            yield Path(runtime, "containers", "auth.json")
        yield Path(self._variables.get("XDG_CONFIG_HOME") or home / ".config", "containers", "auth.json")
        yield Path(self._variables.get("DOCKER_CONFIG") or home / ".docker", "config.json")


def _places(host: str, repository: str) -> Iterator[str]:
    """List where the credentials may stand, the most special first: containers-auth.json(5)."""
    parts = repository.split("/") if repository else []
    for length in range(len(parts), 0, -1):
        yield f"{host}/{'/'.join(parts[:length])}"
    yield host


def _plain(key: str) -> str:
    """Return a key as later versions write it: docker once kept whole addresses (``https://HOST/v1/``)."""
    _, scheme, rest = key.partition("://")
    return rest.partition("/")[0] if scheme else key.rstrip("/")


def _read(entry: object) -> tuple[str, str] | None:
    if not isinstance(entry, dict):
        return None
    written = entry.get("auth")
    if isinstance(written, str) and written:
        try:
            name, colon, password = base64.b64decode(written).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        # Docker fills up what it writes with NULs.
        return (name, password.rstrip("\0")) if colon and password.rstrip("\0") else None
    said, secret = entry.get("username"), entry.get("password")
    return (said, secret) if isinstance(said, str) and isinstance(secret, str) and secret else None
