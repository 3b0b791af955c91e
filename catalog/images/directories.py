"""One directory of a stack's merged tree, from what the layer index says of each layer, without the whole tree.

    find_path(index, diff_ids, path, placements)         what stands at a path, symbolic links followed
    list_directory(index, diff_ids, path, …)             a page of a directory

What stands at a place is told by what each layer says of that very place, from the top down: an entry, a whiteout, an
opaque mark. What is in a directory counts from the layer on that last hid or replaced it, or one above it. Where a
layer means another place than its paths say, `ChainFacts.placements` has it. So this is the same tree that
`catalog.images.laying` makes, and a test compares the two on random stacks.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

import msgspec

from cas import Digest
from cas.entries import DIRECTORY, FILE, HARD_LINK, OPAQUE, PIPE, SYMLINK, WHITEOUT, Entry
from cas.errors import LayerIndexUnavailable
from cas.layer_index.protocol import LayerIndex
from catalog.browse.answers import FileRow
from catalog.images.facts import Placement
from catalog.images.laying import NOWHERE
from catalog.images.tree import MOST_HOPS, joined

#: Parts of paths that are looked at for one question, those of links' targets among them.
MOST_PARTS: Final = 1_000
LONGEST_PATH: Final = 4_096

#: Parts of a path that are asked for at once, layers that are asked at once, keys of one request.
_AHEAD: Final = 8
_AT_ONCE: Final = 16
_MOST_KEYS: Final = 4_000

_IMPLIED_MODE: Final = 0o755

_MARKS = (WHITEOUT, OPAQUE)
_KINDS: Final[dict[str, Literal["file", "directory", "symlink", "pipe"]]] = {
    FILE: "file",
    DIRECTORY: "directory",
    SYMLINK: "symlink",
    PIPE: "pipe",
}


class Said(NamedTuple):
    """What one layer says of a place. *implied*: there is a directory, without an entry; *hidden*: what the layers
    below have there is not; *emptied*: what they have in it is not."""

    entry: Entry | None = None
    implied: bool = False
    hidden: bool = False
    emptied: bool = False


_NOTHING = Said()


class Standing(NamedTuple):
    """What stands at a place, and the layer that it comes from. For a directory, what is in it counts from the layer
    *since* on."""

    layer: int
    entry: Entry
    since: int = 0


class Found(NamedTuple):
    """What a path led to, and its place."""

    place: str
    standing: Standing


class Listing(NamedTuple):
    """A page of the directory *path* (its place, whatever links led there), by name; *next* is the name that the next
    page begins after, None at the end."""

    path: str
    entries: list[FileRow]
    next: str | None


def standing(place: str, said: Sequence[Said], since: int) -> Standing | None:
    """Tell what stands at *place*, of which each layer says *said*, where the directory that it is in counts from the
    layer *since* on."""
    told: tuple[int, Entry] | None = None
    implied: int | None = None
    for layer in range(len(said) - 1, since - 1, -1):
        says = said[layer]
        if says.entry is not None and says.entry.kind != DIRECTORY:
            if told is None and implied is None:
                return Standing(layer, says.entry)
            since = max(since, layer + 1)
            break
        if says.entry is not None and told is None:
            told = layer, says.entry
        if says.implied:
            implied = layer
        if says.emptied:
            since = max(since, layer)
        if says.hidden:
            since = max(since, layer)
            break
    if told is not None:
        return Standing(*told, since)
    if implied is not None:
        return Standing(implied, Entry(place, DIRECTORY, _IMPLIED_MODE), since)
    return None


async def find_path(
    index: LayerIndex, diff_ids: Sequence[Digest], path: str, placements: Sequence[Placement] = ()
) -> Found | None:
    """Follow *path*, which a person may have written in any form, through all symbolic links; None where it leads to
    nothing, or too far.

    Raises:
        LayerIndexUnavailable: the index does not answer, or a layer is not in it.
    """
    return await _Stack(index, diff_ids, placements).find(path)


async def list_directory(
    index: LayerIndex,
    diff_ids: Sequence[Digest],
    path: str,
    after: str = "",
    most: int = 500,
    placements: Sequence[Placement] = (),
) -> Listing | None:
    """List the directory that *path* leads to, those after the name *after*; None where it leads to none.

    *diff_ids* are those of the stack, from the bottom up, and *placements* those of its `ChainFacts`.

    Raises:
        LayerIndexUnavailable: the index does not answer, or a layer is not in it.
    """
    stack = _Stack(index, diff_ids, placements)
    found = await stack.find(path)
    if found is None or found.standing.entry.kind != DIRECTORY:
        return None
    names: list[tuple[str, Standing]] = []
    more = True
    while more and len(names) <= most:
        page, after, more = await stack.children(found.place, found.standing.since, after, most + 1)
        names += page
    shown = [_row(joined(found.place, name), name, stands) for name, stands in names[:most]]
    return Listing(found.place, shown, names[most - 1][0] if len(names) > most > 0 else None)


class _Stack:
    """A stack of layers, asked of the index."""

    def __init__(self, index: LayerIndex, diff_ids: Sequence[Digest], placements: Sequence[Placement]) -> None:
        self._index = index
        self._diff_ids = diff_ids
        #: Entries that are not at their own path, and what layers say of places beside their entries.
        self._elsewhere = {(each.layer, each.source) for each in placements if _moves(each)}
        self._placed: dict[str, list[Placement]] = defaultdict(list)
        for each in placements:
            if each.kind != NOWHERE:
                self._placed[each.path].append(each)
        self._names: dict[str, list[str]] | None = None
        self._sources: dict[tuple[int, str], Entry] = {}
        self._known: dict[str, list[Said]] = {}

    async def find(self, path: str) -> Found | None:
        """Follow a path."""
        await self._check()
        if len(path) > LONGEST_PATH or not self._diff_ids:
            return None
        found = [await self._root()]
        todo = path.split("/")[::-1]
        parts = hops = 0
        while todo:
            parts += 1
            name = todo.pop()
            if name in ("", "."):
                continue
            if found[-1].standing.entry.kind != DIRECTORY:
                return None
            if name == "..":
                if len(found) > 1:
                    found.pop()
                continue
            place = joined(found[-1].place, name)
            if place not in self._known:
                await self._ask(_ahead(place, todo))
            stands = standing(place, self._known[place], found[-1].standing.since)
            if stands is None or parts > MOST_PARTS:
                return None
            if stands.entry.kind != SYMLINK:
                found.append(Found(place, stands))
                continue
            hops += 1
            target = stands.entry.target
            if hops > MOST_HOPS or not target or len(target) > LONGEST_PATH:
                return None
            if target.startswith("/"):
                del found[1:]
            todo += target.split("/")[::-1]
        return found[-1]

    async def children(
        self, place: str, since: int, after: str, most: int
    ) -> tuple[list[tuple[str, Standing]], str, bool]:
        """List what stands in the directory *place*, those after the name *after*: some of them, the name up to which
        that is all, and whether there are more."""
        said: dict[str, dict[int, Said]] = defaultdict(dict)
        # A page of a layer may end between two statements on one name: the last name is left to the next page.
        page = max(most, 15) + 1
        limit: str | None = None
        layers = range(since, len(self._diff_ids))
        for start in range(0, len(layers), _AT_ONCE):
            asked = layers[start : start + _AT_ONCE]
            answers = await asyncio.gather(
                *(self._index.children(self._diff_ids[layer], place, after, page) for layer in asked)
            )
            for layer, entries in zip(asked, answers, strict=True):
                for entry in entries:
                    name = entry.path.rpartition("/")[2]
                    said[name][layer] = self._combined(said[name].get(layer), layer, entry)
                if len(entries) >= page:
                    last = entries[-1].path.rpartition("/")[2]
                    limit = last if limit is None else min(limit, last)
        placed = self._placed_in(place)
        first = bisect_right(placed, after)
        if first + page < len(placed):
            last = placed[first + page]
            limit = last if limit is None else min(limit, last)
        names = sorted({*said, *placed[first : first + page]})
        if limit is not None:
            names = [name for name in names if name < limit]
        await self._ask_sources(joined(place, name) for name in names)
        found = []
        for name in names:
            path = joined(place, name)
            stands = standing(path, self._with_placements(path, said.get(name, {})), since)
            if stands is not None:
                found.append((name, stands))
        return found, names[-1] if names else after, limit is not None

    async def _check(self) -> None:
        if not all(await self._index.has_layers(self._diff_ids)):
            raise LayerIndexUnavailable("not all layers of the image are in the layer index")

    async def _root(self) -> Found:
        await self._ask([""])
        emptied = [layer for layer, says in enumerate(self._known[""]) if says.emptied]
        return Found("", Standing(0, Entry("", DIRECTORY, _IMPLIED_MODE), max(emptied, default=0)))

    async def _ask(self, places: Sequence[str]) -> None:
        """Learn what all layers say of *places*."""
        wanted = [(layer, place) for place in places for layer in range(len(self._diff_ids))]
        await self._ask_sources(places)
        said: dict[str, dict[int, Said]] = {place: {} for place in places}
        for (layer, place), entries in zip(wanted, await self._entries(wanted), strict=True):
            for entry in entries:
                said[place][layer] = self._combined(said[place].get(layer), layer, entry)
        for place in places:
            self._known[place] = self._with_placements(place, said[place])

    async def _ask_sources(self, places: Iterable[str]) -> None:
        """Learn what stands at *places* by what a layer says of another."""
        wanted = [
            (placement.source_layer, placement.source)
            for place in places
            for placement in self._placed.get(place, ())
            if placement.kind in (FILE, HARD_LINK)
        ]
        for key, entries in zip(wanted, await self._entries(wanted), strict=True):
            for entry in entries:
                if entry.kind not in _MARKS:
                    self._sources[key] = entry

    async def _entries(self, wanted: Sequence[tuple[int, str]]) -> list[list[Entry]]:
        found: list[list[Entry]] = []
        for start in range(0, len(wanted), _MOST_KEYS):
            keys = [(self._diff_ids[layer], path) for layer, path in wanted[start : start + _MOST_KEYS]]
            found += await self._index.entries(keys)
        return found

    def _combined(self, says: Said | None, layer: int, entry: Entry) -> Said:
        """Add to what a layer says of a place what the index has of it."""
        says = says or _NOTHING
        if entry.kind == WHITEOUT:
            return says._replace(hidden=True)
        if entry.kind == OPAQUE:
            return says._replace(emptied=True)
        return says if (layer, entry.path) in self._elsewhere else says._replace(entry=entry)

    def _with_placements(self, place: str, said: dict[int, Said]) -> list[Said]:
        told = [said.get(layer, _NOTHING) for layer in range(len(self._diff_ids))]
        for placement in self._placed.get(place, ()):
            says = told[placement.layer]
            if placement.kind in (FILE, HARD_LINK):
                source = self._sources.get((placement.source_layer, placement.source))
                if source is not None:
                    says = says._replace(entry=msgspec.structs.replace(source, path=place))
            elif placement.kind == DIRECTORY:
                says = says._replace(implied=True)
            elif placement.kind == WHITEOUT:
                says = says._replace(hidden=True)
            elif placement.kind == OPAQUE:
                says = says._replace(emptied=True)
            told[placement.layer] = says
        return told

    def _placed_in(self, directory: str) -> list[str]:
        """List the names that placements have in *directory*, sorted."""
        if self._names is None:
            self._names = defaultdict(list)
            for place in sorted(self._placed):
                if place:
                    parent, _, name = place.rpartition("/")
                    self._names[parent].append(name)
            for names in self._names.values():
                names.sort()
        return self._names.get(directory, [])


def _moves(placement: Placement) -> bool:
    """Whether an entry is not at its own path."""
    return placement.kind in (NOWHERE, FILE)


def _ahead(place: str, todo: Sequence[str]) -> list[str]:
    """Return *place*, and the next places on the way as they are where no part of *todo* is a link."""
    places = [place]
    for name in reversed(todo):
        if name in ("", ".", "..") or len(places) == _AHEAD:
            break
        places.append(f"{places[-1]}/{name}")
    return places


def _row(path: str, name: str, stands: Standing) -> FileRow:
    entry = stands.entry
    return FileRow(
        name=name,
        path=path,
        kind=_KINDS.get(entry.kind, "device"),
        size=entry.size,
        mode=entry.mode,
        uid=entry.uid,
        gid=entry.gid,
        modified=entry.modified,
        target=entry.target,
        sha256=entry.digest.hex(),
        layer=stands.layer,
    )
