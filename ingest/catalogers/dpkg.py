"""Packages of Debian, Ubuntu and their like, of distroless images, and of OpenWrt and Yocto (opkg writes dpkg's form).

var/lib/dpkg/status             all packages (deb822; dpkg-query(1) has the states)
var/lib/dpkg/status.d/NAME      distroless: one package a file, so that layers add to each other
var/lib/dpkg/info/NAME[:ARCH].list
                                the files that a package owns; .md5sums (in status.d too) has them where this is missing
usr/lib/opkg/, var/lib/opkg/    status and info/NAME.list, likewise

Any of these may lie elsewhere, with links that lead there: `catalog.images.databases` tells what counts.
"""

from __future__ import annotations

import re

from catalog.images.databases import BESIDE, LIST_ENDS
from catalog.images.facts import Evidence, PackageFacts
from ingest.catalogers.cataloger import Unreadable
from ingest.catalogers.licenses import read_licenses
from ingest.catalogers.stanzas import path as written
from ingest.catalogers.stanzas import stanzas, unix_lines, value, word
from ingest.limits import ReadLimits

#: States in which the files of a package are not there. In every other one they are: `half-configured` and `unpacked`
#: packages miss no more than the run of a script.
_ABSENT = {b"not-installed", b"config-files", b"half-installed"}

_SOURCE = re.compile(rb"(\S+)(?:\s+\((\S+)\))?")
_SUM = re.compile(rb"^[0-9a-f]{32} [ *](.+)$", re.MULTILINE)
#: A stanza with a state, as in a whole database; the indexes of a mirror have none.
_BEGINNING = re.compile(rb"Package:[^\n]*\n(?:[^\n]+\n)*?Status:")


class DpkgCataloger:
    """Reads dpkg's database, whole or in pieces, and its lists of files."""

    name = "dpkg"
    version = 3
    pattern = (
        r"(?:var/lib/dpkg/(?:status|status\.d/[^/]+|info/[^/]+\.(?:list|md5sums))"
        r"|(?:usr|var)/lib/opkg/(?:status|info/[^/]+\.(?:list|md5sums)))"
    )
    elsewhere = r".*/(?:status\.d/[^/]+|info/[^/]+\.(?:list|md5sums))"
    starts: tuple[bytes, ...] = (b"Package:",)
    largest = 1 << 30

    def __init__(self, limits: ReadLimits | None = None) -> None:
        self._limits = limits or ReadLimits()

    def recognises(self, path: str, start: bytes) -> bool:
        """Whole databases are known by their first stanza, lists and pieces by their folder too."""
        folder, _, name = path.rpartition("/")
        if folder.endswith(("/info", "/status.d")) and name.endswith(LIST_ENDS):
            return start.startswith(b"/") if name.endswith(".list") else _SUM.match(start) is not None
        if folder.endswith("/status.d") and start.startswith(b"Package:"):
            return True
        return _BEGINNING.match(start) is not None

    def read(self, path: str, content: bytes) -> Evidence | None:
        """Read a database, one package's piece of it, or a list of files."""
        content = unix_lines(content)
        folder, _, name = path.rpartition("/")
        if folder.endswith(("/info", "/status.d")):
            if name.endswith(".md5sums"):
                return self._owned(path, name.removesuffix(".md5sums"), _summed(self._list(content)))
            if name.endswith(".list"):
                return self._owned(path, name.removesuffix(".list"), _listed(self._list(content)))
            if name.endswith(BESIDE):
                return None
        return self._packages(path, content)

    def _packages(self, path: str, content: bytes) -> Evidence:
        # Of two stanzas for one package the later one counts, as it does for dpkg.
        found: dict[str, PackageFacts | None] = {}
        broken = 0
        for number, stanza in enumerate(stanzas(content)):
            if number == self._limits.packages:
                raise Unreadable(f"more than {self._limits.packages} packages")
            name = word(value(stanza, b"\nPackage:"))
            if not name:
                broken += 1
                continue
            architecture = word(value(stanza, b"\nArchitecture:"))
            key = f"{name}:{architecture}" if architecture else name
            if not _is_there(stanza):
                found[key] = None
                continue
            version = word(value(stanza, b"\nVersion:"))
            if not version:
                broken += 1
                continue
            found[key] = _package(stanza, key, name, version, architecture)
        evidence = Evidence(self.name, path, [package for package in found.values() if package])
        if broken:
            raise Unreadable(f"not all of it could be read: {broken} without a name or a version", evidence)
        return evidence

    def _list(self, content: bytes) -> bytes:
        limits = self._limits
        if len(content) > limits.list_size or content.count(b"\n") > limits.list_files:
            raise Unreadable(f"a list of more than {limits.list_size} bytes or {limits.list_files} files")
        return content

    def _owned(self, path: str, key: str, files: str) -> Evidence:
        return Evidence(self.name, path, owned={key: files})


def _is_there(stanza: bytes) -> bool:
    """Tell by the third word of ``Status: want flag state``; a distroless piece has no such line."""
    status = value(stanza, b"\nStatus:").split()
    return len(status) < 3 or status[2] not in _ABSENT


def _package(stanza: bytes, key: str, name: str, version: str, architecture: str) -> PackageFacts:
    source = source_version = ""
    told = _SOURCE.fullmatch(value(stanza, b"\nSource:"))
    # OpenWrt writes a folder of its build tree there.
    if told and b"/" not in told[1]:
        source, source_version = word(told[1]), word(told[2] or b"") or version
        if (source, source_version) == (name, version):
            source = source_version = ""
    license = value(stanza, b"\nLicense:")
    return PackageFacts(
        "deb",
        name,
        version,
        qualifiers={"arch": architecture} if architecture else {},
        source=source,
        source_version=source_version if source else "",
        licenses=read_licenses([license.decode("utf-8", "replace")]) if license else [],
        key=key,
    )


def _listed(content: bytes) -> str:
    """Read a list as dpkg writes it: absolute paths, folders among them, each before what it holds. Folders that hold
    anything are left out: they belong to many packages."""
    # opkg may write the mode behind a tab.
    lines = [line.partition("\t")[0].lstrip("/") for line in written(content).split("\n")]
    following = [*lines[1:], ""]
    return "\n".join(
        line
        for line, after in zip(lines, following, strict=True)
        if line not in ("", ".") and not (after.startswith(line) and after[len(line) :].startswith("/"))
    )


def _summed(content: bytes) -> str:
    return "\n".join(written(file).removeprefix("./") for file in _SUM.findall(content))
