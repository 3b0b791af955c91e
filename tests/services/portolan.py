"""Portolan itself, started as people start it: the installed command, settings in the environment, signals."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from tests.services.processes import descendants, end, free_port, is_alive, last_lines, wait_until
from tests.services.web import answers, get

#: Every service that runs now, so that the report of a failed test can show what they wrote (`tests/conftest.py`).
running: set[Portolan] = set()


@dataclass(frozen=True)
class Person:
    """Somebody who has an account, and what they sign in with."""

    name: str
    password: str

    @property
    def basic(self) -> str:
        """The value of an ``Authorization`` header."""
        return "Basic " + base64.b64encode(f"{self.name}:{self.password}".encode()).decode()


class Portolan:
    """One Portolan with a directory of its own. A context manager: started on entry, stopped on leaving.

    The directory holds ``data/`` (its PORTOLAN_DATA), ``home/`` (its HOME, so that no test touches the developer's
    own files) and ``portolan.log`` (what it wrote, over all its starts). `settings` are PORTOLAN_ variables; what
    changes in them between `stop` and `start` holds from then on. No PORTOLAN_ variable that the tests themselves were
    started with gets through.
    """

    def __init__(
        self,
        directory: Path,
        *,
        settings: Mapping[str, str] | None = None,
        command: Iterable[str] = ("serve",),
        port: int | None = None,
    ) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.log = directory / "portolan.log"
        self.port = port or free_port()
        self.command = tuple(command)
        self.settings = {"PORTOLAN_DATA": str(self.data), "PORTOLAN_LISTEN": self.address, **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        (directory / "home").mkdir(parents=True, exist_ok=True)

    @property
    def address(self) -> str:
        """``127.0.0.1:port``, as image names begin."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """``http://127.0.0.1:port`` (``https`` where the settings name a certificate)."""
        scheme = "https" if "PORTOLAN_TLS_CERTIFICATE" in self.settings else "http"
        return f"{scheme}://{self.address}"

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment that its commands run in."""
        inherited = {
            key: value for key, value in os.environ.items() if not key.startswith(("PORTOLAN_", "XDG_", "DOCKER_"))
        }
        return inherited | {"HOME": str(self.directory / "home"), "NO_COLOR": "1"} | self.settings

    @property
    def pid(self) -> int:
        """The process id of the command itself, which supervises the others."""
        if self._process is None:
            raise RuntimeError("Portolan was not started")
        return self._process.pid

    def pids(self) -> list[int]:
        """List its processes: the supervisor first, then whatever it started."""
        return descendants(self.pid)

    def start(self, *, wait: bool = True, seconds: float = 60) -> None:
        """Start it; with *wait*, return when ``/readyz`` answers 200.

        Raises:
            RuntimeError: it ended, or is not ready after *seconds*; the message holds the end of its log.
        """
        if self._process is not None and self._process.poll() is None:
            raise RuntimeError(f"Portolan runs already (pid {self.pid})")
        with self.log.open("ab") as log:
            self._process = self._popen(*self.command, output=log)
        running.add(self)
        if wait:
            self.wait_ready(seconds)

    def wait_ready(self, seconds: float = 60) -> None:
        """Return when ``/readyz`` answers 200.

        Raises:
            RuntimeError: it ended, or is not ready after *seconds*; the message holds the end of its log.
        """
        deadline = time.monotonic() + seconds
        while not self.is_ready():
            status = self._process.poll() if self._process is not None else None
            if status is not None:
                raise RuntimeError(f"Portolan ended with {status}\n{last_lines(self.log)}")
            if time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"Portolan was not ready after {seconds:g} s\n{last_lines(self.log)}")
            time.sleep(0.02)

    def is_ready(self) -> bool:
        """Ask ``/readyz`` once."""
        return answers(self.url + "/readyz", authority=self._authority)

    def status(self, path: str) -> tuple[int, bytes]:
        """GET *path* without signing in; return the status and the body.

        Raises:
            OSError: nobody answered.
        """
        code, _, body = get(self.url + path, authority=self._authority)
        return code, body

    def readiness(self) -> Any:
        """Read the JSON of ``/readyz``, whatever its status."""
        return json.loads(self.status("/readyz")[1])

    def stop(self, seconds: float = 30) -> int:
        """Send SIGTERM to the command and wait for its end; return its exit status (negative: a signal ended it).

        Raises:
            RuntimeError: it still ran after *seconds*, or left processes behind; all of them are killed then.
        """
        if self._process is None:
            raise RuntimeError("Portolan was not started")
        family = self.pids()
        self._process.terminate()
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._end_all(family)
            raise RuntimeError(f"SIGTERM did not end Portolan within {seconds:g} s\n{last_lines(self.log)}") from None
        finally:
            running.discard(self)
        # The interpreter's own resource tracker ends a moment after the process that it watches.
        try:
            wait_until(lambda: not any(map(is_alive, family)), 5, "the processes of Portolan to end")
        except TimeoutError:
            left = [pid for pid in family if is_alive(pid)]
            self._end_all(left)
            raise RuntimeError(f"Portolan ended and left processes behind: {left}\n{last_lines(self.log)}") from None
        return status

    def kill(self) -> None:
        """End all of its processes with SIGKILL, the supervisor first, so that it restarts nothing."""
        if self._process is not None:
            self._end_all(self.pids())
            self._process.wait()
        running.discard(self)

    def restart(self) -> None:
        """Stop it and start it again, on the same port and the same data."""
        self.stop()
        self.start()

    def run(
        self, *arguments: str, input: str | None = None, check: bool = True, seconds: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the program (``user list``, …) on the same settings; its output is text.

        Raises:
            RuntimeError: *check* is on and it did not exit with 0; the message holds its output.
        """
        done = subprocess.run(
            [*_program(), *arguments],
            cwd=self.directory,
            env=self.environment,
            input="" if input is None else input,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if check and done.returncode != 0:
            raise RuntimeError(f"portolan {' '.join(arguments)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def add_person(self, name: str, password: str = "correct horse battery staple", *, admin: bool = False) -> Person:
        """Make an account with the command line, as an operator does."""
        self.run("user", "add", name, *(["--admin"] if admin else []), "--password-stdin", input=password + "\n")
        return Person(name, password)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it. That it did not stop well is told only where the test did not fail already."""
        try:
            if self._process is not None and self._process.poll() is None:
                self.stop()
        except RuntimeError:
            if error is None:
                raise
        finally:
            self.kill()

    @property
    def _authority(self) -> str | None:
        # A test's certificate signs itself.
        return self.settings.get("PORTOLAN_TLS_CERTIFICATE")

    def _popen(self, *arguments: str, output: IO[bytes]) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C at the terminal reaches the tests, and they stop it.
        return subprocess.Popen(
            [*_program(), *arguments],
            cwd=self.directory,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _end_all(self, pids: list[int]) -> None:
        for pid in pids:
            if self._process is not None and pid == self._process.pid:
                self._process.kill()
                self._process.wait()
            else:
                end(pid, signal.SIGKILL, 10)


def _program() -> list[str]:
    installed = Path(sys.executable).with_name("portolan")
    return [str(installed)] if installed.exists() else [sys.executable, "-m", "portolan"]
