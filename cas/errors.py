"""What can go wrong with content and with its names.

CasError
├── InvalidName           a text that a client sent is not what the grammar allows
│   ├── InvalidDigest
│   ├── InvalidRepositoryName
│   ├── InvalidTag
│   ├── InvalidUploadId
│   └── InvalidDerivedName
├── InvalidManifest       the bytes are no manifest: why, and where
├── BlobUnknown           no blob of that digest, or its stored size is wrong
├── UploadBusy            another request is writing to the same upload
├── OffsetMismatch        a chunk does not begin where the upload ends
├── DigestMismatch        the bytes are not what the digest names
├── DerivedUnknown        no derived object of that name
├── LayerIndexUnavailable the layer index is being rebuilt, or its owner does not answer
└── StorageFull           the medium has no room left
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cas.digest import Digest
    from cas.store import UploadId


class CasError(Exception):
    """Root of the tree above."""


class InvalidName(CasError):
    """*text* does not follow the grammar of *kind*; *rule* says what would."""

    kind = "name"
    rule = ""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        shown = self.text if len(self.text) <= 80 else self.text[:77] + "..."
        return f"{shown!r} is not a {self.kind}: {self.rule}"


class InvalidDigest(InvalidName):
    kind = "digest"
    rule = "expected sha256: and 64, or sha512: and 128, lower-case hexadecimal characters"


class InvalidRepositoryName(InvalidName):
    kind = "repository name"
    rule = (
        "expected components of a-z and 0-9, joined by single '.', '_', '__' or dashes, separated by '/', "
        "at most 255 characters in all"
    )


class InvalidTag(InvalidName):
    kind = "tag"
    rule = "expected 1 to 128 of A-Z a-z 0-9 _ . -, not beginning with '.' or '-'"


class InvalidUploadId(InvalidName):
    kind = "upload id"
    rule = "expected 32 lower-case hexadecimal characters"


class InvalidDerivedName(InvalidName):
    kind = "derived object's name"
    rule = "expected parts of a-z, 0-9, '-', '_' and '.', separated by '/', at most 255 characters in all"


class InvalidManifest(CasError):
    """The bytes are no manifest that can be kept; *reason* names the member and what was expected."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class BlobUnknown(CasError):
    def __init__(self, digest: Digest) -> None:
        super().__init__(digest)
        self.digest = digest


class UploadBusy(CasError):
    def __init__(self, upload: UploadId) -> None:
        super().__init__(upload)
        self.upload = upload


class OffsetMismatch(CasError):
    """The chunk begins at *offset*, the upload holds *size* bytes."""

    def __init__(self, upload: UploadId, offset: int, size: int) -> None:
        super().__init__(upload, offset, size)
        self.upload = upload
        self.offset = offset
        self.size = size


class DigestMismatch(CasError):
    def __init__(self, expected: Digest, computed: Digest) -> None:
        super().__init__(expected, computed)
        self.expected = expected
        self.computed = computed


class DerivedUnknown(CasError):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class LayerIndexUnavailable(CasError):
    """*reason* says why, in words that anybody may read; it may be tried again after *retry_after* seconds. *nobody* is
    true where no owner answered, false where one did, and refused."""

    def __init__(self, reason: str, retry_after: int = 2, *, nobody: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
        self.nobody = nobody


class StorageFull(CasError):
    """No room is left; *what* is full, in words that anybody may read. *place* (a directory, a bucket) is for whoever
    runs the service, and for nobody else."""

    def __init__(self, what: str, place: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.place = place
