"""How the layers of an image are drawn: each as wide as it is large, those of the base image set apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from catalog.browse.answers import LayerRow, Relation

#: Percent of the whole drawing that the smallest layer still takes, so that it can be seen and hit.
_LEAST = 0.6


@dataclass(frozen=True, slots=True)
class Stratum:
    """A layer in the drawing of all of them: where it begins and how wide it is, in percent. *tint* alternates."""

    index: int
    left: str
    width: str
    tint: int
    based: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Layers that came together: those of one base image, or the image's own (*base* is None)."""

    base: Relation | None
    layers: list[LayerRow]
    size: int


def strata(layers: Sequence[LayerRow], base_layers: int) -> list[Stratum]:
    """Lay the layers side by side; what has no size takes the least width."""
    if not layers:
        return []
    total = sum(layer.size for layer in layers) or 1
    least = min(_LEAST, 100 / len(layers))
    raw = [max(least, 100 * layer.size / total) for layer in layers]
    scale = 100 / sum(raw)
    drawn: list[Stratum] = []
    left = 0.0
    for layer, unscaled in zip(layers, raw, strict=True):
        width = unscaled * scale
        drawn.append(Stratum(layer.index, f"{left:.3f}%", f"{width:.3f}%", layer.index % 2, layer.index < base_layers))
        left += width
    return drawn


def groups(layers: Sequence[LayerRow], bases: Sequence[Relation]) -> list[Group]:
    """Divide the layers where a base image ends, from the bottom. Only bases whose layers are these count."""
    ends = sorted(
        {base.layers: base for base in bases if 0 < base.layers < len(layers) and base.certainty != "guess"}.items()
    )
    found: list[Group] = []
    begin = 0
    for end, base in ends:
        part = list(layers[begin:end])
        found.append(Group(base, part, sum(layer.size for layer in part)))
        begin = end
    own = list(layers[begin:])
    if own or not found:
        found.append(Group(None, own, sum(layer.size for layer in own)))
    return found


def base_layers(layers: Sequence[LayerRow], bases: Sequence[Relation]) -> int:
    """Tell how many of the bottom layers belong to the nearest base."""
    return max(
        (base.layers for base in bases if 0 < base.layers < len(layers) and base.certainty != "guess"), default=0
    )


def bases(found: Sequence[Relation]) -> list[Relation]:
    """Leave out what was only declared where the same is known by its layers, too: by digest, or else by name."""
    read = [base for base in found if base.certainty == "layers"]
    names = {f"{base.repository}:{tag}" for base in read for tag in base.tags}
    digests = {base.digest for base in read}
    return [base for base in found if base.certainty == "layers" or not _is_among(base, names, digests)]


def _is_among(base: Relation, names: set[str], digests: set[str]) -> bool:
    if base.digest:
        return base.digest in digests
    return not names.isdisjoint({base.repository, *(f"{base.repository}:{tag}" for tag in base.tags)})
