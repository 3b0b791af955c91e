"""What can go wrong with repositories and what they hold.

CatalogError
├── RepositoryUnknown     no such repository
├── ManifestUnknown       the reference names no manifest of the repository
├── TagUnknown            no such tag in the repository
├── BlobNotLinked         the blob is not in the repository, wherever else it may be
├── ManifestBlobUnknown   a manifest refers to blobs that are not in its repository
├── UploadUnknown         no such upload session, or it is another's
├── ImageUnknown          no repository that may be read holds such a manifest
├── ImageUnread           the image's layers were not read, or not yet: why
├── PathUnknown           the image's merged tree has no such directory
├── LayerUnknown          no image that may be read holds such a layer
├── PackageUnknown        no image that may be read holds such a package
├── BlobInUse             a manifest of the repository still refers to the blob
└── BlobBusy              the blob's bytes are being removed at this moment: try again
"""

from __future__ import annotations

from collections.abc import Sequence

from cas import Digest, Reference, RepositoryName, Tag


class CatalogError(Exception):
    """Root of the tree above."""


class RepositoryUnknown(CatalogError):
    def __init__(self, repository: RepositoryName) -> None:
        super().__init__(repository)
        self.repository = repository


class ManifestUnknown(CatalogError):
    def __init__(self, repository: RepositoryName, reference: Reference) -> None:
        super().__init__(repository, reference)
        self.repository = repository
        self.reference = reference


class TagUnknown(CatalogError):
    def __init__(self, repository: RepositoryName, tag: Tag) -> None:
        super().__init__(repository, tag)
        self.repository = repository
        self.tag = tag


class BlobNotLinked(CatalogError):
    def __init__(self, repository: RepositoryName, digest: Digest) -> None:
        super().__init__(repository, digest)
        self.repository = repository
        self.digest = digest


class ManifestBlobUnknown(CatalogError):
    def __init__(self, repository: RepositoryName, missing: Sequence[str]) -> None:
        super().__init__(repository, missing)
        self.repository = repository
        self.missing = missing


class ImageUnknown(CatalogError):
    def __init__(self, digest: Digest) -> None:
        super().__init__(digest)
        self.digest = digest


class ImageUnread(CatalogError):
    """*problem* says why its layers could not be read; it is empty while they are still to be read. *waits_for* says
    what was missing when that was last tried, empty where nothing was."""

    def __init__(self, digest: Digest, problem: str = "", waits_for: str = "") -> None:
        super().__init__(digest, problem, waits_for)
        self.digest = digest
        self.problem = problem
        self.waits_for = waits_for


class PathUnknown(CatalogError):
    def __init__(self, digest: Digest, path: str) -> None:
        super().__init__(digest, path)
        self.digest = digest
        self.path = path


class LayerUnknown(CatalogError):
    def __init__(self, digest: Digest) -> None:
        super().__init__(digest)
        self.digest = digest


class PackageUnknown(CatalogError):
    def __init__(self, ecosystem: str, name: str) -> None:
        super().__init__(ecosystem, name)
        self.ecosystem = ecosystem
        self.name = name


class UploadUnknown(CatalogError):
    def __init__(self, upload: str) -> None:
        super().__init__(upload)
        self.upload = upload


class BlobInUse(CatalogError):
    """*manifest* is the digest of one that refers to the blob."""

    def __init__(self, digest: Digest, manifest: str) -> None:
        super().__init__(digest, manifest)
        self.digest = digest
        self.manifest = manifest


class BlobBusy(CatalogError):
    def __init__(self, digest: Digest) -> None:
        super().__init__(digest)
        self.digest = digest
