"""The processes of a running service, looked at from outside: which is which, their memory, their time."""

from __future__ import annotations

import os
from pathlib import Path

from tests.services import Portolan
from tests.services.processes import is_alive


def pids(service: Portolan, part: str) -> list[int]:
    """List the processes of *service* that run its command *part*: ``serve``, ``web`` or ``ingest``."""
    found = []
    for pid in service.pids():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # ended since
        if part.encode() in command and is_alive(pid):
            found.append(pid)
    return found


def resident(pid: int) -> int:
    """Tell the bytes of a process that are in memory now."""
    return _status(pid, "VmRSS")


def most_resident(pid: int) -> int:
    """Tell the most bytes that were in memory since `forget_most_resident`."""
    return _status(pid, "VmHWM")


def forget_most_resident(pid: int) -> None:
    """Begin to watch for the most anew (proc(5), ``/proc/pid/clear_refs``)."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def seconds_of_work(pid: int) -> float:
    """Tell how long the process has been at work on a processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)
