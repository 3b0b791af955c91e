"""From the facts of layers to the facts of their stack.

    squash([facts of the bottom layer, …])  →  ChainFacts

Layers are taken one after the other and let go, so that they may come from a generator that decodes them. The same
layers always give the same value, whatever the order of a set or a dict was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from cas import Digest
from catalog.images.chains import chain_id
from catalog.images.distributions import find_distro
from catalog.images.facts import (
    MOST_PLACED,
    ChainFacts,
    Distro,
    LayerCounts,
    LayerFacts,
    Package,
    PackageFacts,
    Stray,
)
from catalog.images.installed import Identity, Installed
from catalog.images.laying import lay
from catalog.images.owners import find_owners
from catalog.images.purls import full_name, package_url
from catalog.images.tree import Tree

#: Limits that are told of one stack.
MOST_LIMITS = 1_000


def squash(layers: Iterable[LayerFacts], most_placed: int = MOST_PLACED) -> ChainFacts:
    """Put layers, the bottom one first, on top of each other; of files that links lead elsewhere, documents are to tell
    of *most_placed*.

    Nothing is raised, whatever a hostile layer holds: what has no place is told among the limits.
    """
    tree = Tree()
    installed = Installed()
    texts: dict[tuple[int, str], bytes] = {}
    diff_ids: list[str] = []
    counts: list[LayerCounts] = []
    limits: list[str] = []
    for index, layer in enumerate(layers):
        change = lay(tree, layer.entries)
        told = installed.change(index, layer.evidence, tree, change)
        texts.update(((index, path), text) for path, text in layer.texts.items())
        diff_ids.append(layer.diff_id)
        limits += (f"layer {index}: {reason}" for reason in (*layer.limits, layer.unread) if reason)
        counts.append(
            LayerCounts(
                entries=change.entries,
                added=change.added,
                changed=change.changed,
                deleted=change.deleted,
                bytes=change.bytes,
                wasted=change.wasted,
                installed=told.installed,
                upgraded=told.upgraded,
                removed=told.removed,
                unread=layer.unread,
            )
        )
    distro = find_distro(tree, texts)
    packages = _packages(installed, distro, tree)
    limits += [*installed.limits, *tree.limits]
    if tree.exhausted:
        limits.append("the symbolic links and directories lead so far that not all of them were followed")
    strays = tree.strays()
    placed = len(dict.fromkeys(placed_files(diff_ids, strays)))
    if placed > most_placed:
        limits.append(
            f"links lead {placed} files elsewhere than their layers say: search finds {most_placed} of them, and takes"
            " the image for one without the others"
        )
    if len(limits) > MOST_LIMITS:
        limits[MOST_LIMITS:] = [f"and {len(limits) - MOST_LIMITS} more"]
    return ChainFacts(
        chain_id=chain_id([Digest.parse(diff_id) for diff_id in diff_ids]).text if diff_ids else "",
        diff_ids=diff_ids,
        layers=counts,
        packages=packages,
        removed=_removed(installed, distro, packages),
        distro=distro,
        hidden=sorted(tree.hidden),
        placements=tree.placements,
        strays=strays,
        files=tree.files,
        bytes=tree.bytes,
        limits=limits,
        most_placed=most_placed,
    )


def placed_files(diff_ids: Sequence[str], strays: Iterable[Stray]) -> Iterator[tuple[str, str, str]]:
    """Yield the files of a stack that stand elsewhere than their layers say: the path, and of which layer which file
    stands there. One may come more than once, where a layer does."""
    for stray in strays:
        if stray.path != stray.source:
            yield stray.path, diff_ids[stray.layer], stray.source


def _packages(installed: Installed, distro: Distro | None, tree: Tree) -> list[Package]:
    """List what is installed. A package that stands at several places is one, but for those of its places that belong
    to another package: they are one for each owner, so that whoever leaves out what is owned leaves out no more."""
    owners = find_owners(installed, tree)
    purls: dict[Identity, str] = {}

    def purl(identity: Identity) -> str:
        found = purls.get(identity)
        if found is None:
            found = purls[identity] = package_url(installed.facts[identity], distro)
        return found

    found: dict[tuple[str, str], tuple[PackageFacts, int, set[str]]] = {}
    for identity in sorted(installed.standing):
        facts = installed.facts[identity]
        for place, layer in installed.standing[identity].items():
            owner = owners.get(place) if not installed.is_of_distribution(identity) else None
            key = purl(identity), purl(owner) if owner is not None else ""
            there = found.get(key)
            if there is None:
                found[key] = facts, layer, {place}
            else:
                there[2].add(place)
                found[key] = there[0], min(there[1], layer), there[2]
    packages = [
        _package(facts, purl, layer, sorted(places), owner) for (purl, owner), (facts, layer, places) in found.items()
    ]
    return sorted(packages, key=_order)


def _removed(installed: Installed, distro: Distro | None, packages: Sequence[Package]) -> list[Package]:
    """List what only lower layers hold; what one purl names is once in it, as it was last."""
    stands = {package.purl for package in packages}
    found: dict[str, Package] = {}
    for identity, gone in sorted(installed.gone.items()):
        facts = installed.facts[identity]
        purl = package_url(facts, distro)
        there = found.get(purl)
        if purl not in stands and (there is None or (there.removed_in or 0) < gone.removed_in):
            found[purl] = _package(facts, purl, gone.layer, gone.places, "", gone.removed_in)
    return sorted(found.values(), key=_order)


def _package(
    facts: PackageFacts, purl: str, layer: int, places: list[str], owner: str, removed_in: int | None = None
) -> Package:
    return Package(
        purl=purl,
        ecosystem=facts.ecosystem,
        name=full_name(facts),
        version=facts.version,
        layer=layer,
        source=facts.source,
        source_version=facts.source_version,
        licenses=facts.licenses,
        locations=places,
        owned_by=owner,
        removed_in=removed_in,
    )


def _order(package: Package) -> tuple[str, str, str, str, str]:
    return package.ecosystem, package.name, package.version, package.purl, package.owned_by
