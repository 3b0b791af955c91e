"""What people and their programs are told: the values that pages show and the JSON API sends, the same for both.

All of it was narrowed to what the caller may read before it came here. Times are seconds since 1970, sizes are bytes,
digests are text, repositories are named as they are shown (without the default namespace). Layers count from 0, from
the bottom.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

HitType = Literal["repository", "image", "package", "layer", "file"]


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of text; *marked* where it is what was searched for."""

    text: str
    marked: bool = False


@dataclass(frozen=True, slots=True)
class RepositoryHit:
    """A repository. *pulls* are those of 30 days; its owner advises against one that is *deprecated*."""

    name: str
    description: str
    public: bool
    official: bool
    deprecated: bool
    pulls: int
    pushed: int
    tags: int
    platforms: list[str]
    marked_name: list[Piece]
    marked_description: list[Piece]
    type: Literal["repository"] = "repository"


@dataclass(frozen=True, slots=True)
class ImageHit:
    """An image in a repository: *public* and *deprecated* are the repository's. *matched* are those of its packages,
    labels, layers or files that were asked for."""

    repository: str
    digest: str
    tags: list[str]
    platform: str
    size: int
    pushed: int
    distro: str
    public: bool
    deprecated: bool
    layers: int
    packages: int
    matched: list[str]
    marked_name: list[Piece]
    type: Literal["image"] = "image"


@dataclass(frozen=True, slots=True)
class PackageHit:
    """A package by its name; *images* and *versions* count those that the caller may see (*versions*: up to 50)."""

    ecosystem: str
    name: str
    images: int
    versions: list[str]
    type: Literal["package"] = "package"


@dataclass(frozen=True, slots=True)
class LayerHit:
    """A layer; *images* counts those that the caller may see. *digest* and *size* are those of the smallest blob that
    these have, *raw_size* is that of the tar."""

    diff_id: str
    digest: str
    size: int
    raw_size: int
    entries: int
    images: int
    type: Literal["layer"] = "layer"


@dataclass(frozen=True, slots=True)
class FileHit:
    """A file of a layer; *images* counts those that the caller may see and that hold it as the search asked: in their
    merged tree, or hidden there."""

    path: str
    size: int
    sha256: str
    diff_id: str
    images: int
    type: Literal["file"] = "file"


Hit = RepositoryHit | ImageHit | PackageHit | LayerHit | FileHit


@dataclass(frozen=True, slots=True)
class FacetValue:
    """A value of a facet, the number of hits that have it, whether it is chosen, and the query that a choice of it (or
    taking that back) leads to."""

    value: str
    count: int
    chosen: bool
    query: str


@dataclass(frozen=True, slots=True)
class Facet:
    """*name* is the field of the query language that its values are of."""

    name: str
    title: str
    values: list[FacetValue]


@dataclass(frozen=True, slots=True)
class Chip:
    """A condition of the query (``package:openssl<3.0.7``), and the query without it."""

    text: str
    without: str


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Hits of another type for the same words: how many (exactly, or at least where *more*), and the query for them."""

    type: HitType
    count: int
    more: bool
    query: str


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """One page of hits. *query* is the text, formatted. *total* is exact, but where *more*: there are further
    ones then.

    *corrected* is a query with fewer typing errors that finds more, None where there is none.
    """

    query: str
    type: HitType
    sort: str
    page: int
    size: int
    total: int
    more: bool
    hits: list[Hit]
    facets: list[Facet] = field(default_factory=list)
    chips: list[Chip] = field(default_factory=list)
    elsewhere: list[Elsewhere] = field(default_factory=list)
    corrected: str | None = None


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A completion of what is being typed: *query* is the whole query with it; *count* the hits of what it names."""

    kind: Literal["repository", "package", "label", "base", "field", "distro"]
    text: str
    query: str
    count: int


@dataclass(frozen=True, slots=True)
class TagRow:
    """A tag and what it points to. *platforms* has one for an image, up to 32 different ones for an index."""

    name: str
    digest: str
    media_type: str
    moved: int
    size: int
    platforms: list[str]
    state: State


