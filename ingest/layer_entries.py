"""The entries of one layer, as an archive tells of them: what comes later replaces what came before."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from cas.entries import DIRECTORY, HARD_LINK, OPAQUE, SYMLINK, WHITEOUT, Entry
from ingest.remarks import Remarks

#: Entries that are sorted at once, and parts of paths that more are divided by.
_SORTED_AT_ONCE = 20_000
_SORTED_DEPTH = 8


class LayerEntries:
    """Gathers entries by path; whiteouts and opaque marks stand apart, for they tell of the layers below."""

    def __init__(self, remarks: Remarks) -> None:
        self._remarks = remarks
        #: In the order in which they were put last.
        self._entries: dict[str, Entry] = {}
        self._whiteouts: set[str] = set()
        self._opaque: set[str] = set()
        #: Hard links whose target has not come by yet, and that target's path.
        self._open: dict[str, str] = {}
        #: The file that each of these turned out to stand for.
        self.closed: dict[str, str] = {}

    def drop(self, path: str) -> bool:
        """Make room for another entry of *path*; tell whether there was one."""
        if self._open:
            self._open.pop(path, None)
        return self._entries.pop(path, None) is not None

    def put(self, entry: Entry) -> None:
        """Add *entry*, for whose path there is room."""
        self._entries[entry.path] = entry

    def put_open(self, entry: Entry, target: str) -> None:
        """Add a hard link to *target*, which is no path of the layer so far."""
        self._entries[entry.path] = entry
        self._open[entry.path] = target

    def get(self, path: str) -> Entry | None:
        return self._entries.get(path)

    def mark(self, path: str, kind: str) -> None:
        """Add a whiteout of *path*, or call it opaque."""
        (self._opaque if kind == OPAQUE else self._whiteouts).add(path)

    def settle(self) -> list[Entry]:
        """Close the links that are open, drop what cannot stand beside what came later, and return all in order."""
        self._close_links()
        ordered = _in_order(list(self._entries.values()))
        beaten = self._beaten(ordered)
        if beaten:
            for path in beaten:
                del self._entries[path]
            ordered = [entry for entry in ordered if entry.path not in beaten]
        marks = [Entry(path, WHITEOUT) for path in self._whiteouts] + [Entry(path, OPAQUE) for path in self._opaque]
        if marks:
            # Sorting is stable: marks come before an entry of their path.
            ordered = _in_order(marks + ordered)
        return ordered

    def _close_links(self) -> None:
        while self._open:
            path = next(iter(self._open))
            chain: dict[str, None] = {}
            while path in self._open:
                chain[path] = None
                path = self._open.pop(path)
            found = self._entries.get(path)
            if path in chain:
                self._refuse("hard links lead in a circle", chain)
            elif found is None or found.kind == HARD_LINK:
                pass  # the layers below may have it
            elif found.kind == DIRECTORY:
                self._refuse("a hard link to a directory", chain)
            else:
                for link in chain:
                    self._entries[link] = replace(found, path=link)
                    self.closed[link] = path

    def _refuse(self, reason: str, links: Iterable[str]) -> None:
        for link in links:
            self._remarks.add(reason, link)
            del self._entries[link]

    def _beaten(self, ordered: Iterable[Entry]) -> set[str]:
        """Find what an archive says of one path and of a path below it, where both cannot be.

        What is no directory took the place of all that came before it below its path (a symlink of that too), and gave
        way to a path below it that came after it (but a symlink, which that one went through).
        """
        pairs: list[tuple[Entry, Entry]] = []
        above: list[Entry] = []
        for entry in ordered:
            while above and not entry.path.startswith(above[-1].path + "/"):
                above.pop()
            pairs += [(upper, entry) for upper in above]
            if entry.kind != DIRECTORY:
                above.append(entry)
        if not pairs:
            return set()
        involved = {entry.path for pair in pairs for entry in pair}
        came = {path: number for number, path in enumerate(self._entries) if path in involved}
        beaten = set()
        for upper, lower in pairs:
            if came[lower.path] < came[upper.path]:
                beaten.add(lower.path)
            elif upper.kind != SYMLINK:
                beaten.add(upper.path)
        return beaten


def _in_order(entries: list[Entry], depth: int = 0) -> list[Entry]:
    """Sort *entries* by the parts of their paths, of which the first *depth* are the same.

    Many are sorted by their next part first, for the keys of them all would take as much memory as their paths.
    """
    if len(entries) <= _SORTED_AT_ONCE or depth == _SORTED_DEPTH:
        return sorted(entries, key=_parts)
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        parts = entry.path.split("/", depth + 1)
        groups.setdefault(parts[depth] if len(parts) > depth else "", []).append(entry)
    return [entry for part in sorted(groups) for entry in _in_order(groups.pop(part), depth + 1)]


def _parts(entry: Entry) -> str:
    # The character 0, which no name holds, sorts before all others, as the end of a part should.
    return entry.path.replace("/", "\0")
