"""Versions of packages, compared as their ecosystem does (dpkg, apk, PEP 440, semantic versions …).

`univers` knows the rules, but for apk's: it has Gentoo's for those, which lack the suffixes that Alpine's packages of
snapshots have (`1.2.4_git20230717-r4`).

Versions come from whoever built an image: one that its ecosystem's rules cannot read comes before all that they can,
and is in no range but by its text.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cmp_to_key, lru_cache
from typing import Any

from univers import versions as rules

#: Types of package URLs that packages are known by.
ECOSYSTEMS = (
    "deb",
    "apk",
    "rpm",
    "alpm",
    "pypi",
    "npm",
    "golang",
    "maven",
    "gem",
    "composer",
    "nuget",
    "cargo",
    "conda",
    "cran",
    "luarocks",
    "nix",
    "generic",
)

_APK = re.compile(
    r"([0-9]+(?:\.[0-9]+)*)([a-z]?)((?:_(?:alpha|beta|pre|rc|cvs|svn|git|hg|p)[0-9]*)*)(?:~[0-9a-f]+)?(?:-r([0-9]+))?"
)
_APK_SUFFIX = re.compile(r"_([a-z]+)([0-9]*)")
_APK_ORDER = {"alpha": -4, "beta": -3, "pre": -2, "rc": -1, "cvs": 1, "svn": 2, "git": 3, "hg": 4, "p": 5}


@dataclass(frozen=True, slots=True, order=True)
class _ApkVersion:
    """A version as `apk_version_compare` of apk-tools orders it."""

    key: tuple[Any, ...]

    @classmethod
    def read(cls, text: str) -> _ApkVersion:
        match = _APK.fullmatch(text)
        if match is None:
            raise ValueError(text)
        first, *others = match[1].split(".")
        # After the first dot a part with a zero in front is the digits of a fraction.
        numbers = [(1, int(first), "")]
        numbers += [(0, 0, part) if part.startswith("0") and part != "0" else (1, int(part), "") for part in others]
        suffixes = [(_APK_ORDER[name], int(number or 0)) for name, number in _APK_SUFFIX.findall(match[3])]
        return cls((numbers, match[2], [*suffixes, (0, 0)], int(match[4] or 0)))


_RULES: dict[str, Callable[[str], Any]] = {
    "apk": _ApkVersion.read,
    "deb": rules.DebianVersion,
    "rpm": rules.RpmVersion,
    "alpm": rules.ArchLinuxVersion,
    "pypi": rules.PypiVersion,
    "npm": rules.SemverVersion,
    "golang": rules.GolangVersion,
    "maven": rules.MavenVersion,
    "gem": rules.RubygemsVersion,
    "composer": rules.ComposerVersion,
    "nuget": rules.NugetVersion,
    "cargo": rules.SemverVersion,
}

#: Characters of a version, at most, that rules are tried on: some of them take time that grows with its square.
_LONGEST = 200
_MEMORY = 65_536

_OPERATORS: dict[str, Callable[[int, int], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "!=": operator.ne,
}
#: An operator and a version; the operators of the query language.
Comparison = tuple[str, str]
_COMPARISON = re.compile(r"(<=|>=|!=|[<>=])?\s*([^<>=!,\s]+)")


def compare(ecosystem: str, left: str, right: str) -> int:
    """Return -1, 0 or 1, as *left* comes before *right*, beside it or after it. Never raises."""
    if left == right:
        return 0
    one, other = _read(ecosystem, left), _read(ecosystem, right)
    if one is not None and other is not None:
        try:
            return -1 if one < other else 1 if one > other else 0
        except Exception:  # noqa: BLE001 -- the rules of twelve ecosystems, on what anybody may have written
            one = other = None
    if (one is None) != (other is None):
        return -1 if one is None else 1
    left_key, right_key = _natural(left), _natural(right)
    return -1 if left_key < right_key else 1


def newest_first(ecosystem: str, versions: Iterable[str]) -> list[str]:
    """Sort *versions*; those that are equal by the rules stand in the order of their text."""

    def order(left: str, right: str) -> int:
        return -compare(ecosystem, left, right) or (left > right) - (left < right)

    return sorted(versions, key=cmp_to_key(order))


def within(ecosystem: str, version: str, comparisons: Sequence[Comparison]) -> bool:
    """Tell whether all of *comparisons* hold for *version*."""
    return all(_holds(ecosystem, version, sign, bound) for sign, bound in comparisons)


def read_range(text: str) -> tuple[Comparison, ...]:
    """Read ``<3.0.7``, ``>=1,<2``, ``=1`` or ``1``; of an empty text nothing is asked.

    Raises:
        ValueError: it is none of these.
    """
    if not text.strip():
        return ()
    found: list[Comparison] = []
    for part in text.split(","):
        match = _COMPARISON.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"expected a version, or comparisons as >=1,<2: {part.strip()!r}")
        found.append((match[1] or "=", match[2]))
    return tuple(found)


@lru_cache(maxsize=_MEMORY)
def _holds(ecosystem: str, version: str, sign: str, bound: str) -> bool:
    if version == bound:
        return "=" in sign and sign != "!="
    if _read(ecosystem, version) is None or _read(ecosystem, bound) is None:
        readable = ecosystem in _RULES
        return sign == "!=" if readable else _OPERATORS[sign](compare(ecosystem, version, bound), 0)
    return _OPERATORS[sign](compare(ecosystem, version, bound), 0)


@lru_cache(maxsize=_MEMORY)
def _read(ecosystem: str, text: str) -> Any:
    """Return *text* as its ecosystem reads it, None where it does not."""
    rule = _RULES.get(ecosystem)
    if rule is None or len(text) > _LONGEST or not text.isascii():
        return None
    if ecosystem == "golang":
        text = text.removeprefix("go")
        # What was vendored without a go.mod says so after the version, and is not newer by that.
        text = text.removesuffix("+incompatible")
    try:
        version = rule(text)
        # Some rules find out only when comparing.
        _ = version < version, version == version
    except Exception:  # noqa: BLE001 -- see above
        return None
    return version


def _natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Numbers count as such, and come before letters; for versions that no rule reads."""
    found: list[tuple[int, int, str]] = []
    for part in re.findall(r"[0-9]+|[^0-9]+", text):
        digits = part.lstrip("0")
        found.append((0, len(digits), digits) if part[0] in "0123456789" else (1, 0, part))
    return (*found, (-1, 0, text))
