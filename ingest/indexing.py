"""Facts in the form in which the layer index keeps them: one, whoever adds them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from cas import Digest
from cas.layer_index.protocol import ChainRecord
from catalog.images.facts import Evidence, LayerFacts


def by_cataloger(facts: LayerFacts) -> dict[str, bytes]:
    """Return what each cataloger found in a layer: its `Evidence` as a list in msgpack, by the cataloger's name."""
    found: dict[str, list[Evidence]] = {}
    for evidence in facts.evidence:
        found.setdefault(evidence.cataloger, []).append(evidence)
    return {cataloger: msgspec.msgpack.encode(told) for cataloger, told in found.items()}


def chain_records(diff_ids: Sequence[Digest], chain_ids: Sequence[Digest]) -> Iterator[tuple[Digest, ChainRecord]]:
    """Yield a stack of layers and all below it, the lowest first; *chain_ids* are their names."""
    parent = None
    for depth, (diff_id, chain_id) in enumerate(zip(diff_ids, chain_ids, strict=True), 1):
        yield chain_id, ChainRecord(diff_id, parent, depth)
        parent = chain_id
