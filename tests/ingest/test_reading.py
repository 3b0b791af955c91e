"""Facts of layers: entries, whiteouts, links, digests, and what catalogers are handed."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from dataclasses import dataclass, field

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from cas.entries import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FILE,
    HARD_LINK,
    OPAQUE,
    PIPE,
    SYMLINK,
    WHITEOUT,
    Entry,
)
from catalog.images.facts import Evidence, LayerFacts, PackageFacts
from catalog.images.objects import decode, encode
from ingest.catalogers import CATALOGERS, PROGRAMS
from ingest.catalogers.cataloger import Unreadable
from ingest.errors import LayerUnreadable
from ingest.limits import ReadLimits
from ingest.reading import READER_VERSION, ReadLayer, read_layer
from tests.ingest.tars import (
    Member,
    Members,
    device,
    directory,
    entry,
    file,
    gzip,
    hard_link,
    header,
    layer,
    opaque,
    pax_sparse,
    pipe,
    sha256,
    symlink,
    tar,
    whiteout,
    zstd,
)

LIMITS = ReadLimits()


@dataclass
class Lines:
    """A cataloger of the simplest kind of database: a name in each line. It tells what it was handed."""

    name: str = "lines"
    version: int = 3
    pattern: str = r"(?:.*/)?packages"
    elsewhere: str = r".*/lists/[^/]+"
    starts: tuple[bytes, ...] = (b"LINES",)
    largest: int = 1 << 20
    handed: list[str] = field(default_factory=list)

    def recognises(self, path: str, start: bytes) -> bool:
        return b"\nof " in start

    def read(self, path: str, content: bytes) -> Evidence | None:
        self.handed.append(path)
        if content.startswith(b"broken"):
            raise Unreadable("not a list")
        if content.startswith(b"half"):
            raise Unreadable("cut off", Evidence(self.name, path, [PackageFacts("generic", "half", "1")]))
        if content.startswith(b"bug"):
            raise ZeroDivisionError
        if not content:
            return None
        names = content.decode().splitlines()
        return Evidence(self.name, path, [PackageFacts("generic", name, "1") for name in names])


@dataclass
class Tails:
    """A cataloger of programs that begin with ``PROG`` and tell their name in the last bytes."""

    name: str = "tails"
    version: int = 1
    magics: tuple[bytes, ...] = (b"PROG", b"\x7fX")
    head: int = 100
    asked: list[tuple[int, int]] = field(default_factory=list)

    def ranges(self, size: int, head: bytes) -> list[tuple[int, int]]:
        assert len(head) == min(size, self.head)
        return self.asked or [(0, 4), (50, 54), (size - 4, size)]

    def read(self, path: str, size: int, head: bytes, parts: list[bytes]) -> Evidence | None:
        return Evidence(self.name, path, [PackageFacts("generic", b"|".join(parts).decode("latin-1"), str(size))])


def read(members: Members | bytes, limits: ReadLimits = LIMITS) -> LayerFacts:
    blob = members if isinstance(members, bytes) else layer(members).blob
    return read_layer(io.BytesIO(blob), limits, [Lines()], [Tails()]).facts


def kinds(facts: LayerFacts) -> list[tuple[str, str]]:
    return [(one.path, one.kind) for one in facts.entries]


def found(facts: LayerFacts) -> dict[str, list[str]]:
    return {evidence.path: [package.name for package in evidence.packages] for evidence in facts.evidence}


def test_a_layer_has_its_entries_in_order() -> None:
    made = layer(
        {
            "usr/": directory(mode=0o755, modified=5),
            "usr/bin/tool": file(b"tool", mode=0o4755, uid=1, gid=2, modified=1_700_000_000),
            "usr/bin-extra": b"",
            "usr.old": b"x",
            "l": symlink("usr/bin/tool"),
            "p": pipe(),
            "dev/null": device(1, 3),
            "dev/sda": device(8, 0, of_blocks=True),
        }
    )
    read_one = read_layer(io.BytesIO(made.blob), LIMITS, CATALOGERS, PROGRAMS)
    facts = read_one.facts
    assert facts.entries == [
        Entry("dev/null", CHARACTER_DEVICE, 0o644),
        Entry("dev/sda", BLOCK_DEVICE, 0o644),
        Entry("l", SYMLINK, 0o777, target="usr/bin/tool"),
        Entry("p", PIPE, 0o644),
        Entry("usr", DIRECTORY, 0o755, modified=5),
        Entry("usr/bin/tool", FILE, 0o4755, 1, 2, 4, 1_700_000_000, "", sha256(b"tool")),
        Entry("usr/bin-extra", FILE, 0o644),
        Entry("usr.old", FILE, 0o644, size=1, digest=sha256(b"x")),
    ]
    assert (facts.diff_id, facts.size) == (made.diff_id.text, len(made.tar))
    assert (read_one.size, read_one.compression) == (len(made.blob), "gzip")
    assert facts.versions == {"reader": READER_VERSION} | {c.name: c.version for c in (*CATALOGERS, *PROGRAMS)}
    assert (facts.limits, facts.unread) == ([], "")


@pytest.mark.parametrize("compression", ["gzip", "zstd", "plain"])
@pytest.mark.parametrize("form", ["gnu", "pax"])
def test_facts_do_not_depend_on_how_a_layer_is_packed(compression: str, form: str) -> None:
    members: Members = {"a" * 200: b"1", "packages": b"one\ntwo", "big": os.urandom(1 << 20)}
    made = layer(members, form=form, compression=compression)
    facts = read(made.blob)
    assert facts.diff_id == made.diff_id.text
    assert [one.path for one in facts.entries] == ["a" * 200, "big", "packages"]
    assert found(facts) == {"packages": ["one", "two"]}


def test_later_entries_replace_earlier_ones() -> None:
    facts = read(
        [("a", b"1"), ("packages", b"old"), ("d/", None), ("a", symlink("b")), ("packages", b"new"), ("d", b"f")]
    )
    assert kinds(facts) == [("a", SYMLINK), ("d", FILE), ("packages", FILE)]
    assert found(facts) == {"packages": ["new"]}


def test_evidence_goes_with_the_file_that_told_it() -> None:
    for last in (symlink("other"), directory(), hard_link("nowhere"), pipe()):
        facts = read([("packages", b"old"), ("packages", last)])
        assert not facts.evidence, last


def test_a_file_in_a_directorys_place_takes_what_was_below_it() -> None:
    facts = read([("d/", None), ("d/packages", b"gone"), ("d", b"f"), ("e", b"f"), ("e/x", b"1"), ("f.x", b"2")])
    assert kinds(facts) == [("d", FILE), ("e/x", FILE), ("f.x", FILE)]
    assert not facts.evidence


def test_a_symlink_in_a_directorys_place_keeps_what_comes_after_it() -> None:
    facts = read([("lib/old", b"1"), ("lib", symlink("usr/lib")), ("lib/new", b"2")])
    assert kinds(facts) == [("lib", SYMLINK), ("lib/new", FILE)]


def test_marks_come_before_entries_of_their_path() -> None:
    facts = read(
        [
            ("d/x", b"1"),
            *opaque("d").items(),
            *whiteout("d/x").items(),
            *whiteout("d").items(),
            ("d/", None),
            *opaque("").items(),
        ]
    )
    assert kinds(facts) == [
        ("", OPAQUE),
        ("d", WHITEOUT),
        ("d", OPAQUE),
        ("d", DIRECTORY),
        ("d/x", WHITEOUT),
        ("d/x", FILE),
    ]


def test_what_is_named_like_a_mark_and_is_none() -> None:
    facts = read({"a.wh.b": b"1", "d.wh./x": b"2", ".wh": b"3"})
    assert kinds(facts) == [(".wh", FILE), ("a.wh.b", FILE), ("d.wh./x", FILE)]


def test_hard_links_become_the_files_they_are() -> None:
    content = file(b"content", mode=0o600, uid=7, modified=9)
    for members in (
        [("a", content), ("l", hard_link("a"))],
        [("l", hard_link("a")), ("a", content)],
        [("m", hard_link("l")), ("l", hard_link("a")), ("a", content)],
        [("./a", content), ("l", hard_link("/x/../a"))],
    ):
        entries = {one.path: one for one in read(members).entries}
        for path in entries.keys() & {"l", "m"}:
            assert entries[path] == Entry(path, FILE, 0o600, 7, 0, 7, 9, "", sha256(b"content"))


def test_a_hard_link_is_to_what_stood_there_then() -> None:
    entries = {one.path: one for one in read([("a", b"old"), ("l", hard_link("a")), ("a", b"new")]).entries}
    assert entries["l"].digest == sha256(b"old")
    assert entries["a"].digest == sha256(b"new")


def test_a_hard_link_to_a_symlink_is_one() -> None:
    assert kinds(read({"s": symlink("x"), "l": hard_link("s")})) == [("l", SYMLINK), ("s", SYMLINK)]


def test_a_hard_link_into_a_lower_layer_stays_one() -> None:
    (link,) = read({"packages": hard_link("var/./packages")}).entries
    assert (link.kind, link.target) == (HARD_LINK, "var/./packages")


LINKED = {
    "to a database before it": [("x/packages", b"one"), ("y/packages", hard_link("x/packages"))],
    "to a file before it": [("store", b"one"), ("y/packages", hard_link("store"))],
    "to a file behind it": [("y/packages", hard_link("store")), ("store", b"one")],
    "to a link before it": [("store", b"one"), ("l", hard_link("store")), ("y/packages", hard_link("l"))],
    "to a link behind it": [("y/packages", hard_link("l")), ("l", hard_link("store")), ("store", b"one")],
    "to a link behind it, to a file before it": [
        ("store", b"one"),
        ("y/packages", hard_link("l")),
        ("l", hard_link("store")),
    ],
    "to a link before it that waited": [("l", hard_link("store")), ("store", b"one"), ("y/packages", hard_link("l"))],
    "to an old file": [("store", b"zero"), ("store", b"one"), ("y/packages", hard_link("store"))],
}


@pytest.mark.parametrize("members", LINKED.values(), ids=LINKED.keys())
def test_a_database_may_be_a_hard_link(members: list[tuple[str, Member | bytes]]) -> None:
    facts = read(members)
    assert found(facts)["y/packages"] == ["one"]
    assert not facts.limits


def test_of_a_pipe_a_file_that_has_gone_by_is_not_read() -> None:
    read_end, write_end = os.pipe()
    blob = layer(LINKED["to a file before it"]).blob

    def feed() -> None:
        with open(write_end, "wb") as pipe:  # noqa: PTH123 - a descriptor
            pipe.write(blob)

    feeding = threading.Thread(target=feed)
    feeding.start()
    with open(read_end, "rb", buffering=0) as source:  # noqa: PTH123
        facts = read_layer(source, LIMITS, [Lines()]).facts
    feeding.join()
    assert [(one.path, one.packages) for one in facts.evidence] == [("y/packages", [])]
    assert facts.evidence[0].unread in facts.limits[0]
    assert facts.limits == ["it is a hard link to a file that had gone by and could not be read again: y/packages"]


def test_what_a_link_stands_for_is_never_mistaken_for_what_came_later() -> None:
    facts = read([("store", b"one"), ("y/packages", hard_link("store")), ("store", b"two")])
    assert found(facts) == {"y/packages": []}
    assert facts.evidence[0].unread
    assert "y/packages" in facts.limits[0]


def test_a_database_of_a_link_that_was_replaced_is_forgotten() -> None:
    facts = read([("y/packages", hard_link("store")), ("y/packages", symlink("z")), ("store", b"one")])
    assert found(facts) == {}
    facts = read([("store", b"one"), ("y/packages", hard_link("store")), ("y/packages", b"")])
    assert found(facts) == {}


def test_reading_again_begins_where_reading_began() -> None:
    blob = io.BytesIO(b"before" + layer(LINKED["to a file before it"]).blob)
    blob.seek(6)
    assert found(read_layer(blob, LIMITS, [Lines()]).facts) == {"y/packages": ["one"]}


def test_programs_are_known_by_how_they_begin() -> None:
    size = 3 << 20
    long = b"PROG" + bytes(46) + b"HERE" + bytes(size - 58) + b"LAST"
    facts = read(
        {
            "bin/long": b"" + long,
            "bin/short": b"PROG" + bytes(46) + b"ALSO" + b"tail",
            "bin/other": b"\x7fX" + b"y" * 60,
            "bin/none": b"PR",
            "bin/text": b"text",
            "bin/link": hard_link("bin/long"),
        }
    )
    assert found(facts) == {
        "bin/link": ["PROG|HERE|LAST"],
        "bin/long": ["PROG|HERE|LAST"],
        "bin/other": ["\x7fXyy|yyyy|yyyy"],
        "bin/short": ["PROG|ALSO|tail"],
    }


def test_a_program_that_comes_in_pieces_is_the_same() -> None:
    """Wherever the end of a chunk cuts it."""
    program = b"PROG" + os.urandom(400_000)
    expected = "|".join(part.decode("latin-1") for part in (program[:4], program[50:54], program[-4:]))
    for before in range(261_000, 262_200, 97):
        archive = tar({"pad": bytes(before), "prog": program})
        frames = b"".join(zstd(piece) for piece in (archive[: before + 1541], archive[before + 1541 :]))
        for blob in (gzip(archive), frames):
            assert found(read(blob)) == {"prog": [expected]}


@pytest.mark.parametrize("asked", [[(5, 3)], [(0, 10), (5, 20)], [(0, 1 << 40)], [(-5, 3)], [(0, 5 << 20)]])
def test_a_cataloger_cannot_ask_for_what_is_not_there(asked: list[tuple[int, int]]) -> None:
    blob = layer({"prog": b"PROG" + bytes(5 << 20)}).blob
    assert not read_layer(io.BytesIO(blob), LIMITS, [], [Tails(asked=asked)]).facts.evidence


def test_broken_databases_are_told_and_cost_nothing_else() -> None:
    facts = read(
        {"a/packages": b"broken", "b/packages": b"bug", "c/packages": b"one", "d/packages": b"", "e/packages": b"half"}
    )
    assert found(facts) == {
        "a/packages": [],
        "b/packages": [],
        "c/packages": ["one"],
        "e/packages": ["half"],
    }
    assert [one.unread for one in facts.evidence] == ["not a list", "lines failed: ZeroDivisionError", "", "cut off"]
    assert facts.limits == [
        "lines: not a list: a/packages",
        "lines failed: ZeroDivisionError: b/packages",
        "lines: cut off: e/packages",
    ]
    assert facts.unread == ""


def test_a_database_that_is_too_large_is_not_read() -> None:
    cataloger = Lines(largest=10)
    blob = layer({"a/packages": b"x" * 11, "b/packages": b"y" * 11, "c/packages": b"z" * 10}).blob
    facts = read_layer(io.BytesIO(blob), LIMITS, [cataloger]).facts
    assert cataloger.handed == ["c/packages"]
    assert facts.limits == ["lines: not read, for it is larger than 10 bytes: a/packages (and 1 more)"]
    assert {one.path: one.unread for one in facts.evidence} == {
        "a/packages": "larger than 10 bytes",
        "b/packages": "larger than 10 bytes",
        "c/packages": "",
    }


ELSEWHERE = b"LINES\nof one\nhalf"


@pytest.mark.parametrize("path", ["opt/db", "lists/any", "x/lists/any"])
@pytest.mark.parametrize("before", [0, 200_000, 261_000, 261_640])
def test_a_database_is_known_by_its_beginning_wherever_it_lies(path: str, before: int) -> None:
    """Also where the end of a chunk cuts it, and under the names that links give it."""
    content = ELSEWHERE + b"x" * 5000 if path == "opt/db" else b"any\nof one"
    members = {"pad": bytes(before), path: content, "opt/other": b"LINES of none", "y/lists/none": b"one"}
    facts = read(members)
    assert path.startswith("lists/") == (found(facts) == {})
    if found(facts):
        assert found(facts) == {path: content.decode().splitlines()}
    assert facts.limits == []


def test_a_database_elsewhere_is_read_under_the_names_of_hard_links_too() -> None:
    for members in (
        [("db", ELSEWHERE), ("opt/link", hard_link("db"))],
        [("opt/link", hard_link("db")), ("db", ELSEWHERE)],
        [("db", ELSEWHERE), ("l", hard_link("db")), ("opt/link", hard_link("l"))],
    ):
        facts = read(members)
        assert found(facts)["opt/link"] == found(facts)["db"] == ["LINES", "of one", "half"]


def test_what_is_not_read_elsewhere_says_so_without_a_remark() -> None:
    """Most such files are copies that nobody asks for: whoever follows a link to one is told."""
    large = ELSEWHERE + bytes(1 << 20)
    facts = read({"db": large, "a": ELSEWHERE})
    assert [(one.path, bool(one.unread)) for one in facts.evidence] == [("a", False), ("db", True)]
    assert facts.limits == []
    many = {f"{number:03}": ELSEWHERE for number in range(100)}
    facts = read(many, ReadLimits(content=50 * len(ELSEWHERE)))
    assert [bool(one.unread) for one in facts.evidence] == [False] * 50 + [True] * 50
    assert facts.limits == []


def test_texts_are_kept_as_they_are() -> None:
    facts = read(
        {
            "usr/lib/os-release": b"ID=debian\n",
            "etc/os-release": hard_link("usr/lib/os-release"),
            "etc/debian_version": b"12.5\n",
            "etc/alpine-release": symlink("x"),
            "srv/etc/os-release": b"ID=other\n",
        }
    )
    assert facts.texts == {
        "etc/debian_version": b"12.5\n",
        "etc/os-release": b"ID=debian\n",
        "usr/lib/os-release": b"ID=debian\n",
    }


def test_a_sparse_file_is_digested_with_its_holes() -> None:
    archive = pax_sparse("s", [(1 << 20, b"x" * 1000)], 4 << 20) + entry("t", b"1") + bytes(1024)
    sparse, _ = read(gzip(archive)).entries
    content = bytes(1 << 20) + b"x" * 1000 + bytes((3 << 20) - 1000)
    assert (sparse.size, sparse.digest) == (4 << 20, sha256(content))


def test_an_empty_layer() -> None:
    """As Docker makes them: 1024 zeros."""
    facts = read(gzip(bytes(1024)))
    assert facts.entries == []
    assert facts.diff_id == "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"


def test_a_large_layer_is_in_order_and_can_be_kept() -> None:
    """Sorted and written by pieces; what comes out is the same."""
    names = [f"{number % 7}-x/{number % 2000}/{number % 11}.d/{number}" for number in range(24_000)]
    archive = b"".join(
        [*(header(name) for name in names), tar({"packages": b"one", "0-x": symlink("y"), ".wh.z": b""})]
    )
    facts = read(gzip(archive))
    kept = [one.path for one in facts.entries if one.kind != WHITEOUT]
    assert kept == sorted(kept, key=lambda path: path.split("/"))
    assert len(facts.entries) == 24_003 - sum(name.startswith("0-x/") for name in names)
    assert decode(encode(facts), LayerFacts) == facts
    # Who reads it makes no more room than it needs.
    assert 0 < zstandard.frame_content_size(encode(facts)) <= len(msgspec.msgpack.encode(facts)) + 2


contents = st.binary(max_size=2000) | st.sampled_from([b"one", b"PROG" + bytes(60)])
paths = st.sampled_from(["a", "b", "a/b", "a/packages", "packages", "c/d", "c", "c/d/packages", "../x", "/a"])
targets = st.sampled_from(["a", "b", "packages", "a/packages", "nowhere", "..", "c"])
marks = paths.map(lambda path: next(iter(whiteout(path)))) | paths.map(lambda path: next(iter(opaque(path))))
members = st.lists(
    st.tuples(paths, contents | st.none() | targets.map(symlink) | targets.map(hard_link))
    | st.tuples(marks, st.just(b"")),
    max_size=12,
)


@given(members)
@settings(deadline=None)
def test_whatever_a_layer_says_its_facts_make_sense(said: list[tuple[str, Member | bytes | None]]) -> None:
    facts = read([(path, directory() if content is None else content) for path, content in said])
    assert facts.unread == ""
    keys = [(one.path.split("/"), one.kind not in (WHITEOUT, OPAQUE), one.kind) for one in facts.entries]
    assert [key[:2] for key in keys] == sorted(key[:2] for key in keys)
    assert len({(one.path, one.kind in (WHITEOUT, OPAQUE) and one.kind) for one in facts.entries}) == len(keys)
    standing = {one.path: one for one in facts.entries if one.kind not in (WHITEOUT, OPAQUE)}
    for path, one in standing.items():
        assert ".." not in path.split("/")
        above = [path[:place] for place, letter in enumerate(path) if letter == "/"]
        assert all(standing[part].kind in (DIRECTORY, SYMLINK) for part in above if part in standing)
        assert one.kind != HARD_LINK or standing.get(one.target, one).kind in (HARD_LINK, DIRECTORY)
    for evidence in facts.evidence:
        assert standing[evidence.path].kind == FILE
        content = b"".join(package.name.encode() + b"\n" for package in evidence.packages)
        if evidence.cataloger == "lines" and b"one" in content:
            assert standing[evidence.path].digest == sha256(b"one")
    assert decode(encode(facts), LayerFacts) == facts


@given(st.binary(max_size=3000) | st.binary(max_size=2000).map(lambda tail: entry("packages", b"1") + tail))
@settings(deadline=None)
def test_any_bytes_give_facts_or_an_error_of_ours(archive: bytes) -> None:
    for blob in (archive, gzip(archive), zstd(archive)):
        try:
            found_layer: ReadLayer = read_layer(io.BytesIO(blob), LIMITS, CATALOGERS, PROGRAMS)
        except LayerUnreadable as error:
            assert error.reason
        else:
            assert found_layer.size == len(blob)
            if blob is not archive:
                assert found_layer.facts.diff_id == f"sha256:{hashlib.sha256(archive).hexdigest()}"
