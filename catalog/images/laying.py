"""A layer, laid upon a merged tree (OCI image specification, layer.md, "Applying Changesets").

    tree = Tree()
    for layer in layers:            # from the bottom up
        change = lay(tree, layer.entries)

Whiteouts and opaque marks come first, wherever they stand in a layer, and touch lower layers alone. Then an entry
replaces what stands at its place, unless both are directories. Parents of entries are looked up on the tree as it is at
that moment: through symbolic links, never above the root, and made where they are missing, as umoci and containerd do.
Hard links are resolved when the whole layer has been laid, else to what stood below.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cas.entries import DIRECTORY, FILE, HARD_LINK, OPAQUE, SYMLINK, WHITEOUT, Entry
from catalog.images.facts import Placement
from catalog.images.tree import Directory, Leaf, Node, Tree, joined

#: Placement.kind of what stands nowhere.
NOWHERE: Final = "x"

_MARKS = (WHITEOUT, OPAQUE)


def lay(tree: Tree, entries: Sequence[Entry]) -> Change:
    """Lay a layer upon *tree*; *entries* are sorted as `LayerFacts.entries` are."""
    laying = _Laying(tree, entries)
    laying.mark()
    laying.place()
    laying.link()
    tree.placements += laying.placements()
    tree.layers += 1
    return laying.change


class Change:
    """What laying one layer did.

    *lost* are the files of lower layers that it hid or replaced, by their place. *links* are the places of hard links
    to lower layers. *redirected* tells whether a symbolic link came or went, so that paths may lead elsewhere now.
    """

    def __init__(self) -> None:
        self.entries = 0
        self.added = 0
        self.changed = 0
        self.bytes = 0
        self.wasted = 0
        self.lost: dict[str, Leaf] = {}
        self.links: list[tuple[str, Leaf]] = []
        self.redirected = False

    @property
    def deleted(self) -> int:
        """Files that stood below and for which none stands now."""
        return len(self.lost) - self.changed


class _OwnDirectories:
    """The paths that a layer has directories at, gathered when they are first asked for."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = entries
        self._paths: frozenset[str] | None = None

    def __contains__(self, path: object) -> bool:
        if self._paths is None:
            self._paths = frozenset(entry.path for entry in self._entries if entry.kind == DIRECTORY)
        return path in self._paths


