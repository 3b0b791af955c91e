"""What a reader must know of the machine to make sense of the figures."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path


def describe(directory: Path) -> dict[str, str]:
    """The processors, memory and kernel, and the file system that *directory* is on."""
    return {
        "processors": f"{os.cpu_count()} × {_first(Path('/proc/cpuinfo'), 'model name')}",
        "memory": _first(Path("/proc/meminfo"), "MemTotal"),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "file system": filesystem(directory),
        "free": f"{shutil.disk_usage(directory).free / 1e9:.0f} GB",
    }


def filesystem(directory: Path) -> str:
    """The type of the file system that *directory* is on."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    above = [mount for mount in mounts if directory.resolve().is_relative_to(mount[0])]
    return max(above, key=lambda mount: len(mount[0]))[1]


def _first(file: Path, name: str) -> str:
    for line in file.read_text().splitlines():
        if line.startswith(name):
            return line.partition(":")[2].strip()
    return "unknown"
