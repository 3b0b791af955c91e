"""Headers of tars, against Python's own reader, and by the cases where programs differ."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest.errors import ArchiveDamaged, NotAnArchive
from ingest.limits import ReadLimits
from ingest.walker import DIRECTORY, FILE, Member, Walker
from tests.ingest.tars import (
    END,
    GNU,
    PAX,
    PAX_GLOBAL,
    PAX_MEMBER,
    USTAR,
    V7,
    block,
    device,
    directory,
    entry,
    file,
    gnu_sparse,
    hard_link,
    header,
    pax_header,
    pax_record,
    pax_sparse,
    pipe,
    symlink,
    tar,
)
from tests.ingest.tars import Member as Written

LIMITS = ReadLimits()


def walk(archive: bytes, size: int = 10_000, limits: ReadLimits = LIMITS) -> list[tuple[Member, bytes]]:
    """The members of *archive* and their content, which comes in chunks of *size* bytes."""
    members = Walker(chunks(archive, size), limits)
    return [(member, content(members)) for member in members]


def chunks(archive: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(archive), size):
        yield archive[start : start + size]


def content(members: Walker) -> bytes:
    whole = members.whole()
    taken = bytes(whole) if whole is not None else None
    pieces = b"".join(members.pieces())
    assert taken in (None, pieces)
    return pieces


def by_tarfile(archive: bytes) -> list[tuple[object, ...]]:
    """The members as Python's tarfile reads them."""
    found: list[tuple[object, ...]] = []
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:", errors="surrogateescape", encoding="utf-8") as opened:
        for member in opened:
            read = opened.extractfile(member) if member.isreg() else None
            found.append(
                (
                    member.name,
                    b"0" if member.isreg() else member.type,
                    member.mode,
                    member.uid,
                    member.gid,
                    member.size if member.isreg() else 0,
                    int(member.mtime // 1),
                    member.linkname if member.islnk() or member.issym() else "",
                    read.read() if read is not None else b"",
                )
            )
    return found


def by_us(archive: bytes, size: int) -> list[tuple[object, ...]]:
    return [
        (
            member.name.decode("utf-8", "surrogateescape").rstrip("/"),
            member.kind,
            member.mode,
            member.uid,
            member.gid,
            member.size,
            member.modified,
            member.target.decode("utf-8", "surrogateescape") if member.kind in (b"1", b"2") else "",
            read,
        )
        for member, read in walk(archive, size)
    ]


parts = st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=60)
names = st.lists(parts, min_size=1, max_size=6).map("/".join)
small = st.integers(0, 8**7 - 1)
large = st.integers(0, 2**50)


@st.composite
def written(draw: st.DrawFn) -> Written:
    owner = {"mode": draw(st.integers(0, 0o7777)), "uid": draw(small | large), "gid": draw(small)}
    modified = draw(st.integers(0, 8**11 - 1) | st.integers(-(2**40), 2**40))
    made = draw(
        st.one_of(
            st.binary(max_size=3000).map(file),
            st.just(directory()),
            names.map(symlink),
            names.map(hard_link),
            st.just(pipe()),
            st.builds(device, st.integers(0, 4095), st.integers(0, 65535)),
        )
    )
    return Written(made.kind, made.content, made.target, modified=modified, device=made.device, **owner)


@given(st.lists(st.tuples(names, written()), max_size=8), st.sampled_from((GNU, PAX)), st.integers(1, 5000))
@example([("d" * 99 + "/", directory())], GNU, 512)
@settings(deadline=None)
def test_archives_read_as_python_reads_them(members: list[tuple[str, Written]], form: str, size: int) -> None:
    archive = tar(members, form=form)
    assert by_us(archive, size) == by_tarfile(archive)


@given(st.lists(st.tuples(names, written()), max_size=8), st.sampled_from((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)))
@settings(deadline=None)
def test_archives_that_python_writes(members: list[tuple[str, Written]], form: int) -> None:
    kinds = {b"3": tarfile.CHRTYPE, b"4": tarfile.BLKTYPE}
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form, encoding="utf-8", errors="surrogateescape") as opened:
        for name, member in members:
            told = tarfile.TarInfo(name)
            told.type = kinds.get(member.kind, member.kind)
            told.size, told.mode, told.uid, told.gid = len(member.content), member.mode, member.uid, member.gid
            told.mtime = int(member.modified)
            told.linkname = str(member.target)
            told.devmajor, told.devminor = member.device
            opened.addfile(told, io.BytesIO(member.content))
    assert by_us(stream.getvalue(), 10_000) == by_tarfile(stream.getvalue())


