"""A process that reads for another one: `python -m ingest.reader_process SOCKET MEMORY MODULE`.

It is started anew, with nothing of its parent's memory, secrets or files but one end of a socket, and it has all the
limits that the kernel gives. It does one work at a time, of those that the module MODULE (`ingest.works`) lists in
`WORKS`, and ends when its parent's end of the socket closes, in the middle of a work too.
"""

from __future__ import annotations

import gc
import os
import resource
import select
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import msgspec

from ingest import frames
from ingest.errors import LayerUnreadable
from ingest.frames import Answer, Request

#: A work: from parameters, parts and perhaps a descriptor to read from (which is closed after it), to parts.
Work = Callable[[Mapping[str, object], Sequence[bytearray], int | None], Sequence[bytes]]

#: Bytes of a request that are taken; those of all facts of an image's layers, compressed.
MOST_REQUEST = 1 << 30
#: Exit status where there was no memory left to say so.
NO_MEMORY = 12
#: Bytes of address space beyond the limit of memory: code of libraries, and what is reserved and never used.
_ADDRESSES = 1 << 30
_MOST_TRACE = 8000


def main(arguments: Sequence[str]) -> None:
    """Serve until the parent is gone."""
    descriptor, memory, module = int(arguments[0]), int(arguments[1]), arguments[2]
    _limit(memory)
    parent = socket.socket(fileno=descriptor)
    threading.Thread(target=_end_with, args=(parent,), name="parent", daemon=True).start()
    works: Mapping[str, Work] = import_module(module).WORKS
    gc.freeze()  # what was imported stays: a collection need not look at it
    frames.send(parent, Answer())
    try:
        while True:
            _serve_one(parent, works)
    except (EOFError, ConnectionError):
        pass
    except MemoryError:  # while a request was received or an answer sent: nothing can be said any more
        os._exit(NO_MEMORY)


def _serve_one(parent: socket.socket, works: Mapping[str, Work]) -> None:
    (first, *parts), descriptor = frames.receive(parent, MOST_REQUEST)
    try:
        request = msgspec.msgpack.decode(first, type=Request)
        found = works[request.work](request.parameters, parts, descriptor)
    except LayerUnreadable as error:
        answer, found = Answer("unreadable", error.reason), []
    except MemoryError:
        answer, found = Answer("memory"), []
    except Exception as error:  # noqa: BLE001 - whatever the bytes did to it is the answer
        trace = traceback.format_exc()[-_MOST_TRACE:]
        answer, found = Answer("fault", f"{type(error).__name__}: {error}"[:500], trace), []
    else:
        answer = Answer()
    finally:
        if descriptor is not None:
            with suppress(OSError):  # the work may have closed it
                os.close(descriptor)
    frames.send(parent, answer, found)


def _limit(memory: int) -> None:
    """Take what is not needed away, before anything hostile is looked at."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(resource.RLIMIT_AS, (memory + _ADDRESSES, memory + _ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    with suppress(OSError):  # where the machine runs out of memory all the same, this process is to go first
        Path("/proc/self/oom_score_adj").write_text("500")


def _end_with(parent: socket.socket) -> None:
    """End this process as soon as nobody holds the other end of its socket."""
    hung_up = select.poll()
    hung_up.register(parent, select.POLLRDHUP)
    while not any(events & (select.POLLHUP | select.POLLRDHUP | select.POLLERR) for _, events in hung_up.poll()):
        pass
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