class _Laying:
    """One layer while it is laid."""

    def __init__(self, tree: Tree, entries: Sequence[Entry]) -> None:
        self._tree = tree
        self._entries = entries
        self._layer = tree.layers
        self.change = Change()
        #: Directories by the path that the layer has for them; whether they stand elsewhere.
        self._known: dict[str, tuple[Directory, bool] | None] = {"": (tree.root, False)}
        #: Entries that stand elsewhere than at their paths, and those that stand nowhere.
        self._moved: dict[str, str] = {}
        self._nowhere: set[str] = set()
        self._marks: list[Placement] = []
        self._implied: list[Directory] = []
        self._cut: list[str] = []
        self._links: list[tuple[str, Directory, str, Leaf, str]] = []
        #: What hard links lead to in the layers below, by their paths.
        self._targets: dict[str, tuple[str, Leaf]] = {}

    # First: what is hidden below.

    def mark(self) -> None:
        """Apply whiteouts and opaque marks to what the layers below left, having looked where hard links lead there."""
        own = _OwnDirectories(self._entries)
        for entry in self._entries:
            if entry.kind == HARD_LINK:
                found = self._tree.find(_normal(entry.target))
                if found is not None and isinstance(found[1], Leaf):
                    self._targets[entry.path] = found[0], found[1]
        marks: list[tuple[str, str, Directory]] = []
        for entry in self._entries:
            if entry.kind in _MARKS:
                path, _, name = entry.path.rpartition("/") if entry.kind == WHITEOUT else (entry.path, "", "")
                below = self._below(path, own)
                if below is not None:
                    directory, moved = below
                    place = self._tree.place_of(directory, name) if moved else entry.path
                    if place is None:
                        self._limit("hides more through symbolic links than is followed")
                        continue
                    if moved:
                        self._marks.append(Placement(self._layer, entry.kind, place))
                    marks.append((place, entry.kind, directory))
        # All of them were looked up first: one may hide the link that leads to another. The deepest go first.
        marks.sort(key=lambda mark: (mark[0].count("/"), mark[1] == OPAQUE, mark[0]), reverse=True)
        for place, kind, directory in marks:
            if kind == WHITEOUT:
                there = directory.children.pop(place.rpartition("/")[2], None)
                if there is not None:
                    self._lose(place, there)
            else:
                children, directory.children = directory.children, {}
                for name, child in children.items():
                    self._lose(joined(place, name), child)
        self._known = {"": (self._tree.root, False)}
        self._cut.clear()

    def _below(self, path: str, own: _OwnDirectories) -> tuple[Directory, bool] | None:
        if path in self._known:
            return self._known[path]
        walk = self._tree.walk(path, own)
        place = None if walk is None or walk.missing else (walk.directory, walk.moved)
        self._known[path] = place
        return place

    # Then: the entries.

    def place(self) -> None:
        """Lay the entries upon what is left."""
        change, layer, known, lost = self.change, self._layer, self._known, self.change.lost
        tree = self._tree
        keep = tree.keeps_entries
        entries = added = changed = size = 0
        for entry in self._entries:
            kind = entry.kind
            if kind in _MARKS:
                continue
            entries += 1
            path = entry.path
            parent, _, name = path.rpartition("/")
            place = known.get(parent)
            if place is None:
                place = self._parent(parent)
                if place is None:
                    self._refuse(entry)
                    continue
                known[parent] = place
            directory, moved = place
            at = tree.place_of(directory, name) if moved else path
            if at is None:
                self._refuse(entry)
                continue
            if at != path:
                self._moved[path] = at
            there = directory.children.get(name)
            if kind == DIRECTORY:
                replaced = isinstance(there, Leaf)
                if type(there) is not Directory:
                    if there is not None:
                        self._lose(at, there)
                    directory.children[name] = there = Directory(directory, name, layer)
                elif there.layer == layer and there.said is not None and there.said != path:
                    self._drop(there.said)
                there.layer, there.said = layer, path
                if keep:
                    there.entry = entry
                if not replaced:  # a link on the way to it may have been: then the path leads elsewhere now
                    known[path] = (there, moved)
                continue
            if there is not None:
                self._lose(at, there)
            leaf = Leaf(layer, kind, entry.size, entry.target, path if at != path else "")
            if keep:
                leaf.entry = entry
            directory.children[name] = leaf
            if lost and at in lost:
                changed += 1
            else:
                added += 1
            if kind == FILE:
                size += entry.size
            elif kind == SYMLINK:
                change.redirected = True
                known.clear()
                known[""] = (self._tree.root, False)
            elif kind == HARD_LINK:
                self._links.append((at, directory, name, leaf, path))
        change.entries = entries
        change.added += added
        change.changed += changed
        change.bytes = size
        self._tree.files += added + changed
        self._tree.bytes += size

    def _parent(self, path: str) -> tuple[Directory, bool] | None:
        """Find the directory that an entry is in, and make it where it is missing."""
        walk = self._tree.walk(path)
        if walk is None:
            return None
        if not walk.missing:
            return walk.directory, walk.moved
        first = walk.missing[0]
        there = walk.directory.children.get(first)
        if isinstance(there, Leaf) and there.layer == self._layer:
            return None  # the archive itself has a file where this entry would need a directory
        made = self._tree.imply(walk, self._layer)
        if made is None:
            return None
        if there is not None:
            self._lose(joined(walk.directory.path, first), there)
        self._implied += made
        return made[-1], walk.moved

    def _refuse(self, entry: Entry) -> None:
        """Note an entry that has no place."""
        self._nowhere.add(entry.path)
        if entry.kind != DIRECTORY:
            self._tree.hidden.append((self._layer, entry.path))
        self._limit("has entries whose directories cannot be found (loops or too many links, or a file in their place)")

    def _limit(self, reason: str) -> None:
        limit = f"layer {self._layer}: it {reason}"
        if limit not in self._tree.limits:
            self._tree.limits.append(limit)

    def _lose(self, place: str, node: Node) -> None:
        """Take leave of what stood at *place*."""
        if isinstance(node, Leaf):
            self._lose_leaf(place, node)
            if node.layer == self._layer:
                self._cut.append(place)
            if node.kind == SYMLINK:
                self._forget()
            return
        self._forget()
        self._cut.append(place)
        todo = [(place, node)]
        while todo:
            at, directory = todo.pop()
            if directory.layer == self._layer and directory.said is not None:
                self._drop(directory.said)
            for name, child in directory.children.items():
                if type(child) is Directory:
                    todo.append((f"{at}/{name}", child))
                elif isinstance(child, Leaf):
                    self._lose_leaf(f"{at}/{name}", child)

    def _lose_leaf(self, place: str, leaf: Leaf) -> None:
        change = self.change
        said = leaf.said or place
        self._tree.hidden.append((leaf.layer, said))
        if (leaf.said or leaf.origin) and (stray := leaf.stray(place, hidden=True)) is not None:
            self._tree.lost_strays.append(stray)
        self._tree.files -= 1
        if leaf.kind == FILE:
            self._tree.bytes -= leaf.size
        if leaf.layer == self._layer:
            self._drop(said)
            if place in change.lost:
                change.changed -= 1
            else:
                change.added -= 1
        else:
            change.lost[place] = leaf
            if leaf.kind == FILE and leaf.origin is None:
                change.wasted += leaf.size
        if leaf.kind == SYMLINK:
            change.redirected = True

    def _drop(self, said: str) -> None:
        self._moved.pop(said, None)
        self._nowhere.add(said)

    def _forget(self) -> None:
        """Forget where paths led: a directory or a symbolic link is gone."""
        self._known.clear()
        self._known[""] = (self._tree.root, False)

    # At last: hard links.

    def link(self) -> None:
        """Resolve the hard links that the layer's reader could not: to files of lower layers."""
        for at, _, _, leaf, _ in self._links:
            if leaf.kind == HARD_LINK:
                self._resolve(at, leaf)
        for at, directory, name, leaf, path in self._links:
            if directory.children.get(name) is not leaf or self._tree.at(at) is not leaf:
                continue
            if leaf.kind == HARD_LINK:
                del directory.children[name]
                self._lose_leaf(at, leaf)
                self._cut.append(at)
                self._limit("has hard links to nothing")
            else:
                self.change.links.append((at, leaf))
                self._drop(path)
                if leaf.kind == FILE:
                    self._tree.bytes += leaf.size

    def _resolve(self, at: str, leaf: Leaf) -> None:
        """Give *leaf*, and all links on the way, what the last of them leads to."""
        chain = [leaf]
        seen = {id(leaf)}
        while True:
            place, there = self._tree.find(_normal(chain[-1].target)) or ("", None)
            if not isinstance(there, Leaf) or id(there) in seen:
                break
            if there.kind != HARD_LINK:
                self._lead(chain, place, there)
                return
            chain.append(there)
            seen.add(id(there))
            at = place
        below = self._targets.get(chain[-1].said or at)
        if below is not None:
            self._lead(chain, *below)

    @staticmethod
    def _lead(chain: Sequence[Leaf], place: str, leaf: Leaf) -> None:
        """Make all links of *chain* names of *leaf*, which stands or stood at *place*."""
        origin = leaf.origin or (leaf.layer, leaf.said or place)
        for each in chain:
            each.kind, each.size, each.target, each.origin = leaf.kind, leaf.size, leaf.target, origin
            each.entry = leaf.entry

    # What of this the paths do not tell.

    def placements(self) -> list[Placement]:
        """Tell what came to another place than its path says; see `Placement`."""
        layer, tree = self._layer, self._tree
        found = list(self._marks)
        found += [Placement(layer, FILE, place, layer, path) for path, place in self._moved.items()]
        for place, leaf in self.change.links:
            assert leaf.origin is not None
            found.append(Placement(layer, HARD_LINK, place, *leaf.origin))
        found += [Placement(layer, NOWHERE, "", layer, path) for path in self._nowhere]
        for directory in self._implied:
            place = directory.path
            if tree.at(place) is directory:
                found.append(Placement(layer, DIRECTORY, place))
        for place in dict.fromkeys(self._cut):
            node = tree.at(place)
            if node is None or type(node) is Directory:
                found.append(Placement(layer, WHITEOUT, place))
        return sorted(found, key=lambda each: (each.kind, each.path, each.source))


def _normal(target: str) -> str:
    """Write the target of a hard link, which is a path from the root, without ``.``, ``..`` and empty parts."""
    parts: list[str] = []
    for part in target.split("/"):
        if part == "..":
            if parts:
                parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
