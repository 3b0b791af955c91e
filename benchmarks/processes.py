"""What a server and all processes under it have used of the machine, from `/proc` (see proc(5))."""

from __future__ import annotations

import os
from pathlib import Path

_PROC = Path("/proc")
_TICK = 1 / os.sysconf("SC_CLK_TCK")


def tree(root: int) -> list[int]:
    """The process *root* and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) is not None:
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu_seconds(root: int) -> float:
    """Processor time of the whole tree, that of its members that ended and were waited for included."""
    ticks = 0
    for pid in tree(root):
        if (fields := _stat(pid)) is not None:
            ticks += sum(int(field) for field in fields[11:15])  # utime, stime, cutime, cstime
    return ticks * _TICK


def reset_peak_memory(root: int) -> None:
    """Let the peak be counted from now on."""
    for pid in tree(root):
        (_PROC / str(pid) / "clear_refs").write_text("5")


def peak_memory(root: int) -> int:
    """The sum of each process's largest resident size, in bytes. What processes share is counted for each of them."""
    total = 0
    for pid in tree(root):
        for line in _lines(_PROC / str(pid) / "status"):
            if line.startswith("VmHWM:"):
                total += int(line.split()[1]) << 10
    return total


def machine_seconds() -> float:
    """Processor time that anything on the machine has used, interrupts and what a hypervisor took away included."""
    user, nice, system, _idle, _wait, irq, softirq, steal = (int(n) for n in _lines(_PROC / "stat")[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) * _TICK


def _stat(pid: int) -> list[str] | None:
    """The fields of a process from its state on: the name before them may hold spaces and brackets."""
    lines = _lines(_PROC / str(pid) / "stat")
    return lines[0].rpartition(")")[2].split() if lines else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return []  # the process has just ended
