"""What `portolan login` keeps: for each server a name and a token, in a file that only its owner can read.

    $XDG_CONFIG_HOME/portolan/servers.json    {"current": url, "servers": {url: {"name", "token", "token_id"}}}

(XDG base directory specification; without the variable, ``~/.config``.)
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path


class LoginsUnreadable(Exception):
    """*path* is not what this module writes."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path} cannot be read ({self.reason}): remove it, then sign in again with `portolan login URL`"


@dataclass(frozen=True, slots=True)
class Login:
    """A way into one server."""

    url: str
    name: str
    token: str = field(repr=False)
    token_id: str = ""


class Logins:
    """The file."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        base = variables.get("XDG_CONFIG_HOME", "")
        directory = Path(base) if base.startswith("/") else Path(variables.get("HOME") or Path.home()) / ".config"
        self.path = directory / "portolan" / "servers.json"

    def find(self, url: str | None = None) -> Login | None:
        """Return the login for *url*, or the last one that was made; None where there is none.

        Raises:
            LoginsUnreadable: the file is not what `keep` writes.
        """
        current, servers = self._read()
        return servers.get(url or current)

    def keep(self, login: Login) -> Login | None:
        """Write *login* down, as the current one; return the login for the same server that it replaces."""
        _, servers = self._read()
        replaced = servers.get(login.url)
        servers[login.url] = login
        kept = {
            url: {key: value for key, value in asdict(each).items() if key != "url"} for url, each in servers.items()
        }
        text = json.dumps({"current": login.url, "servers": kept}, indent=2) + "\n"
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp makes a file of mode 0600: the token is never in one that others can read, not for a moment.
        descriptor, beside = tempfile.mkstemp(dir=self.path.parent, prefix=".servers-")
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(beside).replace(self.path)
        except BaseException:
            Path(beside).unlink(missing_ok=True)
            raise
        return replaced

    def _read(self) -> tuple[str, dict[str, Login]]:
        try:
            kept = json.loads(self.path.read_text())
            servers = {url: Login(url=url, **each) for url, each in kept["servers"].items()}
            return str(kept["current"]), servers
        except FileNotFoundError:
            return "", {}
        except OSError as error:
            raise LoginsUnreadable(self.path, error.strerror or str(error)) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LoginsUnreadable(self.path, "it is not in the form that it was written in") from error
