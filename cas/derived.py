"""The derived area of a store: objects by name, each of which can be made again from the blobs.

    <root>/derived/<name>            `DirectoryDerived`

Beside the blobs, on the same medium, and never truth: whoever reads an object must be able to do without it.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from cas.errors import InvalidDerivedName

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9_-]+)*(?:/[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9_-]+)*)*")


@dataclass(frozen=True, slots=True, order=True)
class DerivedName:
    """The name of a derived object: parts of lower-case letters, digits, ``-``, ``_`` and ``.``, between ``/``."""

    text: str

    @classmethod
    def parse(cls, text: str) -> DerivedName:
        """Read a name.

        Raises:
            InvalidDerivedName: *text* is none.
        """
        if len(text) > 255 or _NAME.fullmatch(text) is None:
            raise InvalidDerivedName(text)
        return cls(text)

    def __str__(self) -> str:
        return self.text


class Derived(Protocol):
    """Where derived objects live. `tests/contracts/derived.py` is the executable form of this docstring."""

    async def put(self, name: DerivedName, content: bytes) -> None:
        """Keep *content* under *name*, atomically in place of what was there: a reader sees the one or the other whole.

        Raises:
            StorageFull: no room is left; what was there before is still there.
        """

    async def get(self, name: DerivedName) -> bytes:
        """Return an object.

        Raises:
            DerivedUnknown: there is none of that name.
        """

    async def delete(self, name: DerivedName) -> None:
        """Remove an object; none being there is no error."""

    def names(self, prefix: str) -> AsyncIterator[DerivedName]:
        """List the names that begin with *prefix* (whole parts: ``facts/v1``), in the order of their text."""
