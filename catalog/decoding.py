"""Decoders of MessagePack, one for each type."""

from __future__ import annotations

import threading
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_decoders: dict[type[Any], msgspec.msgpack.Decoder[Any]] = {}
_one_by_one = threading.Lock()


def decoder(kind: type[T]) -> msgspec.msgpack.Decoder[T]:
    """Return what reads objects of *kind*. msgspec looks into a type when it first meets it, and two threads that do so
    at once end the process: so one does, and the others wait."""
    with _one_by_one:
        found = _decoders.get(kind)
        if found is None:
            found = _decoders[kind] = msgspec.msgpack.Decoder(kind)
        return found
