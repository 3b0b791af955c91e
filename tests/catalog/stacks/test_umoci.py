"""Squashed trees are what umoci unpacks: the same archives, read by our reader and laid upon each other, and unpacked.

umoci goes through an archive in its order, so where the order of an archive decides what comes out, the two may differ:
a whiteout that stands before or behind an entry which changes where the whiteout's path leads, a hard link to what the
same layer makes a directory afterwards, or one to a symbolic link with entries below it. Such archives are not made
here; how they are read is in `test_laying` and in the tests of the reader. What umoci refuses to unpack has no answer
to compare with.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from cas import Digest
from catalog.images.squash import squash
from catalog.images.tree import Leaf
from ingest.limits import ReadLimits
from ingest.reading import read_layer
from tests.catalog.stacks.layers import tree_of
from tests.ingest import tars
from tests.services.programs import require

_CONTENTS = ("", "x", "yy")
_BY_DIGEST = {tars.sha256(content.encode()): content for content in _CONTENTS}
_MARKS = ("w", "o")

Member = tuple[str, str, list[tuple[str, tars.Content]]]

_PATHS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=4).map("/".join)
_TARGETS = st.builds(
    lambda start, path: start + path,
    st.sampled_from(["", "", "/", "../", "../../", "./", "b/../"]),
    st.one_of(_PATHS, st.just("."), st.just("missing/../a")),
)


@st.composite
def archives(draw: st.DrawFn, kinds: str) -> bytes:
    """A layer: entries in the order of their paths, as archivers write them, and marks anywhere, or (with symbolic
    links) anywhere between the entries above and below them."""
    entries: dict[str, Member] = {}
    marks: dict[tuple[str, str], Member] = {}
    for kind in draw(st.lists(st.sampled_from(kinds), max_size=8)):
        path = draw(_PATHS)
        match kind:
            case "f":
                entries[path] = path, kind, [(path, tars.file(draw(st.sampled_from(_CONTENTS))))]
            case "d":
                entries[path] = path, kind, [(f"{path}/", None)]
            case "l":
                entries[path] = path, kind, [(path, tars.symlink(draw(_TARGETS)))]
            case "h":
                entries[path] = path, kind, [(path, tars.hard_link(draw(_PATHS)))]
            case "w":
                marks[path, kind] = path, kind, list(tars.whiteout(path).items())
            case _:
                marks[path, kind] = path, kind, list(tars.opaque(path).items())
    for path, kind, content in list(entries.values()):
        target = getattr(content[0][1], "target", "")
        if kind == "h" and target in entries and entries[target][1] == "d":
            del entries[path]
    links = [path for path, kind, _ in entries.values() if kind == "h"]
    within = [path for path in entries if any(path.startswith(f"{link}/") for link in links)]
    for path in within:
        del entries[path]
    ordered = sorted(entries.values(), key=lambda member: member[0].split("/"))
    for path, kind, content in marks.values():
        above = [index for index, member in enumerate(ordered) if _is_above(member, path, kind)]
        if any(ordered[index][1] not in "dwo" for index in above):
            continue
        first = above[-1] + 1 if above else 0
        below = [index for index, member in enumerate(ordered) if f"{member[0]}/".startswith(f"{path}/")]
        last = max(first, below[0]) if below and "l" in kinds else len(ordered)
        ordered.insert(draw(st.integers(first, last)), (path, kind, content))
    return tars.tar([pair for _, _, content in ordered for pair in content])


def _is_above(member: Member, path: str, kind: str) -> bool:
    """Whether the entry *member* is on the way to what a mark of *kind* at *path* hides."""
    return member[1] not in _MARKS and (path.startswith(f"{member[0]}/") or (kind == "o" and path == member[0]))


def unpacked(folder: Path, layers: Sequence[bytes]) -> dict[str, str] | None:
    """What umoci makes of an image of *layers*; None where it refuses them."""
    shutil.rmtree(folder, ignore_errors=True)
    blobs = folder / "layout" / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(media_type: str, content: bytes) -> dict[str, object]:
        digest = Digest.of(content)
        (blobs / digest.hex).write_bytes(content)
        return {"mediaType": f"application/vnd.oci.image.{media_type}", "digest": digest.text, "size": len(content)}

    diff_ids = [Digest.of(layer).text for layer in layers]
    rootfs = {"type": "layers", "diff_ids": diff_ids}
    config = {"os": "linux", "architecture": "amd64", "config": {}, "rootfs": rootfs}
    manifest = {
        "schemaVersion": 2,
        "config": put("config.v1+json", json.dumps(config).encode()),
        "layers": [put("layer.v1.tar", layer) for layer in layers],
    }
    listed = put("manifest.v1+json", json.dumps(manifest).encode())
    listed["annotations"] = {"org.opencontainers.image.ref.name": "tag"}
    index = {"schemaVersion": 2, "manifests": [listed]}
    (folder / "layout" / "index.json").write_text(json.dumps(index))
    (folder / "layout" / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    command = [
        str(require("umoci")),
        "raw",
        "unpack",
        "--rootless",
        "--image",
        f"{folder}/layout:tag",
        f"{folder}/root",
    ]
    done = subprocess.run(command, capture_output=True, check=False, timeout=60)
    return found_in(folder / "root") if done.returncode == 0 else None


def found_in(root: Path) -> dict[str, str]:
    """What is in a directory: path → what it is, links not followed."""
    found = {}
    todo = [""]
    while todo:
        parent = todo.pop()
        with os.scandir(root / parent) as entries:
            for entry in entries:
                path = f"{parent}/{entry.name}" if parent else entry.name
                mode = entry.stat(follow_symlinks=False).st_mode
                if stat.S_ISDIR(mode):
                    found[path] = "directory"
                    todo.append(path)
                elif stat.S_ISLNK(mode):
                    found[path] = f"link to {os.readlink(entry.path)}"  # noqa: PTH115 (which would write it anew)
                else:
                    found[path] = f"file {Path(entry.path).read_text()!r}"
    return found


def squashed(layers: Sequence[bytes]) -> dict[str, str]:
    """What our reader and our squashing make of the same."""
    facts = [read_layer(io.BytesIO(layer), ReadLimits(), ()).facts for layer in layers]
    tree = tree_of(*facts)
    found = {}
    for path, node in tree:
        if not isinstance(node, Leaf):
            found[path] = "directory"
        elif node.kind == "l":
            found[path] = f"link to {node.target}"
        else:
            assert node.entry is not None
            found[path] = f"file {_BY_DIGEST[node.entry.digest]!r}"
    chain = squash(facts)
    assert chain.files == sum(1 for what in found.values() if what != "directory")
    return found


def compare(folder: Path, layers: Sequence[bytes]) -> None:
    found = unpacked(folder, layers)
    assume(found is not None)
    assert squashed(layers) == found


_unhurried = settings(
    max_examples=150,
    deadline=None,
    # The same examples each time: among links to links, some archive always depends on its order.
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much, HealthCheck.too_slow],
)


@given(st.lists(archives("ffddhwwo"), min_size=1, max_size=4))
@_unhurried
def test_stacks_without_symbolic_links(tmp_path: Path, layers: list[bytes]) -> None:
    compare(tmp_path / "image", layers)


@given(st.lists(archives("ffdddllhwwo"), min_size=1, max_size=4))
@_unhurried
def test_stacks_with_symbolic_links(tmp_path: Path, layers: list[bytes]) -> None:
    compare(tmp_path / "image", layers)


@pytest.mark.parametrize(
    "layers",
    [
        [{"lib": tars.symlink("usr/lib"), "usr/lib/a": "x"}, {"lib/b": "x", **tars.whiteout("lib/a")}],
        [{"d/a": "x", "d/b": "yy"}, {"d/b": "x", **tars.opaque("d")}],
        [{"d/a": "x", "d/e/b": "yy"}, {"d": "x"}, {"d/": None, "d/c": "x"}],
        [{"a": "x"}, {"b": tars.hard_link("a")}, {**tars.whiteout("a"), "c": tars.hard_link("b")}],
        [{"up": tars.symlink("../../.."), "up/a": "x", "d/l": tars.symlink("/d/../../e"), "d/l/f": "x"}],
        [{"l": tars.symlink("gone/there"), "l/a": "x"}],
        [{"l": tars.symlink("a"), "a/x": "x"}, {"l/": None, "l/y": "yy"}],
        [{"a": tars.symlink("."), "a/a/a/": None, "a/a/a/a": "x"}],
        [{"d/": None, "d/l": tars.symlink("../d"), "d/l/l/l/x": "x"}, tars.whiteout("d/l/x")],
        [{"d/a": "x"}, {"d/": None, **tars.opaque("d")}, {"d/a": "yy"}, tars.opaque("")],
    ],
)
def test_stacks_by_hand(tmp_path: Path, layers: list[tars.Members]) -> None:
    archives = [tars.tar(members) for members in layers]
    found = unpacked(tmp_path, archives)
    assert found is not None, "umoci refuses it"
    assert squashed(archives) == found


def test_hard_links_to_later_entries_which_umoci_refuses(tmp_path: Path) -> None:
    """Archives that are sorted in another way have them; docker and podman unpack no such layer either, but what it
    says is plain."""
    layers = [
        tars.tar({"a": tars.hard_link("b"), "b": tars.hard_link("d/c"), "d/c": "yy"}),
        tars.tar({"e": tars.hard_link("z/l/c"), "z/l": tars.symlink("../d")}),
    ]
    assert unpacked(tmp_path, layers) is None
    assert squashed(layers) == {
        "a": "file 'yy'",
        "b": "file 'yy'",
        "d": "directory",
        "d/c": "file 'yy'",
        "e": "file 'yy'",
        "z": "directory",
        "z/l": "link to ../d",
    }
