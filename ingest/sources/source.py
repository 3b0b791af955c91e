"""What a source of an image is, and what can go wrong with one.

SourceError
├── InvalidSource         the text names no source: what would be right
├── SourceUnreadable      it is not there, or is not what its name says
└── Refused               a registry does not let us have it
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from cas import BlobReader, Digest
from catalog.images.manifests import Reference

#: What is known for a host and a repository of it: a name and a password, or a token that is sent as it is; None for
#: neither.
Credentials = Callable[[str, str], tuple[str, str] | str | None]

#: Bytes of a manifest or a config, at most.
MOST = 4 * 1024 * 1024


class SourceError(Exception):
    """Root of the tree above."""


class InvalidSource(SourceError):
    def __init__(self, text: str, expected: str) -> None:
        super().__init__(text, expected)
        self.text = text
        self.expected = expected

    def __str__(self) -> str:
        return f"{self.text!r} names no image: expected {self.expected}"


class SourceUnreadable(SourceError):
    def __init__(self, what: str, reason: str) -> None:
        super().__init__(what, reason)
        self.what = what
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.what} {self.reason}"


class Refused(SourceError):
    def __init__(self, what: str, status: int, told: str) -> None:
        super().__init__(what, status, told)
        self.what = what
        self.status = status
        self.told = told

    def __str__(self) -> str:
        return f"{self.what}: {self.told} ({self.status})"


class FetchedManifest(NamedTuple):
    """A manifest as the source has it; *digest* was computed from *content*, or is what stands for it (an archive of
    docker's has none: there it is the config's)."""

    digest: Digest
    media_type: str
    content: bytes


class Source(Protocol):
    """Where an image comes from. What it hands out is verified against the digests that were asked for; layers are by
    whoever reads them (`ingest.sources.streams.Verified`)."""

    async def manifest(self, digest: Digest | None = None) -> FetchedManifest:
        """Return the manifest that the source was opened for, or one that an index of it names.

        Raises:
            SourceUnreadable, Refused: it cannot be had.
        """

    async def small_blob(self, digest: Digest) -> bytes:
        """Return a config's bytes, verified.

        Raises:
            SourceUnreadable, Refused: it cannot be had, or is larger than `MOST`.
        """

    async def open(self, layer: Reference) -> BlobReader:
        """Open a layer's blob, whose bytes are not verified yet.

        Raises:
            SourceUnreadable, Refused: it cannot be had.
        """

    async def aclose(self) -> None: ...
