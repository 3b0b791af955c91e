"""How a process that reads layers is started. Nothing of ours is imported here: whoever is in a hurry starts one first,
and imports the rest meanwhile."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import NamedTuple


class Started(NamedTuple):
    """A process that was started, and our end of its socket. It ends when that is closed."""

    process: subprocess.Popen[bytes]
    connection: socket.socket


def start(memory: int, module: str = "ingest.works") -> Started:
    """Start a process that may have *memory* bytes and does what `WORKS` of *module* lists.

    Raises:
        OSError: it cannot be started.
    """
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    try:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "ingest.reader_process", str(theirs.fileno()), str(memory), module],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl+C at the terminal is for the process above, which ends its readers
            )
    except OSError:
        ours.close()
        raise
    return Started(process, ours)


def _environment() -> Mapping[str, str]:
    """Return what it needs of ours: where modules are; and none of the settings, some of which are secrets."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PORTOLAN_")}
    # Pieces of a layer come and go by the megabyte in two threads: two arenas keep what is freed usable for both.
    return kept | {"PYTHONPATH": os.pathsep.join(sys.path), "MALLOC_ARENA_MAX": "2"}
