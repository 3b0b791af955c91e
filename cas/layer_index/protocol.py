"""The layer index, as whoever asks it sees it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from cas.digest import Digest
from cas.entries import Entry


class BlobRecord(NamedTuple):
    """What is known of a blob that was read as a layer: *diff_id* was computed from its bytes, never claimed.

    *size* is the blob's, *raw_size* that of what it decompresses to, in bytes; *verified* is in seconds since 1970.
    """

    diff_id: Digest
    size: int
    raw_size: int
    verified: int


class ChainRecord(NamedTuple):
    """A stack of layers (OCI image specification, "Layer ChainID"): its top layer, and the stack below it, if any."""

    diff_id: Digest
    parent: Digest | None
    depth: int


class By(StrEnum):
    """What files are looked for by: the whole path (``etc/passwd``, no leading slash), its last part, or their SHA-256
    (64 hexadecimal digits)."""

    PATH = "path"
    NAME = "name"
    SHA256 = "sha256"


class FileQuery(NamedTuple):
    """Which files: those whose path, name or digest is *text*; or begins with it (*prefix*); or (*pattern*) begins with
    it and as a whole matches this regular expression (`cas.layer_index.patterns` says what it may be)."""

    by: By
    text: str
    prefix: bool = False
    pattern: str | None = None


class FoundFile(NamedTuple):
    """Where a file, or a symbolic link, stands, and the layer that holds it. What it is `LayerIndex.entries` tells:
    thousands are found for one that is shown."""

    diff_id: Digest
    path: str


class FoundFiles(NamedTuple):
    """Files by what was looked for, then by path, then in the order in which their layers were added.

    *more* where there are more than were asked for, which are not among them: *next* is where they begin. Or where
    there may be: a search that looks at too much is given up, and *next* is empty.
    """

    files: list[FoundFile]
    more: bool
    next: bytes = b""


class LayerIndex(Protocol):
    """What layers hold, found by key and by prefix. `tests/contracts/layer_index.py` is the executable form of this.

    Everything in it is derived, and none of it says who may see what. Every method raises `LayerIndexUnavailable` while
    it is being rebuilt, or where its owner does not answer: never a wrong or partial answer.
    """

    async def blobs(self, digests: Sequence[Digest]) -> list[BlobRecord | None]:
        """Return what is known of each of *digests*."""

    async def compressions(self, diff_id: Digest) -> list[Digest]:
        """List the blobs that were verified to decompress to *diff_id*, in the order of their text."""

    async def has_layers(self, diff_ids: Sequence[Digest]) -> list[bool]:
        """Tell of each whether its entries are indexed."""

    async def children(self, diff_id: Digest, directory: str, after: str = "", most: int = 1000) -> list[Entry]:
        """List what a layer says of what is directly in *directory* (``""`` is the root), in the order of the names:
        of the first *most* names after the name *after*.

        Whiteouts and opaque marks are among it; that the directory itself is opaque is told by `entries`.
        """

    async def entries(self, wanted: Sequence[tuple[Digest, str]]) -> list[list[Entry]]:
        """Return what each layer says of each path: a whiteout, an opaque mark, an entry, in this order and each where
        there is one."""

    async def find_files(self, query: FileQuery, most: int, after: bytes = b"") -> FoundFiles:
        """Find files and symbolic links (which have no digest) in all layers; or those of them that come *after* what
        was found before, which is its `FoundFiles.next`. What is added meanwhile may be found, or not.

        Raises:
            ValueError: the query's pattern is none, or is too large; *after* is of another query.
        """

    async def chains(self, chain_ids: Sequence[Digest]) -> list[ChainRecord | None]:
        """Return what is known of each of *chain_ids*."""

    async def facts(self, diff_id: Digest, kind: str) -> bytes | None:
        """Return the facts of one *kind* (a cataloger's name) of a layer, as they were added; None where there are
        none."""


class OwnedLayerIndex(LayerIndex, Protocol):
    """The layer index as its one owner has it. Adding what is there already does no harm and costs little.

    What was added is there after a power cut too. While a rebuild is under way it is added as well, so the objects that
    a rebuild reads are put before. Every method raises `StorageFull` where no room is left: it is to be added again.
    """

    async def add_layer(
        self, diff_id: Digest, raw_size: int, entries: Sequence[Entry], facts: Mapping[str, bytes]
    ) -> None:
        """Add a layer, or put another reading in its place: all of it at once, a reader sees none of it or all."""

    async def add_blob(self, digest: Digest, record: BlobRecord) -> None:
        """Add what was verified of a blob."""

    async def add_chain(self, chain_id: Digest, record: ChainRecord) -> None:
        """Add a stack of layers to the family tree."""
