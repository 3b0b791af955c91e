"""What stands elsewhere than its layer says, so that files are found where they stand."""

from __future__ import annotations

from hypothesis import given, settings

from catalog.images.facts import LayerFacts, Stray
from catalog.images.squash import squash
from catalog.images.tree import Leaf
from tests.catalog.stacks.layers import file, hard_link, layer, stacks, symlink, tree_of, whiteout

_FOUND = ("f", "l")


@given(stack=stacks())
@settings(max_examples=500, deadline=None)
def test_files_stand_where_their_layers_or_the_strays_say(stack: list[LayerFacts]) -> None:
    chain = squash(stack)

    said = {(number, entry.path) for number, each in enumerate(stack) for entry in each.entries if entry.kind in _FOUND}
    own = said - set(chain.hidden) - {(stray.layer, stray.source) for stray in chain.strays if not stray.link}
    found = {(path, number, path) for number, path in own}
    found |= {(stray.path, stray.layer, stray.source) for stray in chain.strays if not stray.hidden}
    standing = set()
    for place, node in tree_of(*stack):
        if isinstance(node, Leaf) and node.kind in _FOUND:
            standing.add((place, *(node.origin or (node.layer, node.said or place))))
    assert found == standing


def test_entries_below_links_hard_links_and_what_became_of_them() -> None:
    base = layer(symlink("bin", "usr/bin"), file("usr/bin/dash"), symlink("usr/bin/sh", "dash"))
    above = layer(file("bin/app"), file("bin/tool"), hard_link("usr/bin/dash2", "bin/dash"))
    last = layer(whiteout("usr/bin/tool"), whiteout("usr/bin/dash"))

    chain = squash([base, above, last])

    assert chain.strays == [
        Stray("usr/bin/app", 1, "bin/app"),
        Stray("usr/bin/dash2", 0, "usr/bin/dash", link=True),
        Stray("usr/bin/tool", 1, "bin/tool", hidden=True),
    ]
    assert chain.hidden == [(0, "usr/bin/dash"), (1, "bin/tool")]


def test_most_stacks_have_none() -> None:
    assert squash([layer(file("a/b"), symlink("c", "a")), layer(whiteout("a/b"), file("a/c"))]).strays == []
