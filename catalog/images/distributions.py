"""Which distribution a merged tree is of.

etc/os-release, usr/lib/os-release     os-release(5): the first that is there
etc/system-release-cpe                 cpe:/o:VENDOR:PRODUCT:VERSION, cpe:2.3:o:VENDOR:PRODUCT:VERSION:…
etc/redhat-release                     CentOS release 6.10 (Final)
bin/busybox                            an image with no more than that
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from catalog.images.facts import Distro
from catalog.images.tree import Leaf, Tree

_RELEASES = ("etc/os-release", "usr/lib/os-release")
_CPE = "etc/system-release-cpe"
_RED_HAT = "etc/redhat-release"
_BUSYBOX = ("bin/busybox", "usr/bin/busybox")

_LONGEST = 100
_LINE = re.compile(r"^[ \t]*([A-Z_0-9]+)=(.*)$", re.MULTILINE)
_ESCAPED = re.compile(r"\\(.)")
_RELEASE = re.compile(r"^(.+?)(?:\s+Linux)?(?:\s+Server)?\s+(?:Stream\s+)?release\s+([0-9][0-9.]*)", re.IGNORECASE)
_RED_HAT_IDS = {"red hat enterprise": "rhel", "oracle": "ol", "almalinux": "almalinux", "rocky": "rocky"}
_CPE_IDS = {"redhat": "rhel", "fedoraproject": "fedora", "oracle": "ol"}


def find_distro(tree: Tree, texts: Mapping[tuple[int, str], bytes]) -> Distro | None:
    """Return the distribution; *texts* are those of the layers, by layer and path. None where nothing tells of one."""
    for path in _RELEASES:
        found = _os_release(_text(tree, texts, path))
        if found is not None:
            return found
    found = _cpe(_text(tree, texts, _CPE)) or _red_hat(_text(tree, texts, _RED_HAT))
    if found is not None:
        return found
    if any(_leaf(tree, path) is not None for path in _BUSYBOX):
        return Distro("busybox", name="BusyBox")
    return None


def _leaf(tree: Tree, path: str) -> tuple[str, Leaf] | None:
    found = tree.follow(path)
    return (found[0], found[1]) if found is not None and isinstance(found[1], Leaf) else None


def _text(tree: Tree, texts: Mapping[tuple[int, str], bytes], path: str) -> str:
    """Return what the file at *path* says, through links of both kinds; nothing where there is none."""
    found = _leaf(tree, path)
    if found is None:
        return ""
    place, leaf = found
    origin = leaf.origin or (leaf.layer, leaf.said or place)
    return texts.get(origin, b"").decode("utf-8", "replace")


def _os_release(text: str) -> Distro | None:
    said = {name: _unquoted(value.strip()) for name, value in _LINE.findall(text)}
    if not said:
        return None
    # os-release(5) gives "linux" as the default. Its ID is lower case; some distributions do not know.
    id = said.get("ID", "").lower() or "linux"
    return Distro(id, said.get("VERSION_ID", ""), said.get("PRETTY_NAME", "") or said.get("NAME", ""))


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] == "'":
        text = value[1:-1]
    elif len(value) >= 2 and value[0] == value[-1] == '"':
        text = _ESCAPED.sub(r"\1", value[1:-1])
    else:
        text = _ESCAPED.sub(r"\1", value)
    return _printable(text)


def _cpe(text: str) -> Distro | None:
    parts = text.strip().lower().removeprefix("cpe:2.3:").removeprefix("cpe:/").split(":")
    if len(parts) < 3 or parts[0] != "o" or not parts[1]:
        return None
    _, vendor, product = parts[:3]
    id = "amzn" if vendor == "amazon" else _CPE_IDS.get(vendor, vendor)
    version = parts[3] if len(parts) > 3 and parts[3] not in ("*", "-") else ""
    return Distro(_printable(id), _printable(version), _printable(f"{vendor} {product} {version}".rstrip()))


def _red_hat(text: str) -> Distro | None:
    line = text.strip().partition("\n")[0]
    found = _RELEASE.match(line[: 2 * _LONGEST])
    if found is None:
        return None
    name = found[1].lower()
    id = next((id for start, id in _RED_HAT_IDS.items() if name.startswith(start)), name.partition(" ")[0])
    return Distro(_printable(id), _printable(found[2]), _printable(line))


def _printable(text: str) -> str:
    return "".join(each for each in text[:_LONGEST] if each.isprintable()).strip()
