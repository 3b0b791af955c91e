"""Manifests: what names a set of blobs, and how their bytes are read.

Only what the registry acts on is read: the references, the subject, the types. The bytes themselves are kept and served
as they came.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field

import msgspec

from cas.digest import Digest
from cas.errors import InvalidDigest, InvalidManifest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
_DOCKER_SCHEMA_1 = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)

#: The config of BuildKit's older cache export: an index that lists it lists blobs, not manifests
#: (BuildKit, cache/remotecache/export.go).
BUILDKIT_CACHE_CONFIG = "application/vnd.buildkit.cacheconfig.v0"

_INDEXES = (OCI_INDEX, DOCKER_LIST)
_IMAGES = (OCI_MANIFEST, DOCKER_MANIFEST)
_KNOWN = (*_INDEXES, *_IMAGES, OCI_ARTIFACT)
#: What is read; everything else is kept as it came.
_READ = (*_KNOWN, *_DOCKER_SCHEMA_1)

#: References that one manifest may have: each is a row. An index of all platforms has some twenty, an image may have
#: 127 layers, a build cache a few hundred.
MOST_REFERENCES = 5000


#: A manifest is served under the type that it came with, so that must not be one that a browser would render.
_MEDIA_TYPE = re.compile(r"application/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}")


class Role(enum.StrEnum):
    """What a reference is to the manifest that holds it."""

    CONFIG = "config"
    LAYER = "layer"
    MANIFEST = "manifest"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What a manifest says of something that it refers to; *optional* where the bytes may be kept elsewhere."""

    media_type: str
    digest: Digest
    size: int
    role: Role
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest's bytes and what was read in them.

    *media_type* is how it is served; *artifact_type* is what the referrers list says it is (OCI distribution
    specification, "Listing Referrers"); *annotations* are the manifest's own.
    """

    content: bytes
    digest: Digest
    media_type: str
    artifact_type: str | None = None
    subject: Digest | None = None
    annotations: dict[str, str] = field(default_factory=dict)
    references: tuple[Descriptor, ...] = ()

    @classmethod
    def parse(cls, content: bytes, media_type: str | None, algorithm: str = "sha256") -> Manifest:
        """Read *content*, which came with the Content-Type *media_type* (without parameters).

        A media type that is not known here is kept without being read further. Media types are compared without
        regard to case (RFC 6838, 4.2): what another reader would take for an image is checked as one.

        Raises:
            InvalidManifest: it is not what its media type says, or could be read as two things at once.
        """
        if media_type and media_type.lower() not in _READ:
            _check_media_type(media_type)
            if _said(content) not in (None, media_type):
                raise InvalidManifest(f"mediaType is {_said(content)} but the Content-Type is {media_type}")
            return cls(content, Digest.of(content, algorithm), media_type)
        read = _read(content)
        said = read.mediaType or None
        if media_type and said and said != media_type:
            raise InvalidManifest(f"mediaType is {said} but the Content-Type is {media_type}")
        media_type = media_type or said
        if not media_type:
            raise InvalidManifest("neither a mediaType nor a Content-Type says what this is")
        _check_media_type(media_type)
        digest = Digest.of(content, algorithm)
        kind = media_type.lower()
        if kind not in _READ:
            return cls(content, digest, media_type)
        if kind in _DOCKER_SCHEMA_1 or read.schemaVersion == 1:
            raise InvalidManifest("Docker's schema 1 is not supported; push the image in schema 2 or as OCI")
        _check_shape(read, kind)
        artifact_type = read.artifactType or (read.config.mediaType if read.config is not None else None)
        if artifact_type:
            _check_artifact_type(artifact_type)
        return cls(
            content,
            digest,
            media_type,
            artifact_type=artifact_type or None,
            subject=_digest(read.subject.digest, "subject") if read.subject is not None else None,
            annotations=read.annotations or {},
            references=tuple(_references(read)),
        )


class _Reference(msgspec.Struct):
    mediaType: str
    digest: str
    size: int
    urls: list[str] | None = None


class _Document(msgspec.Struct):
    schemaVersion: int | None = None
    mediaType: str | None = None
    artifactType: str | None = None
    config: _Reference | None = None
    layers: list[_Reference] | None = None
    blobs: list[_Reference] | None = None
    manifests: list[_Reference] | None = None
    fsLayers: msgspec.Raw | None = None
    subject: _Reference | None = None
    annotations: dict[str, str] | None = None


class _Typed(msgspec.Struct):
    mediaType: str | None = None


_decode = msgspec.json.Decoder(_Document).decode
_decode_type = msgspec.json.Decoder(_Typed).decode


def _read(content: bytes) -> _Document:
    try:
        return _decode(content)
    except msgspec.ValidationError as error:
        raise InvalidManifest(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidManifest(f"it is not JSON: {error}") from error
    except RecursionError as error:
        raise InvalidManifest("it is nested too deeply") from error


def _check_media_type(media_type: str) -> None:
    if _MEDIA_TYPE.fullmatch(media_type) is None:
        raise InvalidManifest("the media type must be application/ and a name (RFC 6838)")


def _check_artifact_type(artifact_type: str) -> None:
    """Refuse what no list of referrers could hold and no filter could name."""
    if len(artifact_type) > 255 or not artifact_type.isprintable():
        raise InvalidManifest("the artifact type must be at most 255 printable characters")


def _said(content: bytes) -> str | None:
    """Return the mediaType member of something that is kept unread; None where it has none, or is no JSON object."""
    try:
        return _decode_type(content).mediaType
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _check_shape(read: _Document, media_type: str) -> None:
    """Refuse what another reader could take for something else (CVE-2021-41190)."""
    if read.schemaVersion != 2 and media_type != OCI_ARTIFACT:  # which has none
        raise InvalidManifest("schemaVersion must be 2")
    image_members = [name for name in ("config", "layers", "fsLayers", "blobs") if getattr(read, name) is not None]
    if media_type in _INDEXES:
        if image_members:
            raise InvalidManifest(f"an index must not have {' or '.join(image_members)}")
        if read.manifests is None:
            raise InvalidManifest("an index needs manifests")
        return
    if read.manifests is not None:
        raise InvalidManifest("only an index may have manifests")
    if media_type in _IMAGES:
        if read.fsLayers is not None or read.blobs is not None:
            raise InvalidManifest("an image manifest must not have fsLayers or blobs")
        if read.config is None or read.layers is None:
            raise InvalidManifest("an image manifest needs config and layers")


def _references(read: _Document) -> list[Descriptor]:
    if sum(len(listed or ()) for listed in (read.layers, read.blobs, read.manifests)) > MOST_REFERENCES:
        raise InvalidManifest(f"it refers to more than {MOST_REFERENCES} blobs or manifests")
    found: list[Descriptor] = []
    if read.config is not None:
        found.append(_descriptor(read.config, "config", Role.CONFIG))
    for member in ("layers", "blobs"):
        for position, layer in enumerate(getattr(read, member) or ()):
            found.append(_descriptor(layer, f"{member}[{position}]", Role.LAYER, optional=_is_foreign(layer)))
    children = read.manifests or ()
    of_blobs = any(child.mediaType == BUILDKIT_CACHE_CONFIG for child in children)
    for position, child in enumerate(children):
        is_blob = of_blobs and child.mediaType.lower() not in _KNOWN
        role = Role.MANIFEST if not is_blob else Role.CONFIG if child.mediaType == BUILDKIT_CACHE_CONFIG else Role.LAYER
        found.append(_descriptor(child, f"manifests[{position}]", role, optional=not is_blob))
    return found


def _is_foreign(layer: _Reference) -> bool:
    """Tell whether the bytes may lie elsewhere: a layer that must not be distributed, or one with its own addresses."""
    return bool(layer.urls) or ".nondistributable." in layer.mediaType or ".foreign." in layer.mediaType


def _descriptor(read: _Reference, where: str, role: Role, *, optional: bool = False) -> Descriptor:
    if not 0 <= read.size < 2**63:
        raise InvalidManifest(f"{where}.size must be 0 or more, and less than 2^63")
    return Descriptor(read.mediaType, _digest(read.digest, where), read.size, role, optional)


def _digest(text: str, where: str) -> Digest:
    try:
        return Digest.parse(text)
    except InvalidDigest as error:
        raise InvalidManifest(f"{where}.digest: {error}") from error
