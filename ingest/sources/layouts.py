"""Images on this machine's disk: OCI layouts, as directories and in a tar, and what ``docker save`` writes."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import posixpath
import tarfile
from pathlib import Path
from typing import Protocol

import msgspec

from cas import BlobReader, Digest
from catalog.images.manifests import IMAGE_CONFIGS, IndexManifest, Reference, read_manifest
from ingest.sources.source import MOST, FetchedManifest, SourceUnreadable
from ingest.sources.streams import FileStream

#: OCI image specification, "Pre-Defined Annotation Keys": the tag of a manifest in a layout's index.
_REF_NAME = "org.opencontainers.image.ref.name"
#: What containerd and docker write there beside it: the whole name.
_FULL_NAME = "io.containerd.image.name"

_OCI_INDEX = "application/vnd.oci.image.index.v1+json"
_OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar"


class _Saved(msgspec.Struct):
    """An image in an archive's manifest.json (Docker image specification 1.2, "Combined Image JSON")."""

    config: str = msgspec.field(name="Config")
    layers: list[str] | None = msgspec.field(name="Layers", default=None)
    names: list[str] | None = msgspec.field(name="RepoTags", default=None)


class Files(Protocol):
    """The files of a directory, or of an archive that stands for one."""

    what: str

    def open(self, name: str) -> FileStream:
        """Open one for reading.

        Raises:
            SourceUnreadable: there is none.
        """

    def close(self) -> None: ...


class DirectoryFiles:
    """Files below a directory. Names come from digests that were parsed, or are our own."""

    def __init__(self, root: Path) -> None:
        self.what = str(root)
        self._root = root

    def open(self, name: str) -> FileStream:
        try:
            if not (self._root / name).is_file():  # a pipe would keep us waiting
                raise FileNotFoundError(errno.ENOENT, "no such file")
            file = (self._root / name).open("rb")
            return FileStream(file, 0, os.fstat(file.fileno()).st_size, whole=True)
        except OSError as error:
            raise SourceUnreadable(str(self._root / name), f"cannot be read: {error.strerror}") from error

    def close(self) -> None:
        """Nothing is held open."""


class ArchiveFiles:
    """Files in a tar that is not compressed: its members are found once, and read where they lie."""

    def __init__(self, path: Path) -> None:
        self.what = str(path)
        try:
            self._archive = tarfile.open(path, "r:")  # noqa: SIM115 - closed by `close`
            self._members = {_plain(member.name): member for member in self._archive.getmembers()}
        except OSError as error:
            raise SourceUnreadable(str(path), f"cannot be read: {error.strerror}") from error
        except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
            raise SourceUnreadable(str(path), f"is no tar that is not compressed: {error}") from error

    def open(self, name: str) -> FileStream:
        member = self._members.get(_plain(name))
        for _ in range(8):  # docker's older archives link layers that stand in them twice
            if member is None or not (member.issym() or member.islnk()):
                break
            base = "" if member.islnk() else member.name.rpartition("/")[0]
            member = self._members.get(_inside(f"{base}/{member.linkname}"))
        if member is None or not member.isfile():
            raise SourceUnreadable(self.what, f"does not hold {name}")
        # A descriptor of its own for each: several layers are read at once.
        return FileStream(Path(self.what).open("rb"), member.offset_data, member.size, whole=False)

    def close(self) -> None:
        self._archive.close()


class LayoutSource:
    """An OCI layout (OCI image specification, image-layout.md), and the image in it that *tag* names."""

    def __init__(self, files: Files, tag: str = "") -> None:
        self._files = files
        self._tag = tag

    async def manifest(self, digest: Digest | None = None) -> FetchedManifest:
        """See `Source.manifest`."""
        if digest is None:
            return await self._chosen()
        content = await self.small_blob(digest)
        return FetchedManifest(digest, _media_type(content), content)

    async def _chosen(self) -> FetchedManifest:
        listed = read_manifest(await _whole(self._files, "index.json"), _OCI_INDEX)
        if not isinstance(listed, IndexManifest):
            raise SourceUnreadable(self._files.what, "is no OCI layout: index.json is no index")
        names = {child.annotations.get(key, "") for child in listed.children for key in (_REF_NAME, _FULL_NAME)} - {""}
        fitting = [
            child
            for child in listed.children
            if not self._tag or self._tag in (child.annotations.get(_REF_NAME), child.annotations.get(_FULL_NAME))
        ]
        if len(fitting) != 1:
            told = f"expected one of: {', '.join(sorted(names))}" if names else "it has no image"
            problem = "holds several images" if fitting else f"holds no image called {self._tag}"
            raise SourceUnreadable(self._files.what, f"{problem}: {told}")
        content = await _whole(self._files, _place(fitting[0].digest), fitting[0].digest)
        return FetchedManifest(fitting[0].digest, fitting[0].media_type or _media_type(content), content)

    async def small_blob(self, digest: Digest) -> bytes:
        """See `Source.small_blob`."""
        return await _whole(self._files, _place(digest), digest)

    async def open(self, layer: Reference) -> BlobReader:
        """See `Source.open`."""
        return self._files.open(_place(layer.digest))

    async def aclose(self) -> None:
        self._files.close()


