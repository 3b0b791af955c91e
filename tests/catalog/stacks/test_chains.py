"""Names of stacks of layers."""

from __future__ import annotations

import hashlib

from cas import Digest
from catalog.images.chains import chain_id, chain_ids

A, B, C = (Digest.of(name) for name in (b"a", b"b", b"c"))


def of(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def test_a_stack_of_one_layer_is_called_as_the_layer() -> None:
    assert chain_ids([A]) == [A]
    assert chain_id([A]) == A


def test_a_stack_is_called_by_the_one_below_and_its_top_layer() -> None:
    two = of(f"{A} {B}")
    three = of(f"{two} {C}")
    assert [each.text for each in chain_ids([A, B, C])] == [A.text, two, three]
    assert chain_id([A, B, C]).text == three


def test_no_layers_have_no_names() -> None:
    assert chain_ids([]) == []
