"""How two images differ."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import given, settings
from msgspec.structs import replace

from catalog.browse.answers import FileChange, PackageChange, ValueChange
from catalog.images.compare import FileComparison, compare_configs, compare_packages, shared_layers
from catalog.images.config import ImageConfig
from catalog.images.facts import ChainFacts, LayerFacts, Package
from catalog.images.tree import Leaf
from tests.catalog.stacks.layers import directory, file, hard_link, layer, stacks, symlink, tree_of, whiteout


def compare_files(before: list[LayerFacts], after: list[LayerFacts]) -> Iterator[FileChange]:
    comparison = FileComparison()
    shared = shared_layers([each.diff_id for each in before], [each.diff_id for each in after])
    for each in before[:shared]:
        comparison.lay_both(each.entries)
    for each in before[shared:]:
        comparison.lay_before(each.entries)
    for each in after[shared:]:
        comparison.lay_after(each.entries)
    return comparison.changes()


def of(*packages: tuple[str, str]) -> ChainFacts:
    return ChainFacts("", [], [], [Package("", "deb", name, version, 0) for name, version in packages])


def test_packages_are_added_removed_and_changed() -> None:
    before, after = of(("a", "1"), ("b", "1"), ("c", "1")), of(("a", "1"), ("b", "2"), ("d", "1"))
    assert compare_packages(before, after) == [
        PackageChange("deb", "b", "1", "2"),
        PackageChange("deb", "c", "1", ""),
        PackageChange("deb", "d", "", "1"),
    ]


def test_of_several_versions_those_that_differ_are_told() -> None:
    before, after = of(("a", "1"), ("a", "2"), ("a", "3")), of(("a", "2"), ("a", "4"))
    assert compare_packages(before, after) == [PackageChange("deb", "a", "1", "4"), PackageChange("deb", "a", "3", "")]


def test_values_of_configs_differ() -> None:
    before = ImageConfig(user="root", env=["A=1", "B=2", "C"], labels={"x": "1"}, command=["a b", "c"])
    after = ImageConfig(user="root", env=["A=1", "B=3=4"], labels={"x": "2", "y": "3"}, command=["a", "b c"])
    assert compare_configs(before, after) == [
        ValueChange("command", "'a b' c", "a 'b c'"),
        ValueChange("env B", "2", "3=4"),
        ValueChange("label x", "1", "2"),
        ValueChange("label y", "", "3"),
    ]
    assert compare_configs(None, None) == []
    assert compare_configs(before, before) == []


def test_layers_are_shared_from_the_bottom() -> None:
    assert shared_layers("abc", "abd") == 2
    assert shared_layers("abc", "ab") == 2
    assert shared_layers("bc", "abc") == 0
    assert shared_layers("", "a") == 0


BASE = layer(file("etc/a", 1), file("etc/b", 2), file("usr/lib/c", 3), symlink("lib", "usr/lib"))


def test_files_are_added_removed_and_changed() -> None:
    before = [BASE, layer(file("old", 4))]
    after = [BASE, layer(file("new", 5), whiteout("etc/a"), file("etc/b", 6), file("lib/c", 7))]
    assert list(compare_files(before, after)) == [
        FileChange("etc/a", "removed", 1, None),
        FileChange("etc/b", "changed", 2, 6),
        FileChange("new", "added", None, 5),
        FileChange("old", "removed", 4, None),
        FileChange("usr/lib/c", "changed", 3, 7),
    ]


def test_files_that_are_written_again_with_other_times_do_not_differ() -> None:
    same = layer(replace(file("etc/a", 1), modified=5))
    assert list(compare_files([BASE], [BASE, same])) == []


def test_another_owner_mode_content_or_target_is_a_change() -> None:
    first = file("f", 1)
    for second in (replace(first, mode=0o600), replace(first, uid=1), replace(first, gid=1), file("f", 1, "other")):
        assert [each.change for each in compare_files([layer(first)], [layer(second)])] == ["changed"]
    assert [each.path for each in compare_files([layer(symlink("l", "a"))], [layer(symlink("l", "b"))])] == ["l"]


def test_images_without_common_layers_are_compared_by_what_stands() -> None:
    assert list(compare_files([layer(file("a"), file("b"))], [layer(file("b")), layer(file("a"))])) == []


def test_hard_links_are_compared_by_what_they_lead_to() -> None:
    linked = layer(hard_link("copy", "etc/b"))
    assert list(compare_files([BASE], [BASE, linked])) == [FileChange("copy", "added", None, 2)]


def test_a_directory_in_a_files_place_removes_the_file() -> None:
    after = [BASE, layer(directory("etc/a"), file("etc/a/x", 9))]
    assert list(compare_files([BASE], after)) == [
        FileChange("etc/a", "removed", 1, None),
        FileChange("etc/a/x", "added", None, 9),
    ]


def content(stack: list[LayerFacts]) -> dict[str, tuple[object, ...]]:
    found = {}
    for path, node in tree_of(*stack):
        if isinstance(node, Leaf):
            assert node.entry is not None
            found[path] = node.kind, node.size, node.target, node.entry.digest, node.entry.mode
    return found


@given(shared=stacks(), before=stacks(), after=stacks())
@settings(max_examples=200, deadline=None)
def test_differences_are_those_of_the_two_trees(
    shared: list[LayerFacts], before: list[LayerFacts], after: list[LayerFacts]
) -> None:
    old, new = content(shared + before), content(shared + after)
    changes = list(compare_files(shared + before, shared + after))
    assert [each.path for each in changes] == sorted(
        path for path in old.keys() | new.keys() if old.get(path) != new.get(path)
    )
    for each in changes:
        assert (each.before, each.after) == tuple(
            None if stand is None else stand[1] for stand in (old.get(each.path), new.get(each.path))
        )
        assert each.change == ("removed" if each.after is None else "added" if each.before is None else "changed")
