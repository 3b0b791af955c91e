"""The images that analysis is measured on: real files of this machine, in layers as builders write them.

    first     nine layers of files, and a tenth of at most a hundredth of the bytes
    second    the same nine, and another tenth

Some 60,000 files and 500 MB compressed, made once and kept. Which files they are depends on the machine; both programs
read the same ones, so ratios can be compared between machines, and seconds cannot.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from isal import igzip

FILES = 60_000
RAW_BYTES = 1_350_000_000
LAYERS = 10
#: Of all bytes, what the top layer has.
_TOP = 0.008
#: Left out: Trivy does not read a layer with one of them unless it can ask a server for a database.
_JAVA = {".jar", ".war", ".ear", ".par"}
#: What tells of the distribution and its packages is always among them; Trivy asks debian_version which one it is.
_ALWAYS = ("usr/lib/os-release", "etc/debian_version", "var/lib/dpkg/")
#: Bytes by which large files may run ahead of their share.
_SLACK = 40_000_000

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_INDEX = "application/vnd.oci.image.index.v1+json"


@dataclass(frozen=True, slots=True)
class Images:
    """Two OCI layouts that share nine layers, and how large the first one is."""

    first: Path
    second: Path
    layers: int
    files: int
    compressed: int
    raw: int
    new: int


def make(directory: Path, files: int = FILES, raw_bytes: int = RAW_BYTES) -> Images:
    """Make both images in *directory*, or find them there."""
    made = directory / "made.json"
    wanted = {"form": 2, "files": files, "raw_bytes": raw_bytes}
    if not made.exists() or json.loads(made.read_text())["wanted"] != wanted:
        made.unlink(missing_ok=True)
        figures = _make(directory, files, raw_bytes)
        made.write_text(json.dumps({"wanted": wanted, "figures": figures}))
    return Images(directory / "first", directory / "second", **json.loads(made.read_text())["figures"])


def _make(directory: Path, files: int, raw_bytes: int) -> dict[str, int]:
    chosen = _chosen(files, raw_bytes)
    every = sum(size for _, _, size in chosen)
    top = _taken(chosen, every * _TOP)
    other_top = _taken(chosen, every * _TOP)
    lower: list[list[tuple[str, Path, int]]] = [[] for _ in range(LAYERS - 1)]
    lower_bytes = sum(size for _, _, size in chosen) + 1
    before = 0
    for each in chosen:
        lower[before * len(lower) // lower_bytes].append(each)
        before += each[2]
    blobs = directory / "first" / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    shared = [_layer(blobs, each) for each in lower]
    first = [*shared, _layer(blobs, top)]
    _layout(directory / "first", first)
    others = directory / "second" / "blobs" / "sha256"
    others.mkdir(parents=True, exist_ok=True)
    for descriptor, _ in shared:
        place = others / descriptor["digest"].removeprefix("sha256:")
        place.unlink(missing_ok=True)
        os.link(blobs / place.name, place)
    new = _layer(others, other_top)
    _layout(directory / "second", [*shared, new])
    return {
        "layers": len(first),
        "files": sum(map(len, (*lower, top))),
        "compressed": sum(descriptor["size"] for descriptor, _ in first),
        "raw": sum(size for layer in (*lower, top) for _, _, size in layer),
        "new": new[0]["size"],
    }


def _chosen(files: int, raw_bytes: int) -> list[tuple[str, Path, int]]:
    """Choose *files* of this machine's by the digests of their names, so that they have about *raw_bytes*; in the order
    of their names, the distribution's package database always among them."""
    everything = list(_everything())
    everything.sort(key=lambda each: (not each[0].startswith(_ALWAYS), hashlib.sha256(each[0].encode()).digest()))
    chosen, taken = [], 0
    for each in everything:
        if len(chosen) == files:
            break
        if taken + each[2] <= raw_bytes * (len(chosen) + 1) / files + _SLACK:
            chosen.append(each)
            taken += each[2]
    return sorted(chosen)


