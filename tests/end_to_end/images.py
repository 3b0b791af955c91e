"""Real OCI images, built in code: small layers of random bytes, configs, manifests, indexes, artifacts.

    Maker(seed)  ── makes ──►  Image        manifest + config + layers, OCI or Docker schema 2
                               Index        manifest that lists Images (or further indexes, or bare blobs)
                               Artifact     manifest with an artifact type, often with a subject
    each of these is a Content: one manifest blob and everything below it; `layouts.py` writes it for clients to push

Without a seed every image is new, which matters: clients remember what they pushed before and leave it out (skopeo
keeps such a list across runs). With a seed everything is the same again, byte for byte, on every machine.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import random
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"

Compression = Literal["gzip", "zstd", "none"]

_OCI_LAYERS = {
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
    "none": "application/vnd.oci.image.layer.v1.tar",
}

#: The largest block of a zstd frame (RFC 8878, 3.1.1.2.4).
_ZSTD_BLOCK = 128 * 1024


@dataclass(frozen=True)
class Blob:
    """Bytes and what a descriptor says of them."""

    media_type: str
    content: bytes = field(repr=False)
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """``sha256:…``"""
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"

    @property
    def size(self) -> int:
        """Length in bytes."""
        return len(self.content)

    def descriptor(self, **more: Any) -> dict[str, Any]:
        """Describe it as OCI does; *more* are further members, named as in JSON (``artifactType``, ``platform``)."""
        described: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.annotations:
            described["annotations"] = dict(self.annotations)
        return described | more

    def json(self) -> Any:
        """Read it as JSON."""
        return json.loads(self.content)


@dataclass(frozen=True)
class Layer:
    """A layer: the blob that is pushed, and the name of its bytes before compression."""

    blob: Blob
    diff_id: str


@dataclass(frozen=True)
class Content:
    """A manifest and whatever it is made of."""

    manifest: Blob

    @property
    def digest(self) -> str:
        """The manifest's digest."""
        return self.manifest.digest

    @property
    def children(self) -> Sequence[Content]:
        """The manifests that this one lists."""
        return ()

    def own_blobs(self) -> Iterator[Blob]:
        """The blobs that this manifest itself names, which are not manifests."""
        yield from ()

    def manifests(self) -> Iterator[Blob]:
        """All manifests, children before what lists them: the order in which they can be pushed."""
        for child in self.children:
            yield from child.manifests()
        yield self.manifest

    def blobs(self) -> Iterator[Blob]:
        """All blobs that are not manifests, each once."""
        seen: set[str] = set()
        for blob in self._all_blobs():
            if blob.digest not in seen:
                seen.add(blob.digest)
                yield blob

    def _all_blobs(self) -> Iterator[Blob]:
        yield from self.own_blobs()
        for child in self.children:
            yield from child._all_blobs()


@dataclass(frozen=True)
class Image(Content):
    """An image for one platform."""

    config: Blob
    layers: tuple[Layer, ...]
    platform: Mapping[str, str]

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """What stays the same when a client compresses the layers again."""
        return tuple(layer.diff_id for layer in self.layers)

    def own_blobs(self) -> Iterator[Blob]:
        yield self.config
        yield from (layer.blob for layer in self.layers)


@dataclass(frozen=True)
class Artifact(Content):
    """What is no image: a signature, an SBOM, anything with an artifact type."""

    artifact_type: str
    config: Blob
    files: tuple[Blob, ...]

    def own_blobs(self) -> Iterator[Blob]:
        yield self.config
        yield from self.files


@dataclass(frozen=True)
class Index(Content):
    """A manifest that lists others."""

    members: tuple[Content, ...]
    #: Blobs that it lists though they are no manifests, as BuildKit's older cache export does.
    listed_blobs: tuple[Blob, ...] = ()

    @property
    def children(self) -> Sequence[Content]:
        return self.members

    def own_blobs(self) -> Iterator[Blob]:
        yield from self.listed_blobs


