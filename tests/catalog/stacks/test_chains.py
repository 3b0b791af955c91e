"""Names of stacks of layers."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from cas import Digest
from catalog.images.chains import MOST_STEPS, chain_id, chain_ids, history_names
from catalog.images.config import MOST_HISTORY, read_config
from catalog.images.texts import LONGEST_TEXT, MOST_TEXT

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


# Histories


def step(created_by: str = "", **members: Any) -> dict[str, Any]:
    return {"created_by": created_by, **members}


def empty(created_by: str, **members: Any) -> dict[str, Any]:
    return step(created_by, empty_layer=True, **members)


def names(history: Any, *diff_ids: Digest) -> list[str]:
    written = {"rootfs": {"diff_ids": [each.text for each in diff_ids]}, "history": history}
    return history_names(read_config(json.dumps(written).encode()), diff_ids)


BUILT = [step("COPY a /"), empty("USER a"), step("RUN b"), empty("ENV c=d"), empty('CMD ["e"]')]


def test_a_history_is_named_from_the_top_layer_on_by_the_one_before_and_its_step() -> None:
    name, found = "", []
    for made, said in zip((A, "empty", B, "empty", "empty"), BUILT, strict=True):
        name = "history:" + hashlib.sha256(f"{name}\0{made}\0{said['created_by']}".encode()).hexdigest()
        found.append(name)

    assert names(BUILT, A, B) == found[2:]
    assert names(BUILT[:4], A, B) == found[2:4]


def test_histories_have_names_in_common_as_far_as_their_layers_and_steps_are_the_same() -> None:
    known = names(BUILT, A, B)
    assert names([*BUILT[:4], empty("CMD")], A, B)[:2] == known[:2]
    for other in (names(BUILT, A, C), names(BUILT, C, B), names([step("ADD a /"), *BUILT[1:]], A, B)):
        assert set(known).isdisjoint(other)
    assert set(known).isdisjoint(names([BUILT[0], *BUILT[2:]], A, B))
    assert names([{**each, "created": "2026-01-01T00:00:00Z"} for each in BUILT], A, B) == known


def test_a_history_that_does_not_tell_of_each_layer_has_no_names() -> None:
    many = [empty(str(number)) for number in range(MOST_STEPS - 1)]
    long = "x" * LONGEST_TEXT
    assert len(names([step(), *many], A)) == MOST_STEPS
    assert names([step(), *many, empty("one more")], A) == []
    assert names([step(), *([empty("")] * MOST_HISTORY)], A) == []
    assert names([step(), *([empty(long[1:])] * (MOST_TEXT // LONGEST_TEXT + 1))], A) == []
    for history in ([], None, "history", [step()], [step(), step(), step()], [step(), step(), 1], BUILT[1:]):
        assert names(history, A, B) == [], history
    assert names([step(), step(), empty(long)], A, B) == []
    assert names([step(), step(), empty(long[1:])], A, B) != []


def test_where_there_are_no_layers_a_history_has_no_names() -> None:
    assert names([empty("ENV a=b")]) == []
