"""Processes that are not ours to wait for: ports for them, their state, their end."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path


def free_port() -> int:
    """Find a port of 127.0.0.1 that nothing listens on now.

    Another process may take it before it is used; the kernel hands out such ports in turn, so that is rare.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Return as soon as *condition* holds, which is asked every 20 ms.

    Raises:
        TimeoutError: it did not within *seconds*; *what* says what was waited for.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Tell whether a process of that id runs; one that ended and was not yet collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def descendants(pid: int) -> list[int]:
    """List the process *pid* and all that it started, directly or not, parents before their children."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue  # ended since the folder was listed
            if fields[0] not in "ZX":
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [pid] if is_alive(pid) else []
    for parent in found:
        found.extend(sorted(children.get(parent, [])))
    return found


def end(pid: int, how: signal.Signals, seconds: float) -> bool:
    """Send *how* to the process and wait for its end; tell whether it came within *seconds*. None there is no error."""
    try:
        watched = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        signal.pidfd_send_signal(watched, how)
        return bool(select.select([watched], [], [], seconds)[0])
    except ProcessLookupError:
        return True
    finally:
        os.close(watched)


def last_lines(log: Path, number: int = 60) -> str:
    """Read the end of a log file, for the message of a failure."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-number:])
    except FileNotFoundError:
        return f"(no log {log})"
