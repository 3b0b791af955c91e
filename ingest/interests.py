"""Which files of a layer somebody wants to see more of than their digest, and how that much is taken from a stream."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from catalog.images.facts import Evidence
from ingest.catalogers.cataloger import START, FileCataloger, ProgramCataloger

#: Small files that are looked at when the stack is squashed: they name the distribution.
TEXTS = frozenset(
    {
        "etc/alpine-release",
        "etc/debian_version",
        "etc/os-release",
        "etc/redhat-release",
        "etc/system-release-cpe",
        "usr/lib/os-release",
    }
)

#: Bytes that a cataloger of programs may see of one, beyond its head.
_MOST_PARTS = 4 << 20
_MOST_HEAD = 64 << 10


class Interest(NamedTuple):
    """A cataloger that wants a file; whether the file is where such files belong, and else whether it begins as a
    database does."""

    cataloger: FileCataloger
    at_home: bool
    is_database: bool = False


class Interests:
    """What all catalogers want, found with one look at a path or at a file's first byte."""

    def __init__(self, files: Sequence[FileCataloger], programs: Sequence[ProgramCataloger]) -> None:
        self._files = [(re.compile(cataloger.pattern, re.DOTALL), cataloger) for cataloger in files]
        elsewhere = [cataloger.elsewhere for cataloger in files if cataloger.elsewhere]
        texts = [re.escape(path) for path in sorted(TEXTS)]
        #: Tells of a path whether its content is wanted, or might be.
        self.wants = re.compile(
            "|".join(f"(?:{pattern})" for pattern in [*(c.pattern for c in files), *elsewhere, *texts]), re.DOTALL
        ).fullmatch
        self._elsewhere = [
            (re.compile(cataloger.elsewhere or r"(?!)", re.DOTALL), cataloger)
            for cataloger in files
            if cataloger.elsewhere or cataloger.starts
        ]
        self._programs = [(cataloger.magics, cataloger) for cataloger in programs]
        #: The first bytes of the programs, and of the databases under whatever name, that somebody knows.
        self.first_bytes = frozenset(
            start[0] for starts in (*(c.magics for c in programs), *(c.starts for c in files)) for start in starts
        )
        self.of_programs = frozenset(cataloger.name for cataloger in programs)
        #: Those whose files may have any name.
        self.of_databases = frozenset(cataloger.name for cataloger in files if cataloger.starts)
        self.versions = {c.name: c.version for c in files} | {c.name: c.version for c in programs}

    def at_home(self, path: str) -> list[FileCataloger]:
        """Return those that want the file at *path*, whatever it holds."""
        return [cataloger for pattern, cataloger in self._files if pattern.fullmatch(path)]

    def of(self, path: str, content: bytes | memoryview) -> list[Interest]:
        """Return all that want the file at *path* which begins as *content* does."""
        found = [Interest(cataloger, True) for cataloger in self.at_home(path)]
        start = bytes(content[:START])
        for pattern, cataloger in self._elsewhere:
            if (
                (start.startswith(cataloger.starts) or pattern.fullmatch(path))
                and all(cataloger is not interest.cataloger for interest in found)
                and cataloger.recognises(path, start)
            ):
                found.append(Interest(cataloger, False, start.startswith(cataloger.starts)))
        return found

    def programs_of(self, start: bytes) -> list[ProgramCataloger]:
        """Return those that know programs that begin with *start*."""
        return [cataloger for magics, cataloger in self._programs if start.startswith(magics)]


class ProgramParts:
    """Takes the head and the wanted parts of one program as its content comes by."""

    def __init__(self, cataloger: ProgramCataloger, size: int) -> None:
        self.cataloger = cataloger
        self._size = size
        self._due = min(cataloger.head, _MOST_HEAD, size)
        self._early = bytearray()
        self._head = b""
        self._ranges: list[tuple[int, int]] | None = None
        self._parts: list[bytearray] = []
        #: Where the next piece begins, and which of the ranges is not yet behind it.
        self._place = 0
        self._current = 0

    def feed(self, piece: memoryview) -> None:
        """Take what is wanted of the next *piece*."""
        if self._ranges is not None:
            self._take(piece)
            return
        if self._early or len(piece) < self._due:
            self._early += piece
            piece = memoryview(bytes(self._early))
            if len(piece) < self._due:
                return
            self._early.clear()
        self._head = bytes(piece[: self._due])
        self._ranges = self._checked(self.cataloger.ranges(self._size, self._head))
        self._parts = [bytearray() for _ in self._ranges]
        self._take(piece)

    def evidence(self, path: str) -> Evidence | None:
        """Ask the cataloger, once all pieces were fed.

        Raises:
            Unreadable: as the cataloger says.
        """
        if not self._ranges:
            return None
        return self.cataloger.read(path, self._size, self._head, [bytes(part) for part in self._parts])

    def _take(self, piece: memoryview) -> None:
        ranges = self._ranges or []
        end = self._place + len(piece)
        while self._current < len(ranges):
            start, stop = ranges[self._current]
            if start >= end:
                break
            self._parts[self._current] += piece[max(start - self._place, 0) : stop - self._place]
            if stop > end:
                break
            self._current += 1
        self._place = end

    def _checked(self, ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Refuse what no cataloger should ask for: memory stays bounded whatever a program says of itself."""
        place = total = 0
        for start, stop in ranges:
            if not place <= start <= stop <= self._size:
                return []
            place = stop
            total += stop - start
        return ranges if total <= _MOST_PARTS else []
