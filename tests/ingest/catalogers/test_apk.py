"""apk's database, crafted after the format's page ("Apk spec", and what apk-tools 2.14 writes), and broken."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.catalogers import Unreadable
from ingest.catalogers.apk import ApkCataloger
from ingest.limits import ReadLimits
from tests.ingest.catalogers.reading import cataloger_of, outcome, packages, read

INSTALLED = "lib/apk/db/installed"

DATABASE = b"""C:Q1xU7Eo+Tn6YJGrDQBTbyFZnVkmWQ=
P:musl
V:1.2.5-r0
A:x86_64
S:411244
I:671744
T:the musl c library (libc) implementation
U:https://musl.libc.org/
L:MIT
o:musl
m:Timo Teras <timo.teras@iki.fi>
t:1709747190
c:61c8f9f3b1d3c0bd1a4d3b8b9a3ff3a6b9a5b9c5
p:so:libc.musl-x86_64.so.1=1
F:lib
R:ld-musl-x86_64.so.1
a:0:0:755
Z:Q1WSAbjXDWEuJVIkmjsQ2vPBYs7mE=
R:libc.musl-x86_64.so.1
a:0:0:777
Z:Q17yJ3JFNypA4mxhJJr0ou6CzsJVI=

C:Q1yA1JRPmzoPAuUlhjzlJJd+Jzzfk=
P:musl-utils
V:1.2.5-r0
A:x86_64
T:the musl c library (libc) implementation
L:MIT AND BSD-2-Clause AND GPL-2.0-or-later
o:musl
F:sbin
R:ldconfig
a:0:0:755
F:usr
F:usr/bin
R:getconf
a:0:0:755
F:
R:at-the-root

