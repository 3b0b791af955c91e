"""Packages of npm as installers leave them: a package.json at the root of each package.

    node_modules/NAME/package.json, node_modules/@SCOPE/NAME/package.json
                                    anywhere; after the last ``node_modules`` stands the package's folder and no other
    usr/share/nodejs/, usr/lib/nodejs/
                                    where Debian's packages put theirs, by the same rule

So the package.json of a program that is being developed in an image, and those in the tests of packages, do not count.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from catalog.images.facts import Evidence, PackageFacts
from ingest.catalogers.cataloger import Unreadable
from ingest.catalogers.licenses import read_licenses

_NAME = re.compile(r"(?:(@[!-.0-~]{1,213})/)?([!-.0-~]{1,214})")
_VERSION = re.compile(r"[!-~]{1,256}")


class _Manifest(msgspec.Struct):
    # Anything goes: a manifest with a strange license still tells of a package.
    name: Any = None
    version: Any = None
    license: Any = None
    licenses: Any = None


class NpmCataloger:
    """Reads manifests of installed packages."""

    name = "npm"
    version = 1
    pattern = r"(?:(?:.*/)?node_modules|usr/(?:share|lib)/nodejs)/(?:@[^/]+/)?[^/@.][^/]*/package\.json"
    elsewhere = ""
    starts: tuple[bytes, ...] = ()
    largest = 4 << 20

    def __init__(self) -> None:
        self._decoder = msgspec.json.Decoder(_Manifest)

    def recognises(self, path: str, start: bytes) -> bool:
        """Paths alone tell."""
        return False

    def read(self, path: str, content: bytes) -> Evidence | None:
        """Read a manifest; one without a name or a version marks a folder (``{"type": "module"}``) and no package."""
        try:
            manifest = self._decoder.decode(content.removeprefix(b"\xef\xbb\xbf"))
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Unreadable("not a JSON object") from None
        except RecursionError:
            raise Unreadable("nested too deeply") from None
        if not isinstance(manifest.name, str) or not isinstance(manifest.version, str):
            return None
        name, version = _NAME.fullmatch(manifest.name), _VERSION.fullmatch(manifest.version.strip())
        if not name or not version:
            return None
        licenses = read_licenses([*_told(manifest.license), *_told(manifest.licenses)])
        package = PackageFacts("npm", name[2], version[0], namespace=name[1] or "", licenses=licenses)
        return Evidence(self.name, path, [package])


def _told(license: Any) -> list[str]:
    """Read what stands for a license: its name, an object with its type (as before 2014), or a list of these."""
    if isinstance(license, str):
        return [license]
    if isinstance(license, dict):
        name = license.get("type") or license.get("name")
        return [name] if isinstance(name, str) else []
    if isinstance(license, list):
        return [told for entry in license[:16] if not isinstance(entry, list) for told in _told(entry)]
    return []
