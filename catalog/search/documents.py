"""Documents: what search knows of a repository, an image, a layer, a package.

They are whole and flat; writing one again does no harm. `catalog.search.analysis` turns one into the values of
`catalog.search.fields`.
"""

from __future__ import annotations

from binascii import b2a_base64
from hashlib import blake2b

import msgspec


class RepositoryDocument(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A repository. Times are in seconds since 1970; *pulls* are those of 30 days; *tags* counts them."""

    id: str
    name: str
    public: bool
    description: str = ""
    pulls: int = 0
    pulled: int = 0
    pushed: int = 0
    created: int = 0
    tags: int = 0
    platforms: list[str] = []
    official: bool = False
    deprecated: bool = False


class Placed(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A file that its layer tells of under another path: at *path* *stands*, or stood, what the layer *diff_id* says of
    *source*."""

    path: str
    diff_id: str
    source: str
    stands: bool


class ImageDocument(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An image in a repository: one for each manifest that is no index.

    *tags* are its own and those of the indexes (*parents*) that hold it. *layers* are the digests of its blobs,
    *diff_ids* those that were verified: without them there are no packages either. *chains* are the chain_ids of its
    stacks, *histories* the names of its history from its top layer on (`catalog.images.chains`). *hidden* has a
    `file_token` for each file of its layers that does not stand where its layer has it; *moved* has one for each of
    these that stands, or stood, elsewhere: *placed* tells where, and of hard links to lower layers. Few images have
    any. *problem* says why it could not be read, empty where it was.
    """

    repository_id: str
    repository: str
    public: bool
    digest: str
    parents: list[str] = []
    tags: list[str] = []
    platform: str = ""
    size: int = 0
    pushed: int = 0
    created: int = 0
    pulls: int = 0
    layers: list[str] = []
    diff_ids: list[str] = []
    chains: list[str] = []
    histories: list[str] = []
    packages: list[tuple[str, str]] = []  # ("deb/openssl", "3.0.11-1")
    removed: list[tuple[str, str]] = []
    sources: list[tuple[str, str]] = []
    licenses: list[str] = []
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    env: list[str] = []
    entrypoint: list[str] = []
    command: list[str] = []
    user: str = ""
    ports: list[str] = []
    history: list[str] = []
    bases: list[str] = []
    distro: tuple[str, str] | None = None  # ("debian", "12")
    distro_name: str = ""
    artifact_type: str = ""
    hidden: list[str] = []
    moved: list[str] = []
    placed: list[Placed] = []
    official: bool = False
    deprecated: bool = False
    problem: str = ""


class LayerDocument(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A layer, by its diff_id. Shared by all images: a candidate, never a hit by itself, and nothing that a single
    repository said (an instruction, a name) is in it. *blobs* are the sizes of all blobs that hold it, by digest: which
    of them may be told of depends on who asks. *raw_size* is that of the tar, which its diff_id settles."""

    diff_id: str
    blobs: dict[str, int] = {}
    raw_size: int = 0
    entries: int = 0


class PackageDocument(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A package by its name. A candidate as well; *versions* are all that were ever found in an image."""

    ecosystem: str
    name: str
    versions: list[str] = []


class ShownImage(msgspec.Struct, frozen=True, kw_only=True):
    """What lists show of an image, with the names of its members there; *packages* counts them."""

    repository_id: str
    repository: str
    public: bool
    digest: str
    parents: list[str]
    tags: list[str]
    platform: str
    size: int
    pushed: int
    layers: list[str]
    chains: list[str]
    histories: list[str]
    packages: int
    distro: tuple[str, str] | None
    distro_name: str
    deprecated: bool


Document = RepositoryDocument | ImageDocument | LayerDocument | PackageDocument
#: What lists show of a document: of all but images the whole of it.
Shown = RepositoryDocument | ShownImage | LayerDocument | PackageDocument


def shown(document: Document) -> Shown:
    """Return what lists show of *document*."""
    if not isinstance(document, ImageDocument):
        return document
    members = {name: getattr(document, name) for name in ShownImage.__struct_fields__}
    return ShownImage(**members | {"packages": len(document.packages)})


def document_id(document: Document) -> str:
    """Return the name under which the engine keeps *document*."""
    match document:
        case RepositoryDocument():
            return f"repository:{document.id}"
        case ImageDocument():
            return image_id(document.repository_id, document.digest)
        case LayerDocument():
            return f"layer:{document.diff_id}"
        case PackageDocument():
            return f"package:{document.ecosystem}/{document.name}"


def image_id(repository_id: str, digest: str) -> str:
    """Return the name of an image's document."""
    return f"image:{repository_id}:{digest}"


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def file_token(diff_id: str, path: str) -> str:
    """Return what stands for the file *path* of the layer *diff_id*: 80 bits, 14 letters."""
    return _token(f"{diff_id}\0{path}")


def placed_token(path: str, diff_id: str, source: str) -> str:
    """Return what stands for the file *source* of the layer *diff_id* at *path*."""
    return _token(f"{diff_id}\0{source}\0{path}")


def _token(text: str) -> str:
    digest = blake2b(text.encode("utf-8", "surrogateescape"), digest_size=10).digest()
    # base64url without padding; `urlsafe_b64encode` takes twice as long, and a question may need thousands.
    return b2a_base64(digest, newline=False)[:14].translate(_URL_SAFE).decode()