class DockerArchiveSource:
    """What ``docker save`` writes: a list of images, their configs, and their layers as tars.

    It holds no manifest, so one is written here; the digest of the config stands for it, as docker's image ID does.
    """

    def __init__(self, files: Files, tag: str = "") -> None:
        self._files = files
        self._tag = tag
        self._paths: dict[Digest, str] = {}

    async def manifest(self, digest: Digest | None = None) -> FetchedManifest:
        """See `Source.manifest`."""
        image = await self._image()
        config = await _whole(self._files, image.config)
        config_digest = Digest.of(config)
        self._paths = {config_digest: image.config}
        references = []
        for path in image.layers or ():
            layer, size = await self._measured(path)
            self._paths[layer] = path
            references.append({"mediaType": _LAYER, "digest": layer.text, "size": size})
        content = msgspec.json.encode(
            {
                "schemaVersion": 2,
                "mediaType": _OCI_MANIFEST,
                "config": {"mediaType": IMAGE_CONFIGS[1], "digest": config_digest.text, "size": len(config)},
                "layers": references,
            }
        )
        return FetchedManifest(config_digest, _OCI_MANIFEST, content)

    async def _image(self) -> _Saved:
        try:
            listed = msgspec.json.decode(await _whole(self._files, "manifest.json"), type=list[_Saved])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise SourceUnreadable(self._files.what, f"is no archive of docker's: manifest.json: {error}") from error
        names = [name for image in listed for name in image.names or ()]
        fitting = [image for image in listed if not self._tag or self._tag in (image.names or ())]
        if len(fitting) != 1:
            problem = (
                "holds several images" if fitting else f"holds no image{f' called {self._tag}' if self._tag else ''}"
            )
            told = f": expected one of: {', '.join(sorted(names))}" if names else ""
            raise SourceUnreadable(self._files.what, problem + told)
        return fitting[0]

    async def _measured(self, path: str) -> tuple[Digest, int]:
        running = hashlib.sha256()
        async with self._files.open(path) as file:
            async for piece in file.pieces(0, file.size):
                await asyncio.to_thread(running.update, piece)
            return Digest.finish(running), file.size

    async def small_blob(self, digest: Digest) -> bytes:
        """See `Source.small_blob`."""
        return await _whole(self._files, self._paths[digest], digest)

    async def open(self, layer: Reference) -> BlobReader:
        """See `Source.open`."""
        return self._files.open(self._paths[layer.digest])

    async def aclose(self) -> None:
        self._files.close()


async def _whole(files: Files, name: str, digest: Digest | None = None) -> bytes:
    async with files.open(name) as file:
        if file.size > MOST:
            raise SourceUnreadable(files.what, f"holds more than {MOST} bytes in {name}")
        content = b"".join([piece async for piece in file.pieces(0, file.size)])
    if digest is not None and Digest.of(content, digest.algorithm) != digest:
        raise SourceUnreadable(files.what, f"holds other bytes than its name says in {name}")
    return content


def _place(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex}"


def _plain(name: str) -> str:
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _inside(name: str) -> str:
    """Return the path that a link's target comes to; one that leaves the archive comes to nothing in it."""
    return posixpath.normpath(_plain(name))


def _media_type(content: bytes) -> str:
    """Return what a manifest says that it is; by its members where it does not say."""
    try:
        read = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    if not isinstance(read, dict):
        return ""
    said = read.get("mediaType")
    if isinstance(said, str) and said:
        return said
    return _OCI_INDEX if "manifests" in read else _OCI_MANIFEST
