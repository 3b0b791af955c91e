"""What ties a part to the supervisor that started it: one socket, of which each holds an end.

The part says that it is ready by one byte. When either of them ends, however it ends, the kernel closes its side and
the other sees it: no part outlives its supervisor, not even one that was killed.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from contextlib import suppress

READY = b"+"


class Tether:
    """A part's end."""

    def __init__(self, descriptor: int, grace: float) -> None:
        """Watch *descriptor* from now on; at its end, stop within *grace* seconds."""
        self._socket = socket.socket(fileno=descriptor)
        self._grace = grace
        threading.Thread(target=self._watch, name="tether", daemon=True).start()

    def ready(self) -> None:
        """Say that this part serves."""
        with suppress(OSError):  # the supervisor is gone: the thread that watches sees it
            self._socket.send(READY)

    def _watch(self) -> None:
        with suppress(OSError):
            self._socket.recv(1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(self._grace)
        os._exit(1)
