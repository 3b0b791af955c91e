"""Which packages are installed in a stack, layer by layer, and who owns a path.

A file tells of packages (`Evidence`) while it is what stands at its path. So, layer by layer: files that are gone take
their packages away, files that have come bring theirs, and what both tell of was never gone. That gives the layer that
brought each package as it is, after removal and re-installation too, and what lower layers alone still hold.

A distribution's packages are those of all its databases together: one that moves, or is cut into pieces, brings nothing
anew. Packages of languages are where their files are: the same package at another place was brought there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from catalog.images.facts import Evidence, PackageFacts
from catalog.images.laying import Change
from catalog.images.purls import DISTRIBUTIONS, full_name
from catalog.images.tree import Directory, Leaf, Tree, joined


class Identity(NamedTuple):
    """What makes two packages the same, as they are."""

    ecosystem: str
    namespace: str
    name: str
    key: str
    version: str
    qualifiers: tuple[tuple[str, str], ...]


class Gone(NamedTuple):
    """A package that is gone: the layer that brought it, where it stood, the layer that removed it."""

    layer: int
    places: list[str]
    removed_in: int


class PackageChange(NamedTuple):
    """What a layer did: ``ecosystem/name@version``, and ``ecosystem/name@old → new``."""

    installed: list[str]
    upgraded: list[str]
    removed: list[str]


class Installed:
    """The packages of a stack. *standing* has those that are installed: where they stand, and the layer that brought
    them there; *gone* those that were; *facts* what was last said of each."""

    def __init__(self) -> None:
        self.standing: dict[Identity, dict[str, int]] = {}
        self.gone: dict[Identity, Gone] = {}
        self.facts: dict[Identity, PackageFacts] = {}
        #: What tells of packages at each place of the tree.
        self._sites: dict[str, list[Evidence]] = {}
        #: All evidence, by layer and path, for hard links to it.
        self._evidence: dict[tuple[int, str], list[Evidence]] = {}
        #: Evidence at a place that its path leads to through a symbolic link: whether it counts may change.
        self._indirect: dict[str, list[Evidence]] = {}

    @staticmethod
    def is_of_distribution(identity: Identity) -> bool:
        """Whether a database of the distribution tells of it."""
        return identity.ecosystem in DISTRIBUTIONS

    def change(self, layer: int, evidence: Sequence[Evidence], tree: Tree, change: Change) -> PackageChange:
        """Take over what *layer*, just laid upon *tree*, tells of packages and takes away."""
        for each in evidence:
            self._evidence.setdefault((layer, each.path), []).append(each)
        before: dict[Identity, dict[str, int]] = {}
        for place in change.lost:
            if place in self._sites:
                self._take(place, self._sites.pop(place), before)
            self._indirect.pop(place, None)
        new = self._found(layer, evidence, tree)
        new.update(self._linked(change.links))
        if change.redirected:
            new.update(self._recheck(tree, before))
        for place, sites in new.items():
            self._sites[place] = sites
            for identity in self._told(sites):
                self._bring(identity, place, layer, before)
        return self._outcome(layer, before)

    def owners(self, tree: Tree) -> dict[str, Identity]:
        """Tell which of the places where packages of languages stand belong to a distribution's package."""
        wanted: dict[str, str] = {}
        for identity, places in self.standing.items():
            if not self.is_of_distribution(identity):
                for place in places:
                    for name in _spellings(place, tree):
                        wanted[name] = place
        if not wanted:
            return {}
        databases = self._databases()
        owners: dict[str, Identity] = {}
        for _, sites in sorted(self._sites.items()):
            for evidence in sites:
                for key, files in sorted(evidence.owned.items()):
                    owner = databases.get((evidence.cataloger, key))
                    if owner is None:
                        continue
                    for line in wanted.keys() & set(files.split("\n")):
                        owners.setdefault(wanted[line], owner)
        return owners

    def _databases(self) -> dict[tuple[str, str], Identity]:
        """Name the distribution's packages as lists of files do: by key, or by name alone."""
        found: dict[tuple[str, str], Identity] = {}
        for sites in self._sites.values():
            for evidence in sites:
                for package in evidence.packages:
                    identity = _identity(package)
                    if self.is_of_distribution(identity):
                        for key in (package.key or package.name, package.name):
                            name = evidence.cataloger, key
                            found[name] = min(found.get(name, identity), identity)
        return found

    def _found(self, layer: int, evidence: Sequence[Evidence], tree: Tree) -> dict[str, list[Evidence]]:
        """Find where the files stand that *layer* brought."""
        new: dict[str, list[Evidence]] = {}
        for each in evidence:
            found = tree.find(each.path)
            if found is None or isinstance(found[1], Directory):
                continue
            place, leaf = found
            if leaf.layer == layer and (leaf.said or place) == each.path:
                new.setdefault(place, []).append(each)
                if place != each.path:
                    self._indirect.setdefault(place, []).append(each)
        return new

    def _linked(self, links: Iterable[tuple[str, Leaf]]) -> Iterator[tuple[str, list[Evidence]]]:
        """Find what hard links to lower layers lead to. A database is one by its name: a link of another name is a
        copy that nobody reads."""
        for place, leaf in links:
            if leaf.origin is not None and leaf.origin in self._evidence:
                last = place.rpartition("/")[2]
                sites = [each for each in self._evidence[leaf.origin] if each.path.rpartition("/")[2] == last]
                if sites:
                    yield place, sites

    def _recheck(self, tree: Tree, before: dict[Identity, dict[str, int]]) -> Iterator[tuple[str, list[Evidence]]]:
        """Look again where paths lead that lead through symbolic links: those may have gone, or come back."""
        for place, sites in self._indirect.items():
            found = tree.find(sites[0].path)
            stands = found is not None and found[0] == place
            if stands and place not in self._sites:
                yield place, sites
            elif not stands and place in self._sites:
                self._take(place, self._sites.pop(place), before)

    def _told(self, sites: Iterable[Evidence]) -> dict[Identity, None]:
        """Remember what files say of packages, and name these."""
        told: dict[Identity, None] = {}
        for evidence in sites:
            for package in evidence.packages:
                identity = _identity(package)
                self.facts[identity] = package
                told[identity] = None
        return told

    def _take(self, place: str, sites: list[Evidence], before: dict[Identity, dict[str, int]]) -> None:
        for evidence in sites:
            for package in evidence.packages:
                identity = _identity(package)
                standing = self.standing.get(identity)
                if standing is not None and place in standing:
                    if identity not in before:
                        before[identity] = standing.copy()
                    del standing[place]
                    if not standing:
                        del self.standing[identity]

    def _bring(self, identity: Identity, place: str, layer: int, before: dict[Identity, dict[str, int]]) -> None:
        standing = self.standing.setdefault(identity, {})
        if identity not in before:
            before[identity] = standing.copy()
        was = before[identity]
        if self.is_of_distribution(identity) and was:
            standing[place] = min(was.values())
        else:
            standing[place] = was.get(place, layer)

    def _outcome(self, layer: int, before: dict[Identity, dict[str, int]]) -> PackageChange:
        """Compare what stood before with what stands now."""
        gone: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        come: dict[tuple[str, str, str], list[str]] = defaultdict(list)
        for identity, was in before.items():
            stands = identity in self.standing
            name = identity.ecosystem, full_name(self.facts[identity]), identity.key
            if was and not stands:
                gone[name].append(identity.version)
                self.gone[identity] = Gone(min(was.values()), sorted(was), layer)
            elif stands and not was:
                come[name].append(identity.version)
                self.gone.pop(identity, None)
        installed: list[str] = []
        upgraded: list[str] = []
        removed: list[str] = []
        for name in gone.keys() | come.keys():
            old, new = sorted(gone[name]), sorted(come[name])
            said = f"{name[0]}/{name[1]}"
            upgraded += (f"{said}@{a} → {b}" for a, b in zip(old, new, strict=False))
            removed += (f"{said}@{version}" for version in old[len(new) :])
            installed += (f"{said}@{version}" for version in new[len(old) :])
        return PackageChange(sorted(installed), sorted(upgraded), sorted(removed))


def _identity(package: PackageFacts) -> Identity:
    return Identity(
        package.ecosystem,
        package.namespace,
        package.name,
        package.key,
        package.version,
        tuple(sorted(package.qualifiers.items())) if package.qualifiers else (),
    )


def _spellings(place: str, tree: Tree) -> Iterator[str]:
    """Write *place* as lists of files may: with a slash or ``/.`` before it, or through a link at the root that stands
    where a directory was when the list was written (``/lib`` → ``usr/lib``)."""
    for path in (place, *_before_the_merge(place, tree)):
        yield from (path, f"/{path}", f"./{path}", f"/./{path}")


def _before_the_merge(place: str, tree: Tree) -> Iterator[str]:
    for name, node in tree.root.children.items():
        if isinstance(node, Leaf) and node.target:
            target = node.target.strip("/").removeprefix("./")
            if target and place.startswith(f"{target}/"):
                yield joined(name, place[len(target) + 1 :])
