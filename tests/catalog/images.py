"""Manifests for the registry's own tests."""

from __future__ import annotations

import json
from typing import Any

from cas import Digest
from cas.manifest import OCI_INDEX, OCI_MANIFEST

EMPTY_CONFIG = "application/vnd.oci.empty.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def descriptor(content: bytes | Digest, media_type: str, size: int | None = None, **members: Any) -> dict[str, Any]:
    digest = content if isinstance(content, Digest) else Digest.of(content)
    length = size if size is not None else len(content) if isinstance(content, bytes) else 0
    return {"mediaType": media_type, "digest": digest.text, "size": length, **members}


def image(config: bytes, *layers: bytes, **members: Any) -> bytes:
    """An OCI image manifest over *config* and *layers*; *members* are added to it."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": descriptor(config, CONFIG),
            "layers": [descriptor(layer, LAYER) for layer in layers],
            **members,
        }
    ).encode()


def index(*manifests: dict[str, Any], **members: Any) -> bytes:
    """An OCI index over descriptors."""
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(manifests), **members}).encode()