class Maker:
    """Makes images. With *seed* it makes the same ones in the same order each time; without, new ones."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)  # a seed of None takes the system's entropy

    def random_bytes(self, size: int) -> bytes:
        """Make *size* random bytes, which no compression makes smaller."""
        return self._random.randbytes(size)

    def name(self, prefix: str = "made") -> str:
        """Make a name that is unlikely to be taken: for repositories and tags."""
        return f"{prefix}-{self._random.getrandbits(48):012x}"

    def layer(
        self,
        files: Mapping[str, bytes] | None = None,
        *,
        size: int = 4096,
        compression: Compression = "gzip",
        docker: bool = False,
    ) -> Layer:
        """Make a layer of *files* (path → content), or of one file of *size* random bytes."""
        if files is None:
            files = {f"opt/{self.name('file')}": self.random_bytes(size)}
        tar = _tar(files)
        media_type = DOCKER_LAYER if docker else _OCI_LAYERS[compression]
        return Layer(Blob(media_type, _compress(tar, compression)), f"sha256:{hashlib.sha256(tar).hexdigest()}")

    def image(
        self,
        layers: int | Sequence[Layer] = 3,
        *,
        layer_size: int = 4096,
        compression: Compression | Sequence[Compression] = "gzip",
        platform: str = "linux/amd64",
        docker: bool = False,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
        subject: Content | Blob | None = None,
    ) -> Image:
        """Make an image.

        *layers* are layers made before (so that images share them), or how many new ones of *layer_size* bytes each to
        make. *compression* is one for all of those, or one for each in turn. *platform* is ``os/architecture`` or
        ``os/architecture/variant``. *docker* makes it Docker schema 2, which knows gzip alone and no subject.
        """
        if isinstance(layers, int):
            kinds = [compression] if isinstance(compression, str) else list(compression)
            if docker:
                kinds = ["gzip"]
            layers = [
                self.layer(size=layer_size, compression=kinds[number % len(kinds)], docker=docker)
                for number in range(layers)
            ]
        where = _platform(platform)
        config: dict[str, Any] = {
            "created": "2024-01-01T00:00:00Z",
            "author": self.name("author"),
            **where,
            "config": {
                "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
                "Cmd": ["/bin/true"],
                "Labels": dict(labels or {}),
            },
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
            "history": [
                {"created": "2024-01-01T00:00:00Z", "created_by": f"COPY layer {number} /"}
                for number in range(1, len(layers) + 1)
            ],
        }
        config_blob = Blob(DOCKER_CONFIG if docker else OCI_CONFIG, as_json(config))
        manifest = {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST if docker else OCI_MANIFEST,
            "config": config_blob.descriptor(),
            "layers": [layer.blob.descriptor() for layer in layers],
            **_subject(subject),
            **({"annotations": dict(annotations)} if annotations else {}),
        }
        return Image(Blob(manifest["mediaType"], as_json(manifest)), config_blob, tuple(layers), where)

    def artifact(
        self,
        artifact_type: str = "application/vnd.example.sbom.v1+json",
        *,
        files: Sequence[Blob] | None = None,
        subject: Content | Blob | None = None,
        annotations: Mapping[str, str] | None = None,
        config: Blob | None = None,
    ) -> Artifact:
        """Make an artifact of *files* (one small random one by default), with the empty config unless one is given."""
        if files is None:
            files = [Blob("application/octet-stream", self.random_bytes(512))]
        config = config or Blob(OCI_EMPTY, b"{}")
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": artifact_type,
            "config": config.descriptor(),
            "layers": [blob.descriptor() for blob in files] or [Blob(OCI_EMPTY, b"{}").descriptor()],
            **_subject(subject),
            **({"annotations": dict(annotations)} if annotations else {}),
        }
        return Artifact(Blob(OCI_MANIFEST, as_json(manifest)), artifact_type, config, tuple(files))

    def index(
        self,
        members: Sequence[Content],
        *,
        docker: bool = False,
        artifact_type: str | None = None,
        subject: Content | Blob | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> Index:
        """Make an index (*docker*: a manifest list) of *members*; images tell their platforms."""
        manifest = {
            "schemaVersion": 2,
            "mediaType": DOCKER_LIST if docker else OCI_INDEX,
            **({"artifactType": artifact_type} if artifact_type else {}),
            "manifests": [listed(member) for member in members],
            **_subject(subject),
            **({"annotations": dict(annotations)} if annotations else {}),
        }
        return Index(Blob(manifest["mediaType"], as_json(manifest)), tuple(members))

    def multi_platform(
        self,
        platforms: Sequence[str] = ("linux/amd64", "linux/arm64/v8", "linux/arm/v7"),
        *,
        docker: bool = False,
        layers: int = 2,
    ) -> Index:
        """Make an index of one new image for each platform; they share their first layer."""
        shared = self.layer(docker=docker)
        images = [
            self.image(
                [shared, *(self.layer(docker=docker) for _ in range(layers - 1))], platform=platform, docker=docker
            )
            for platform in platforms
        ]
        return self.index(images, docker=docker)

    def attested(self, image: Image) -> Index:
        """Make what BuildKit pushes by default: an index of *image* and of a manifest that attests it."""
        statement = Blob(
            "application/vnd.in-toto+json",
            as_json({"_type": "https://in-toto.io/Statement/v0.1", "subject": [], "predicate": self.name()}),
            {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"},
        )
        nothing = {
            "architecture": "unknown",
            "os": "unknown",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": []},
        }
        config = Blob(OCI_CONFIG, as_json(nothing))
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": config.descriptor(),
            "layers": [statement.descriptor()],
        }
        attestation = Artifact(Blob(OCI_MANIFEST, as_json(manifest)), OCI_CONFIG, config, (statement,))
        entries = [
            listed(image),
            attestation.manifest.descriptor(
                annotations={
                    "vnd.docker.reference.type": "attestation-manifest",
                    "vnd.docker.reference.digest": image.digest,
                },
                platform={"architecture": "unknown", "os": "unknown"},
            ),
        ]
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
        return Index(Blob(OCI_INDEX, as_json(index)), (image, attestation))

    def build_cache(self, layers: int = 2) -> Index:
        """Make BuildKit's older cache export: an index whose members are layer blobs and a config of its own type."""
        made = [self.layer() for _ in range(layers)]
        config = Blob(
            "application/vnd.buildkit.cacheconfig.v0",
            as_json(
                {"layers": [{"blob": layer.blob.digest, "parent": -1} for layer in made], "records": [self.name()]}
            ),
        )
        blobs = (*(layer.blob for layer in made), config)
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [blob.descriptor() for blob in blobs]}
        return Index(Blob(OCI_INDEX, as_json(index)), (), blobs)


