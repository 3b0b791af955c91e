"""dpkg's database: as dpkg itself writes it, in pieces, as opkg writes it, and broken."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.catalogers import Unreadable
from ingest.catalogers.dpkg import DpkgCataloger
from ingest.limits import ReadLimits
from tests.ingest.catalogers.reading import cataloger_of, outcome, packages, read
from tests.services.programs import require

STATUS = "var/lib/dpkg/status"

BASH = b"""Package: bash
Essential: yes
Status: install ok installed
Priority: required
Section: shells
Installed-Size: 7164
Maintainer: Matthias Klose <doko@debian.org>
Architecture: amd64
Multi-Arch: foreign
Version: 5.2.15-2+b7
Source: bash (5.2.15-2)
Replaces: bash-completion (<< 20060301-0), bash-doc (<= 2.05-1)
Depends: base-files (>= 2.1.12), debianutils (>= 5.6-0.1)
Conffiles:
 /etc/bash.bashrc 89269e1298235f1b12b4c16e4065ad0d
 /etc/skel/.bashrc ee35a240758f374832e809ae0ea4883a
Description: GNU Bourne Again SHell
 Bash is an sh-compatible command language interpreter that executes
 commands read from the standard input or from a file.
 .
 Version: 9 is told in a description, and means nothing.
