"""How layers make a tree: each rule by hand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from catalog.images import tree as tree_module
from catalog.images.facts import LayerFacts
from catalog.images.laying import lay
from catalog.images.squash import squash
from catalog.images.tree import Leaf, Tree
from tests.catalog.stacks.layers import (
    directory,
    file,
    hard_link,
    layer,
    opaque,
    shown,
    stacks,
    symlink,
    tree_of,
    whiteout,
)


def test_an_upper_file_replaces_a_lower_one() -> None:
    tree = tree_of(layer(file("a"), file("b")), layer(file("a")))
    assert shown(tree) == {"a": "1", "b": "0"}
    assert tree.hidden == [(0, "a")]


def test_directories_are_merged() -> None:
    tree = tree_of(layer(directory("d"), file("d/a")), layer(directory("d", 0o700), file("d/b")))
    assert shown(tree) == {"d": "/", "d/a": "0", "d/b": "1"}
    assert not tree.hidden


def test_a_file_in_a_directorys_place_removes_what_was_in_it() -> None:
    tree = tree_of(layer(directory("d"), directory("d/e"), file("d/e/a"), file("d/b")), layer(file("d")))
    assert shown(tree) == {"d": "1"}
    assert sorted(tree.hidden) == [(0, "d/b"), (0, "d/e/a")]


def test_a_directory_in_a_files_place_removes_it() -> None:
    tree = tree_of(layer(file("d")), layer(directory("d"), file("d/a")))
    assert shown(tree) == {"d": "/", "d/a": "1"}
    assert tree.hidden == [(0, "d")]


def test_a_directory_in_a_symbolic_links_place_replaces_the_link() -> None:
    """As unpackers do that do not keep links; what the link led to stays."""
    tree = tree_of(layer(file("real/a"), symlink("d", "real")), layer(directory("d"), file("d/b")))
    assert shown(tree) == {"real": "/", "real/a": "0", "d": "/", "d/b": "1"}


def test_a_whiteout_hides_what_is_below() -> None:
    tree = tree_of(layer(file("d/a"), file("d/b"), file("e")), layer(whiteout("d/a"), whiteout("e")))
    assert shown(tree) == {"d": "/", "d/b": "0"}
    assert sorted(tree.hidden) == [(0, "d/a"), (0, "e")]


def test_a_whiteout_of_a_directory_hides_all_that_is_in_it() -> None:
    assert shown(tree_of(layer(file("d/a"), file("d/e/b")), layer(whiteout("d")))) == {}


def test_a_whiteout_does_not_touch_its_own_layer() -> None:
    """Wherever it stands in the archive: the facts of a layer keep no order, and none is needed."""
    tree = tree_of(layer(file("d/a"), file("d/b")), layer(whiteout("d"), file("d/b"), whiteout("d/b"), file("d/c")))
    assert shown(tree) == {"d": "/", "d/b": "1", "d/c": "1"}


def test_a_whiteout_of_nothing_does_nothing() -> None:
    tree = tree_of(layer(whiteout("a"), whiteout("d/a"), opaque("e")), layer(whiteout("a"), file("b")))
    assert shown(tree) == {"b": "1"}


def test_a_whiteout_does_not_touch_layers_above() -> None:
    assert shown(tree_of(layer(file("a")), layer(whiteout("a")), layer(file("a")))) == {"a": "2"}


def test_an_opaque_directory_keeps_only_its_own_layers_content() -> None:
    below = layer(directory("d"), file("d/a"), file("d/e/b"), file("c"))
    tree = tree_of(below, layer(directory("d"), opaque("d"), file("d/z")))
    assert shown(tree) == {"c": "0", "d": "/", "d/z": "1"}


def test_an_opaque_mark_alone_keeps_the_directory() -> None:
    assert shown(tree_of(layer(directory("d"), file("d/a")), layer(opaque("d")))) == {"d": "/"}


def test_an_opaque_root_hides_all_that_is_below() -> None:
    assert shown(tree_of(layer(file("a"), file("d/b")), layer(opaque(""), file("c")))) == {"c": "1"}


def test_a_whiteout_hides_through_a_linked_directory() -> None:
    tree = tree_of(layer(file("usr/lib/a"), symlink("lib", "usr/lib")), layer(whiteout("lib/a")))
    assert shown(tree) == {"lib": "0 → usr/lib", "usr": "/", "usr/lib": "/"}


def test_a_whiteout_in_a_directory_that_its_layer_makes_in_a_links_place_hides_nothing() -> None:
    tree = tree_of(
        layer(file("usr/lib/a"), symlink("lib", "usr/lib")),
        layer(directory("lib"), whiteout("lib/a"), opaque("lib"), file("lib/b")),
    )
    assert shown(tree) == {"lib": "/", "lib/b": "1", "usr": "/", "usr/lib": "/", "usr/lib/a": "0"}


def test_whiteouts_are_looked_up_before_any_of_them_hides_something() -> None:
    below = layer(file("d/a"), file("d/b"), symlink("l", "d"))
    assert shown(tree_of(below, layer(whiteout("l/a"), whiteout("l"), file("z")))) == {"d": "/", "d/b": "0", "z": "1"}
    assert shown(tree_of(below, layer(whiteout("l/a"), opaque("l"), whiteout("d")))) == {"l": "0 → d"}


def test_entries_go_through_linked_directories() -> None:
    """As on systems where /lib became a link to /usr/lib: what an upper layer has in /lib is in /usr/lib."""
    tree = tree_of(layer(file("usr/lib/a"), symlink("lib", "usr/lib")), layer(file("lib/a"), file("lib/d/b")))
    assert shown(tree) == {
        "lib": "0 → usr/lib",
        "usr": "/",
        "usr/lib": "/",
        "usr/lib/a": "1",
        "usr/lib/d": "/",
        "usr/lib/d/b": "1",
    }
    assert tree.hidden == [(0, "usr/lib/a")]


def test_what_an_upper_layer_hides_is_named_as_its_own_layer_names_it() -> None:
    tree = tree_of(
        layer(directory("usr/lib"), symlink("lib", "usr/lib")), layer(file("lib/a")), layer(whiteout("usr/lib/a"))
    )
    assert tree.hidden == [(1, "lib/a")]


def test_links_may_be_absolute_relative_and_of_several_hops() -> None:
    tree = tree_of(
        layer(
            directory("a/b"),
            symlink("one", "/a/b"),
            symlink("a/two", "../one"),
            symlink("three", "./a/./two//"),
            file("three/x"),
        )
    )
    assert shown(tree)["a/b/x"] == "0"


def test_links_do_not_leave_the_root() -> None:
    tree = tree_of(layer(symlink("up", "../../../.."), symlink("d/away", "/../../etc"), file("up/a"), file("d/away/b")))
    assert shown(tree) == {
        "a": "0",
        "up": "0 → ../../../..",
        "d": "/",
        "d/away": "0 → /../../etc",
        "etc": "/",
        "etc/b": "0",
    }


def test_a_link_to_nothing_leads_to_directories_that_are_made() -> None:
    assert shown(tree_of(layer(symlink("l", "x/y")), layer(file("l/a")))) == {
        "l": "0 → x/y",
        "x": "/",
        "x/y": "/",
        "x/y/a": "1",
    }


def test_links_in_a_circle_lead_nowhere_and_that_is_told() -> None:
    tree = tree_of(
        layer(symlink("a", "b"), symlink("b", "a"), symlink("c", "c")), layer(file("a/x"), file("c/y"), file("z"))
    )
    assert shown(tree) == {"a": "0 → b", "b": "0 → a", "c": "0 → c", "z": "1"}
    assert tree.hidden == [(1, "a/x"), (1, "c/y")]
    assert len(tree.limits) == 1 and tree.limits[0].startswith("layer 1: ")


def test_missing_parents_are_directories() -> None:
    tree = tree_of(layer(file("a/b/c")))
    assert shown(tree) == {"a": "/", "a/b": "/", "a/b/c": "0"}


def test_a_missing_parent_replaces_a_file_of_a_lower_layer() -> None:
    tree = tree_of(layer(file("a")), layer(file("a/b")))
    assert shown(tree) == {"a": "/", "a/b": "1"}
    assert tree.hidden == [(0, "a")]


def test_a_hard_link_leads_to_a_lower_layer() -> None:
    tree = tree_of(layer(file("a", 5)), layer(hard_link("b", "a")), layer(hard_link("c", "b"), whiteout("a")))
    assert shown(tree) == {"b": "1", "c": "2"}
    found = {path: node for path, node in tree if isinstance(node, Leaf)}
    assert [(found[name].size, found[name].origin) for name in "bc"] == [(5, (0, "a"))] * 2
    assert tree.bytes == 10


def test_a_hard_link_leads_through_linked_directories_and_to_later_entries() -> None:
    tree = tree_of(
        layer(file("usr/lib/z", 3), symlink("lib", "usr/lib"), hard_link("a", "/lib/./z"), hard_link("0", "a"))
    )
    found = {path: node for path, node in tree if isinstance(node, Leaf)}
    assert found["a"].size == found["0"].size == 3


def test_a_hard_link_to_a_symbolic_link_is_one() -> None:
    assert shown(tree_of(layer(symlink("l", "x")), layer(hard_link("m", "l")))) == {"l": "0 → x", "m": "1 → x"}


def test_a_hard_link_leads_to_what_its_own_layer_removes() -> None:
    """The layers below are looked at as they were: a file may have been moved by a link and a whiteout."""
    tree = tree_of(layer(file("a", 7)), layer(whiteout("a"), hard_link("b", "a")))
    assert shown(tree) == {"b": "1"}
    assert tree.bytes == 7


@pytest.mark.parametrize("target", ["nothing", "d", "b", ".", "/", "no/where", "a/x"])
def test_a_hard_link_to_nothing_stands_nowhere_and_that_is_told(target: str) -> None:
    tree = tree_of(layer(file("a"), directory("d")), layer(hard_link("b", target)))
    assert shown(tree) == {"a": "0", "d": "/"}
    assert tree.limits and "hard link" in tree.limits[0]
    assert tree.hidden == [(1, "b")]


def test_hard_links_in_a_circle_stand_nowhere() -> None:
    tree = tree_of(layer(hard_link("a", "b"), hard_link("b", "c"), hard_link("c", "a"), hard_link("d", "a"), file("e")))
    assert shown(tree) == {"e": "0"}


def test_a_chain_of_hard_links_may_be_long() -> None:
    links = [hard_link(f"l{number:06}", f"l{number + 1:06}") for number in range(20_000)]
    tree = tree_of(layer(*links, file("l020000", 2)))
    assert tree.files == 20_001
    assert tree.bytes == 2 * 20_001


def test_counts_compare_the_tree_before_and_after() -> None:
    tree = Tree()
    lay(tree, layer(file("a", 10), file("b", 20), file("d/c", 40), file("d/e", 80)).entries)
    change = lay(
        tree, layer(whiteout("a"), file("a", 1), whiteout("b"), opaque("d"), file("d/c", 2), file("new", 4)).entries
    )
    assert (change.added, change.changed, change.deleted) == (1, 2, 2)
    assert (change.entries, change.bytes, change.wasted) == (3, 7, 150)
    assert (tree.files, tree.bytes) == (3, 7)


def test_two_entries_of_a_layer_that_come_to_one_place_count_once() -> None:
    tree = Tree()
    change = lay(tree, layer(symlink("l", "d"), file("l/a", 1), file("d/a", 2)).entries)
    assert (change.added, change.changed, change.deleted) == (2, 0, 0)
    assert (tree.files, tree.bytes) == (2, 1)
    assert tree.hidden == [(0, "d/a")]


@given(stack=stacks())
@settings(max_examples=300, deadline=None)
def test_counts_and_hidden_files_add_up(stack: list[LayerFacts]) -> None:
    tree = Tree()
    before: dict[str, Leaf] = {}
    said: set[tuple[int, str]] = set()
    for index, each in enumerate(stack):
        change = lay(tree, each.entries)
        after = {path: node for path, node in tree if isinstance(node, Leaf)}
        assert change.added == len(after.keys() - before.keys())
        assert change.deleted == len(before.keys() - after.keys())
        assert change.changed == sum(1 for path, node in after.items() if path in before and before[path] is not node)
        assert tree.files == len(after)
        assert tree.bytes == sum(node.size for node in after.values() if node.kind == "f")
        said |= {(index, entry.path) for entry in each.entries if entry.kind in "flh"}
        before = after
    standing = {(node.layer, node.said or path) for path, node in before.items()}
    assert len(tree.hidden) == len(set(tree.hidden))
    assert set(tree.hidden) == said - standing


@given(stack=stacks())
@settings(max_examples=100, deadline=None)
def test_a_copy_of_a_tree_goes_its_own_way(stack: list[LayerFacts]) -> None:
    *below, top = stack
    tree = tree_of(*below)
    was = shown(tree)
    copied = tree.copy()
    lay(copied, top.entries)
    assert shown(tree) == was
    assert shown(copied) == shown(tree_of(*stack))
    assert (copied.files, copied.bytes) == (tree_of(*stack).files, tree_of(*stack).bytes)


def test_a_very_deep_tree_is_laid_replaced_and_copied() -> None:
    deep = "/".join(["d"] * 2_000)
    tree = tree_of(layer(file(f"{deep}/a"), file(f"{deep}/b")), layer(whiteout(f"{deep}/a")))
    assert tree.files == 1
    assert tree.copy().files == 1
    assert shown(tree_of(layer(file(f"{deep}/a")), layer(file("d")))) == {"d": "1"}


def test_directories_of_which_nobody_tells_are_not_made_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_module, "MOST_IMPLIED", 100)
    tree = tree_of(layer(*(file(f"{name}/{'x/' * 8}a") for name in range(50)), file("z")))
    assert sum(1 for _, node in tree if not isinstance(node, Leaf)) <= 100
    assert tree.files < 20 and tree.at("z") is not None
    assert tree.limits


def test_short_paths_to_places_of_long_names_are_not_written_out_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A link of two letters to a place of four thousand: each entry below it would have a path of that length."""
    monkeypatch.setattr(tree_module, "MOST_PLACES", 100_000)
    deep = "/".join(["d" * 200] * 19)
    below = layer(directory(deep), symlink("l", deep), file(f"{deep}/there"))
    tree = tree_of(below, layer(*(file(f"l/{number}") for number in range(100)), file("z")))
    assert 2 < tree.files < 50 and tree.at("z") is not None
    assert tree.limits
    tree = tree_of(below, layer(*(whiteout(f"l/{number}") for number in range(100)), whiteout("l/there")))
    assert tree.files == 2 and tree.limits


def test_deep_directories_of_which_nobody_tells_are_not_made_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree_module, "MOST_PLACES", 100_000)
    deep = "x/" * 200
    tree = tree_of(layer(file("a"), *(file(f"{number}/{deep}a") for number in range(100)), file("z")))
    assert 2 < tree.files < 10 and tree.limits


def test_links_that_lead_far_are_not_followed_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each name doubles the way: 2^200 steps, were they all taken."""
    monkeypatch.setattr(tree_module, "MOST_STEPS", 100_000)
    links = [symlink(f"l{number}", f"l{number - 1}/l{number - 1}/..") for number in range(1, 200)]
    facts = squash([layer(symlink("l0", "."), *links, *(file(f"l{number}/x{number}") for number in range(200)))])
    assert facts.files < 399
    assert facts.limits
