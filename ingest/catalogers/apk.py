"""Packages of Alpine, Wolfi and their like.

    lib/apk/db/installed, usr/lib/apk/db/installed      all packages with their files (apk-tools, "Apk spec")

A stanza's lines begin with a letter and a colon: P name, V version, A architecture, L license, o the package that it
was built from; then F a folder and, below it, R its files.
"""

from __future__ import annotations

import re

from catalog.images.facts import Evidence, PackageFacts
from ingest.catalogers.cataloger import Unreadable
from ingest.catalogers.licenses import read_licenses
from ingest.catalogers.stanzas import path as written
from ingest.catalogers.stanzas import stanzas, unix_lines, value, word
from ingest.limits import ReadLimits

#: apk-tools writes the checksum first, others the name.
_BEGINNING = re.compile(rb"(?:C:Q[^\n]*\n)?P:[!-~]+\r?\nV:[!-~]+\r?\n")
_FILES = re.compile(rb"^([FR]):(.*)$", re.MULTILINE)


class ApkCataloger:
    """Reads apk's database."""

    name = "apk"
    version = 3
    pattern = r"(?:usr/)?lib/apk/db/installed"
    elsewhere = ""
    starts: tuple[bytes, ...] = (b"C:Q", b"P:")
    largest = 1 << 30

    def __init__(self, limits: ReadLimits | None = None) -> None:
        self._limits = limits or ReadLimits()

    def recognises(self, path: str, start: bytes) -> bool:
        """A database begins with the checksum, the name and the version of a package."""
        return _BEGINNING.match(start) is not None

    def read(self, path: str, content: bytes) -> Evidence | None:
        """Read the packages and what each owns."""
        content = unix_lines(content)
        found: dict[str, PackageFacts] = {}
        owned: dict[str, str] = {}
        broken = 0
        limits = self._limits
        # Without the files the packages still count. Paths are counted whole: one long folder may stand before many.
        room = limits.list_size if content.count(b"\nR:") <= limits.list_files else 0
        for number, stanza in enumerate(stanzas(content)):
            if number == limits.packages:
                raise Unreadable(f"more than {limits.packages} packages")
            name, version = word(value(stanza, b"\nP:")), word(value(stanza, b"\nV:"))
            if not name or not version:
                broken += 1
                continue
            found[name] = _package(stanza, name, version)
            owned.pop(name, None)
            if room > 0 and (files := _owned(stanza, room)):
                room -= len(files)
                owned[name] = files
        if room <= 0:
            reason = "it lists more files than are kept"
            raise Unreadable(reason, Evidence(self.name, path, list(found.values())), has_packages=not broken)
        evidence = Evidence(self.name, path, list(found.values()), owned)
        if broken:
            raise Unreadable(f"not all of it could be read: {broken} without a name or a version", evidence)
        return evidence


def _package(stanza: bytes, name: str, version: str) -> PackageFacts:
    origin = word(value(stanza, b"\no:"))
    architecture = word(value(stanza, b"\nA:"))
    license = value(stanza, b"\nL:")
    return PackageFacts(
        "apk",
        name,
        version,
        qualifiers={"arch": architecture} if architecture else {},
        source=origin if origin != name else "",
        # All packages that are built from one have its version.
        source_version=version if origin and origin != name else "",
        licenses=read_licenses([license.decode("utf-8", "replace")]) if license else [],
    )


def _owned(stanza: bytes, room: int) -> str:
    """List the files' paths, one a line; as soon as they take more than *room*, what there is so far and no shorter."""
    start = stanza.find(b"\nF:")
    if start < 0:
        return ""
    files: list[bytes] = []
    folder = b""
    for kind, name in _FILES.findall(stanza, start):
        if kind == b"F":
            folder = name + b"/" if name else b""
            continue
        files.append(folder + name)
        room -= len(folder) + len(name) + 1
        if room < 0:
            break
    return written(b"\n".join(files))
