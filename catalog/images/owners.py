"""Which packages of languages are files of a package of the distribution.

A database may tell of the files that a package owns (apk), or lists beside it do (dpkg, opkg). Of a package's lists the
first by name is enough: its ``.md5sums``, which has no links and no configuration, where there is no ``.list``.
"""

from __future__ import annotations

from collections.abc import Iterator

from catalog.images.databases import LIST_ENDS, lists
from catalog.images.installed import Identity, Installed, identity_of
from catalog.images.tree import Leaf, Tree, joined

#: Who reads the lists.
_CATALOGER = "dpkg"


def find_owners(installed: Installed, tree: Tree) -> dict[str, Identity]:
    """Tell which of the places where packages of languages stand belong to a distribution's package. Lists that were
    not read are told among the limits of *installed*."""
    wanted: dict[str, str] = {}
    for identity, places in installed.standing.items():
        if not installed.is_of_distribution(identity):
            for place in places:
                for name in _spellings(place, tree):
                    wanted[name] = place
    if not wanted:
        return {}
    names = _by_name(installed)
    owners: dict[str, Identity] = {}
    for cataloger, key, files in _owned(installed, tree):
        owner = names.get((cataloger, key))
        if owner is not None:
            for line in wanted.keys() & set(files.split("\n")):
                owners.setdefault(wanted[line], owner)
    return owners


def _owned(installed: Installed, tree: Tree) -> Iterator[tuple[str, str, str]]:
    """Yield all that is said of owned files: the cataloger, the package's key or name, the files."""
    for _, database in sorted(installed.databases.items()):
        for key, files in sorted(database.owned.items()):
            yield database.cataloger, key, files
    read: set[str] = set()
    unread: dict[str, str] = {}
    for name, place, leaf in lists(tree):
        package = name.removesuffix(LIST_ENDS[0]).removesuffix(LIST_ENDS[1])
        if package in read:
            continue
        evidence = installed.read_as(_CATALOGER, place, leaf)
        if evidence is not None and not evidence.unread:
            read.add(package)
            for files in evidence.owned.values():
                yield _CATALOGER, package, files
        elif leaf.size:
            unread.setdefault(package, place)
    missing = sorted(unread[package] for package in unread.keys() - read)
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        installed.limits.append(f"a list of files was not read, so whose they are is not told: {missing[0]}{more}")


def _by_name(installed: Installed) -> dict[tuple[str, str], Identity]:
    """Name the distribution's packages as lists of files do: by key, or by name alone."""
    found: dict[tuple[str, str], Identity] = {}
    for database in installed.databases.values():
        for package in database.packages:
            identity = identity_of(package)
            if installed.is_of_distribution(identity):
                for key in (package.key or package.name, package.name):
                    name = database.cataloger, key
                    found[name] = min(found.get(name, identity), identity)
    return found


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
