"""Which distribution a stack is of."""

from __future__ import annotations

import pytest

from catalog.images.facts import Distro
from catalog.images.squash import squash
from tests.catalog.stacks.layers import file, hard_link, layer, symlink, whiteout

DEBIAN = b'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n'
ETC, USR = "etc/os-release", "usr/lib/os-release"


def test_os_release_tells() -> None:
    expected = Distro("debian", "12", "Debian GNU/Linux 12 (bookworm)")
    assert squash([layer(texts={ETC: DEBIAN})]).distro == expected
    assert squash([layer(texts={USR: DEBIAN})]).distro == expected
    assert squash([layer(symlink(ETC, "../usr/lib/os-release"), texts={USR: DEBIAN})]).distro == expected
    assert squash([layer(symlink(ETC, "/usr/lib/os-release"), texts={USR: DEBIAN})]).distro == expected


def test_the_one_in_etc_comes_first() -> None:
    assert squash([layer(texts={ETC: b"ID=a", USR: b"ID=b"})]).distro == Distro("a")
    assert squash([layer(symlink(ETC, "nowhere"), texts={USR: b"ID=b"})]).distro == Distro("b")
    assert squash([layer(symlink(ETC, "os-release"), texts={USR: b"ID=b"})]).distro == Distro("b")


def test_it_is_the_merged_trees() -> None:
    base = layer(texts={ETC: DEBIAN})
    assert squash([base, layer(texts={ETC: b"ID=ubuntu\nVERSION_ID=24.04"})]).distro == Distro("ubuntu", "24.04")
    assert squash([base, layer(whiteout("etc"))]).distro is None
    assert squash([base, layer(file(ETC))]).distro is None  # one that was too large to be kept


def test_it_may_be_reached_through_linked_directories_and_hard_links() -> None:
    assert squash([layer(symlink("etc", "usr/etc")), layer(texts={ETC: b"ID=x"})]).distro == Distro("x")
    assert squash([layer(texts={USR: b"ID=x"}), layer(hard_link(ETC, USR), whiteout(USR))]).distro == Distro("x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"ID='a'\nVERSION_ID='1'\n", Distro("a", "1")),
        (b'ID="a"\nNAME="A \\"b\\" \\$c \\\\"\n', Distro("a", "", 'A "b" $c \\')),
        (b"# ID=b\n  ID=a  \r\nID_LIKE=c\n", Distro("a")),
        (b"ID=Fedora\nVERSION_ID=41", Distro("fedora", "41")),
        (b"NAME=x\n", Distro("linux", "", "x")),
        (b"ID=a\nID=b\n", Distro("b")),
        (b"ID=a\x00\x1b[31m\xff\n", Distro("a[31m\ufffd")),
        (b"ID=" + b"a" * 1000, Distro("a" * 100)),
        (b"", None),
        (b"no such thing\n", None),
    ],
)
def test_os_release_is_read_as_a_shell_would(text: bytes, expected: Distro | None) -> None:
    assert squash([layer(texts={ETC: text})]).distro == expected


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("etc/system-release-cpe", b"cpe:/o:centos:centos:7\n", Distro("centos", "7", "centos centos 7")),
        (
            "etc/system-release-cpe",
            b"cpe:2.3:o:amazon:amazon_linux:2023",
            Distro("amzn", "2023", "amazon amazon_linux 2023"),
        ),
        (
            "etc/system-release-cpe",
            b"cpe:/o:redhat:enterprise_linux:6:ga:server",
            Distro("rhel", "6", "redhat enterprise_linux 6"),
        ),
        (
            "etc/redhat-release",
            b"CentOS release 6.10 (Final)\n",
            Distro("centos", "6.10", "CentOS release 6.10 (Final)"),
        ),
        (
            "etc/redhat-release",
            b"Red Hat Enterprise Linux Server release 7.9 (Maipo)",
            Distro("rhel", "7.9", "Red Hat Enterprise Linux Server release 7.9 (Maipo)"),
        ),
        (
            "etc/redhat-release",
            b"Fedora release 41 (Forty One)",
            Distro("fedora", "41", "Fedora release 41 (Forty One)"),
        ),
        ("etc/redhat-release", b"whatever", None),
        ("etc/system-release-cpe", b"cpe:/o:", None),
    ],
)
def test_older_files_tell_where_there_is_no_os_release(path: str, text: bytes, expected: Distro | None) -> None:
    assert squash([layer(texts={path: text})]).distro == expected


def test_busybox_alone_is_busybox() -> None:
    assert squash([layer(file("bin/busybox"))]).distro == Distro("busybox", "", "BusyBox")
    assert squash([layer(file("bin/busybox"), texts={ETC: b"ID=alpine"})]).distro == Distro("alpine")


def test_a_stack_without_any_of_these_is_of_none() -> None:
    assert squash([layer(file("app"))]).distro is None
