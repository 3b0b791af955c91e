"""What a power cut may leave of what was written: a recorder of file operations, and the worlds after each cut.

The model is the one that POSIX allows, which is harsher than any one file system:

- What is written to a file is volatile until the file is synchronised. Of each write a cut leaves all, nothing, zeroes
  of its length (the size reached the disk, the bytes did not) or its first half; and of several any subset.
- What is made, renamed or unlinked is volatile until the directory that it is an entry of is synchronised (for a rename
  the one that it goes to); and of several such changes a cut leaves any subset. One change is atomic.
- The bytes of a file and its name are independent of each other.
- A commit of the database is durable and atomic when it returns, unless it is recorded as not synchronised.

    recorder = Recorder(base)                       # base is what the disk holds; the store's root lies under it
    store = DirectoryStore(base / "store", recorder)
    ...; recorder.mark("published"); ...; recorder.commit(snapshot); ...
    for cut in cuts(recorder.events):               # each distinct world once
        cut.write_to(empty_directory); cut.snapshot; cut.marks
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

from cas.filesystem import PosixFileSystem

#: Up to how many volatile events every combination of their fates is tried, and how many are sampled above.
EXHAUSTIVE = 10
SAMPLES = 300

_BASE = 0  # the node of the directory that everything is recorded under


@dataclass(frozen=True)
class Write:
    """Bytes were put at an offset of a file."""

    node: int
    offset: int
    content: bytes


@dataclass(frozen=True)
class Entry:
    """Directories changed, at once: a file or directory was made, renamed or unlinked."""

    directory: int  # whose synchronisation makes the change durable
    removed: tuple[int, str] | None = None  # directory and name
    added: tuple[int, str] | None = None
    node: int = -1  # what *added* names now
    is_directory: bool = False


@dataclass(frozen=True)
class Sync:
    """A file or a directory was synchronised."""

    node: int


@dataclass(frozen=True)
class Commit:
    """The database was committed; *snapshot* is whatever the test needs to open it in that state."""

    snapshot: bytes
    durable: bool = True


@dataclass(frozen=True)
class Mark:
    """Something that the test wants to know of a cut to have been before it: mostly what a client was told."""

    text: str


Event = Write | Entry | Sync | Commit | Mark


class Recorder(PosixFileSystem):
    """The machine's file system, with a record of all that changes it.

    It may be used from several threads, whose operations it puts in one order.
    """

    def __init__(self, base: Path, forget: int | None = None) -> None:
        """Record what happens under *base*, which is empty.

        Args:
            forget: the number of a synchronisation, counted from 0, that is not carried out: a fault to be noticed.
        """
        self.events: list[Event] = []
        self.forgotten = ""
        self._base = base
        self._nodes: dict[str, int] = {str(base): _BASE}
        self._made = _BASE
        self._open: dict[int, int] = {}
        self._sizes: dict[int, int] = {}
        self._forget = forget
        self._syncs = 0
        self._lock = threading.RLock()

    def mark(self, text: str) -> None:
        """Record that something has happened which is no operation of a file system."""
        with self._lock:
            self.events.append(Mark(text))

    def commit(self, snapshot: bytes, durable: bool = True) -> None:
        """Record that the database has come to *snapshot*."""
        with self._lock:
            self.events.append(Commit(snapshot, durable))

    # What a store does

    def make_directory(self, path: str) -> None:
        with self._lock:
            super().make_directory(path)
            if path not in self._nodes:
                self._add(path, is_directory=True)

    def open_for_append(self, path: str) -> int:
        with self._lock:
            file = super().open_for_append(path)
            if path not in self._nodes:
                self._sizes[self._add(path)] = 0
            self._open[file] = self._nodes[path]
            return file

    def write(self, file: int, pieces: Sequence[bytes]) -> int:
        with self._lock:
            taken = super().write(file, pieces)
            node = self._open[file]
            self.events.append(Write(node, self._sizes[node], b"".join(pieces)[:taken]))
            self._sizes[node] += taken
            return taken

    def open(self, path: str) -> int:
        with self._lock:
            file = super().open(path)
            self._open[file] = self._nodes[path]
            return file

    def sync(self, file: int) -> None:
        with self._lock:
            if not self._forgets("a file"):
                super().sync(file)
                self.events.append(Sync(self._open[file]))

    def link(self, source: str, target: str) -> None:
        with self._lock:
            super().link(source, target)
            node = self._nodes[target] = self._nodes[source]
            added = self._place(target)
            self.events.append(Entry(added[0], None, added, node))

    def rename(self, source: str, target: str) -> None:
        with self._lock:
            super().rename(source, target)
            node = self._nodes[target] = self._nodes.pop(source)
            added = self._place(target)
            self.events.append(Entry(added[0], self._place(source), added, node))

    def unlink(self, path: str) -> None:
        with self._lock:
            super().unlink(path)
            del self._nodes[path]
            place = self._place(path)
            self.events.append(Entry(place[0], removed=place))

    def sync_directory(self, path: str) -> None:
        with self._lock:
            if not self._forgets(f"the directory {Path(path).relative_to(self._base)}"):
                super().sync_directory(path)
                self.events.append(Sync(self._nodes[path]))

    def _place(self, path: str) -> tuple[int, str]:
        parent, _, name = path.rpartition("/")
        return self._nodes[parent], name

    def _add(self, path: str, is_directory: bool = False) -> int:
        self._made += 1
        place = self._place(path)
        self._nodes[path] = self._made
        self.events.append(Entry(place[0], None, place, self._made, is_directory))
        return self._made

    def _forgets(self, what: str) -> bool:
        self._syncs += 1
        if self._syncs - 1 == self._forget:
            self.forgotten = what
        return self._syncs - 1 == self._forget


@dataclass(frozen=True)
class Cut:
    """A world after a power cut."""

    #: What the disk holds: the bytes of each file, None for a directory, by path; directories before what is in them.
    tree: tuple[tuple[str, bytes | None], ...]
    #: What the database was committed as last, None where it never was.
    snapshot: bytes | None
    #: What was marked before the cut.
    marks: tuple[str, ...]

    def write_to(self, base: Path) -> None:
        """Put the world in the directory *base*, which is empty or not there."""
        base.mkdir(exist_ok=True)
        for path, content in self.tree:
            if content is None:
                (base / path).mkdir()
            else:
                (base / path).write_bytes(content)


def cuts(events: Sequence[Event], seed: int = 0) -> Iterator[Cut]:
    """Give every world that a power cut may leave, after any of *events*, once each."""
    seen: set[Cut] = set()
    for length in range(len(events) + 1):
        if length and isinstance(events[length - 1], Sync):
            continue  # what a cut leaves after it, one before it could have left as well
        past = events[:length]
        for fates in _fates(past, random.Random(f"{seed} {length}")):
            cut = _world(past, fates)
            if cut not in seen:
                seen.add(cut)
                yield cut


_KEPT, _LOST, _ZEROED, _TORN = range(4)

#: Which events, by their place, do not simply happen.
Fates = dict[int, int]


def _fates(past: Sequence[Event], samples: random.Random) -> Iterator[Fates]:
    volatile = _volatile(past)
    choices = [range(4) if isinstance(past[place], Write) else range(2) for place in volatile]
    if len(volatile) <= EXHAUSTIVE:
        for fates in product(*choices):
            yield dict(zip(volatile, fates, strict=True))
        return
    for place in volatile:
        yield {place: _LOST}
        yield {other: _LOST for other in volatile if other != place}
    yield {}
    yield dict.fromkeys(volatile, _LOST)
    for _ in range(SAMPLES):
        yield {place: samples.choice(choice) for place, choice in zip(volatile, choices, strict=True)}


def _volatile(past: Sequence[Event]) -> list[int]:
    """Find the events that a cut may undo, leaving out those that a durable one has made of no account."""
    volatile: list[int] = []
    synced: set[int] = set()
    settled: set[tuple[int, str]] = set()
    committed = False
    for place in range(len(past) - 1, -1, -1):
        match past[place]:
            case Sync(node):
                synced.add(node)
            case Commit(_, durable):
                if not durable and not committed:
                    volatile.append(place)
                committed |= durable
            case Write(node) if node not in synced:
                volatile.append(place)
            case Entry(directory, removed, added):
                names = {name for name in (removed, added) if name is not None}
                if directory in synced:
                    settled |= names
                elif not names <= settled:
                    volatile.append(place)
    return volatile[::-1]


@dataclass
class _Disk:
    files: dict[int, bytearray] = field(default_factory=dict)
    directories: dict[int, dict[str, int]] = field(default_factory=lambda: {_BASE: {}})

    def write(self, event: Write, fate: int) -> None:
        if fate == _LOST:
            return
        file = self.files.setdefault(event.node, bytearray())
        content = event.content
        if fate == _ZEROED:
            content = bytes(len(content))
        elif fate == _TORN:
            content = content[: len(content) // 2]
        end = event.offset + len(content)
        file.extend(bytes(max(0, end - len(file))))
        file[event.offset : end] = content

    def change(self, event: Entry) -> None:
        if event.is_directory:
            self.directories.setdefault(event.node, {})
        if event.removed is not None:
            directory, name = event.removed
            self.directories.setdefault(directory, {}).pop(name, None)
        if event.added is not None:
            directory, name = event.added
            self.directories.setdefault(directory, {})[name] = event.node

    def tree(self, node: int = _BASE, path: str = "") -> Iterator[tuple[str, bytes | None]]:
        for name, child in sorted(self.directories[node].items()):
            if child in self.directories:
                yield path + name, None
                yield from self.tree(child, f"{path}{name}/")
            else:
                yield path + name, bytes(self.files.get(child, b""))


def _world(past: Sequence[Event], fates: Fates) -> Cut:
    disk = _Disk()
    snapshot: bytes | None = None
    marks: list[str] = []
    for place, event in enumerate(past):
        fate = fates.get(place, _KEPT)
        match event:
            case Write():
                disk.write(event, fate)
            case Entry() if fate == _KEPT:
                disk.change(event)
            case Commit() if fate == _KEPT:
                snapshot = event.snapshot
            case Mark():
                marks.append(event.text)
    return Cut(tuple(disk.tree()), snapshot, tuple(marks))