C:Q1zrNYbRmJSFGWrT07kzGrBJKPmmA=
P:.python-rundeps
V:20240101.120000
A:noarch
L:GPL2 MIT
"""


@pytest.mark.parametrize("path", [INSTALLED, "usr/lib/apk/db/installed"])
def test_packages_with_all_that_matters(path: str) -> None:
    musl, utils, virtual = packages(path, DATABASE)

    assert (musl.ecosystem, musl.name, musl.version) == ("apk", "musl", "1.2.5-r0")
    assert (musl.source, musl.source_version, musl.licenses) == ("", "", ["MIT"])
    assert musl.qualifiers == {"arch": "x86_64"}
    assert (utils.source, utils.source_version) == ("musl", "1.2.5-r0")
    assert utils.licenses == ["MIT AND BSD-2-Clause AND GPL-2.0-or-later"]
    assert (virtual.name, virtual.version, virtual.licenses) == (".python-rundeps", "20240101.120000", ["GPL2 MIT"])


def test_owned_files_stand_in_their_folders() -> None:
    evidence = read(INSTALLED, DATABASE)
    assert evidence is not None
    assert evidence.owned == {
        "musl": "lib/ld-musl-x86_64.so.1\nlib/libc.musl-x86_64.so.1",
        "musl-utils": "sbin/ldconfig\nusr/bin/getconf\nat-the-root",
    }


def test_line_ends_of_other_systems_tell_the_same() -> None:
    other = DATABASE.replace(b"\n", b"\r\n")

    assert read(INSTALLED, other) == read(INSTALLED, DATABASE)
    assert ApkCataloger().recognises("srv/rootfs/installed", other)


def test_an_empty_database_tells_that_nothing_is_installed() -> None:
    evidence = read(INSTALLED, b"")
    assert evidence is not None
    assert evidence.packages == []


def test_broken_stanzas_are_told_and_the_others_kept() -> None:
    with pytest.raises(Unreadable, match="2 without") as caught:
        read(INSTALLED, b"P:no-version\n\nV:1\n\n" + DATABASE)
    assert caught.value.partial is not None
    assert len(caught.value.partial.packages) == 3


def test_of_two_stanzas_for_one_package_the_later_counts() -> None:
    evidence = read(INSTALLED, b"P:a\nV:1\nF:x\nR:y\n\nP:a\nV:2\n")
    assert evidence is not None
    assert [(p.name, p.version) for p in evidence.packages] == [("a", "2")]
    assert evidence.owned == {}


@pytest.mark.parametrize("path", ["opt/root/lib/apk/db/installed", "lib/apk/db/installed.new", "lib/apk/db/triggers"])
def test_other_files_are_left_alone(path: str) -> None:
    assert cataloger_of(path) is None


def test_what_is_made_to_fill_memory_is_refused() -> None:
    """A long folder before many files would be written out once for each of them."""
    long = b"P:a\nV:1\nF:" + b"x" * 100_000 + b"\n" + b"R:f\n" * 100_000
    with pytest.raises(Unreadable, match="more files") as caught:
        read(INSTALLED, long + b"\nP:b\nV:1\nF:usr\nR:f\n")
    assert caught.value.partial is not None
    assert [p.name for p in caught.value.partial.packages] == ["a", "b"]
    assert caught.value.partial.owned == {}

    with pytest.raises(Unreadable, match="more files"):
        read(INSTALLED, b"P:a\nV:1\nF:u\n" + b"R:\n" * 400_001)
    with pytest.raises(Unreadable, match="packages"):
        read(INSTALLED, b"".join(b"P:a%d\nV:1\n\n" % number for number in range(100_001)))


def test_the_limits_are_those_of_the_reading() -> None:
    one = b"P:a\nV:1\nF:usr\nR:f\n"
    for limits in (ReadLimits(list_files=1), ReadLimits(list_size=8)):
        with pytest.raises(Unreadable, match="more files"):
            ApkCataloger(limits).read(INSTALLED, one + b"R:another\n")
        found = ApkCataloger(limits).read(INSTALLED, one)
        assert found is not None
        assert found.owned == {"a": "usr/f"}
    with pytest.raises(Unreadable, match="more than 1 packages"):
        ApkCataloger(ReadLimits(packages=1)).read(INSTALLED, one + b"\nP:b\nV:1\n")


_pieces = st.sampled_from(
    [b"P:", b"P:a", b"V:1", b"F:", b"R:", b"R:\xff", b"F:a/b", b"\n", b"\n\n", b":", b"o:b", b"L:("]
)


@settings(deadline=None)
@given(st.binary(max_size=300) | st.lists(_pieces, max_size=40).map(b"".join))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    evidence = outcome(INSTALLED, content)
    for package in evidence.packages if evidence else []:
        assert package.name and package.version


_names = st.from_regex(r"[a-z0-9][a-z0-9+._-]{0,20}", fullmatch=True)
_versions = st.from_regex(r"[0-9][0-9a-z._]{0,12}-r[0-9]{1,2}", fullmatch=True)
_folders = st.lists(_names, max_size=3).map("/".join)


@settings(deadline=None)
@given(
    st.dictionaries(
        _names,
        st.tuples(_versions, _names, st.dictionaries(_folders, st.lists(_names, max_size=3), max_size=3)),
        max_size=6,
    )
)
def test_well_formed_databases_come_back(database: dict[str, tuple[str, str, dict[str, list[str]]]]) -> None:
    lines = []
    for name, (version, origin, folders) in database.items():
        lines += [f"P:{name}", f"V:{version}", "T:V:9 P:none", f"o:{origin}"]
        for folder, files in folders.items():
            lines += [f"F:{folder}", "M:0:0:755"]
            for file in files:
                lines += [f"R:{file}", "a:0:0:644", "Z:Q1zrNYbRmJSFGWrT07kzGrBJKPmmA="]
        lines.append("")

    evidence = read(INSTALLED, "\n".join(lines).encode())

    assert evidence is not None
    assert {p.name: (p.version, p.source or p.name) for p in evidence.packages} == {
        name: (version, origin) for name, (version, origin, _) in database.items()
    }
    assert {name: files.split("\n") for name, files in evidence.owned.items()} == {
        name: [f"{folder}/{file}".lstrip("/") for folder, files in folders.items() for file in files]
        for name, (_, _, folders) in database.items()
        if any(folders.values())
    }
