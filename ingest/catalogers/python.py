"""Packages of Python as installers leave them, in whatever folder.

NAME-VERSION.dist-info/METADATA     wheels (PEP 376, core metadata)
NAME-VERSION.egg-info/PKG-INFO      setuptools, "develop" installs
NAME-VERSION.egg-info               distutils: a file
NAME.egg/EGG-INFO/PKG-INFO          unpacked eggs
NAME-VERSION.dist-info/direct_url.json
                                    where it came from, if from no index (PEP 610): qualifiers of its purl

RECORD, the list of its files, is not read: docs/packages.md says why.
"""

from __future__ import annotations

import re
from typing import TypeVar
from urllib.parse import urlsplit, urlunsplit

import msgspec

from catalog.images.facts import Evidence, PackageFacts
from ingest.catalogers.cataloger import Unreadable
from ingest.catalogers.licenses import read_licenses, spdx

#: The fields that matter. Of values with several lines (whole texts of licenses) the first is all that is kept.
_FIELD = re.compile(rb"^(Name|Version|License-Expression|License|Classifier):[ \t]*(.*)$", re.MULTILINE | re.IGNORECASE)
#: The headers end at the first empty line; the description follows.
_END = re.compile(rb"\r?\n\r?\n")
#: PyPA, "Names and normalization"; a version is any word, because older ones follow no rule.
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,254}[A-Za-z0-9])?")
_VERSION = re.compile(r"[!-~]{1,256}")
_SEPARATORS = re.compile(r"[-_.]+")
_MOST_FIELDS = 2000

#: Classifiers that name one license; the others leave open which version or variant is meant (PEP 639).
_CLASSIFIED = {
    "GNU Affero General Public License v3": "AGPL-3.0-only",
    "GNU Affero General Public License v3 or later (AGPLv3+)": "AGPL-3.0-or-later",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v2 (LGPLv2)": "LGPL-2.0-only",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "GNU Lesser General Public License v3 or later (LGPLv3+)": "LGPL-3.0-or-later",
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "European Union Public Licence 1.1 (EUPL 1.1)": "EUPL-1.1",
    "European Union Public Licence 1.2 (EUPL 1.2)": "EUPL-1.2",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 1.1 (MPL 1.1)": "MPL-1.1",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "Universal Permissive License (UPL)": "UPL-1.0",
    "Zero-Clause BSD (0BSD)": "0BSD",
}
_GROUPS = {"OSI Approved", "License"}

_ORIGIN = "direct_url.json"
#: Characters of an address that is kept at most, and the systems of PEP 610.
_LONGEST = 1000
_SYSTEMS = {"bzr", "git", "hg", "svn"}
_COMMIT = re.compile(r"[!-~]{1,100}")
_SUM = re.compile(r"[0-9a-f]{64}")


T = TypeVar("T")
D = TypeVar("D")

_NOTHING = msgspec.Raw(b"null")


class _Vcs(msgspec.Struct):
    vcs: msgspec.Raw = _NOTHING
    commit_id: msgspec.Raw = _NOTHING


class _Hashes(msgspec.Struct):
    sha256: msgspec.Raw = _NOTHING


class _Archive(msgspec.Struct):
    hashes: msgspec.Raw = _NOTHING
    #: As it was written before there was `hashes`: ``sha256=…``.
    hash: msgspec.Raw = _NOTHING


class _DirectUrl(msgspec.Struct):
    """Members are read one by one: one that is of another kind than it should be says nothing, and the others do."""

    url: msgspec.Raw = _NOTHING
    vcs_info: msgspec.Raw = _NOTHING
    archive_info: msgspec.Raw = _NOTHING


