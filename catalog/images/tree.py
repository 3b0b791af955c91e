"""The merged tree of a stack of layers: what stands in it, and where paths lead.

Layers may be hostile: nothing here recurses, links are followed `MOST_HOPS` times, and all walking, and the directories
that are made because no entry tells of them, are counted. `catalog.images.laying` has how layers make a tree.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Final

import msgspec

from cas.entries import FILE, SYMLINK, Entry
from catalog.images.facts import Placement, Stray

#: Symbolic links that are followed on the way to one path. umoci and containerd follow as many.
MOST_HOPS: Final = 255
#: Directories of which no entry tells, in a whole stack.
MOST_IMPLIED: Final = 200_000
#: Characters of all places, in a whole stack, that are not the paths of entries: of those directories, and of what
#: stands elsewhere. A short path may lead to a place of thousands of characters.
MOST_PLACES: Final = 16 << 20
#: Steps from a directory to one in it, in a whole stack; half a million entries need some five million.
MOST_STEPS: Final = 30_000_000


class Leaf(msgspec.Struct, gc=False):
    """What stands in the tree and is no directory.

    *said* is the path by which the layer tells of it, empty where that is its place. *origin* is the layer and the path
    of the file that a hard link led to. *entry* is kept by trees that are to keep entries.
    """

    layer: int
    kind: str
    size: int
    target: str
    said: str = ""
    origin: tuple[int, str] | None = None
    entry: Entry | None = None

    def stray(self, place: str, *, hidden: bool) -> Stray | None:
        """Tell of it as a stray at *place*; None where its layer has it under that path."""
        if not (self.said or self.origin) or self.kind not in (FILE, SYMLINK):
            return None
        layer, source = self.origin or (self.layer, self.said)
        return Stray(place, layer, source, self.origin is not None, hidden)


class Directory:
    """A directory of the tree; *layer* is the last that has an entry for it, or the one that implied it."""

    __slots__ = ("children", "entry", "layer", "name", "parent", "said")

    def __init__(self, parent: Directory | None, name: str, layer: int) -> None:
        self.parent = parent
        self.name = name
        self.layer = layer
        self.children: dict[str, Directory | Leaf] = {}
        self.said: str | None = None
        self.entry: Entry | None = None

    @property
    def path(self) -> str:
        """Where it stands."""
        names: list[str] = []
        here = self
        while here.parent is not None:
            names.append(here.name)
            here = here.parent
        return "/".join(reversed(names))


Node = Directory | Leaf


class Walk:
    """Where a path led: *directory*, and the names below it that are not there as directories."""

    __slots__ = ("directory", "missing", "moved")

    def __init__(self, directory: Directory, missing: list[str], moved: bool) -> None:
        self.directory = directory
        self.missing = missing
        self.moved = moved


class Tree:
    """A merged tree. Unless entries are kept, it holds on to nothing of the layers but the names."""

    def __init__(self, *, keep_entries: bool = False) -> None:
        self.root = Directory(None, "", 0)
        self.layers = 0
        self.files = 0
        self.bytes = 0
        #: (layer, path as it says it) of all that is no directory and was lost.
        self.hidden: list[tuple[int, str]] = []
        self.placements: list[Placement] = []
        #: Of what was lost, that which stood elsewhere than its layer says.
        self.lost_strays: list[Stray] = []
        self.limits: list[str] = []
        self.keeps_entries = keep_entries
        self._steps = MOST_STEPS
        self._implied = 0
        self._places = MOST_PLACES

    def strays(self) -> list[Stray]:
        """List what stands, or stood, elsewhere than its layer says, by path."""
        found = list(self.lost_strays)
        if any(placement.path and placement.source for placement in self.placements):
            leaves = ((place, node) for place, node in self if isinstance(node, Leaf))
            found += (stray for place, leaf in leaves if (stray := leaf.stray(place, hidden=False)) is not None)
        return sorted(found, key=lambda stray: (stray.path, stray.layer, stray.source, stray.link, stray.hidden))

    def copy(self) -> Tree:
        """Return a tree that layers can be laid upon without changing this one. What was told so far is not copied."""
        tree = Tree(keep_entries=self.keeps_entries)
        tree.layers, tree.files, tree.bytes = self.layers, self.files, self.bytes
        tree._steps, tree._implied, tree._places = self._steps, self._implied, self._places
        todo = [(self.root, tree.root)]
        while todo:
            old, new = todo.pop()
            new.layer, new.said, new.entry = old.layer, old.said, old.entry
            new.children = children = old.children.copy()
            for name, child in old.children.items():
                if type(child) is Directory:
                    children[name] = twin = Directory(new, name, child.layer)
                    todo.append((child, twin))
        return tree

    def walk(self, path: str, own_directories: Container[str] | None = None) -> Walk | None:
        """Follow *path* as a directory's, through symbolic links; None where that leads nowhere: too many links, too
        many steps, or (for whiteouts) a link that the layer itself replaces by one of *own_directories*."""
        node, missing, moved, hops = self.root, list[str](), False, 0
        todo = path.split("/")
        todo.reverse()
        self._steps -= len(todo)
        while todo:
            name = todo.pop()
            if name == "" or name == ".":
                continue
            if name == "..":
                if missing:
                    missing.pop()
                else:
                    node = node.parent or node
                continue
            child = None if missing else node.children.get(name)
            if type(child) is Directory:
                node = child
            elif isinstance(child, Leaf) and child.kind == SYMLINK:
                if own_directories is not None and not moved and joined(node.path, name) in own_directories:
                    return None
                hops += 1
                parts = child.target.split("/")
                self._steps -= len(parts)
                if hops > MOST_HOPS or self._steps < 0:
                    return None
                if child.target.startswith("/"):
                    node = self.root
                parts.reverse()
                todo += parts
                moved = True
            else:
                missing.append(name)
        return Walk(node, missing, moved) if self._steps >= 0 else None

    def find(self, path: str) -> tuple[str, Node] | None:
        """Return what stands at *path*, and its place; parents are followed through symbolic links, the last part is
        not."""
        parent, _, name = path.rpartition("/")
        walk = self.walk(parent)
        if walk is None or walk.missing:
            return None
        node = walk.directory.children.get(name)
        return None if node is None else (joined(walk.directory.path, name) if walk.moved else path, node)

    def follow(self, path: str) -> tuple[str, Node] | None:
        """Return what stands at *path*, and its place; symbolic links are followed to the end."""
        for _ in range(MOST_HOPS):
            found = self.find(path)
            if found is None or not (isinstance(found[1], Leaf) and found[1].kind == SYMLINK):
                return found
            path = beside(found[0], found[1].target)
            if not path:
                return "", self.root
        return None

    def at(self, place: str) -> Node | None:
        """Return what stands at *place*, through no symbolic link."""
        node: Node | None = self.root
        for name in place.split("/") if place else ():
            if type(node) is not Directory:
                return None
            node = node.children.get(name)
        return node

    @property
    def exhausted(self) -> bool:
        """Whether paths are no longer followed, because that took too many steps."""
        return self._steps < 0

    def __iter__(self) -> Iterator[tuple[str, Node]]:
        """Go through all that stands in the tree, with its place, in no particular order."""
        todo: list[tuple[str, Directory]] = [("", self.root)]
        while todo:
            place, directory = todo.pop()
            prefix = f"{place}/" if place else ""
            for name, child in directory.children.items():
                yield prefix + name, child
                if type(child) is Directory:
                    todo.append((prefix + name, child))

    def place_of(self, directory: Directory, name: str) -> str | None:
        """Write the place of *name* in *directory*, where no path of an entry does; None where that were too much."""
        if self._places < 0:
            return None
        place = joined(directory.path, name) if name else directory.path
        self._places -= len(place)
        return place

    def imply(self, walk: Walk, layer: int) -> list[Directory] | None:
        """Make the directories that are missing; None where too many were made already."""
        if self._implied + len(walk.missing) > MOST_IMPLIED:
            return None
        length = len(walk.directory.path)
        for name in walk.missing:
            length += 1 + len(name)
            self._places -= length
        if self._places < 0:
            return None
        self._implied += len(walk.missing)
        made = []
        node = walk.directory
        for name in walk.missing:
            new = Directory(node, name, layer)
            node.children[name] = new
            made.append(new)
            node = new
        return made


def beside(place: str, target: str) -> str:
    """Return the path that the symbolic link *target* at *place* leads to. ``..`` is left to the walk, which knows what
    the parts before it are."""
    if target.startswith("/"):
        return target.strip("/")
    return joined(place.rpartition("/")[0], target.rstrip("/"))


def joined(directory: str, name: str) -> str:
    return f"{directory}/{name}" if directory else name
