"""Layers written by hand, and random ones: facts as a reader of layers gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from hypothesis import strategies as st

from cas import Digest
from cas.entries import DIRECTORY, FILE, HARD_LINK, OPAQUE, PIPE, SYMLINK, WHITEOUT, Entry
from catalog.images.facts import Evidence, LayerFacts
from catalog.images.laying import lay
from catalog.images.tree import Leaf, Tree

_MARKS = (WHITEOUT, OPAQUE)


def file(path: str, size: int = 1, content: str = "") -> Entry:
    return Entry(path, FILE, 0o644, size=size, digest=Digest.of((content or path).encode()).hex[:32].encode())


def directory(path: str, mode: int = 0o755) -> Entry:
    return Entry(path, DIRECTORY, mode)


def symlink(path: str, target: str) -> Entry:
    return Entry(path, SYMLINK, 0o777, target=target)


def hard_link(path: str, target: str) -> Entry:
    return Entry(path, HARD_LINK, 0o644, target=target)


def pipe(path: str) -> Entry:
    return Entry(path, PIPE, 0o644)


def whiteout(path: str) -> Entry:
    return Entry(path, WHITEOUT)


def opaque(path: str) -> Entry:
    return Entry(path, OPAQUE)


def layer(
    *entries: Entry,
    evidence: Sequence[Evidence] = (),
    texts: Mapping[str, bytes] | None = None,
    limits: Sequence[str] = (),
    unread: str = "",
) -> LayerFacts:
    """Make the facts of a layer: entries and evidence are put in order, a file is made for evidence without one."""
    there = {entry.path for entry in entries if entry.kind not in _MARKS}
    paths = {*(each.path for each in evidence), *(texts or {})} - there
    every = [*entries, *(file(path) for path in sorted(paths))]
    every.sort(key=lambda entry: (entry.path.split("/"), entry.kind not in _MARKS))
    told = sorted(evidence, key=lambda each: each.path)
    content = msgspec.msgpack.encode([every, told, texts or {}])
    return LayerFacts(
        Digest.of(content).text, len(content), every, told, dict(texts or {}), limits=list(limits), unread=unread
    )


def tree_of(*layers: LayerFacts) -> Tree:
    """Lay layers upon each other."""
    tree = Tree(keep_entries=True)
    for each in layers:
        lay(tree, each.entries)
    return tree


def shown(tree: Tree) -> dict[str, str]:
    """What stands in a tree: for directories ``/``, for others the layer that they come from, a symlink's target after
    it."""
    return {
        path: (f"{node.layer} → {node.target}" if node.kind == SYMLINK else str(node.layer))
        if isinstance(node, Leaf)
        else "/"
        for path, node in tree
    }


_NAMES = st.sampled_from(["a", "b", "c"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=4).map("/".join)
_TARGETS = st.builds(
    lambda start, path: start + path,
    st.sampled_from(["", "", "/", "../", "../../", "./", "b/../"]),
    st.one_of(_PATHS, st.just("."), st.just("missing/../a")),
)


@st.composite
def layers(draw: st.DrawFn, kinds: str = "fdlhwo") -> LayerFacts:
    """A layer over few names, so that much of it meets what is below. It is as a reader leaves it: nothing is below a
    path that is no directory, but below a symbolic link."""
    entries: dict[tuple[str, bool], Entry] = {}
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=8)):
        path = draw(_PATHS)
        if kind == OPAQUE and draw(st.integers(0, 9)) == 0:
            path = ""
        target = draw(_TARGETS) if kind == SYMLINK else draw(_PATHS) if kind == HARD_LINK else ""
        size = draw(st.integers(0, 3)) if kind == FILE else 0
        entries[path, kind in _MARKS] = Entry(path, kind, size=size, target=target)
    barriers = {path for (path, mark), entry in entries.items() if not mark and entry.kind in (FILE, HARD_LINK)}
    return layer(
        *(
            entry
            for entry in entries.values()
            if entry.kind in _MARKS
            or not any(f"{entry.path}/".startswith(f"{path}/") for path in barriers - {entry.path})
        )
    )


def stacks(kinds: str = "fdlhwo") -> st.SearchStrategy[list[LayerFacts]]:
    """One layer or a few."""
    return st.lists(layers(kinds), min_size=1, max_size=5)
