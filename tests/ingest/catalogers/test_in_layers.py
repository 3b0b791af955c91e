"""Catalogers as a reader of layers calls them: what they refuse is told, and what they could read counts."""

from __future__ import annotations

import io

from catalog.images.facts import LayerFacts
from catalog.images.squash import squash
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