def everything(content: Content) -> dict[str, bytes]:
    """All blobs and manifests of *content*: digest → bytes, to compare with what was pulled."""
    return {blob.digest: blob.content for blob in (*content.blobs(), *content.manifests())}


def listed(content: Content) -> dict[str, Any]:
    """Describe *content* as an index lists it."""
    if isinstance(content, Image):
        return content.manifest.descriptor(platform=dict(content.platform))
    if isinstance(content, Artifact):
        return content.manifest.descriptor(artifactType=content.artifact_type)
    return content.manifest.descriptor()


def _subject(subject: Content | Blob | None) -> dict[str, Any]:
    if subject is None:
        return {}
    return {"subject": (subject.manifest if isinstance(subject, Content) else subject).descriptor()}


def _platform(text: str) -> dict[str, str]:
    return dict(zip(("os", "architecture", "variant"), text.split("/"), strict=False))


def as_json(value: Any) -> bytes:
    """Write JSON the same way each time."""
    return json.dumps(value, separators=(",", ":")).encode()


def _tar(files: Mapping[str, bytes]) -> bytes:
    """Write a tar of *files* and of the folders that they are in, the same each time: no clock, no user."""
    folders = sorted({str(parent) for path in files for parent in PurePosixPath(path).parents} - {"."})
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for folder in folders:
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return written.getvalue()


def _compress(tar: bytes, compression: Compression) -> bytes:
    if compression == "gzip":
        return gzip.compress(tar, compresslevel=6, mtime=0)
    return _zstd(tar) if compression == "zstd" else tar


def _zstd(content: bytes) -> bytes:
    """Write a zstd frame of raw blocks (RFC 8878, 3.1.1): every reader takes it, and nothing is needed to write it."""
    # Single segment, eight bytes of content size, no checksum, no dictionary.
    frame = bytearray(b"\x28\xb5\x2f\xfd" + b"\xe0" + len(content).to_bytes(8, "little"))
    blocks = [content[at : at + _ZSTD_BLOCK] for at in range(0, len(content), _ZSTD_BLOCK)] or [b""]
    for number, block in enumerate(blocks, 1):
        last = number == len(blocks)
        frame += (int(last) | len(block) << 3).to_bytes(3, "little") + block
    return bytes(frame)
