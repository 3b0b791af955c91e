"""npm's manifests: of installed packages and of nothing else, with licenses of every age, and broken."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.catalogers import Unreadable
from tests.ingest.catalogers.reading import cataloger_of, outcome, packages, read
from tests.services.programs import require

MANIFEST = "usr/lib/node_modules/x/package.json"


def manifest(**fields: Any) -> bytes:
    return json.dumps({"name": "x", "version": "1.0.0", **fields}).encode()


@pytest.mark.parametrize(
    "path",
    [
        "usr/lib/node_modules/npm/package.json",
        "usr/local/lib/node_modules/@scope/name/package.json",
        "node_modules/a/package.json",
        "app/node_modules/a/node_modules/@b/c/package.json",
        "app/node_modules/.pnpm/a@1.0.0/node_modules/a/package.json",
        "usr/share/nodejs/a/package.json",
        "usr/share/nodejs/@types/a/package.json",
    ],
)
def test_roots_of_installed_packages(path: str) -> None:
    (found,) = packages(path, manifest())

    assert (found.ecosystem, found.namespace, found.name, found.version) == ("npm", "", "x", "1.0.0")


@pytest.mark.parametrize(
    "path",
    [
        "app/package.json",
        "package.json",
        "usr/lib/node_modules/package.json",
        "usr/lib/node_modules/a/test/package.json",
        "usr/lib/node_modules/a/package-lock.json",
        "usr/lib/node_modules/@scope/package.json",
        "usr/lib/node_modules/@scope/a/b/package.json",
        "usr/lib/node_modules/.bin/package.json",
        "my_node_modules/a/package.json",
        "opt/share/nodejs/a/package.json",
    ],
)
def test_other_files_are_left_alone(path: str) -> None:
    assert cataloger_of(path) is None


def test_a_scope_is_the_namespace() -> None:
    (found,) = packages("usr/lib/node_modules/@babel/core/package.json", manifest(name="@babel/core"))

    assert (found.namespace, found.name) == ("@babel", "core")


def test_the_manifest_names_a_package_that_is_installed_under_another_name() -> None:
    """``npm install other@npm:x``"""
    assert packages("node_modules/other/package.json", manifest())[0].name == "x"


def test_a_manifest_may_begin_with_a_byte_order_mark() -> None:
    assert packages(MANIFEST, b"\xef\xbb\xbf" + manifest())[0].name == "x"


@pytest.mark.parametrize(
    "content",
    [
        b'{"type": "module"}',
        manifest(name=None),
        manifest(version=7),
        manifest(name=""),
        manifest(name="a/b"),
        manifest(name="@a/b/c"),
        manifest(name="a b"),
        manifest(name="a" * 300),
        manifest(version="1 2"),
        manifest(version=""),
        manifest(name={"a": "b"}),
    ],
)
def test_a_manifest_without_a_name_and_a_version_is_no_package(content: bytes) -> None:
    assert read(MANIFEST, content) is None


@pytest.mark.parametrize(
    ("fields", "licenses"),
    [
        ({"license": "MIT"}, ["MIT"]),
        ({"license": "(MIT OR Apache-2.0)"}, ["MIT OR Apache-2.0"]),
        ({"license": {"type": "BSD-3-Clause", "url": "somewhere"}}, ["BSD-3-Clause"]),
        ({"licenses": [{"type": "MIT"}, {"type": "GPL-2.0"}]}, ["MIT", "GPL-2.0-only"]),
        ({"licenses": ["MIT", ["ISC"], 7, {"url": "x"}]}, ["MIT"]),
        ({"license": "SEE LICENSE IN LICENSE.md"}, ["SEE LICENSE IN LICENSE.md"]),
        ({"license": "UNLICENSED"}, ["UNLICENSED"]),
        ({"license": "x" * 100_000}, ["x" * 120]),
        ({"license": 7, "licenses": {"type": 7}}, []),
        ({"license": "a\u0000b\nc"}, ["a b"]),
        ({}, []),
    ],
)
def test_licenses_of_every_age(fields: dict[str, Any], licenses: list[str]) -> None:
    assert packages(MANIFEST, manifest(**fields))[0].licenses == licenses


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"7",
        b"{",
        b'{"name": "x", "version": "1.0.0"',
        b'{"name": "\xff", "version": "1.0.0"}',
        b'{"name": "x", "version": "1.0.0", "a": ' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}",
        b'{"name": "x", "version": "1.0.0", "license": ' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}",
        b'{"a":' * 500_000,
        b'{"name": "\\ud800", "version": "1"}',
        "<html>ü</html>".encode("utf-16"),
    ],
)
def test_broken_and_deep_json_is_unreadable(content: bytes) -> None:
    with pytest.raises(Unreadable):
        read(MANIFEST, content)


def test_what_npm_brings_with_itself_is_read_as_node_reads_it() -> None:
    """npm's own packages, some hundred and fifty, as an image gets them with Node.js."""
    root = require("npm").resolve().parents[2]
    found = set()
    for file in root.rglob("package.json"):
        path = f"usr/lib/node_modules/{file.relative_to(root)}"
        if cataloger_of(path) is None:
            continue
        evidence = read(path, file.read_bytes())
        if evidence is not None:
            (package,) = evidence.packages
            told = json.loads(file.read_bytes())
            assert told["name"] == "/".join(filter(None, (package.namespace, package.name)))
            assert told["version"] == package.version
            found.add(package.name)
    assert "npm" in found
    assert len(found) > 100


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "version", "license", "licenses", "type", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.binary(max_size=200) | _json.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    evidence = outcome(MANIFEST, content)
    for package in evidence.packages if evidence else []:
        assert package.name and package.version


@settings(deadline=None)
@given(
    st.from_regex(r"(@[a-z0-9-]{1,10}/)?[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
    st.from_regex(r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}(-[a-z0-9.]{1,8})?", fullmatch=True),
    _json,
)
def test_well_formed_manifests_come_back(name: str, version: str, other: Any) -> None:
    (found,) = packages(MANIFEST, manifest(name=name, version=version, license=other, scripts=other))

    assert "/".join(filter(None, (found.namespace, found.name))) == name
    assert found.version == version
