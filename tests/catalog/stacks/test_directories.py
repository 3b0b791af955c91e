"""Directories of the merged tree, read from the layer index alone: the same tree that squashing makes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cas import Digest
from cas.entries import DIRECTORY
from cas.errors import LayerIndexUnavailable
from cas.layer_index.protocol import LayerIndex, OwnedLayerIndex
from cas.layer_index.rocks import RocksLayerIndex
from catalog.browse.answers import FileRow
from catalog.images.directories import Listing, find_path, list_directory
from catalog.images.facts import LayerFacts, Placement
from catalog.images.tree import Leaf, Tree
from tests.catalog.stacks.layers import (
    directory,
    file,
    hard_link,
    layer,
    opaque,
    stacks,
    symlink,
    tree_of,
    whiteout,
)


@pytest.fixture
async def index(tmp_path: Path) -> AsyncIterator[OwnedLayerIndex]:
    async with RocksLayerIndex.open(tmp_path) as opened:
        async with opened.rebuilding():
            pass
        yield opened


async def add(index: OwnedLayerIndex, layers: Sequence[LayerFacts]) -> list[Digest]:
    diff_ids = [Digest.parse(each.diff_id) for each in layers]
    for diff_id, each in zip(diff_ids, layers, strict=True):
        await index.add_layer(diff_id, each.size, each.entries, {})
    return diff_ids


async def all_listed(
    index: LayerIndex, diff_ids: Sequence[Digest], placements: Sequence[Placement], most: int
) -> dict[str, FileRow]:
    """Everything, one directory and page after the other."""
    found: dict[str, FileRow] = {}
    todo = [""]
    while todo:
        place = todo.pop()
        after: str | None = ""
        while after is not None:
            listing = await list_directory(index, diff_ids, place, after, most, placements)
            assert listing is not None and listing.path == place
            assert len(listing.entries) <= most
            for row in listing.entries:
                assert row.path not in found and row.name > after
                found[row.path] = row
                if row.kind == "directory":
                    todo.append(row.path)
            after = listing.next
    return found


def rows(tree: Tree) -> dict[str, tuple[int, str, int, int, str]]:
    found = {}
    for path, node in tree:
        entry = node.entry
        if isinstance(node, Leaf):
            assert entry is not None
            found[path] = node.layer, node.kind, entry.mode, node.size, node.target
        else:
            found[path] = node.layer, DIRECTORY, 0o755 if entry is None else entry.mode, 0, ""
    return found


_LETTERS = {"file": "f", "directory": "d", "symlink": "l", "device": "c", "pipe": "p"}


@given(stack=stacks(), most=st.sampled_from([1, 2, 500]))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_listing_all_directories_gives_the_merged_tree(
    index: OwnedLayerIndex, stack: list[LayerFacts], most: int
) -> None:
    """The index is shared by the examples: layers are in it by their content."""
    tree = tree_of(*stack)
    diff_ids = await add(index, stack)

    listed = await all_listed(index, diff_ids, tree.placements, most)

    found = {path: (row.layer, _LETTERS[row.kind], row.mode, row.size, row.target) for path, row in listed.items()}
    assert found == rows(tree)


def followed(tree: Tree, path: str) -> str | None:
    """Where *path* leads in *tree*, as a kernel would say, one part after the other."""
    place: list[str] = []
    todo = path.split("/")
    for _ in range(300):
        if not todo:
            return "/".join(place)
        name = todo.pop(0)
        node = tree.at("/".join(place))
        if name in ("", "."):
            continue
        if isinstance(node, Leaf):
            return None
        if name == "..":
            del place[-1:]
            continue
        child = tree.at("/".join([*place, name]))
        if child is None:
            return None
        if isinstance(child, Leaf) and child.kind == "l":
            if child.target.startswith("/"):
                place = []
            todo = [*child.target.split("/"), *todo]
        else:
            place.append(name)
    return None


@given(
    stack=stacks("ffdddllllwoh"),
    path=st.lists(st.sampled_from(["a", "b", "c", "..", ".", "", "missing"]), max_size=6).map("/".join),
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_paths_lead_where_a_kernel_says(index: OwnedLayerIndex, stack: list[LayerFacts], path: str) -> None:
    tree = tree_of(*stack)
    diff_ids = await add(index, stack)

    found = await find_path(index, diff_ids, path, tree.placements)
    expected = followed(tree, path)

    assert (None if found is None else found.place) == expected
    listing = await list_directory(index, diff_ids, path, "", 500, tree.placements)
    if expected is None or isinstance(tree.at(expected), Leaf):
        assert listing is None
    else:
        assert listing is not None and listing.path == expected


async def listed(index: OwnedLayerIndex, path: str, *layers: LayerFacts) -> dict[str, tuple[str, int]] | None:
    placements = tree_of(*layers).placements
    found = await list_directory(index, await add(index, layers), path, "", 500, placements)
    return None if found is None else {row.name: (row.kind, row.layer) for row in found.entries}


MERGED = layer(file("usr/lib/a"), directory("usr"), directory("usr/lib"), symlink("lib", "usr/lib"))


async def test_a_directory_shows_the_layer_of_each_entry(index: OwnedLayerIndex) -> None:
    layers = [layer(directory("d"), file("d/a"), file("d/b")), layer(file("d/b"), file("d/c")), layer(whiteout("d/a"))]
    assert await listed(index, "d", *layers) == {"b": ("file", 1), "c": ("file", 1)}
    assert await listed(index, "", *layers) == {"d": ("directory", 0)}


async def test_what_is_hidden_above_a_directory_is_hidden_in_it(index: OwnedLayerIndex) -> None:
    below = layer(directory("d"), directory("d/e"), file("d/e/a"))
    for hiding in (whiteout("d"), opaque("d"), opaque("")):
        again = layer(hiding, directory("d"), directory("d/e"), file("d/e/b"))
        assert await listed(index, "d/e", below, again) == {"b": ("file", 1)}
    replaced = layer(file("d"))
    assert await listed(index, "d/e", below, replaced) is None
    assert await listed(index, "d/e", below, replaced, layer(file("d/e/c"))) == {"c": ("file", 2)}


async def test_what_came_through_a_linked_directory_is_listed_where_it_is(index: OwnedLayerIndex) -> None:
    layers = [MERGED, layer(file("lib/b")), layer(whiteout("lib/a"))]
    for path in ("usr/lib", "lib", "/lib/", "./usr/../lib//."):
        assert await listed(index, path, *layers) == {"b": ("file", 1)}
    assert await listed(index, "lib", *layers, layer(directory("lib"), file("lib/z"))) == {"z": ("file", 3)}


async def test_a_hard_link_shows_the_file_that_it_leads_to(index: OwnedLayerIndex) -> None:
    layers = [layer(file("a", 7)), layer(hard_link("d/b", "a"), whiteout("a"))]
    placements = tree_of(*layers).placements
    found = await list_directory(index, await add(index, layers), "d", placements=placements)
    assert found is not None
    (row,) = found.entries
    assert (row.name, row.path, row.kind, row.size, row.layer) == ("b", "d/b", "file", 7, 1)
    assert row.sha256 == layers[0].entries[0].digest.hex()


async def test_pages_follow_each_other(index: OwnedLayerIndex) -> None:
    """Over layers that have different names, and whiteouts that fill whole pages."""
    layers = [
        layer(*(file(f"n{number:03}") for number in range(0, 200, 2))),
        layer(*(file(f"n{number:03}") for number in range(1, 200, 2))),
        layer(*(whiteout(f"n{number:03}") for number in range(40, 160))),
    ]
    diff_ids = await add(index, layers)
    expected = [f"n{number:03}" for number in range(200) if not 40 <= number < 160]
    for most in (1, 7, 80, 81, 500):
        names: list[str] = []
        after: str | None = ""
        while after is not None:
            page: Listing | None = await list_directory(index, diff_ids, "", after, most)
            assert page is not None and 0 < len(page.entries) <= most
            names += [row.name for row in page.entries]
            after = page.next
        assert names == expected


async def test_paths_that_lead_nowhere(index: OwnedLayerIndex) -> None:
    loops = layer(symlink("a", "b"), symlink("b", "a"), symlink("self", "self/x"), symlink("empty", ""), file("f"))
    for path in ("a", "self", "empty", "f/x", "f/..", "f/.", "nothing", "nothing/..", "x/" * 3000, "\0", "a" * 5000):
        assert await listed(index, path, loops) is None, path
    assert await listed(index, "", loops) is not None


async def test_links_that_lead_far_are_followed_a_thousand_steps(index: OwnedLayerIndex) -> None:
    """Each name doubles the way."""
    far = layer(symlink("l0", "."), *(symlink(f"l{n}", f"l{n - 1}/l{n - 1}") for n in range(1, 60)))
    assert await listed(index, "l5", far) is not None
    assert await listed(index, "l59", far) is None


async def test_an_image_without_layers_has_no_directories(index: OwnedLayerIndex) -> None:
    assert await list_directory(index, [], "") is None


async def test_a_layer_that_is_not_in_the_index_is_told_of(index: OwnedLayerIndex) -> None:
    """An answer without it would be wrong."""
    diff_ids = await add(index, [layer(file("a"))])
    with pytest.raises(LayerIndexUnavailable):
        await list_directory(index, [*diff_ids, Digest.of(b"unknown")], "")