@pytest.mark.parametrize("form", [V7, USTAR])
def test_the_old_forms(form: str) -> None:
    members = {
        "etc/": None,
        "etc/a": file(b"x" * 513, mode=0o4755, uid=1000, gid=100, modified=1_700_000_000),
        "l": symlink("etc/a"),
        "h": hard_link("etc/a"),
    }
    if form == USTAR:
        members |= {"a" * 90 + "/" + "b" * 90: file("prefixed"), "p": pipe(), "c": device(1, 3)}
    archive = tar(members, form=form)
    assert by_us(archive, 512) == by_tarfile(archive)
    assert by_us(archive, 512)[0][1] == DIRECTORY


@pytest.mark.parametrize("form", ["v7", "ustar", "gnu", "oldgnu", "pax"])
def test_archives_that_gnu_tar_writes(form: str, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "d").mkdir(parents=True)
    (tree / "d" / "file").write_bytes(b"content" * 1000)
    (tree / "empty").touch()
    (tree / "link").symlink_to("d/file")
    (tree / "hard").hardlink_to(tree / "d" / "file")
    if form != "v7":
        (tree / ("long" * 20)).mkdir()
        (tree / ("long" * 20) / ("name" * 15)).write_bytes(b"long")
    with (tree / "sparse").open("wb") as sparse:
        sparse.write(b"start")
        sparse.seek(5 << 20)
        sparse.write(b"middle")
        sparse.truncate(9 << 20)
    archive = tmp_path / "archive.tar"
    sparse_too = ["--sparse"] if form not in ("v7", "ustar") else []
    subprocess.run(["tar", f"--format={form}", "--sort=name", *sparse_too, "-cf", archive, "-C", tree, "."], check=True)
    assert archive.stat().st_size < (1 << 20 if sparse_too else 20 << 20)
    assert by_us(archive.read_bytes(), 10_000) == by_tarfile(archive.read_bytes())


@pytest.mark.parametrize("version", ["0.0", "0.1", "1.0"])
def test_sparse_files_have_their_holes(version: str) -> None:
    pieces = [(512 * 3, b"one" * 100), (1 << 20, b"two" * 500)]
    archive = pax_sparse("dir/s", pieces, 3 << 20, version) + entry("next", b"n") + END
    (sparse, read), (following, _) = walk(archive)
    assert (sparse.name, sparse.size, sparse.holes) == (b"dir/s", 3 << 20, (3 << 20) - 300 - 1500)
    assert len(read) == 3 << 20
    assert read[512 * 3 :].startswith(b"one" * 100 + b"\0")
    assert read[1 << 20 :].startswith(b"two" * 500 + b"\0")
    assert following.name == b"next"


def test_a_sparse_map_of_many_pieces_goes_on_behind_the_header() -> None:
    pieces = [(number * 1000, b"%03d" % number) for number in range(100)]
    (sparse, read), (following, _) = walk(gnu_sparse("s", pieces, 100_000) + entry("next") + END)
    assert sparse.holes == 100_000 - 300
    assert [read[place : place + 3] for place, _ in pieces] == [piece for _, piece in pieces]
    assert following.name == b"next"


def test_a_sum_of_signed_bytes_is_right_too() -> None:
    """As written by tars of old on machines whose characters have signs."""
    unsigned = header(b"caf\xe9")
    signed = sum(byte - 256 * (byte > 127) for byte in unsigned[:148] + b" " * 8 + unsigned[156:])
    ((member, _),) = walk(header(b"caf\xe9", checksum=signed) + END)
    assert member.name == b"caf\xe9"


def test_of_two_extended_headers_the_last_counts() -> None:
    archive = pax_header({"path": "first", "uid": "7"}) + pax_header({"path": "second"}) + entry("x") + END
    ((member, _),) = walk(archive)
    assert (member.name, member.uid) == (b"second", 0)


def test_a_long_name_outdoes_a_path() -> None:
    long_name = block(header(b"././@LongLink", b"L", size=5, gnu=True) + b"long\0")
    ((member, _),) = walk(long_name + pax_header({"path": "short"}) + entry("x") + END)
    assert member.name == b"long"