@dataclass(frozen=True, slots=True)
class State:
    """How far an image was read: ``read``, ``waiting`` (or being read) or ``failed``. *problem* says why it failed, or
    what was missing when it was last tried to read one that is waiting; it goes on by itself, then."""

    name: Literal["read", "waiting", "failed"]
    problem: str = ""


@dataclass(frozen=True, slots=True)
class TagMove:
    """*digest* is empty where the tag was removed; *by* is who did it, empty for callers who may not push there."""

    tag: str
    digest: str
    at: int
    by: str


@dataclass(frozen=True, slots=True)
class RepositoryAnswer:
    """A repository. *pulls* are all, *pulls_30_days* those of 30 days. *actions* are what the caller may do there.

    *tags* are the most recently moved ones, up to 100; *tag_count* counts all.
    """

    name: str
    public: bool
    official: bool
    deprecated: bool
    description: str
    created: int
    pushed: int
    pulls: int
    pulls_30_days: int
    size: int
    tag_count: int
    tags: list[TagRow]
    actions: list[str]


@dataclass(frozen=True, slots=True)
class TagsAnswer:
    """A page of a repository's tags by name; *next* is where the next page begins (`after`), None at the end."""

    tags: list[TagRow]
    next: str | None


@dataclass(frozen=True, slots=True)
class TagHistoryAnswer:
    """The newest moves of a tag, or of all of a repository's."""

    moves: list[TagMove]
    next: int | None


@dataclass(frozen=True, slots=True)
class ResolvedAnswer:
    """A reference as it was asked for, and the digest that it names."""

    image: str
    digest: str


@dataclass(frozen=True, slots=True)
class Place:
    """A repository that holds an image, and whether the repository is deprecated; *tags* are up to 1,000 of the
    *tag_count* that point to it there, those that moved last."""

    repository: str
    tags: list[str]
    pushed: int
    deprecated: bool
    tag_count: int


@dataclass(frozen=True, slots=True)
class Relation:
    """A base or derived image: *certainty* is ``declared`` (annotations or labels say so), ``layers`` (its layers are
    the bottom ones, or the same and its history the beginning of the other) or ``guess``. *digest* is empty where only
    a name was declared. It is *here* where the caller may read an image, or an index, of that digest here: what an
    image declares may be anywhere, and nowhere."""

    repository: str
    tags: list[str]
    digest: str
    platform: str
    layers: int
    certainty: Literal["declared", "layers", "guess"]
    here: bool


@dataclass(frozen=True, slots=True)
class RelationsAnswer:
    """A page of the images that an image is built on by its layers (and, where these are the same, by its history), the
    nearest first; or of those that are built on it so, or declare it as their base, the most recently pushed first.
    *total* counts all."""

    images: list[Relation]
    total: int
    page: int
    page_size: int


@dataclass(frozen=True, slots=True)
class PlacesAnswer:
    """A page of the repositories that hold an image, by name; *total* counts all."""

    places: list[Place]
    total: int
    page: int
    page_size: int


@dataclass(frozen=True, slots=True)
class PlatformRow:
    """One image of an index."""

    platform: str
    digest: str
    size: int
    artifact_type: str


@dataclass(frozen=True, slots=True)
class LayerRow:
    """A layer of an image. *diff_id* was verified, or is empty: then *unread* says why. *packages* are counts of what
    it installed, upgraded and removed; *images* counts those that hold it and that the caller may see."""

    index: int
    digest: str
    diff_id: str
    media_type: str
    size: int
    raw_size: int
    created_by: str
    unread: str
    entries: int
    added: int
    changed: int
    deleted: int
    wasted: int
    installed: list[str]
    upgraded: list[str]
    removed: list[str]
    images: int


@dataclass(frozen=True, slots=True)
class Step:
    """An entry of the history: *layer* is the index of the layer that it made, None where it made none."""

    created: int
    created_by: str
    comment: str
    layer: int | None


@dataclass(frozen=True, slots=True)
class ConfigAnswer:
    """What an image's config says; names of variables and values as they stand."""

    created: int
    author: str
    user: str
    env: list[str]
    entrypoint: list[str]
    command: list[str]
    working_dir: str
    ports: list[str]
    volumes: list[str]
    stop_signal: str
    labels: dict[str, str]
    history: list[Step]