Homepage: http://tiswww.case.edu/php/chet/bash/bashtop.html
"""


def stanza(name: str, version: str, status: str = "install ok installed", **more: str) -> bytes:
    fields = {"Package": name, "Status": status, "Version": version, **more}
    return "".join(f"{field}: {text}\n" for field, text in fields.items()).encode()


def test_a_package_with_all_that_matters() -> None:
    (bash,) = packages(STATUS, BASH)

    assert (bash.ecosystem, bash.name, bash.version) == ("deb", "bash", "5.2.15-2+b7")
    assert bash.qualifiers == {"arch": "amd64"}
    assert (bash.source, bash.source_version) == ("bash", "5.2.15-2")
    assert bash.key == "bash:amd64"


@pytest.mark.parametrize(
    ("told", "source", "version"),
    [
        ("openssl", "openssl", "3.0.11-1"),
        ("openssl (3.0.10-2)", "openssl", "3.0.10-2"),
        ("libssl3", "", ""),
        ("libssl3 (3.0.11-1)", "", ""),
        ("libssl3 (3.0.12)", "libssl3", "3.0.12"),
        ("feeds/base/openssl", "", ""),
        ("", "", ""),
        ("a (b) c", "", ""),
    ],
)
def test_the_source_package(told: str, source: str, version: str) -> None:
    """Its version is that of the binary where none is told; where the source is the package itself, neither is."""
    (package,) = packages(STATUS, stanza("libssl3", "3.0.11-1", Source=told))

    assert (package.source, package.source_version) == (source, version)


@pytest.mark.parametrize(
    ("status", "there"),
    [
        ("install ok installed", True),
        ("hold ok installed", True),
        ("deinstall ok installed", True),  # chosen to be removed, and still there
        ("install ok unpacked", True),
        ("install ok half-configured", True),
        ("install reinstreq half-configured", True),
        ("install ok triggers-pending", True),
        ("install ok triggers-awaited", True),
        ("deinstall ok config-files", False),
        ("purge ok not-installed", False),
        ("install reinstreq half-installed", False),
        ("unknown ok not-installed", False),
        ("install user installed", True),  # opkg
    ],
)
def test_packages_count_while_their_files_are_there(status: str, there: bool) -> None:
    assert [p.name for p in packages(STATUS, stanza("tool", "1", status))] == (["tool"] if there else [])


def test_one_name_for_two_architectures_is_two_packages() -> None:
    found = packages(
        STATUS, stanza("libc6", "2.36", Architecture="amd64") + b"\n" + stanza("libc6", "2.36", Architecture="i386")
    )

    assert [(p.key, p.qualifiers["arch"]) for p in found] == [("libc6:amd64", "amd64"), ("libc6:i386", "i386")]


def test_of_two_stanzas_for_one_package_the_later_counts() -> None:
    twice = stanza("a", "1") + b"\n" + stanza("b", "1") + b"\n\n\n" + stanza("a", "2")
    assert [(p.name, p.version) for p in packages(STATUS, twice)] == [("a", "2"), ("b", "1")]

    removed = stanza("a", "1") + b"\n" + stanza("a", "1", "deinstall ok config-files")
    assert packages(STATUS, removed) == []


def test_line_ends_of_other_systems_tell_the_same() -> None:
    database = b"\n".join(
        [BASH, stanza("dash", "0.5.12", Source="dash"), stanza("gone", "1", "deinstall ok config-files")]
    )
    lists = {
        "var/lib/dpkg/info/bash.list": b"/.\n/bin\n/bin/bash\n",
        "var/lib/dpkg/info/bash.md5sums": b"0123456789abcdef0123456789abcdef  bin/bash\n",
    }

    assert len(packages(STATUS, database)) == 2
    for path, content in {STATUS: database, "var/lib/dpkg/status.d/bash": BASH, **lists}.items():
        assert read(path, content.replace(b"\n", b"\r\n")) == read(path, content), path
    assert DpkgCataloger().recognises("srv/rootfs/status", database.replace(b"\n", b"\r\n"))


def test_an_empty_database_tells_that_nothing_is_installed() -> None:
    """Which is something else than telling nothing: what stood in lower layers is gone."""
    evidence = read(STATUS, b"")
    assert evidence is not None
    assert evidence.packages == []


def test_broken_stanzas_are_told_and_the_others_kept() -> None:
    broken = (
        stanza("good", "1")
        + b"\nVersion: 2\n\n"
        + stanza("sp ace", "1")
        + b"\n"
        + stanza("x", "\x07")
        + b"\n"
        + stanza("fine", "1")
    )

    with pytest.raises(Unreadable, match="3 without") as caught:
        read(STATUS, broken)
    assert caught.value.partial is not None
    assert [p.name for p in caught.value.partial.packages] == ["good", "fine"]


def test_distroless_pieces() -> None:
    """One file for each package, without a status, and its files in another."""
    control = BASH.replace(b"Status: install ok installed\n", b"")
    assert [p.name for p in packages("var/lib/dpkg/status.d/bash", control)] == ["bash"]

    sums = b"d41d8cd98f00b204e9800998ecf8427e  bin/bash\n9e107d9d372bb6826bd81d3542a419d6  usr/share/doc/a b\n"
    evidence = read("var/lib/dpkg/status.d/bash.md5sums", sums)
    assert evidence is not None
    assert (evidence.packages, evidence.owned) == ([], {"bash": "bin/bash\nusr/share/doc/a b"})

    assert read("var/lib/dpkg/status.d/bash.postinst", b"#!/bin/sh\n") is None


def test_sums_are_a_list_of_files_too() -> None:
    sums = b"d41d8cd98f00b204e9800998ecf8427e  bin/bash\n"
    for folder in ("var/lib/dpkg/info", "usr/lib/opkg/info"):
        evidence = read(f"{folder}/bash:amd64.md5sums", sums)
        assert evidence is not None
        assert evidence.owned == {"bash:amd64": "bin/bash"}


@pytest.mark.parametrize(
    ("path", "start", "known"),
    [
        ("opt/any", BASH, True),
        ("usr/lib/dpkg/status", stanza("a", "1"), True),
        ("usr/lib/dpkg/status.d/a", b"Package: a\nVersion: 1\n", True),
        ("var/lib/apt/lists/mirror_Packages", b"Package: a\nVersion: 1\n\nPackage: b\nStatus: x\n", False),
        ("var/lib/dpkg/status-old", b"", False),
        ("usr/lib/dpkg/info/a.list", b"/.\n/usr\n", True),
        ("usr/lib/dpkg/info/a.list", b"deb http://x\n", False),
        ("usr/lib/dpkg/info/a.md5sums", b"d41d8cd98f00b204e9800998ecf8427e  bin/bash\n", True),
        ("usr/lib/dpkg/info/a.md5sums", b"Package: a\nStatus: x", False),
    ],
)
def test_databases_elsewhere_are_known_by_how_they_begin(path: str, start: bytes, known: bool) -> None:
    assert DpkgCataloger().recognises(path, start) == known


def test_lists_of_files_name_files_alone() -> None:
    """Folders belong to many packages; one that holds nothing is told apart from a file by nobody."""
    listed = (
        b"/.\n/usr\n/usr/bin\n/usr/bin/perl\n/usr/bin/perl5\n/usr/share\n/usr/share/empty\n/usr/lib\n/usr/lib/\xff.so\n"
    )

    evidence = read("var/lib/dpkg/info/perl-base:amd64.list", listed)

    assert evidence is not None
    assert evidence.owned == {
        "perl-base:amd64": "usr/bin/perl\nusr/bin/perl5\nusr/share/empty\nusr/lib/\\xff.so",
    }


def test_opkg() -> None:
    status = stanza("libc", "1.2.4-4", "install hold installed", Architecture="x86_64", License="MIT")
    for folder in ("usr/lib/opkg", "var/lib/opkg"):
        (libc,) = packages(f"{folder}/status", status)
        assert (libc.name, libc.version, libc.licenses) == ("libc", "1.2.4-4", ["MIT"])
    evidence = read(
        "usr/lib/opkg/info/libc.list", b"/lib/libc.so\t0100644\n/lib/ld-musl-x86_64.so.1\t0120777\tlibc.so\n"
    )
    assert evidence is not None
    assert evidence.owned == {"libc": "lib/libc.so\nlib/ld-musl-x86_64.so.1"}


@pytest.mark.parametrize(
    "path",
    [
        "var/lib/dpkg/status-old",
        "opt/root/var/lib/dpkg/status",
        "var/lib/dpkg/info/bash.postinst",
        "var/lib/dpkg/info/x/bash.list",
        "var/lib/dpkg/status.d",
        "var/lib/dpkg/available",
    ],
)
def test_other_files_are_left_alone(path: str) -> None:
    assert cataloger_of(path) is None


def test_what_dpkg_itself_wrote(tmp_path: Path) -> None:
    """Two packages installed by dpkg in a root of their own, one of them removed again."""
    require("dpkg-deb")
    root = tmp_path / "root"
    (root / "var/lib/dpkg/info").mkdir(parents=True)
    (root / "var/lib/dpkg/updates").mkdir()
    for file in ("status", "available"):
        (root / "var/lib/dpkg" / file).touch()
    for name, fields in (("first", "Source: both (0.9)\n"), ("second", "")):
        made = tmp_path / name
        (made / "DEBIAN").mkdir(parents=True)
        (made / "etc").mkdir()
        (made / "etc" / f"{name}.conf").write_text("x\n")
        (made / "DEBIAN" / "conffiles").write_text(f"/etc/{name}.conf\n")
        (made / "DEBIAN" / "control").write_text(
            f"Package: {name}\nVersion: 1:1.0~rc1-1\nArchitecture: all\n{fields}"
            "Maintainer: Nobody <nobody@example.org>\nDescription: made\n"
        )
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-b", made, tmp_path / f"{name}.deb"], check=True, capture_output=True
        )
    dpkg = ["dpkg", f"--root={root}", "--force-not-root", "--force-script-chrootless", f"--log={tmp_path}/log"]
    subprocess.run([*dpkg, "-i", tmp_path / "first.deb", tmp_path / "second.deb"], check=True, capture_output=True)
    subprocess.run([*dpkg, "-r", "second"], check=True, capture_output=True)

    status = (root / STATUS).read_bytes()
    assert b"Package: second" in status, "its configuration is still there"
    (first,) = packages(STATUS, status)
    assert (first.name, first.version, first.qualifiers) == ("first", "1:1.0~rc1-1", {"arch": "all"})
    assert (first.source, first.source_version) == ("both", "0.9")
    owned = read("var/lib/dpkg/info/first.list", (root / "var/lib/dpkg/info/first.list").read_bytes())
    assert owned is not None
    assert owned.owned == {"first": "etc/first.conf"}


def test_fifty_megabytes_are_read_in_a_few_seconds() -> None:
    one = BASH.replace(b"Package: bash", b"Package: bash-%d")
    content = b"\n".join(one % number for number in range(50_000_000 // len(one)))

    begun = time.process_time()
    found = packages(STATUS, content)

    assert len(found) == 50_000_000 // len(one)
    assert time.process_time() - begun < 10


def test_what_is_made_to_fill_memory_is_refused() -> None:
    many = b"".join(b"Package: a%d\nVersion: 1\n\n" % number for number in range(100_001))
    for content in (many, b"a\n\n" * 20_000_000):
        with pytest.raises(Unreadable, match="100000"):
            read(STATUS, content)
    evidence = read(STATUS, b"\n" * 60_000_000)
    assert evidence is not None
    assert evidence.packages == []
    with pytest.raises(Unreadable):
        read("var/lib/dpkg/info/a.list", b"/\n" * 400_001)
    with pytest.raises(Unreadable):
        read("var/lib/dpkg/status.d/a.md5sums", b"x" * ((16 << 20) + 1))


def test_the_limits_are_those_of_the_reading() -> None:
    cataloger = DpkgCataloger(ReadLimits(packages=2, list_files=2, list_size=12))
    found = cataloger.read(STATUS, stanza("a", "1") + b"\n" + stanza("b", "1"))
    assert found is not None
    assert len(found.packages) == 2
    with pytest.raises(Unreadable, match="more than 2 packages"):
        cataloger.read(STATUS, b"\n".join(stanza(name, "1") for name in "abc"))
    assert cataloger.read("var/lib/dpkg/info/a.list", b"/a\n/b\n") is not None
    for listed in (b"/a\n/b\n/c\n", b"/a-long-file\n"):
        with pytest.raises(Unreadable, match="more than 12 bytes or 2 files"):
            cataloger.read("var/lib/dpkg/info/a.list", listed)


_paths = st.sampled_from(
    [
        STATUS,
        "var/lib/dpkg/status.d/a",
        "var/lib/dpkg/status.d/a.md5sums",
        "var/lib/dpkg/info/a.list",
        "usr/lib/opkg/status",
    ]
)
_pieces = st.sampled_from(
    [
        b"Package:",
        b"Package: a",
        b"Version: 1",
        b"Status: deinstall ok",
        b"Source: (",
        b"\n",
        b"\n\n",
        b" ",
        b"\xff",
        b"/",
        b"\0",
    ]
)


@settings(deadline=None)
@given(_paths, st.binary(max_size=300) | st.lists(_pieces, max_size=40).map(b"".join))
def test_any_bytes_are_read_or_refused(path: str, content: bytes) -> None:
    evidence = outcome(path, content)
    for package in evidence.packages if evidence else []:
        assert package.name and package.version


_names = st.from_regex(r"[a-z0-9][a-z0-9+.-]{1,20}", fullmatch=True)
_versions = st.from_regex(r"([0-9]{1,3}:)?[0-9][A-Za-z0-9.+~-]{0,20}", fullmatch=True)
_text = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]), max_size=40)


@settings(deadline=None)
@given(
    st.dictionaries(_names, st.tuples(_versions, st.sampled_from(["amd64", "all", "arm64"]), _names, _versions, _text))
)
def test_well_formed_databases_come_back(database: dict[str, tuple[str, str, str, str, str]]) -> None:
    content = b"\n".join(
        stanza(
            name,
            version,
            Architecture=arch,
            Source=f"{source} ({of})",
            Description=f"{text}\n {text}\n .\n Package: no",
        )
        for name, (version, arch, source, of, text) in database.items()
    )

    found = {
        p.name: (p.version, p.qualifiers["arch"], p.source or p.name, p.source_version or p.version)
        for p in packages(STATUS, content)
    }

    assert found == {name: told[:4] for name, told in database.items()}
