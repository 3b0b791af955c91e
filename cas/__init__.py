"""Content by digest, and the OCI forms of it.

It keeps bytes under the digest of what they are, and parses the names and manifests that point to them. It must not
know of repositories' owners, people, tokens, HTTP or SQL.
"""

from cas.digest import ALGORITHMS, Digest
from cas.errors import (
    BlobUnknown,
    CasError,
    DigestMismatch,
    InvalidDigest,
    InvalidManifest,
    InvalidName,
    InvalidRepositoryName,
    InvalidTag,
    InvalidUploadId,
    OffsetMismatch,
    StorageFull,
    UploadBusy,
)
from cas.manifest import Descriptor, Manifest, Role
from cas.names import Reference, RepositoryName, Tag, parse_reference
from cas.store import PIECE, BlobReader, BlobStore, StagedUpload, UploadId

__all__ = [
    "ALGORITHMS",
    "PIECE",
    "BlobReader",
    "BlobStore",
    "BlobUnknown",
    "CasError",
    "Descriptor",
    "Digest",
    "DigestMismatch",
    "InvalidDigest",
    "InvalidManifest",
    "InvalidName",
    "InvalidRepositoryName",
    "InvalidTag",
    "InvalidUploadId",
    "Manifest",
    "OffsetMismatch",
    "Reference",
    "RepositoryName",
    "Role",
    "StagedUpload",
    "StorageFull",
    "Tag",
    "UploadBusy",
    "UploadId",
    "parse_reference",
]
