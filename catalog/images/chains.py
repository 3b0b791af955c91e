"""Stacks of layers and their names (OCI image specification, config.md, "Layer ChainID").

    chain_id(L0)        = diff_id(L0)
    chain_id(L0 … Ln)   = digest(chain_id(L0 … Ln-1) + " " + diff_id(Ln))

A stack of no layers has no chain_id.

A step of a build that makes no layer (ENV, CMD) leaves the chain_id as it was. Images of equal layers are told apart by
the names of their histories, which count such steps:

    history(S0 … Sn)    = "history:" + sha256(history(S0 … Sn-1) NUL MADE NUL created_by of Sn)
    MADE                = the diff_id of the layer that Sn made, or "empty"

A history is what whoever pushed the image claims, so its names relate nothing but images of equal layers: only those
are told that name the whole stack, which its verified diff_ids are part of.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from cas import Digest
from catalog.images.config import ImageConfig

#: Steps of a history that has names, at most.
MOST_STEPS = 200


def chain_ids(diff_ids: Sequence[Digest]) -> list[Digest]:
    """Name each stack of a stack, from that of the bottom layer alone to the whole; *diff_ids* from the bottom up."""
    found: list[Digest] = []
    for diff_id in diff_ids:
        found.append(Digest.of(f"{found[-1]} {diff_id}".encode()) if found else diff_id)
    return found


def chain_id(diff_ids: Sequence[Digest]) -> Digest:
    """Name a stack of at least one layer."""
    return chain_ids(diff_ids)[-1]


def history_names(config: ImageConfig, diff_ids: Sequence[Digest]) -> list[str]:
    """Name the history of an image at the step that made its top layer, and at each step since, up to the whole.

    *diff_ids* are verified, and those of *config*. A history that does not tell of every layer, or has more than
    `MOST_STEPS` steps, has no names. When a step was done is no part of them: builders rewrite the times of a base's
    steps (``SOURCE_DATE_EPOCH``), and the same steps over the same layers come to the same.
    """
    if not diff_ids or not config.history_whole or len(config.history) > MOST_STEPS:
        return []
    names: list[str] = []
    name = ""
    for step in config.history:
        made = "empty" if step.layer is None else diff_ids[step.layer].text
        name = "history:" + sha256("\0".join((name, made, step.created_by)).encode()).hexdigest()
        names = [name] if step.layer is not None else [*names, name]
    return names
