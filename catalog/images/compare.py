"""How two images differ: packages, config, files."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from cas.entries import Entry
from catalog.browse.answers import FileChange, PackageChange, ValueChange
from catalog.images.config import ImageConfig
from catalog.images.facts import ChainFacts
from catalog.images.laying import lay
from catalog.images.tree import Leaf, Tree


def shared_layers(before: Sequence[str], after: Sequence[str]) -> int:
    """Return how many layers at the bottom are the same; both are diff_ids from the bottom up."""
    for index, (one, other) in enumerate(zip(before, after, strict=False)):
        if one != other:
            return index
    return min(len(before), len(after))


def compare_packages(before: ChainFacts, after: ChainFacts) -> list[PackageChange]:
    """List the packages that are in one of two stacks alone, or in another version. Where a name stands in several
    versions, those that both have are left out, and the others are set against each other in their order."""
    old, new = _versions(before), _versions(after)
    changes: list[PackageChange] = []
    for ecosystem, name in sorted(old.keys() | new.keys()):
        lost = sorted(old[ecosystem, name] - new[ecosystem, name])
        gained = sorted(new[ecosystem, name] - old[ecosystem, name])
        for position in range(max(len(lost), len(gained))):
            was = lost[position] if position < len(lost) else ""
            now = gained[position] if position < len(gained) else ""
            changes.append(PackageChange(ecosystem, name, was, now))
    return changes


def compare_configs(before: ImageConfig | None, after: ImageConfig | None) -> list[ValueChange]:
    """List the members of two configs that differ, each variable and each label for itself."""
    old, new = _values(before), _values(after)
    return [
        ValueChange(name, old.get(name, ""), new.get(name, ""))
        for name in sorted(old.keys() | new.keys())
        if old.get(name, "") != new.get(name, "")
    ]


class FileComparison:
    """Compares the files (what is no directory) of two merged trees. Layers are laid one after the other and let go;
    what the trees have of them stays.

    Those at the bottom that both have are laid once, by `lay_both`. Then come the others of each, by `lay_before` and
    `lay_after`: what these do not touch is not looked at.
    """

    def __init__(self) -> None:
        self._before = Tree(keep_entries=True)
        self._after: Tree | None = None
        self._touched: set[str] = set()

    def lay_both(self, entries: Sequence[Entry]) -> None:
        """Lay a layer that both have; the bottom one first."""
        lay(self._before, entries)

    def lay_before(self, entries: Sequence[Entry]) -> None:
        """Lay a layer of the one alone."""
        self._fork()
        self._touched |= _touched(self._before, entries)

    def lay_after(self, entries: Sequence[Entry]) -> None:
        """Lay a layer of the other alone."""
        self._touched |= _touched(self._fork(), entries)

    def changes(self) -> Iterator[FileChange]:
        """Go through the files that are in one of both alone, or differ in more than their times, by path."""
        before, after = self._before, self._fork()
        for path in sorted(self._touched):
            was, now = _leaf(before, path), _leaf(after, path)
            if was is None and now is not None:
                yield FileChange(path, "added", None, now.size)
            elif was is not None and now is None:
                yield FileChange(path, "removed", was.size, None)
            elif was is not None and now is not None and _content(was) != _content(now):
                yield FileChange(path, "changed", was.size, now.size)

    def _fork(self) -> Tree:
        """Return the other tree, which begins where what both have ends."""
        if self._after is None:
            self._after = self._before.copy()
        return self._after


def _versions(facts: ChainFacts) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    for package in facts.packages:
        found[package.ecosystem, package.name].add(package.version)
    return found


def _values(config: ImageConfig | None) -> Mapping[str, str]:
    if config is None:
        return {}
    values = {
        "platform": config.platform,
        "author": config.author,
        "user": config.user,
        "working directory": config.working_dir,
        "stop signal": config.stop_signal,
        "entrypoint": shlex.join(config.entrypoint),
        "command": shlex.join(config.command),
        "ports": " ".join(config.ports),
        "volumes": " ".join(config.volumes),
    }
    for variable in config.env:
        name, _, value = variable.partition("=")
        values[f"env {name}"] = value
    values.update((f"label {name}", value) for name, value in config.labels.items())
    return values


def _touched(tree: Tree, entries: Sequence[Entry]) -> set[str]:
    """Lay a layer upon *tree*; return the places at which something may be another since."""
    first = len(tree.placements)
    touched = set(lay(tree, entries).lost)
    touched.update(entry.path for entry in entries)
    touched.update(placement.path for placement in tree.placements[first:])
    return touched


def _leaf(tree: Tree, path: str) -> Leaf | None:
    node = tree.at(path)
    return node if isinstance(node, Leaf) else None


def _content(leaf: Leaf) -> tuple[str, int, str, bytes, int, int, int]:
    entry = leaf.entry or Entry("")
    return leaf.kind, leaf.size, leaf.target, entry.digest, entry.mode, entry.uid, entry.gid
