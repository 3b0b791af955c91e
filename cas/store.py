"""Where bytes live: the protocol that every driver keeps, and the names it is spoken in."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from cas.digest import Digest
from cas.errors import InvalidUploadId

#: Bytes that a reader hands out at a time, at most; what a process holds of one blob, at most, is a few of these.
PIECE = 1024 * 1024

_UPLOAD_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, order=True)
class UploadId:
    """The name of an upload: random, and safe as a file name."""

    text: str

    @classmethod
    def new(cls) -> UploadId:
        """Make a name that nobody can guess (128 random bits)."""
        return cls(secrets.token_hex(16))

    @classmethod
    def parse(cls, text: str) -> UploadId:
        """Read a name that `new` made.

        Raises:
            InvalidUploadId: *text* is none.
        """
        if _UPLOAD_ID.fullmatch(text) is None:
            raise InvalidUploadId(text)
        return cls(text)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class StagedUpload:
    """An upload's bytes as the store found them: how many, and when they were last added to (seconds since 1970)."""

    upload: UploadId
    size: int
    modified: float


class BlobReader(Protocol):
    """An open blob. Close it, or use it as a context manager; what it reads stays readable while it is open."""

    size: int

    def pieces(self, start: int, stop: int) -> AsyncIterator[bytes]:
        """Read bytes *start* to *stop* (exclusive, at most `size`) in pieces of at most `PIECE` bytes."""

    def fileno(self) -> int | None:
        """Return the descriptor of a file of this machine that holds the blob and nothing else; None without one."""

    async def warm(self, start: int, stop: int) -> None:
        """Return when bytes *start* to *stop* are in memory, for whoever sends them by `fileno`."""

    async def aclose(self) -> None: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class BlobStore(Protocol):
    """Where bytes live.

    A store keeps two kinds of thing: *uploads*, which grow by whole parts, and *blobs*, which never change. It knows
    nothing of repositories or tags. Names are typed, so no string that a client sent can become a path.
    `tests/contracts/blob_store.py` is the executable form of this docstring.

    An upload survives the death of the process (kill -9), and may be continued by another one; a published blob
    survives a power cut. Every method raises `StorageFull` where the medium has no room.
    """

    async def append(self, upload: UploadId, offset: int, chunks: AsyncIterable[bytes]) -> int:
        """Write *chunks* at *offset*; return the upload's new size in bytes.

        The first append, at offset 0, begins the upload. If *chunks* fails midway, the bytes already received are
        kept, so that a client may ask for the size and resume; the failure is raised on.

        Raises:
            OffsetMismatch: *offset* is not the upload's current size; nothing was read or written.
            UploadBusy: another append or publish of this upload is under way, in whatever process, or it was published;
                neither.
            StorageFull: no room is left. Some of the bytes may have been kept: `size` tells.
        """

    async def size(self, upload: UploadId) -> int:
        """Tell how many bytes are staged; 0 when nothing is."""

    async def publish(self, upload: UploadId, digest: Digest) -> int:
        """Turn a finished upload into a blob: verified, atomically, durably, once; return its size in bytes.

        What stands there already is replaced by the verified bytes, so two clients that push the same layer both win,
        and a damaged blob is healed. An upload that nothing was appended to is the empty blob.

        The staged bytes stay until they are discarded: whoever is cut off before they could write down that they have
        the blob finds the upload as it was, and publishes it again. Nothing that happens to it reaches the blob.

        Raises:
            DigestMismatch: the bytes are not what *digest* names; nothing is published, the upload is kept.
            UploadBusy: another append or publish of this upload is under way, in whatever process.
        """

    async def discard(self, upload: UploadId) -> None:
        """Drop an upload's bytes; none being there is no error.

        Raises:
            UploadBusy: an append or publish of this upload is under way, in whatever process.
        """

    async def stat(self, digest: Digest) -> int:
        """Tell a blob's stored size in bytes.

        Raises:
            BlobUnknown: there is no such blob.
        """

    async def open(self, digest: Digest) -> BlobReader:
        """Open a blob for reading.

        Raises:
            BlobUnknown: there is no such blob.
        """

    async def delete(self, digest: Digest) -> None:
        """Remove a blob, durably; none being there is no error."""

    def digests(self) -> AsyncIterator[Digest]:
        """List all blobs in the order of their digests' text."""

    def uploads(self) -> AsyncIterator[StagedUpload]:
        """List all uploads that hold bytes, in the order of their ids (one that a process died over may hold none)."""

    async def free(self) -> int | None:
        """Tell the bytes of room left, None where the medium does not say."""
