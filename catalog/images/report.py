"""What the command line and the API say of an image's packages: one form for both, made in one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cas import Digest
from catalog.images.config import ImageConfig
from catalog.images.facts import ChainFacts, Package
from catalog.images.manifests import Reference


@dataclass(frozen=True, slots=True)
class LayerReference:
    """A layer of an image, by index, by digest of its blob and by diff_id."""

    index: int
    digest: str
    diff_id: str


@dataclass(frozen=True, slots=True)
class PackageRow:
    """An installed package. *layer* brought it as it is. *owned_by* is the purl of the distribution's package that its
    files belong to, empty where none does."""

    purl: str
    ecosystem: str
    name: str
    version: str
    source: str
    licenses: list[str]
    layer: LayerReference
    locations: list[str]
    owned_by: str


@dataclass(frozen=True, slots=True)
class RemovedPackageRow:
    """A package that lower layers still hold; *layer* brought it, *removed_in* removed it."""

    purl: str
    ecosystem: str
    name: str
    version: str
    layer: LayerReference
    removed_in: LayerReference


@dataclass(frozen=True, slots=True)
class ReadLayerRow:
    """A layer, as the list of packages names it; *unread* says why some of it was not read, empty where all was."""

    index: int
    digest: str
    diff_id: str
    size: int
    created_by: str
    unread: str


@dataclass(frozen=True, slots=True)
class PackagesAnswer:
    """The packages of an image: the form that ``portolan analyze --json`` prints too, member for member.

    *image* is the manifest's digest, *platform* ``os/arch[/variant]``, *distro* ``ID VERSION`` or empty.
    """

    image: str
    platform: str
    distro: str
    layers: list[ReadLayerRow]
    packages: list[PackageRow]
    limits_reached: list[str]
    removed: list[RemovedPackageRow] = field(default_factory=list)


def packages_answer(
    image: str,
    config: ImageConfig | None,
    layers: Sequence[Reference],
    diff_ids: Sequence[Digest],
    chain: ChainFacts,
    limits: Sequence[str] = (),
) -> PackagesAnswer:
    """Tell of the packages of the image whose manifest has the digest *image* and names *layers*, from the bottom up;
    *limits* are those of reading it.

    *diff_ids* were verified, one for each layer, and *chain* is what their stack holds.
    """
    references = [
        LayerReference(index, layer.digest.text, diff_id.text)
        for index, (layer, diff_id) in enumerate(zip(layers, diff_ids, strict=True))
    ]
    created_by = [""] * len(layers) if config is None else config.created_by(len(layers))
    return PackagesAnswer(
        image=image,
        platform="" if config is None else config.platform,
        distro=distro_text(chain),
        layers=[
            ReadLayerRow(index, layer.digest.text, diff_id.text, layer.size, created_by[index], counts.unread)
            for index, (layer, diff_id, counts) in enumerate(zip(layers, diff_ids, chain.layers, strict=True))
        ],
        packages=[_installed(package, references) for package in chain.packages],
        limits_reached=[*chain.limits, *([] if config is None else config.limits), *limits],
        removed=[_removed(package, references) for package in chain.removed],
    )


def distro_text(chain: ChainFacts) -> str:
    """Name the distribution: ``ID VERSION``, the ID alone, or nothing."""
    if chain.distro is None:
        return ""
    return f"{chain.distro.id} {chain.distro.version}".rstrip()


def _installed(package: Package, layers: Sequence[LayerReference]) -> PackageRow:
    return PackageRow(
        purl=package.purl,
        ecosystem=package.ecosystem,
        name=package.name,
        version=package.version,
        source=package.source,
        licenses=package.licenses,
        layer=layers[package.layer],
        locations=package.locations,
        owned_by=package.owned_by,
    )


def _removed(package: Package, layers: Sequence[LayerReference]) -> RemovedPackageRow:
    return RemovedPackageRow(
        purl=package.purl,
        ecosystem=package.ecosystem,
        name=package.name,
        version=package.version,
        layer=layers[package.layer],
        removed_in=layers[package.removed_in if package.removed_in is not None else package.layer],
    )
