"""Which packages are installed in a stack, layer by layer.

A file tells of packages (`Evidence`) while it is what stands at its path; a database of a distribution while a path
where such a database belongs leads to it. So, layer by layer: files that are gone take their packages away, files that
have come bring theirs, and what both tell of was never gone. That gives the layer that brought each package as it is,
after removal and re-installation too, and what lower layers alone still hold.

A distribution's packages are those of all its databases together: one that moves, or is cut into pieces, brings nothing
anew. Packages of languages are where their files are: the same package at another place was brought there.

Of a file that could not be read, or not whole, what else it has is unknown: what the one in whose place it came told of
stays as it was, until a file comes there that can be read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from catalog.images.databases import CATALOGERS, Database, databases
from catalog.images.facts import Evidence, PackageFacts
from catalog.images.laying import Change
from catalog.images.purls import DISTRIBUTIONS, full_name
from catalog.images.tree import Directory, Leaf, Tree

#: Files that tell of a package by their names too: a hard link of another name is a copy that nobody reads.
_KNOWN_BY_NAME = ("METADATA", "PKG-INFO", "package.json")


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
        #: What is not known of databases, in words.
        self.limits: list[str] = []
        #: The databases of the tree by their place: what each tells of, and the file that it is.
        self.databases: dict[str, Evidence] = {}
        self._files: dict[str, Leaf] = {}
        #: What tells of packages of languages at each place of the tree.
        self._sites: dict[str, list[Evidence]] = {}
        #: All evidence, by layer and path.
        self._evidence: dict[tuple[int, str], list[Evidence]] = {}
        #: Evidence at a place that its path leads to through a symbolic link: whether it counts may change.
        self._indirect: dict[str, list[Evidence]] = {}

    @staticmethod
    def is_of_distribution(identity: Identity) -> bool:
        """Whether a database of the distribution tells of it."""
        return identity.ecosystem in DISTRIBUTIONS

    def change(self, layer: int, evidence: Sequence[Evidence], tree: Tree, change: Change) -> PackageChange:
        """Take over what *layer*, just laid upon *tree*, tells of packages and takes away."""
        evidence = _qualified(evidence)
        for each in evidence:
            self._evidence.setdefault((layer, each.path), []).append(each)
        before: dict[Identity, dict[str, int]] = {}
        found = self._databases_of(tree, before)
        sites = self._sites_of(layer, evidence, tree, change, before)
        self.databases.update(found)
        self._sites.update(sites)
        for place, database in found.items():
            self._bring_all(place, (database,), layer, before)
        for place, told in sites.items():
            self._bring_all(place, told, layer, before)
        return self._outcome(layer, before)

    def read_as(self, cataloger: str, place: str, leaf: Leaf) -> Evidence | None:
        """Return what *cataloger* read of the file that stands at *place*, under whatever name its layer has it."""
        return next(
            (each for each in self._evidence.get(_origin(place, leaf), ()) if each.cataloger == cataloger), None
        )

    # Databases of distributions.

    def _databases_of(self, tree: Tree, before: dict[Identity, dict[str, int]]) -> dict[str, Evidence]:
        """Take leave of the databases that are not those of *tree*, and return what others there are now."""
        stand = databases(tree)
        gone: dict[str, Evidence] = {}
        for place, leaf in self._files.items():
            if place not in stand or stand[place].leaf is not leaf:
                gone[place] = self.databases.pop(place)
                self._take(place, (gone[place],), before)
        self._files = {place: database.leaf for place, database in stand.items()}
        found: dict[str, Evidence] = {}
        unread: dict[tuple[int, str], list[str]] = defaultdict(list)
        for place, database in stand.items():
            if place not in self.databases:
                found[place] = self._read(place, database, gone)
                if found[place].unread:
                    unread[_origin(place, database.leaf)[0], found[place].unread].append(place)
        for (layer, reason), places in unread.items():
            more = f" (and {len(places) - 1} more)" if len(places) > 1 else ""
            self.limits.append(
                f"layer {layer}: not all packages of {min(places)}{more} are known, and those of the layers below stay "
                f"as they were: {reason}"
            )
        return found

    def _read(self, place: str, database: Database, gone: Mapping[str, Evidence]) -> Evidence:
        """Return what a database tells of; *gone* are those that the layer took away."""
        evidence = self.read_as(database.cataloger, place, database.leaf)
        if evidence is None:
            layer, path = _origin(place, database.leaf)
            # An empty file tells that nothing is installed, under any name.
            unread = self._why_unread(database.cataloger, layer, path) if database.leaf.size else ""
            evidence = Evidence(database.cataloger, path, unread=unread)
        if place in gone:
            return _completed(evidence, (gone[place],))
        # One that moved in the layer that spoiled it; pieces stand for themselves.
        return evidence if database.is_piece else _completed(evidence, gone.values())

    def _why_unread(self, cataloger: str, layer: int, path: str) -> str:
        told = (each.unread for each in self._evidence.get((layer, ""), ()) if each.cataloger == cataloger)
        return next(told, f"{path} does not look like a database")

    # Packages of languages.

    def _sites_of(
        self,
        layer: int,
        evidence: Sequence[Evidence],
        tree: Tree,
        change: Change,
        before: dict[Identity, dict[str, int]],
    ) -> dict[str, list[Evidence]]:
        """Take leave of the files that are not those of *tree*, and return what others tell of now, by place."""
        gone: dict[str, list[Evidence]] = {}
        for place in change.lost:
            if place in self._sites:
                gone[place] = self._sites.pop(place)
                self._take(place, gone[place], before)
            self._indirect.pop(place, None)
        new = self._found(layer, evidence, tree)
        new.update(self._linked(change.links))
        if change.redirected:
            new.update(self._recheck(tree, before))
        return {
            place: [_completed(each, gone[place]) for each in sites] if place in gone else sites
            for place, sites in new.items()
        }

    def _found(self, layer: int, evidence: Sequence[Evidence], tree: Tree) -> dict[str, list[Evidence]]:
        """Find where the files stand that *layer* brought."""
        new: dict[str, list[Evidence]] = {}
        for each in evidence:
            if each.cataloger in CATALOGERS:
                continue
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
        """Find what hard links to lower layers lead to."""
        for place, leaf in links:
            found = self._evidence.get(leaf.origin, ()) if leaf.origin is not None else ()
            sites = [each for each in found if each.cataloger not in CATALOGERS and _same_kind(each.path, place)]
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
                identity = identity_of(package)
                self.facts[identity] = package
                told[identity] = None
        return told

    def _bring_all(
        self, place: str, sites: Iterable[Evidence], layer: int, before: dict[Identity, dict[str, int]]
    ) -> None:
        for identity in self._told(sites):
            self._bring(identity, place, layer, before)

    def _take(self, place: str, sites: Iterable[Evidence], before: dict[Identity, dict[str, int]]) -> None:
        for evidence in sites:
            for package in evidence.packages:
                identity = identity_of(package)
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


def _origin(place: str, leaf: Leaf) -> tuple[int, str]:
    """Return the layer that a file comes from, and its path there."""
    return leaf.origin or (leaf.layer, leaf.said or place)


def _same_kind(path: str, link: str) -> bool:
    """Tell whether what is said of the file *path* is said of a hard link too."""
    name = path.rpartition("/")[2]
    return name not in _KNOWN_BY_NAME or link.rpartition("/")[2] == name


def _completed(evidence: Evidence, gone: Iterable[Evidence]) -> Evidence:
    """Add to what was read of a file, if that is not all of it, what *gone* told of and it does not tell anew."""
    if not evidence.unread:
        return evidence
    packages = {_name(package): package for package in evidence.packages}
    owned = dict(evidence.owned)
    for each in gone:
        if each.cataloger == evidence.cataloger:
            for package in each.packages:
                if packages.setdefault(_name(package), package) is package:
                    for key in {package.key, package.name} & each.owned.keys():
                        owned.setdefault(key, each.owned[key])
    return replace(evidence, packages=list(packages.values()), owned=owned)


def _qualified(evidence: Sequence[Evidence]) -> Sequence[Evidence]:
    """Give packages the qualifiers that another file of their folder tells."""
    told = {(each.cataloger, each.path.rpartition("/")[0]): each.qualifiers for each in evidence if each.qualifiers}
    if not told:
        return evidence
    found: list[Evidence] = []
    for each in evidence:
        qualifiers = told.get((each.cataloger, each.path.rpartition("/")[0]))
        if qualifiers and each.packages:
            packages = [replace(one, qualifiers={**one.qualifiers, **qualifiers}) for one in each.packages]
            found.append(replace(each, packages=packages))
        else:
            found.append(each)
    return found


def _name(package: PackageFacts) -> tuple[str, str, str, str]:
    return package.ecosystem, package.namespace, package.name, package.key


def identity_of(package: PackageFacts) -> Identity:
    """Name a package as it is."""
    return Identity(
        package.ecosystem,
        package.namespace,
        package.name,
        package.key,
        package.version,
        tuple(sorted(package.qualifiers.items())) if package.qualifiers else (),
    )
