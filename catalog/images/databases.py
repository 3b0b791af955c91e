"""Where distributions keep the databases of their packages, and which files of a merged tree these are.

    var/lib/dpkg/status, {usr,var}/lib/opkg/status      dpkg, opkg: one file
    var/lib/dpkg/status.d/NAME                          distroless: a file for each package
    [usr/]lib/apk/db/installed                          apk: one file
    var/lib/dpkg/info/, {usr,var}/lib/opkg/info/        NAME[:ARCH].list, NAME[:ARCH].md5sums: files that a package owns
                                                        (distroless has the latter in status.d)

A path counts as a program in the image would follow it: through symbolic links of directories and of the file itself,
and through hard links. So whatever name a layer has for a file, it is a database where one of these paths leads to it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from cas.entries import FILE, SYMLINK
from catalog.images.tree import Directory, Leaf, Tree, joined

#: The cataloger that reads the database at each path, and in each folder of pieces.
FILES: Final[Mapping[str, str]] = {
    "lib/apk/db/installed": "apk",
    "usr/lib/apk/db/installed": "apk",
    "usr/lib/opkg/status": "dpkg",
    "var/lib/dpkg/status": "dpkg",
    "var/lib/opkg/status": "dpkg",
}
PIECES: Final[Mapping[str, str]] = {"var/lib/dpkg/status.d": "dpkg"}
#: Folders of lists, and how the names of these end: by name, that of a package which is believed comes first.
LISTS: Final = ("usr/lib/opkg/info", "var/lib/dpkg/info", "var/lib/dpkg/status.d", "var/lib/opkg/info")
LIST_ENDS: Final = (".list", ".md5sums")
#: What dpkg keeps beside a package's stanza and is no stanza.
BESIDE: Final = (
    *LIST_ENDS,
    ".conffiles",
    ".postinst",
    ".postrm",
    ".preinst",
    ".prerm",
    ".shlibs",
    ".symbols",
    ".triggers",
)

#: The catalogers of these files: what they read counts where a path above leads, and nowhere else.
CATALOGERS: Final = frozenset({*FILES.values(), *PIECES.values()})

#: Pieces, and lists, of a folder that are looked at: a database may have as many packages.
MOST_IN_A_FOLDER: Final = 100_000


class Database(NamedTuple):
    """A file that is a database, or a piece of one, for *cataloger*."""

    cataloger: str
    leaf: Leaf
    is_piece: bool


def databases(tree: Tree) -> dict[str, Database]:
    """Return the databases of *tree*, by their place there."""
    found: dict[str, Database] = {}
    for folder, cataloger in PIECES.items():
        for name, place, leaf in _in(tree, folder):
            if not name.endswith(BESIDE):
                found[place] = Database(cataloger, leaf, True)
    for path, cataloger in FILES.items():
        there = tree.follow(path)
        if there is not None and isinstance(there[1], Leaf) and there[1].kind == FILE:
            found[there[0]] = Database(cataloger, there[1], False)
    return found


def lists(tree: Tree) -> Iterator[tuple[str, str, Leaf]]:
    """Yield the lists of files of *tree*: name, place, file; those of a folder by name, as `LIST_ENDS` has them."""
    for folder in LISTS:
        yield from sorted(
            (each for each in _in(tree, folder) if each[0].endswith(LIST_ENDS)), key=lambda each: each[:2]
        )


def _in(tree: Tree, folder: str) -> Iterator[tuple[str, str, Leaf]]:
    """Yield the files in *folder*, and those that links in it lead to: the name there, the place, the file."""
    there = tree.follow(folder)
    at, directory = there or ("", None)
    if not isinstance(directory, Directory):
        return
    if len(directory.children) > MOST_IN_A_FOLDER:
        limit = f"{folder} has more than {MOST_IN_A_FOLDER} files: the others were not looked at"
        if limit not in tree.limits:
            tree.limits.append(limit)
    for name, child in itertools.islice(directory.children.items(), MOST_IN_A_FOLDER):
        place: str = joined(at, name)
        node: Directory | Leaf = child
        if isinstance(child, Leaf) and child.kind == SYMLINK:
            led = tree.follow(place)
            if led is None:
                continue
            place, node = led
        if isinstance(node, Leaf) and node.kind == FILE:
            yield name, place, node
