"""Values of `package:`, `src:` and `purl:`.

[ECOSYSTEM/]NAME[@VERSION]            deb/openssl, npm/@babel/core@7.1.0
[ECOSYSTEM/]NAME OPERATOR VERSION     openssl<3.0.7
[ECOSYSTEM/]NAME>=1,<2                comparisons after a comma belong to the package before them
[ECOSYSTEM/]BEGINNING*                deb/libssl*
/ECOSYSTEM/PATTERN/                   /deb/libssl[0-9.]+/
pkg:TYPE/[NAMESPACE/]NAME[@VERSION]
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from packageurl import PackageURL

from catalog.search.language.tree import Form, Value
from catalog.search.language.values import BadValue
from catalog.search.versions import ECOSYSTEMS, Comparison

_COMPARED = re.compile(r"([^<>=!]+)(<=|>=|!=|[<>=])(.+)", re.DOTALL)
#: Types whose namespace is the distribution, and no part of the name.
_DISTRIBUTIONS = frozenset(("deb", "apk", "rpm", "alpm"))


@dataclass(frozen=True, slots=True)
class AskedPackage:
    """A package that is asked for: of *ecosystem* (empty: of any); *name* is meant as *form* says. *version* is the
    exact one, empty for any; *comparisons* all hold for its version."""

    name: str
    form: Form = Form.WHOLE
    ecosystem: str = ""
    version: str = ""
    comparisons: tuple[Comparison, ...] = ()

    @property
    def ecosystems(self) -> tuple[str, ...]:
        """Where it may be from."""
        return (self.ecosystem,) if self.ecosystem else ECOSYSTEMS


def read_packages(values: tuple[Value, ...]) -> list[AskedPackage]:
    """Read the values of `package:` or `src:`.

    Raises:
        BadValue: one of them is no package.
    """
    found: list[AskedPackage] = []
    for value in values:
        if value.operator:
            if not found or found[-1].version or found[-1].form is not Form.WHOLE:
                raise BadValue(value, f"{value.operator} needs the name of a package before it")
            comparison = (value.operator, value.text)
            found[-1] = replace(found[-1], comparisons=(*found[-1].comparisons, comparison))
        else:
            found.append(_package(value))
    return found


def read_purl(value: Value) -> AskedPackage:
    """Read a value of `purl:`.

    Raises:
        BadValue: it is no package URL.
    """
    if value.operator:
        raise BadValue(value, "a package URL is not compared; package: is")
    try:
        purl = PackageURL.from_string(value.text)
    except ValueError:
        raise BadValue(value, "expected a package URL, as pkg:deb/debian/openssl@3.0.11-1") from None
    name = purl.name
    if purl.namespace and purl.type not in _DISTRIBUTIONS:
        name = f"{purl.namespace}/{name}"
    return AskedPackage(name.lower(), ecosystem=purl.type, version=purl.version or "")


def _package(value: Value) -> AskedPackage:
    ecosystem, name = _ecosystem(value.text)
    if value.form is Form.PATTERN:
        if not ecosystem:
            raise BadValue(value, "a pattern begins with the ecosystem, as /deb/libssl[0-9.]+/")
        return AskedPackage(name, Form.PATTERN, ecosystem)
    comparisons: tuple[Comparison, ...] = ()
    if value.form is Form.WHOLE and (compared := _COMPARED.fullmatch(name)):
        name, comparisons = compared[1], ((compared[2], compared[3]),)
    version = ""
    at = name.rfind("@")  # names of npm begin with one
    if at > 0 and "/" not in name[at:]:
        if value.form is Form.BEGINNING:
            raise BadValue(value, f"a version is whole or compared, as {name[:at]}>=1,<2")
        name, version = name[:at], name[at + 1 :]
    everything = bool(ecosystem) and value.form is Form.BEGINNING
    if not name.strip("/@") and not (everything and not name):
        raise BadValue(value, "expected a package, as openssl, deb/openssl@3.0.11-1 or openssl<3.0.7")
    if comparisons and version:
        raise BadValue(value, "expected a version after @, or a comparison, not both")
    return AskedPackage(name.lower(), value.form, ecosystem, version, comparisons)


def _ecosystem(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    return (first.lower(), rest) if slash and first.lower() in ECOSYSTEMS else ("", text)
