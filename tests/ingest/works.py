"""Works for the tests of the pool: each does to its process what a hostile layer might do."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from ingest.errors import LayerUnreadable
from ingest.reader_process import Work

Parameters = Mapping[str, object]
Parts = Sequence[bytearray]


def echo(parameters: Parameters, parts: Parts, descriptor: int | None) -> Sequence[bytes]:
    return [str(parameters["text"]).encode(), *map(bytes, parts)]


def digest(parameters: Parameters, parts: Parts, descriptor: int | None) -> Sequence[bytes]:
    """Read all there is, and tell its SHA-256."""
    assert descriptor is not None
    running = hashlib.sha256()
    while piece := os.read(descriptor, 1 << 20):
        running.update(piece)
    return [running.hexdigest().encode()]


def begin(parameters: Parameters, parts: Parts, descriptor: int | None) -> Sequence[bytes]:
    """Read the first bytes alone."""
    assert descriptor is not None
    return [os.read(descriptor, 4)]


def hoard(parameters: Parameters, parts: Parts, descriptor: int | None) -> Sequence[bytes]:
    """Take more memory than there is to take."""
    kept = []
    while True:
        kept.append(bytearray(8 << 20))


def hang(parameters: Parameters, parts: Parts, descriptor: int | None) -> Sequence[bytes]:
    """Come to no end; say so in a file, if one is named."""
    if "file" in parameters:
        Path(str(parameters["file"])).write_text(str(os.getpid()))
    while True:
        time.sleep(3600)


def spin(parameters: Parameters, parts: Parts, descriptor: int | None) -> Sequence[bytes]:
    """Come to no end, and be busy."""
    while True:
        pass


def die(parameters: Parameters, parts: Parts, descriptor: int | None) -> Sequence[bytes]:
    number = parameters["signal"]
    assert isinstance(number, int)
    signal.raise_signal(number)
    raise AssertionError("unreachable")


def leave(parameters: Parameters, parts: Parts, descriptor: int | None) -> Sequence[bytes]:
    os._exit(3)


def fail(parameters: Parameters, parts: Parts, descriptor: int | None) -> Sequence[bytes]:
    raise RuntimeError("a mistake of ours")


def recurse(parameters: Parameters, parts: Parts, descriptor: int | None) -> Sequence[bytes]:
    return recurse(parameters, parts, descriptor)


def refuse(parameters: Parameters, parts: Parts, descriptor: int | None) -> Sequence[bytes]:
    raise LayerUnreadable("it is no tar")


def boast(parameters: Parameters, parts: Parts, descriptor: int | None) -> Sequence[bytes]:
    """Answer with more than anybody wants."""
    return [bytes(64 << 20)] * 5


def who(parameters: Parameters, parts: Parts, descriptor: int | None) -> Sequence[bytes]:
    return [str(os.getpid()).encode()]


def surroundings(parameters: Parameters, parts: Parts, descriptor: int | None) -> Sequence[bytes]:
    """Tell its session, its variables, and what files it has open."""
    variables = "\n".join(sorted(os.environ))
    opened = "\n".join(str(number) for number in sorted(int(each.name) for each in Path("/proc/self/fd").iterdir()))
    return [str(os.getsid(0)).encode(), variables.encode(), opened.encode()]


WORKS: dict[str, Work] = {
    each.__name__: each
    for each in (
        echo,
        digest,
        begin,
        hoard,
        hang,
        spin,
        die,
        leave,
        fail,
        recurse,
        refuse,
        boast,
        who,
        surroundings,
    )
}
