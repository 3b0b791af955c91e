"""Catalogers as a reader of layers calls them: what they refuse is told, and what they could read counts."""

from __future__ import annotations

import io

import pytest

from catalog.images.facts import LayerFacts
from catalog.images.squash import squash
from ingest import gathering
from ingest.catalogers import CATALOGERS, PROGRAMS
from ingest.limits import ReadLimits
from ingest.reading import read_layer
from tests.ingest import tars
from tests.ingest.catalogers.programs import elf, inline, modules


def facts_of(members: tars.Members) -> LayerFacts:
    return read_layer(io.BytesIO(tars.layer(members).blob), ReadLimits(), CATALOGERS, PROGRAMS).facts


def test_every_ecosystem_is_read_from_one_layer() -> None:
    tool: tars.Content = elf(inline(b"go1.22.1", modules("path\texample.org/x", "mod\texample.org\tv1.0.0")))
    facts = facts_of(
        {
            "var/lib/dpkg/status": "Package: bash\nStatus: install ok installed\nVersion: 5.2\nArchitecture: amd64\n",
            "lib/apk/db/installed": "P:musl\nV:1.2.5-r0\nA:x86_64\n",
            "usr/lib/python3/dist-packages/x-1.dist-info/METADATA": "Name: X\nVersion: 1\n",
            "usr/lib/node_modules/@a/b/package.json": '{"name": "@a/b", "version": "2.0.0"}',
            "usr/bin/tool": tool,
        }
    )

    assert facts.limits == []
    assert {package.purl for package in squash([facts]).packages} == {
        "pkg:apk/musl@1.2.5-r0?arch=x86_64",
        "pkg:deb/bash@5.2?arch=amd64",
        "pkg:golang/example.org@v1.0.0",
        "pkg:golang/stdlib@1.22.1",
        "pkg:npm/%40a/b@2.0.0",
        "pkg:pypi/x@1",
    }
    assert facts.versions.keys() > {"apk", "dpkg", "go", "npm", "python"}


def test_a_database_that_is_broken_in_part_counts_for_the_rest() -> None:
    facts = facts_of({"var/lib/dpkg/status": "Package: good\nVersion: 1\n\nPackage: no version\n"})

    assert [package.name for package in squash([facts]).packages] == ["good"]
    (limit,) = facts.limits
    assert "1 without a name or a version" in limit
    assert "var/lib/dpkg/status" in limit


BASH = b"Package: bash\nStatus: install ok installed\nVersion: 5.2\nArchitecture: amd64\n"
MOVED = [("opt/db", BASH), ("var/lib/dpkg/status", tars.symlink("/opt/db"))]


def test_lists_that_are_copied_push_out_no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "_MOST_ELSEWHERE", 3)
    facts = facts_of([*((f"copy/info/p{number}.list", b"/usr/bin/x\n") for number in range(5)), *MOVED])

    told = squash([facts])
    assert ([package.name for package in told.packages], told.limits) == (["bash"], [])
    assert len(facts.evidence) == 3 + 1


def test_a_database_after_too_many_others_is_told_as_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "_MOST_ELSEWHERE", 3)
    others = [(f"copy/{number}", BASH) for number in range(3)]

    told = squash([facts_of({"var/lib/dpkg/status": BASH}), facts_of([*others, *MOVED])])
    assert [package.name for package in told.packages] == ["bash"], "what was there below stays known"
    (limit,) = told.limits
    assert "3 were read, and it may be one more" in limit
    assert "does not look like" not in limit