@dataclass(frozen=True, slots=True)
class ImageAnswer:
    """An image, or one of the images of an index. *digest* is the manifest's, *index* that of the index that was asked
    for, if one was, and *platforms* are the first 100 manifests that it lists. *places* are up to 100 of *place_count*
    where the caller may read it; *base* has what it declares, then up to 10 of *base_count* images that it is built
    on by its layers, from the nearest on; *derived* are up to 25 of *derived_count* images that are built on it."""

    digest: str
    index: str | None
    media_type: str
    artifact_type: str
    platform: str
    platforms: list[PlatformRow]
    size: int
    raw_size: int
    files: int
    pushed: int
    pulls: int
    distro: str
    state: State
    places: list[Place]
    place_count: int
    layers: list[LayerRow]
    config: ConfigAnswer | None
    config_digest: str
    annotations: dict[str, str]
    packages: dict[str, int]
    removed_packages: int
    base: list[Relation]
    base_count: int
    derived: list[Relation]
    derived_count: int
    limits_reached: list[str]


@dataclass(frozen=True, slots=True)
class FileRow:
    """An entry of a directory of the merged tree; *layer* is the one that it comes from."""

    name: str
    path: str
    kind: Literal["file", "directory", "symlink", "device", "pipe"]
    size: int
    mode: int
    uid: int
    gid: int
    modified: int
    target: str
    sha256: str
    layer: int


@dataclass(frozen=True, slots=True)
class FilesAnswer:
    """A page of a directory, by name; *next* is the name that the next page begins after, None at the end."""

    image: str
    path: str
    entries: list[FileRow]
    next: str | None


@dataclass(frozen=True, slots=True)
class LayerAnswer:
    """A layer, by its diff_id, and the images that hold it and that the caller may read. *digests* are those of the
    blobs that these have, *size* is that of the smallest, *raw_size* that of the tar."""

    diff_id: str
    digests: list[str]
    size: int
    raw_size: int
    entries: int
    image_count: int
    images: list[ImageHit]
    page: int
    page_size: int


@dataclass(frozen=True, slots=True)
class VersionRow:
    """A version of a package, and how many images of the caller's hold it."""

    version: str
    images: int
    query: str


@dataclass(frozen=True, slots=True)
class PackageAnswer:
    """A package: a page of the versions that were asked for, the newest first by the rules of its ecosystem (of
    *version_count*), and a page of the images that hold any of them (of *image_count*)."""

    ecosystem: str
    name: str
    range: str
    versions: list[VersionRow]
    version_count: int
    image_count: int
    images: list[ImageHit]
    page: int
    page_size: int


@dataclass(frozen=True, slots=True)
class FoundFilesAnswer:
    """Files by path, each with the images that hold it (up to 10 of *images*); *more* where there are further files."""

    files: list[FoundFileRow]
    more: bool
    page: int
    page_size: int


@dataclass(frozen=True, slots=True)
class FoundFileRow:
    """A file of a layer, and images whose merged tree it is in (or, when asked for deleted ones, is hidden in)."""

    path: str
    size: int
    sha256: str
    diff_id: str
    images: int
    examples: list[ImageHit]


@dataclass(frozen=True, slots=True)
class PackageChange:
    """A package in both images (*before* and *after* differ), or in one (the other is empty)."""

    ecosystem: str
    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class FileChange:
    """A file that is in one image alone, or differs; sizes are None where it is not."""

    path: str
    change: Literal["added", "removed", "changed"]
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True)
class ValueChange:
    """A member of the config (``env PATH``, ``label team``); empty where it is not set."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class DiffAnswer:
    """How two images differ. *shared* are the layers at the bottom that both have; *files* are a page of *file_count*
    changes, by path. *limits_reached* says what was not compared, and why."""

    before: ImageHit
    after: ImageHit
    shared: list[LayerRow]
    only_before: list[LayerRow]
    only_after: list[LayerRow]
    packages: list[PackageChange]
    config: list[ValueChange]
    files: list[FileChange]
    file_count: int
    size_before: int
    size_after: int
    page: int
    page_size: int
    limits_reached: list[str] = field(default_factory=list)
