"""A server that one of the shell scripts in this folder starts."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.services.processes import descendants, end, free_port, is_alive

_HERE = Path(__file__).parent


class ScriptedServer:
    """A server on 127.0.0.1 with a data directory of its own. A context manager: started on entry, stopped on leaving.

    `start` works again after `stop` or `kill`, on the same port and the same data.
    """

    script: str
    polite: signal.Signals = signal.SIGTERM

    def __init__(self, directory: Path, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self.directory = directory
        self.port = free_port()
        self._arguments = arguments
        self._environment = dict(environment or {})

    @property
    def log(self) -> Path:
        """What the server wrote."""
        return self.directory / "server.log"

    @property
    def pid(self) -> int:
        """The process id of the server's first process."""
        return int((self.directory / "pid").read_text())

    def pids(self) -> list[int]:
        """List the server's processes, the first one first."""
        return descendants(self.pid)

    def start(self) -> None:
        """Start the server and return when it is ready.

        Raises:
            RuntimeError: it did not become ready; the message holds the end of its log.
        """
        done = subprocess.run(
            ["bash", _HERE / self.script, str(self.port), self.directory, *self._arguments],
            env=os.environ | self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{self.script} failed:\n{done.stdout}{done.stderr}")

    def stop(self) -> None:
        """Ask the server to end, and wait for it; after 30 s it is killed. Where it does not run, that is no error."""
        if not self.is_running():
            return
        pid = self.pid
        if not end(pid, self.polite, 30):
            end(pid, signal.SIGKILL, 10)

    def kill(self) -> None:
        """End all of its processes as a crash would, without a chance to tidy up."""
        for pid in self.pids() if self.is_running() else ():
            end(pid, signal.SIGKILL, 10)

    def is_running(self) -> bool:
        """Tell whether its first process runs."""
        return (self.directory / "pid").exists() and is_alive(self.pid)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
