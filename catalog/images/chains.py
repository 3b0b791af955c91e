"""Stacks of layers and their names (OCI image specification, config.md, "Layer ChainID").

    chain_id(L0)        = diff_id(L0)
    chain_id(L0 … Ln)   = digest(chain_id(L0 … Ln-1) + " " + diff_id(Ln))

A stack of no layers has no chain_id.
"""

from __future__ import annotations

from collections.abc import Sequence

from cas import Digest


def chain_ids(diff_ids: Sequence[Digest]) -> list[Digest]:
    """Name each stack of a stack, from that of the bottom layer alone to the whole; *diff_ids* from the bottom up."""
    found: list[Digest] = []
    for diff_id in diff_ids:
        found.append(Digest.of(f"{found[-1]} {diff_id}".encode()) if found else diff_id)
    return found


def chain_id(diff_ids: Sequence[Digest]) -> Digest:
    """Name a stack of at least one layer."""
    return chain_ids(diff_ids)[-1]
