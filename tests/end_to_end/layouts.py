"""Images as files, in the two forms that clients push from and pull to.

write_layout(folder, {"v1": content, …})    OCI layout: for skopeo oci:, crane push, oras, regctl ocidir:
write_dir(folder, content)                  skopeo's dir:, the only form of its that takes Docker schema 2
read_layout(folder), read_dir(folder)       what a client pulled, to be compared byte for byte
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from tests.end_to_end.images import OCI_INDEX, Content, as_json, listed


def write_layout(folder: Path, tagged: Mapping[str, Content]) -> Path:
    """Write an OCI image layout with everything below *tagged* (tag → content); return *folder*."""
    places = folder / "blobs" / "sha256"
    places.mkdir(parents=True, exist_ok=True)
    entries = []
    for tag, content in tagged.items():
        for blob in (*content.blobs(), *content.manifests()):
            (places / blob.digest.removeprefix("sha256:")).write_bytes(blob.content)
        name = {"org.opencontainers.image.ref.name": tag}
        entries.append(listed(content) | {"annotations": {**content.manifest.annotations, **name}})
    (folder / "oci-layout").write_bytes(as_json({"imageLayoutVersion": "1.0.0"}))
    (folder / "index.json").write_bytes(as_json({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}))
    return folder


def read_layout(folder: Path) -> dict[str, bytes]:
    """Read every blob of an OCI image layout: digest → content; each is what its name says, or this fails."""
    found = {f"sha256:{file.name}": file.read_bytes() for file in (folder / "blobs" / "sha256").iterdir()}
    for digest, content in found.items():
        assert digest == f"sha256:{hashlib.sha256(content).hexdigest()}", f"{folder} holds damaged bytes"
    return found


def layout_roots(folder: Path) -> dict[str, str]:
    """Read a layout's index: tag (or digest, where an entry has no tag) → digest."""
    entries = json.loads((folder / "index.json").read_bytes())["manifests"]
    return {
        entry.get("annotations", {}).get("org.opencontainers.image.ref.name", entry["digest"]): entry["digest"]
        for entry in entries
    }


def write_dir(folder: Path, content: Content) -> Path:
    """Write skopeo's ``dir:`` form (``skopeo copy --all`` for an index); return *folder*."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "version").write_text("Directory Transport Version: 1.1\n")
    (folder / "manifest.json").write_bytes(content.manifest.content)
    for blob in content.blobs():
        (folder / blob.digest.removeprefix("sha256:")).write_bytes(blob.content)
    for blob in content.manifests():
        if blob is not content.manifest:
            (folder / f"{blob.digest.removeprefix('sha256:')}.manifest.json").write_bytes(blob.content)
    return folder


def read_dir(folder: Path) -> dict[str, bytes]:
    """Read everything of skopeo's ``dir:`` form: digest → content, the manifests among them."""
    files = [file for file in folder.iterdir() if file.name != "version" and ".sig" not in file.name]
    return {f"sha256:{hashlib.sha256(content).hexdigest()}": content for content in map(Path.read_bytes, files)}