def _everything() -> Iterator[tuple[str, Path, int]]:
    version = Path("/etc/debian_version")
    if version.exists():
        yield "etc/debian_version", version, version.stat().st_size
    environment = Path(sys.prefix).resolve()
    for root, name in (
        (Path("/usr"), "usr"),
        (Path("/var/lib/dpkg"), "var/lib/dpkg"),
        (environment, "opt/environment"),
    ):
        for folder, _, names in os.walk(root):
            for each in names:
                path = Path(folder, each)
                found = path.lstat()
                if stat.S_ISREG(found.st_mode) and os.access(path, os.R_OK) and path.suffix not in _JAVA:
                    yield f"{name}/{path.relative_to(root)}", path, found.st_size


def _taken(chosen: list[tuple[str, Path, int]], most: float) -> list[tuple[str, Path, int]]:
    """Take every fiftieth file out, up to *most* bytes together."""
    taken, room = [], most
    for each in chosen[::50]:
        if each[2] <= room and not each[0].startswith(_ALWAYS):
            taken.append(each)
            room -= each[2]
    gone = {name for name, _, _ in taken}
    chosen[:] = [each for each in chosen if each[0] not in gone]
    return taken


class _Written(Protocol):
    def write(self, piece: bytes, /) -> int: ...


class _Hashed:
    """A file that is written to, and the digest of what was."""

    def __init__(self, file: _Written) -> None:
        self._file = file
        self.digest = hashlib.sha256()

    def write(self, piece: bytes) -> int:
        self.digest.update(piece)
        return self._file.write(piece)


def _layer(blobs: Path, files: Sequence[tuple[str, Path, int]]) -> tuple[dict[str, Any], str]:
    """Write a layer; return its descriptor and its diff_id."""
    writing = blobs / ".writing"
    with writing.open("wb") as blob:
        compressed = _Hashed(blob)
        with igzip.IGzipFile(fileobj=compressed, mode="wb", compresslevel=3, mtime=0) as stream:
            raw = _Hashed(stream)
            with tarfile.open(fileobj=raw, mode="w|", format=tarfile.PAX_FORMAT) as tar:
                seen: set[str] = set()
                for name, path, _ in files:
                    for parent in reversed(Path(name).parents[:-1]):
                        if str(parent) not in seen:
                            seen.add(str(parent))
                            directory = tarfile.TarInfo(str(parent))
                            directory.type, directory.mode = tarfile.DIRTYPE, 0o755
                            tar.addfile(directory)
                    member = tarfile.TarInfo(name)
                    with path.open("rb") as file:
                        found = os.fstat(file.fileno())
                        member.size, member.mode, member.mtime = (
                            found.st_size,
                            found.st_mode & 0o777,
                            int(found.st_mtime),
                        )
                        tar.addfile(member, file)
    digest = compressed.digest.hexdigest()
    size = writing.stat().st_size
    writing.replace(blobs / digest)
    return {"mediaType": _LAYER, "digest": f"sha256:{digest}", "size": size}, f"sha256:{raw.digest.hexdigest()}"


def _layout(root: Path, layers: Sequence[tuple[dict[str, Any], str]]) -> None:
    config = _blob(
        root,
        _CONFIG,
        {
            "os": "linux",
            "architecture": "amd64",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id in layers]},
            "history": [{"created_by": f"COPY layer {number}"} for number in range(len(layers))],
        },
    )
    manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": [each for each, _ in layers]}
    listed = _blob(root, _MANIFEST, manifest)
    (root / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    (root / "index.json").write_text(json.dumps({"schemaVersion": 2, "mediaType": _INDEX, "manifests": [listed]}))


def _blob(root: Path, media_type: str, value: object) -> dict[str, Any]:
    content = json.dumps(value).encode()
    digest = hashlib.sha256(content).hexdigest()
    (root / "blobs" / "sha256" / digest).write_bytes(content)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}
