"""What a layer was found to hold, and what a stack of layers holds: plain values, kept by content.

    LayerFacts     of one layer, by its verified diff_id; made by `ingest` from the layer's bytes alone
    ChainFacts     of a stack of layers, by its chain_id; made by `catalog.images.squash` from LayerFacts alone

Both are msgpack inside zstandard in the store's derived area (`catalog.images.objects` names the objects). None of it
is trusted to be true of an image whose config merely claims the diff_ids.
"""

from __future__ import annotations

import msgspec

from cas.entries import Entry


class PackageFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """An installed package, as the file says that told of it.

    *ecosystem* is the purl type (``deb``, ``apk``, ``pypi``, ``npm``, ``golang``); *qualifiers* are the purl's that the
    file itself tells (``arch``, ``epoch``): ``distro`` is added when the stack is squashed. *namespace* is the purl's
    where names of the ecosystem have one (npm: ``@scope``; golang: the path before the last ``/``): people then say
    ``namespace/name``. *source* and
    *source_version* name the source package, as advisories do; empty where it is the package itself.
    *licenses* are SPDX expressions where they could be read as such, else the text as it stands. *key* tells apart the
    packages of one database that could have the same name (dpkg: ``name:arch``); empty where the name does.
    """

    ecosystem: str
    name: str
    version: str
    namespace: str = ""
    qualifiers: dict[str, str] = {}
    source: str = ""
    source_version: str = ""
    licenses: list[str] = []
    key: str = ""


class Evidence(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one file of a layer tells of packages: the *path* of a database, of a METADATA file, of an executable …

    It counts in a stack while that file is what stands at its path there; a distribution's database counts where one of
    the paths of `catalog.images.databases` leads to it, whatever its own path is. *packages* is its whole content: a
    package that the same file told of below, and that is not in it, was removed. *unread* says why that is not so,
    empty where it is: the file, or a part of it, could not be read, and what else it has is unknown. With an empty
    *path* it is so for every database of the layer that nothing else is said of. *owned* are the paths that each
    package owns, a list joined by newlines, by the package's *key* or name (a dpkg ``.list`` file tells of these alone,
    and has no packages). *qualifiers* are of the purl of the package that another file of the same folder tells of
    (Python's ``direct_url.json``).
    """

    cataloger: str
    path: str
    packages: list[PackageFacts] = []
    owned: dict[str, str] = {}
    unread: str = ""
    qualifiers: dict[str, str] = {}


class LayerFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """One layer.

    *diff_id* was computed from the bytes. *size* is that of the tar, in bytes. *entries* are the layer's own, one for
    a path and kind of statement (a later entry of the archive has replaced an earlier one), whiteouts among them,
    sorted by the parts of their paths (``path.split("/")``), a whiteout or opaque mark before an entry of its path.
    *evidence* is sorted by path. *texts* are small files that are looked at after squashing (os-release and its like),
    by path. *versions* are those of the reader and the catalogers that made this. *limits* names each limit that was
    reached, in words; *unread* says why the rest of the layer was not read, empty where all of it was.
    """

    diff_id: str
    size: int
    entries: list[Entry]
    evidence: list[Evidence] = []
    texts: dict[str, bytes] = {}
    versions: dict[str, int] = {}
    limits: list[str] = []
    unread: str = ""


class LayerCounts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one layer does to the stack below it.

    *entries* counts its entries but for whiteouts; *added*, *changed* and *deleted* are files (what is no directory) of
    the merged tree before and after; *bytes* is the size of its files, *wasted* the bytes of files of lower layers that
    it hides or replaces, and that are still pulled. Packages are ``ecosystem/name@version``; an upgrade is
    ``ecosystem/name@old → new``. *unread* says why the rest of it was not read, empty where all of it was.
    """

    entries: int = 0
    added: int = 0
    changed: int = 0
    deleted: int = 0
    bytes: int = 0
    wasted: int = 0
    installed: list[str] = []
    upgraded: list[str] = []
    removed: list[str] = []
    unread: str = ""


class Package(msgspec.Struct, frozen=True, omit_defaults=True):
    """A package of a stack. *layer* is the index of the layer that brought it as it is, from 0; *locations* are the
    paths that tell of it; *owned_by* the purl of the package of the distribution that owns these files, empty where
    none does. *removed_in* is the index of the layer that removed it again, for packages that are in lower layers
    still; None for what is installed."""

    purl: str
    ecosystem: str
    name: str
    version: str
    layer: int
    source: str = ""
    source_version: str = ""
    licenses: list[str] = []
    locations: list[str] = []
    owned_by: str = ""
    removed_in: int | None = None


class Distro(msgspec.Struct, frozen=True, omit_defaults=True):
    """The distribution: os-release's ID, VERSION_ID and PRETTY_NAME (``debian``, ``12``, ``Debian GNU/Linux 12``)."""

    id: str
    version: str = ""
    name: str = ""


class Placement(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Where a layer of a stack says something else of the merged tree than the paths of its entries tell.

    It is so where an entry's parent is a symbolic link in the tree, where a parent has no entry, where two entries of a
    layer come to one place, and for hard links to lower layers; most stacks have none. *kind* is that of an entry
    (`cas.entries`): ``f``: the layer's entry *source* stands at *path* and not at its own; ``h``: at *path* stands a
    hard link to what the layer *source_layer* says of *source*; ``d``: a directory that no entry tells of; ``w``,
    ``o``: *path* is hidden, or what is in it, in the layers below; ``x``: the layer's entry *source* stands nowhere, or
    is told by ``h``.
    """

    layer: int
    kind: str
    path: str = ""
    source_layer: int = 0
    source: str = ""


class Stray(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A file or a symbolic link that its layer tells of under another path: at *path* stands, in the merged tree, what
    the layer *layer* says of *source*; or (*hidden*) it stood there, until something took its place. *link*: it is a
    hard link to that, of this layer or of one above; else the entry itself was led there.
    """

    path: str
    layer: int
    source: str
    link: bool = False
    hidden: bool = False


#: Files of a stack that documents tell of where they stand, as long as no setting says otherwise: an image that has
#: more was unpacked through links.
MOST_PLACED = 10_000


class ChainFacts(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stack of layers, squashed.

    *packages* are installed, *removed* are those that only lower layers still hold. *hidden* are the files of each
    layer (by its index; what is no directory) that are not in the merged tree: (layer, path), sorted, the path as the
    layer says it. *strays* are sorted by path; of the files that stand elsewhere than their layers say documents have
    the first *most_placed*. *files* and *bytes* are those of the merged tree. *limits* are those of the layers, and of
    squashing. *made_by* names what read the layers and squashed them; it is empty where not all of them were read by
    the same.
    """

    chain_id: str
    diff_ids: list[str]
    layers: list[LayerCounts]
    packages: list[Package] = []
    removed: list[Package] = []
    distro: Distro | None = None
    hidden: list[tuple[int, str]] = []
    placements: list[Placement] = []
    strays: list[Stray] = []
    files: int = 0
    bytes: int = 0
    limits: list[str] = []
    made_by: str = ""
    most_placed: int = MOST_PLACED
