"""Which reader, catalogers and squashing this program has: what others made is made again (`ingest.renewal`).

What is kept names them by one short text, so that a look at it is enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import NamedTuple

from ingest.catalogers import CATALOGERS, PROGRAMS
from ingest.interests import Interests
from ingest.reading import READER_VERSION

#: Raised whenever squashing the same facts would give another answer.
SQUASH_VERSION = 4


class MadeBy(NamedTuple):
    """The names of what makes the facts of a *layer*, and of what makes those of a *stack* of layers."""

    layer: str
    stack: str


def versions() -> dict[str, int]:
    """Return what `LayerFacts` that this program makes say of who made them."""
    return {"reader": READER_VERSION, **Interests(CATALOGERS, PROGRAMS).versions}


def made_by() -> MadeBy:
    """Return the names of what this program makes facts by."""
    reading = versions()
    return MadeBy(_name(reading), _name({"squash": SQUASH_VERSION, **reading}))


def _name(versions: Mapping[str, int]) -> str:
    text = " ".join(f"{name}={version}" for name, version in sorted(versions.items()))
    return sha256(text.encode()).hexdigest()[:16]
