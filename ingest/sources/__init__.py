"""Where an image can be read from without a server of ours: layouts, archives, registries.

oci:DIR[:TAG]   oci-archive:FILE[:TAG]   docker-archive:FILE[:NAME:TAG]   [docker://][HOST/]NAME[:TAG|@DIGEST]
"""

from __future__ import annotations

import re
from pathlib import Path

from cas import InvalidName, RepositoryName, parse_reference
from ingest.sources.layouts import ArchiveFiles, DirectoryFiles, DockerArchiveSource, LayoutSource
from ingest.sources.source import (
    Credentials,
    FetchedManifest,
    InvalidSource,
    Refused,
    Source,
    SourceError,
    SourceUnreadable,
)

__all__ = [
    "Credentials",
    "FetchedManifest",
    "InvalidSource",
    "Refused",
    "Source",
    "SourceError",
    "SourceUnreadable",
    "open_source",
]

_FORMS = "oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME:TAG] or HOST/NAME[:TAG|@DIGEST]"
_HOST = re.compile(r"(?:localhost|[a-zA-Z0-9-]+(?:\.[a-zA-Z0-9-]+)+|\[[0-9a-fA-F:]+\]|[a-zA-Z0-9-]+(?=:))(?::[0-9]+)?")
_LOOPBACK = re.compile(r"(?:localhost|127\.[0-9.]+|\[::1\])(?::[0-9]+)?")


def open_source(text: str, credentials: Credentials, *, plain_http: bool = False) -> Source:
    """Open the source that *text* names; registries on this machine, and all with *plain_http*, are asked without TLS.

    Raises:
        InvalidSource: *text* names none.
        SourceUnreadable: an archive cannot be read.
    """
    transport, colon, rest = text.partition(":")
    if colon and transport == "oci":
        path, tag = _path_and_tag(rest, text)
        return LayoutSource(DirectoryFiles(path), tag)
    if colon and transport in ("oci-archive", "docker-archive"):
        path, tag = _path_and_tag(rest, text)
        files = ArchiveFiles(path)
        return LayoutSource(files, tag) if transport == "oci-archive" else DockerArchiveSource(files, tag)
    return _registry(text, credentials, plain_http=plain_http)


def _path_and_tag(rest: str, text: str) -> tuple[Path, str]:
    """Split behind the longest path that exists: a path may hold colons as well as a tag may."""
    if not rest:
        raise InvalidSource(text, _FORMS)
    whole = Path(rest)
    if whole.exists():
        return whole, ""
    path, colon, tag = rest.rpartition(":")
    while colon:
        if Path(path).exists():
            return Path(path), tag
        path, colon, before = path.rpartition(":")
        tag = f"{before}:{tag}"
    path, _, tag = rest.partition(":")
    return Path(path), tag


def _registry(text: str, credentials: Credentials, *, plain_http: bool) -> Source:
    rest = text.removeprefix("docker://")
    host, slash, name = rest.partition("/")
    if not slash or _HOST.fullmatch(host) is None:
        raise InvalidSource(text, _FORMS)
    name, at, digest = name.partition("@")
    reference = digest
    if not at:
        head, colon, last = name.rpartition(":")
        name, reference = (head, last) if colon else (name, "latest")
    try:
        repository = RepositoryName.parse(name if "/" in name else f"library/{name}", "library")
        parsed = parse_reference(reference)
    except InvalidName as error:
        raise InvalidSource(text, f"{_FORMS}; {error}") from error
    from ingest.sources.registry import RegistrySource  # its client takes longer to import than a layout to read

    scheme = "http" if plain_http or _LOOPBACK.fullmatch(host) else "https"
    # Asked for as it was written: whether a name without a slash has a namespace is the registry's own business.
    return RegistrySource(f"{scheme}://{host}", name if "/" not in name else repository.text, str(parsed), credentials)
