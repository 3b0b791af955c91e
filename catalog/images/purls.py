"""Names of packages: as people say them, and as purls (package-url specification)."""

from __future__ import annotations

from urllib.parse import quote

from packageurl import PackageURL

from catalog.images.facts import Distro, PackageFacts

#: Ecosystems of distributions: one database tells of all their packages.
DISTRIBUTIONS = frozenset({"alpm", "apk", "deb", "ebuild", "rpm"})


def full_name(facts: PackageFacts) -> str:
    """Return the name as people say it: with its namespace where names of the ecosystem have one."""
    if facts.namespace and facts.ecosystem not in DISTRIBUTIONS:
        return f"{facts.namespace}/{facts.name}"
    return facts.name


def package_url(facts: PackageFacts, distro: Distro | None) -> str:
    """Write the purl; a distribution's packages get the distribution's id as namespace and the qualifier ``distro``."""
    namespace, qualifiers = facts.namespace, dict(facts.qualifiers)
    if facts.ecosystem in DISTRIBUTIONS and distro is not None:
        namespace = namespace or distro.id
        qualifiers["distro"] = f"{distro.id}-{distro.version}" if distro.version else distro.id
    try:
        return PackageURL(
            facts.ecosystem, namespace or None, facts.name, facts.version or None, qualifiers or None
        ).to_string()
    except ValueError:  # a name or a qualifier that the specification does not allow; it is there all the same
        name = "/".join(quote(part, safe="") for part in (facts.ecosystem, namespace, facts.name) if part)
        return f"pkg:{name}@{quote(facts.version, safe='')}"
