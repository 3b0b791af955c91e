"""Layers that somebody made to do harm: each ends as a failure that says why, or as facts that say what is missing."""

from __future__ import annotations

import hashlib
import io
import time
import tracemalloc
from contextlib import suppress

import pytest
from isal import igzip

from catalog.images.facts import LayerFacts
from catalog.images.objects import decode, encode
from ingest.catalogers import CATALOGERS, PROGRAMS
from ingest.errors import LayerUnreadable
from ingest.reading import read_layer
from tests.ingest.hostile import HOSTILE, Hostile

MIB = 1 << 20


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_it_ends_as_the_table_says(hostile: Hostile) -> None:
    blob = io.BytesIO(hostile.build())
    began = time.monotonic()
    if hostile.error is not None:
        with pytest.raises(hostile.error) as failure:
            read_layer(blob, hostile.limits, CATALOGERS, PROGRAMS)
        assert failure.value.reason
    else:
        facts = read_layer(blob, hostile.limits, CATALOGERS, PROGRAMS).facts
        assert {entry.path for entry in facts.entries} == hostile.paths
        assert hostile.unread in facts.unread
        assert bool(hostile.unread) == bool(facts.unread)
        for told in hostile.limits_told:
            assert any(told in line for line in facts.limits), facts.limits
        assert bool(hostile.limits_told) == bool(facts.limits)
        assert decode(encode(facts), LayerFacts) == facts
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_it_takes_little_memory(hostile: Hostile) -> None:
    blob = io.BytesIO(hostile.build())
    tracemalloc.start()
    try:
        with suppress(LayerUnreadable):
            read_layer(blob, hostile.limits, CATALOGERS, PROGRAMS)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 48 * MIB


def test_the_diff_id_is_that_of_the_whole_stream_whatever_was_not_read() -> None:
    seen = 0
    for hostile in HOSTILE.values():
        if hostile.error is None and hostile.unread:
            blob = hostile.build()
            facts = read_layer(io.BytesIO(blob), hostile.limits, CATALOGERS).facts
            archive = igzip.decompress(blob) if blob[:2] == b"\x1f\x8b" else blob
            assert facts.diff_id == f"sha256:{hashlib.sha256(archive).hexdigest()}"
            assert facts.size == len(archive)
            seen += 1
    assert seen > 10


def test_there_are_at_least_forty() -> None:
    assert len(HOSTILE) >= 40
