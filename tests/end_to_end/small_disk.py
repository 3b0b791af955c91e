"""A file system of its own that is soon full."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from tests.services.programs import refuse, require

Kind = Literal["tmpfs", "ext4"]

SIZE = 64 * 1024 * 1024


class SmallDisk:
    """64 MiB, mounted in *directory* while it is entered. Only the superuser can, and not in every container.

    tmpfs says that it is full at once, ext4 at times only when it has to find room for what it took before.
    """

    def __init__(self, directory: Path, kind: Kind) -> None:
        self.path = directory / "disk"
        self._image = directory / "disk.img"
        self._kind = kind

    def __enter__(self) -> Self:
        self.path.mkdir()
        if self._kind == "tmpfs":
            command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(self.path)]
        else:
            with self._image.open("xb") as image:
                image.truncate(SIZE)
            # Nothing is reserved for the superuser, whom the tests may run as.
            _run(str(require("mkfs.ext4")), "-q", "-m", "0", str(self._image))
            command = ["mount", "-o", "loop", str(self._image), str(self.path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            refuse(f"a file system cannot be mounted here: {done.stderr.strip()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _run("umount", "--lazy", str(self.path))

    def free(self) -> int:
        """Tell the bytes of room left."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