def test_global_headers_change_nothing() -> None:
    """Go's archive/tar, with which runtimes unpack, hands them over and forgets them; another reader's files would be
    others than those that a container sees."""
    archive = pax_header({"path": "evil", "size": "0", "uid": "7"}, PAX_GLOBAL) + entry("a", b"1") + entry("b") + END
    assert [(member.name, member.uid, read) for member, read in walk(archive)] == [(b"a", 0, b"1"), (b"b", 0, b"")]


def test_an_extended_header_is_for_the_next_member_alone() -> None:
    archive = tar([("a", Written(records={"path": "other", "uid": "5"})), ("b", b"")])
    assert [(member.name, member.uid) for member, _ in walk(archive)] == [(b"other", 5), (b"b", 0)]


def test_an_empty_record_does_not_outdo_the_header() -> None:
    ((member, read),) = walk(pax_header({"path": "", "size": "", "linkpath": ""}) + entry("a", b"1") + END)
    assert (member.name, read) == (b"a", b"1")


@pytest.mark.parametrize(
    ("time", "seconds"),
    [("1.5", 1), ("-1.5", -2), ("-1.0", -1), ("-1", -1), ("0.000000001", 0), ("-0.5", -1), ("12.", 12)],
)
def test_times_are_rounded_down(time: str, seconds: int) -> None:
    ((member, _),) = walk(pax_header({"mtime": time}) + entry("a") + END)
    assert member.modified == seconds


def test_a_number_may_fill_its_field() -> None:
    """Twelve octal digits leave no room for an end mark."""
    archive = header("a", size=b"000000000001", modified=b"777777777777") + b"x".ljust(512, b"\0") + END
    ((member, read),) = walk(archive)
    assert (read, member.modified) == (b"x", 0o777777777777)


def test_content_that_nobody_takes_is_passed_over() -> None:
    archive = tar({"a": b"x" * 5000, "b": b"y"})
    for size in (100, 512, 1000, 100_000):
        assert [member.name for member in Walker(chunks(archive, size), LIMITS)] == [b"a", b"b"]


def test_what_is_behind_the_end_can_be_taken() -> None:
    members = Walker(chunks(tar({"a": b"x"}) + b"behind", 700), LIMITS)
    assert len(list(members)) == 1
    assert b"".join(members.rest()).strip(b"\0") == b"behind"


def test_the_last_padding_may_be_missing() -> None:
    ((_, read),) = walk(header("a", size=3) + b"abc")
    assert read == b"abc"


def test_a_kind_that_is_not_known_is_handed_over() -> None:
    assert [member.kind for member, _ in walk(entry("a", Written(b"M", b"x" * 600)) + entry("b") + END)] == [b"M", FILE]


@given(st.binary(max_size=4000) | st.binary(max_size=600).map(lambda text: entry("a", b"1") + text))
@settings(deadline=None)
def test_any_bytes_end_in_members_or_an_error_of_ours(archive: bytes) -> None:
    for size in (511, 100_000):
        try:
            walk(archive, size)
        except (NotAnArchive, ArchiveDamaged) as error:
            assert error.reason


@pytest.mark.parametrize("end", [b"x\n", b"17xpath=b\n", b"\n", b"0 path=b\n", b" path=b\n"])
def test_a_record_that_is_none_after_one_that_is_one(end: bytes) -> None:
    """Not one of them is taken for the beginning of the first again."""
    content = pax_record("path", "a") + end
    archive = block(header("PaxHeaders/a", PAX_MEMBER, size=len(content)) + content) + tar({"a": b"x"})
    with pytest.raises(ArchiveDamaged):
        walk(archive)


@given(
    st.integers(0, 511),
    st.integers(0, 255),
    st.sampled_from([GNU, PAX]),
    st.booleans(),
)
@settings(deadline=None)
def test_a_header_with_any_byte_changed(place: int, byte: int, form: str, repaired: bool) -> None:
    """Also where its checksum was made right again."""
    archive = bytearray(tar({"a" * 150: file(b"x" * 600, uid=2**31), "b": symlink("c" * 150)}, form=form))
    for start in range(0, len(archive) - 1024, 512):
        damaged = bytearray(archive)
        damaged[start + place] = byte
        if repaired:
            head = damaged[start : start + 512]
            damaged[start + 148 : start + 156] = b"%06o\0 " % (sum(head) - sum(head[148:156]) + 256)
        try:
            walk(bytes(damaged))
        except (NotAnArchive, ArchiveDamaged) as error:
            assert error.reason