class PythonCataloger:
    """Reads the metadata of installed distributions."""

    name = "python"
    version = 3
    pattern = r"(?:.*/)?[^/]+\.(?:dist-info/(?:METADATA|direct_url\.json)|egg-info(?:/PKG-INFO)?|egg/EGG-INFO/PKG-INFO)"
    elsewhere = ""
    starts: tuple[bytes, ...] = ()
    largest = 8 << 20

    def recognises(self, path: str, start: bytes) -> bool:
        """Paths alone tell."""
        return False

    def read(self, path: str, content: bytes) -> Evidence | None:
        """Read the headers of a METADATA or PKG-INFO file, or what a direct_url.json says beside it."""
        if path.endswith(f"/{_ORIGIN}"):
            qualifiers = _origin(content)
            return Evidence(self.name, path, qualifiers=qualifiers) if qualifiers else None
        end = _END.search(content)
        fields: dict[str, list[str]] = {}
        for number, (field, text) in enumerate(_FIELD.findall(content, 0, end.start() if end else len(content))):
            if number == _MOST_FIELDS:
                raise Unreadable(f"more than {_MOST_FIELDS} fields")
            fields.setdefault(field.decode("ascii").lower(), []).append(text.decode("utf-8", "replace").strip())
        name, version = fields.get("name", [""])[0], fields.get("version", [""])[0]
        if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version):
            raise Unreadable("it names no package and version")
        return Evidence(self.name, path, [PackageFacts("pypi", normalized(name), version, licenses=_licenses(fields))])


def normalized(name: str) -> str:
    """Return the form of a name by which two distributions are the same (PEP 503)."""
    return _SEPARATORS.sub("-", name).lower()


def _origin(content: bytes) -> dict[str, str]:
    """Return qualifiers of the purl specification: ``vcs_url``, or ``download_url`` and ``checksum``. A folder of
    whoever built the image, and what cannot be read, says nothing."""
    told = _member(content, _DirectUrl, _DirectUrl())
    url = _address(_member(told.url, str, ""))
    if not url:
        return {}
    vcs = _member(told.vcs_info, _Vcs, _Vcs())
    system, commit = _member(vcs.vcs, str, ""), _member(vcs.commit_id, str, "")
    if system in _SYSTEMS:
        return {"vcs_url": f"{system}+{url}" + (f"@{commit}" if _COMMIT.fullmatch(commit) else "")}
    archive = _member(told.archive_info, _Archive, None)
    if archive is not None:
        hashes = _member(archive.hashes, _Hashes, _Hashes())
        digest = _member(hashes.sha256, str, "") or _member(archive.hash, str, "").removeprefix("sha256=")
        return {"download_url": url} | ({"checksum": f"sha256:{digest}"} if _SUM.fullmatch(digest) else {})
    return {}


def _member(told: bytes | msgspec.Raw, kind: type[T], otherwise: D) -> T | D:
    """Read JSON of *kind*; what is of another kind is *otherwise*."""
    try:
        return msgspec.json.decode(told, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return otherwise


def _address(text: str) -> str:
    """Return an address on a network, without what may be a password in it; empty where it is none."""
    try:
        parts = urlsplit(text if len(text) <= _LONGEST else "")
        host = parts.hostname
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme not in ("git", "http", "https", "ssh", "svn") or not host or not text.isprintable():
        return ""
    host = f"[{host}]" if ":" in host else host
    # ssh://git@host is how such a repository is written; any other name before the host may be a token.
    user = "git@" if parts.username == "git" else ""
    place = f"{user}{host}" + (f":{port}" if port is not None else "")
    return urlunsplit((parts.scheme, place, parts.path, "", ""))


def _licenses(fields: dict[str, list[str]]) -> list[str]:
    """Return what the most exact of the fields says: an expression, a license that reads as one, classifiers of which
    one at least is exact, a license in words, other classifiers."""
    expressions = fields.get("license-expression", [])
    if expressions:
        return read_licenses(expressions)
    texts = [text for text in fields.get("license", []) if text.upper() != "UNKNOWN"]
    classified = _classified(fields.get("classifier", []))
    if any(map(spdx, texts)) or not any(name in _CLASSIFIED for name in classified):
        return read_licenses(texts) or read_licenses(classified)
    return read_licenses(_CLASSIFIED.get(name, name) for name in classified)


def _classified(classifiers: list[str]) -> list[str]:
    found = []
    for classifier in classifiers:
        first, *rest = classifier.split(" :: ")
        if first == "License" and rest and rest[-1] not in _GROUPS:
            found.append(rest[-1])
    return found