def test_packages_of_languages_know_whose_files_they_are() -> None:
    """Whichever database tells of the files: lists of dpkg, pieces of distroless images, apk's own."""
    metadata = "usr/lib/python3/dist-packages/x-1.dist-info/METADATA"
    package = "Package: python3-x\nVersion: 1-2\nArchitecture: all\n"
    cases: list[tuple[dict[str, tars.Content], str]] = [
        (
            {"var/lib/dpkg/status": package, "var/lib/dpkg/info/python3-x.list": f"/.\n/usr\n/{metadata}\n"},
            "pkg:deb/python3-x@1-2?arch=all",
        ),
        (
            {
                "var/lib/dpkg/status.d/python3-x": package,
                "var/lib/dpkg/status.d/python3-x.md5sums": f"{'0' * 32}  {metadata}\n",
            },
            "pkg:deb/python3-x@1-2?arch=all",
        ),
        (
            {"lib/apk/db/installed": f"P:py3-x\nV:1-r2\nF:{metadata.rpartition('/')[0]}\nR:METADATA\n"},
            "pkg:apk/py3-x@1-r2",
        ),
    ]
    for database, owner in cases:
        stack = squash([facts_of({**database, metadata: "Name: x\nVersion: 1\n"})])

        (found,) = [package for package in stack.packages if package.ecosystem == "pypi"]
        assert found.owned_by == owner


DPKG = "Package: bash\nStatus: install ok installed\nVersion: 5.2\n"
MUSL = "C:Q1x=\nP:musl\nV:1.2.5-r0\n"


@pytest.mark.parametrize(
    "layers",
    [
        [{"usr/lib/dpkg/status": DPKG, "var/lib/dpkg": tars.symlink("/usr/lib/dpkg")}],
        [{"opt/db": DPKG, "var/lib/dpkg/status": tars.symlink("/opt/db")}],
        [{"opt/db": DPKG}, {"var/lib/dpkg/status": tars.hard_link("opt/db")}],
        [{"real/db": DPKG, "d": tars.symlink("real"), "var/lib/dpkg/status": tars.hard_link("d/db")}],
        [{"opt/db": DPKG, "opt/l": tars.hard_link("opt/db"), "var/lib/dpkg/status": tars.symlink("/opt/l")}],
        [{"opt/db": DPKG + "\n" + "x" * 400_000, "var/lib/dpkg/status": tars.symlink("/opt/db")}],
        [{"opt/apk/installed": MUSL, "lib/apk": tars.symlink("../opt"), "opt/db": tars.symlink("apk")}],
        [{"opt/apk": MUSL}, {"usr/lib/apk/db/installed": tars.symlink("/opt/apk")}],
    ],
)
def test_a_database_is_read_whatever_its_name_and_whichever_link_leads_to_it(layers: list[tars.Members]) -> None:
    stack = squash([facts_of(members) for members in layers])
    assert [package.name for package in stack.packages] in (["bash"], ["musl"])


def test_a_database_where_none_belongs_is_no_business_of_ours() -> None:
    facts = facts_of({"opt/root/var/lib/dpkg/status": DPKG, "opt/apk": MUSL, "opt/large": DPKG + "x" * (65 << 20)})
    assert squash([facts]).packages == []
    assert squash([facts]).limits == []


def test_a_database_that_is_too_large_or_garbage_removes_nothing() -> None:
    path = "var/lib/dpkg/status"
    for content in (DPKG + "x" * (65 << 20), "\0\1 garbage", "Package: a\nVersion: 1\n\n" * 100_001):
        stack = squash([facts_of({path: DPKG}), facts_of({path: content})])
        assert [(package.name, package.layer) for package in stack.packages] == [("bash", 0)]
        assert stack.removed == []
        assert stack.layers[1].removed == []
        assert any(line.startswith("layer 1: not all packages of " + path) for line in stack.limits)


def test_a_package_of_python_from_a_repository_says_so_in_its_purl() -> None:
    folder = "opt/x-1.dist-info"
    origin = '{"url": "https://example.org/x.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}}'
    facts = facts_of({f"{folder}/METADATA": "Name: x\nVersion: 1\n", f"{folder}/direct_url.json": origin})
    (package,) = squash([facts]).packages
    assert package.purl == "pkg:pypi/x@1?vcs_url=git%2Bhttps://example.org/x.git%40abc"
