"""Python's metadata: of every kind that installers leave, with the license that each tells best, and broken."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.images.facts import PackageFacts
from ingest.catalogers import Unreadable
from ingest.catalogers.python import normalized
from tests.ingest.catalogers.reading import cataloger_of, outcome, packages, read

METADATA = "usr/lib/python3/dist-packages/x-1.dist-info/METADATA"


def package(*lines: str, path: str = METADATA) -> PackageFacts:
    (found,) = packages(path, "\n".join(["Metadata-Version: 2.1", "Name: x", "Version: 1", *lines]).encode())
    return found


@pytest.mark.parametrize(
    "path",
    [
        METADATA,
        "opt/venv/lib/python3.11/site-packages/setuptools/_vendor/wheel-0.45.1.dist-info/METADATA",
        "usr/lib/python3/dist-packages/x-1.egg-info/PKG-INFO",
        "usr/lib/python3/dist-packages/x-1.egg-info",
        "app/x.egg-info/PKG-INFO",
        "usr/lib/python2.7/site-packages/x-1-py2.7.egg/EGG-INFO/PKG-INFO",
        "x-1.dist-info/METADATA",
    ],
)
def test_every_place_where_installers_leave_it(path: str) -> None:
    found = package(path=path)

    assert (found.ecosystem, found.name, found.version) == ("pypi", "x", "1")


@pytest.mark.parametrize(
    "path",
    [
        "x-1.dist-info/RECORD",
        "x.dist-info/sub/METADATA",
        "site-packages/METADATA",
        "src/x/PKG-INFO",
        "x.egg-info/requires.txt",
        "var/lib/x.egg-info/a/PKG-INFO",
    ],
)
def test_other_files_are_left_alone(path: str) -> None:
    assert cataloger_of(path) is None


@pytest.mark.parametrize(
    ("name", "same"),
    [
        ("Flask", "flask"),
        ("zope.interface", "zope-interface"),
        ("a_b", "a-b"),
        ("A.-_b", "a-b"),
        ("ruamel.yaml.clib", "ruamel-yaml-clib"),
    ],
)
def test_names_are_one_whatever_their_spelling(name: str, same: str) -> None:
    (found,) = packages(METADATA, f"Name: {name}\nVersion: 1.0\n".encode())

    assert found.name == same


@pytest.mark.parametrize(
    ("lines", "licenses"),
    [
        (["License-Expression: MIT OR Apache-2.0", "License: BSD"], ["MIT OR Apache-2.0"]),
        (["License-Expression: mit"], ["MIT"]),
        (["License: GPL-2.0+"], ["GPL-2.0-or-later"]),
        (["License: Apache 2.0", "Classifier: License :: OSI Approved :: MIT License"], ["MIT"]),
        (["License: MIT License"], ["MIT License"]),
        (["License: BSD 2-Clause", "Classifier: License :: OSI Approved :: BSD License"], ["BSD 2-Clause"]),
        (["Classifier: License :: OSI Approved :: BSD License"], ["BSD License"]),
        (["License: UNKNOWN", "Classifier: License :: OSI Approved"], []),
        (
            [
                "Classifier: License :: OSI Approved :: Apache Software License",
                "Classifier: License :: OSI Approved :: MIT License",
                "Classifier: Programming Language :: Python",
            ],
            ["Apache Software License", "MIT"],
        ),
        (
            ["License: Copyright (c) 2001 Somebody", "        ", "        All rights  reserved.", "Summary: x"],
            ["Copyright (c) 2001 Somebody"],
        ),
        ([], []),
        (["", "License: MIT"], []),
    ],
)
def test_the_license_that_is_told_best(lines: list[str], licenses: list[str]) -> None:
    assert package(*lines).licenses == licenses


def test_headers_alone_are_read() -> None:
    """What looks like a header in the description is text; headers may end in carriage returns."""
    (found,) = packages(METADATA, b"Name: x\r\nVersion: 1\r\n\r\nName: y\r\nVersion: 2\r\n")

    assert (found.name, found.version) == ("x", "1")


def test_what_is_installed_here_is_read_as_python_reads_it() -> None:
    """All distributions of the environment that the tests run in."""
    count = 0
    for distribution in importlib.metadata.distributions():
        text = distribution.read_text("METADATA")
        if text is None:
            continue
        count += 1
        (found,) = packages(METADATA, text.encode())
        assert (found.name, found.version) == (normalized(distribution.name), distribution.version)
    assert count > 40


def test_what_pip_installs_is_read(tmp_path: Path) -> None:
    wheel = tmp_path / "Made.By_Test-1.0rc1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        folder = "Made.By_Test-1.0rc1.dist-info"
        archive.writestr("made.py", "")
        archive.writestr(
            f"{folder}/METADATA",
            "Metadata-Version: 2.4\nName: Made.By_Test\nVersion: 1.0rc1\nLicense-Expression: MIT\n\nText\n",
        )
        archive.writestr(
            f"{folder}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{folder}/RECORD", f"made.py,,\n{folder}/METADATA,,\n{folder}/WHEEL,,\n{folder}/RECORD,,\n")
    target = tmp_path / "target"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        f"--target={target}",
        str(wheel),
    ]
    subprocess.run(pip, check=True, capture_output=True)

    (path,) = target.glob("*.dist-info/METADATA")
    (found,) = packages(str(path.relative_to(tmp_path)), path.read_bytes())

    assert (found.name, found.version, found.licenses) == ("made-by-test", "1.0rc1", ["MIT"])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"Name: x\n",
        b"Version: 1\n",
        b"Name:\nVersion: 1\n",
        b"Name: a b\nVersion: 1\n",
        b"Name: x\nVersion: 1 2\n",
        b"Name: x\nVersion: \xff\n",
        b"Name: " + b"x" * 300 + b"\nVersion: 1\n",
        b"Name: x\nVersion: 1\n" + b"Classifier: a\n" * 2001,
        b"\n\nName: x\nVersion: 1\n",
    ],
)
def test_broken_metadata_is_unreadable(content: bytes) -> None:
    with pytest.raises(Unreadable):
        packages(METADATA, content)


_pieces = st.sampled_from(
    [
        b"Name: x\n",
        b"Version: 1\n",
        b"License: ",
        b"MIT",
        b"(",
        b"\n ",
        b"\r\n",
        b"\n\n",
        b"\xff",
        b"Classifier: License :: ",
        b"\0",
        b"License-Expression: ",
    ]
)


@settings(deadline=None)
@given(st.binary(max_size=300) | st.lists(_pieces, max_size=40).map(b"".join))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    outcome(METADATA, content)
    outcome(METADATA, b"Name: x\nVersion: 1\n" + content)


_line = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs", "Cc"]), max_size=40)


@settings(deadline=None)
@given(
    st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,20}[A-Za-z0-9])?", fullmatch=True),
    st.from_regex(r"[0-9][0-9A-Za-z.+!]{0,20}", fullmatch=True),
    st.lists(_line, max_size=5),
    st.text(max_size=100),
)
def test_well_formed_metadata_comes_back(name: str, version: str, summary: list[str], text: str) -> None:
    folded = "\n".join(f" {line}" for line in summary)
    content = f"Metadata-Version: 2.1\nName: {name}\nSummary: {folded}\nVersion: {version}\n\n{text}"

    (found,) = packages(METADATA, content.encode("utf-8", "surrogatepass"))

    assert (found.name, found.version) == (normalized(name), version)


ORIGIN = METADATA.replace("METADATA", "direct_url.json")
COMMIT = "7921be1537eac1e97bc40179a57f0349c2aee67d"


def origin(content: str) -> dict[str, str]:
    """What a direct_url.json tells, of which nothing may be refused aloud."""
    evidence = read(ORIGIN, content.encode())
    if evidence is None:
        return {}
    assert (evidence.packages, evidence.unread) == ([], "")
    return evidence.qualifiers


@pytest.mark.parametrize(
    ("content", "qualifiers"),
    [
        (
            '{"url": "https://github.com/pypa/pip.git", "vcs_info": {"vcs": "git", "requested_revision": "1.3.1",'
            f' "commit_id": "{COMMIT}"' + "}}",
            {"vcs_url": f"git+https://github.com/pypa/pip.git@{COMMIT}"},
        ),
        (
            '{"url": "ssh://git@example.org:22/x", "vcs_info": {"vcs": "git", "commit_id": "a b"}}',
            {"vcs_url": "git+ssh://git@example.org:22/x"},
        ),
        (
            '{"url": "https://example.org/x-1.zip", "archive_info": {"hashes": {"sha256": "' + "a" * 64 + '"}}}',
            {"download_url": "https://example.org/x-1.zip", "checksum": "sha256:" + "a" * 64},
        ),
        (
            '{"url": "https://example.org/x-1.zip", "archive_info": {"hash": "sha256=' + "b" * 64 + '"}}',
            {"download_url": "https://example.org/x-1.zip", "checksum": "sha256:" + "b" * 64},
        ),
        (
            '{"url": "https://me:ghp_secret@example.org/x?token=secret#secret", "archive_info": {}}',
            {"download_url": "https://example.org/x"},
        ),
        ('{"url": "https://secret@[::1]:8/x", "archive_info": {}}', {"download_url": "https://[::1]:8/x"}),
        ('{"url": "file:///src/x", "dir_info": {"editable": true}}', {}),
        ('{"url": "file:///src/x-1.whl", "archive_info": {}}', {}),
        ('{"url": "https://[x/", "archive_info": {}}', {}),
        ('{"url": "https://x:port/", "archive_info": {}}', {}),
        ('{"url": "https://x/", "vcs_info": {"vcs": "git:"}}', {}),
        ('{"url": 1}', {}),
        ('{"url": "https://x/", "vcs_info": {"vcs": "git", "commit_id": 5}}', {"vcs_url": "git+https://x/"}),
        ('{"url": "https://x/", "vcs_info": [], "archive_info": {}}', {"download_url": "https://x/"}),
        ('{"url": "https://x/", "archive_info": {"hashes": null}}', {"download_url": "https://x/"}),
        (
            '{"url": "https://x/", "archive_info": {"hashes": {"sha256": 5}, "hash": "sha256=' + "c" * 64 + '"}}',
            {"download_url": "https://x/", "checksum": "sha256:" + "c" * 64},
        ),
        ('{"url": "https://x/", "archive_info": {"hash": []}}', {"download_url": "https://x/"}),
        ("[" * 10_000, {}),
        ("", {}),
    ],
)
def test_where_a_package_came_from(content: str, qualifiers: dict[str, str]) -> None:
    """PEP 610; neither passwords nor what may be one is kept."""
    assert origin(content) == qualifiers


@settings(deadline=None)
@given(
    st.binary(max_size=300)
    | st.text(max_size=60).map(lambda text: json.dumps({"url": text, "archive_info": {}}).encode())
)
def test_any_origin_is_read_or_passed_over(content: bytes) -> None:
    read(ORIGIN, content)
