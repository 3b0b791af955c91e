"""What manifests and configs claim of layers, held against what layers are."""

from __future__ import annotations

from collections.abc import Sequence

from cas import Digest
from catalog.images.manifests import Reference
from ingest.errors import ConfigUnreadable, DiffIdMismatch


def check_number(layers: Sequence[Reference], claimed: Sequence[str]) -> None:
    """
    Raises:
        ConfigUnreadable: the config *claimed* fewer or more diff_ids than there are *layers*.
    """
    if len(claimed) != len(layers):
        raise ConfigUnreadable(f"it has {len(claimed)} diff_ids, and the manifest {len(layers)} layers")


def check_diff_ids(layers: Sequence[Reference], claimed: Sequence[str], computed: Sequence[Digest]) -> None:
    """Hold what a config *claimed* of *layers* against what was *computed* of each.

    Raises:
        ConfigUnreadable: it speaks of fewer or more layers than there are.
        DiffIdMismatch: it is wrong of one.
    """
    check_number(layers, claimed)
    for index, (said, diff_id) in enumerate(zip(claimed, computed, strict=True)):
        if said != diff_id.text:
            raise DiffIdMismatch(index, layers[index].digest, said, diff_id)


def not_read(layer: Reference) -> str:
    """Say why *layer* is of no kind that is read; empty where it is."""
    if not layer.is_layer:
        return f"{layer.media_type} is no layer of a file system"
    return "it is encrypted" if layer.media_type.endswith("+encrypted") else ""


def kept_elsewhere(layer: Reference) -> bool:
    """Tell whether *layer* is one that images name and do not bring (OCI: "non-distributable")."""
    return ".foreign." in layer.media_type or ".nondistributable." in layer.media_type
