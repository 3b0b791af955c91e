"""Manifests as the catalog reads them: the layers of an image, the images of an index.

The registry has checked what it must (`cas.manifest`); here everything else that a manifest says is read, and nothing
of it is trusted: a member of the wrong kind is taken for one that is not there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import msgspec

from cas import Digest, InvalidDigest
from catalog.images.texts import Limits, fitting_by_name

#: Media types of configs that describe a file system, so that layers can be read as such.
IMAGE_CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
#: How the media types of layers of file systems begin, whatever they are compressed with.
_LAYERS = ("application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs.")
_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")

#: What an index says of children that are no images (BuildKit: "Image attestation storage").
UNKNOWN = "unknown/unknown"


@dataclass(frozen=True, slots=True)
class Reference:
    """A blob or a manifest that a manifest names; *size* is what it says, in bytes."""

    media_type: str
    digest: Digest
    size: int
    platform: str = ""
    artifact_type: str = ""
    annotations: dict[str, str] = field(default_factory=dict)

    @property
    def is_layer(self) -> bool:
        """Whether it is called a layer of a file system."""
        return self.media_type.startswith(_LAYERS)


@dataclass(frozen=True, slots=True)
class ImageManifest:
    """A manifest that has a config. *is_image* where it describes a file system; otherwise it is an artifact of
    *artifact_type*, whose layers are whatever they are. *limits* says what of its annotations was left out, and why."""

    config: Reference
    layers: tuple[Reference, ...]
    artifact_type: str
    annotations: dict[str, str]
    limits: tuple[str, ...] = ()

    @property
    def is_image(self) -> bool:
        """Whether its layers are those of a file system. Attestations and signatures come with an image's config too,
        over layers of their own kinds (BuildKit: "Image attestation storage")."""
        is_any = not self.layers or any(layer.is_layer for layer in self.layers)
        return self.config.media_type in IMAGE_CONFIGS and is_any

    @property
    def size(self) -> int:
        """Bytes that a client pulls: of the config, and of each different layer once."""
        blobs = {each.digest: each.size for each in (self.config, *self.layers)}
        return sum(blobs.values())


#: Manifests that are looked at on the way from an index to one of its images: indexes may list indexes.
DEEPEST = 4


@dataclass(frozen=True, slots=True)
class IndexManifest:
    """An index: its children in their order."""

    children: tuple[Reference, ...]
    artifact_type: str
    annotations: dict[str, str]

    def choose(self, platform: str | None = None) -> Reference | None:
        """Return the child for *platform* (``os/arch[/variant]``); without one that for ``linux/amd64``, or the first
        that is an image; None where there is none."""
        images = [child for child in self.children if child.platform != UNKNOWN]
        wanted = platform or "linux/amd64"
        for child in images:
            if child.platform == wanted or (child.platform.startswith(wanted + "/") and wanted.count("/") == 1):
                return child
        return None if platform or not images else images[0]


def read_manifest(content: bytes, media_type: str) -> ImageManifest | IndexManifest | None:
    """Read a manifest that the registry accepted as *media_type*; None where that is neither an image nor an index."""
    try:
        read = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if not isinstance(read, dict):
        return None
    artifact_type = _text(read.get("artifactType"))
    limits = Limits()
    annotations = _annotations(read.get("annotations"), limits)
    if media_type.lower() in _INDEXES:
        return IndexManifest(tuple(_references(read.get("manifests"))), artifact_type, annotations)
    config = next(_references([read.get("config")]), None)
    if config is None:
        return None
    layers = tuple(_references(read.get("layers")))
    read_image = ImageManifest(config, layers, artifact_type or config.media_type, annotations, tuple(limits))
    if not artifact_type and not read_image.is_image and config.media_type in IMAGE_CONFIGS:
        return replace(read_image, artifact_type=layers[0].media_type)
    return read_image


def size_of(manifest: ImageManifest | IndexManifest | None) -> int:
    """Return what a client pulls of an image, in bytes; 0 for what is none."""
    return manifest.size if isinstance(manifest, ImageManifest) else 0


def platform_text(value: object) -> str:
    """Write the platform of a descriptor or a config as ``os/arch[/variant]``; empty where it names none."""
    if not isinstance(value, dict):
        return ""
    parts = [_text(value.get(name)) for name in ("os", "architecture", "variant")]
    return "/".join(part for part in parts if part) if parts[0] and parts[1] else ""


def _references(listed: object) -> Iterator[Reference]:
    for each in listed if isinstance(listed, list) else ():
        if not isinstance(each, dict):
            continue
        try:
            digest = Digest.parse(_text(each.get("digest")))
        except InvalidDigest:
            continue
        size = each.get("size")
        yield Reference(
            _text(each.get("mediaType")),
            digest,
            size if isinstance(size, int) and 0 <= size < 2**63 else 0,
            platform_text(each.get("platform")),
            _text(each.get("artifactType")),
            _texts(each.get("annotations")),
        )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _annotations(value: object, limits: Limits) -> dict[str, str]:
    """Read the annotations of the whole: as much of them as of a config's labels."""
    found = value if isinstance(value, dict) else {}
    return fitting_by_name(found, lambda each: each if isinstance(each, str) else None, "annotations", limits)


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {key: text for key, text in value.items() if isinstance(key, str) and isinstance(text, str)}
