"""Packages of real images beside what Syft and Trivy find in them, and the layer that brought each.

`docs/packages.md` explains every difference; here each of them is shown to be there.
"""

from __future__ import annotations

import io
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.docker.engine import base_archive
from tests.end_to_end.images import Image, Layer, Maker
from tests.end_to_end.layouts import write_layout
from tests.end_to_end.scanners import Found, differing, found_by_syft, found_by_trivy, found_here, read_here
from tests.end_to_end.trees import Changing, as_layer, of_archive, packed
from tests.ingest import tars
from tests.ingest.catalogers.programs import elf, inline, modules
from tests.ingest.tars import Content
from tests.services.programs import find, refuse, require

#: Of what Syft finds, how much has to be found here.
ENOUGH = 0.995

#: Trivy knows a Debian by the one, the others by the other.
DEBIAN = {"etc/debian_version": "12.15\n", "etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n'}
ALPINE = "ID=alpine\nVERSION_ID=3.20.3\nPRETTY_NAME=Alpine Linux v3.20\n"

Write = Callable[[list[Layer]], tuple[Image, Path]]


@pytest.fixture
def write(tmp_path: Path, maker: Maker) -> Write:
    """A function that makes an image of layers, and a layout of it."""

    def make(layers: list[Layer]) -> tuple[Image, Path]:
        image = maker.image(layers)
        return image, write_layout(tmp_path / "layout", {"latest": image})

    return make


@pytest.fixture(scope="module")
def debian() -> Layer:
    """A minimal Debian, made by debootstrap."""
    return of_archive(base_archive().read_bytes())


def test_a_debian_with_python_npm_and_go(debian: Layer, write: Write, tmp_path: Path) -> None:
    """Real packages of four ecosystems: all that Syft and Trivy find, and nothing else."""
    site_packages = Path(sysconfig.get_path("purelib"))
    npm = require("npm").resolve().parents[2]
    programs = [path for name in ("registry", "crane", "oras") if (path := find(name))]
    if not programs:
        refuse("no Go program is installed: run `bash tests/services/install.sh`")
    image, layout = write(
        [
            debian,
            packed(site_packages, "opt/venv/lib/python3.11/site-packages", lambda path: "-info/" in path),
            packed(npm, "usr/lib/node_modules", lambda path: path.endswith("package.json")),
            as_layer({f"usr/local/bin/{path.name}": tars.file(path.read_bytes(), mode=0o755) for path in programs}),
        ]
    )

    ours = found_here(image)
    syft = found_by_syft(layout, image)
    trivy = found_by_trivy(layout, image, tmp_path / "trivy")

    for ecosystem, least in (("deb", 100), ("pypi", 50), ("npm", 100), ("golang", 30)):
        assert sum(found.ecosystem == ecosystem for found in syft) >= least, "nothing is compared"
    extra, missing = differing(set(ours), set(syft))
    assert len(missing) <= (1 - ENOUGH) * len(syft), missing
    # What Debian's own npm keeps in folders of tests is no installed package.
    assert {found.ecosystem for found in missing} <= {"npm"}
    assert extra == set()
    assert differing(set(ours), set(trivy))[0] == set()
    # Each package is at one place, in a layer that no other follows there.
    assert ours == {found: syft[found] for found in ours}


def test_an_alpine(write: Write, tmp_path: Path) -> None:
    """apk's database, crafted: no mirror of Alpine is at hand where the tests run."""
    image, layout = write([as_layer({"lib/apk/db/installed": INSTALLED, "etc/os-release": ALPINE})])

    ours = found_here(image)

    assert len(ours) == 8
    assert ours == found_by_syft(layout, image)
    assert ours == found_by_trivy(layout, image, tmp_path / "trivy")


def test_a_distroless(write: Write, tmp_path: Path, debian: Layer) -> None:
    """One file for each package, in layers that add to each other: real stanzas of that Debian."""
    pieces = _stanzas(debian)
    image, layout = write(
        [
            as_layer({**DEBIAN, **_piece(pieces, "base-files", "netbase", "tzdata")}),
            as_layer(_piece(pieces, "libc6", "libssl3", "openssl", "zlib1g")),
        ]
    )

    ours = found_here(image)

    assert {found.name: layer for found, layer in ours.items()}["base-files"] == 0
    assert {found.name: layer for found, layer in ours.items()}["libc6"] == 1
    assert ours == found_by_syft(layout, image)
    assert ours == found_by_trivy(layout, image, tmp_path / "trivy")


def test_packages_that_come_and_go_with_dpkg(write: Write, tmp_path: Path) -> None:
    """Each layer has a whole database. A package is of the layer that brought it as it is: neither of the last that
    wrote the database, nor of the first that ever had such a package."""
    require("dpkg-deb")
    root = Changing(tmp_path / "root")
    (root.root / "etc").mkdir(parents=True)
    for path, content in DEBIAN.items():
        (root.root / path).write_text(content)
    for folder in ("info", "updates"):
        (root.root / "var/lib/dpkg" / folder).mkdir(parents=True)
    for file in ("status", "available"):
        (root.root / "var/lib/dpkg" / file).touch()

    def dpkg(*arguments: str | Path) -> Layer:
        command = ["dpkg", f"--root={root.root}", "--force-not-root", f"--log={tmp_path}/log", *arguments]
        subprocess.run(command, check=True, capture_output=True)
        return root.layer()

    kept, coming, changed, newer = (
        _deb(tmp_path, *package) for package in (("kept", "1"), ("coming", "1"), ("changed", "1"), ("changed", "2"))
    )
    image, layout = write(
        [
            dpkg("-i", kept, coming, changed),
            dpkg("-P", "coming"),
            dpkg("-i", newer),
            dpkg("-i", coming),
            dpkg("--force-downgrade", "-i", changed),
        ]
    )

    right = {Found("deb", "kept", "1"): 0, Found("deb", "coming", "1"): 3, Found("deb", "changed", "1"): 4}
    assert found_here(image) == right
    counts = read_here(image).layers
    assert [count.installed for count in counts] == [
        ["deb/changed@1", "deb/coming@1", "deb/kept@1"],
        [],
        [],
        ["deb/coming@1"],
        [],
    ]
    assert [count.removed for count in counts] == [[], ["deb/coming@1"], [], [], []]
    assert [count.upgraded for count in counts] == [[], [], ["deb/changed@1 → 2"], [], ["deb/changed@2 → 1"]]
    # The others name the last layer that wrote the database, and the first that ever told of such a package.
    assert found_by_syft(layout, image) == dict.fromkeys(right, 4)
    assert found_by_trivy(layout, image, tmp_path / "trivy") == dict.fromkeys(right, 0)


def test_packages_that_come_and_go_with_pip(write: Write, tmp_path: Path) -> None:
    """The same with files of their own; what is removed, and still pulled, is told too."""
    root = Changing(tmp_path / "root")
    environment = root.root / "opt/venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)

    def pip(*arguments: str | Path) -> Layer:
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", f"--python={environment}/bin/python"]
        subprocess.run([*command, *arguments], check=True, capture_output=True, stdin=subprocess.DEVNULL)
        return root.layer()

    install = ("install", "--no-index", "--no-deps", "--no-compile")
    remove = ("uninstall", "--yes")
    kept, coming, older, newer = (
        _wheel(tmp_path, *package)
        for package in (("kept_one", "1"), ("coming", "1"), ("changed", "1"), ("changed", "2"))
    )
    image, layout = write(
        [
            pip(*install, kept, coming, older),
            pip(*remove, "coming"),
            pip(*remove, "changed"),
            pip(*install, coming, newer),
            pip(*remove, "changed"),
        ]
    )

    right = {Found("pypi", "kept-one", "1"): 0, Found("pypi", "coming", "1"): 3}
    assert found_here(image) == right
    removed = {(p.name, p.version): (p.layer, p.removed_in) for p in read_here(image).removed}
    assert removed == {("changed", "1"): (0, 2), ("changed", "2"): (3, 4)}
    assert found_by_syft(layout, image).keys() == right.keys()
    assert found_by_trivy(layout, image, tmp_path / "trivy").keys() == right.keys()


def test_what_others_find_and_is_not_installed(write: Write, tmp_path: Path) -> None:
    """Every difference that docs/packages.md tells of, one file each."""
    status = "Package: {}\nStatus: {}\nArchitecture: amd64\nVersion: 1\nMaintainer: x\nDescription: x\n\n"
    members: dict[str, Content] = {
        **DEBIAN,
        "var/lib/dpkg/status": "".join(
            status.format(name, state)
            for name, state in (
                ("installed", "install ok installed"),
                ("configured-by-half", "install ok half-configured"),
                ("unpacked", "install ok unpacked"),
                ("chosen-to-go", "deinstall ok installed"),
                ("installed-by-half", "install reinstreq half-installed"),
                ("configuration", "deinstall ok config-files"),
            )
        ),
        "opt/root/var/lib/dpkg/status": status.format("in-another-root", "install ok installed"),
        "opt/root/lib/apk/db/installed": "P:apk-in-another-root\nV:1\n",
        "app/package.json": '{"name": "being-developed", "version": "1.0.0"}',
        "app/node_modules/a/package.json": '{"name": "a", "version": "1.0.0"}',
        "app/node_modules/a/test/b/package.json": '{"name": "in-a-test", "version": "1.0.0"}',
        "usr/share/nodejs/c/package.json": '{"name": "of-debian", "version": "1.0.0"}',
        "usr/lib/python3/dist-packages/Some.Name-1.dist-info/METADATA": "Name: Some.Name\nVersion: 1\n",
        "opt/tool": tars.file(elf(inline(b"go1.22.1", modules("path\tx", "mod\texample.org/not-executable\tv1.0.0")))),
    }
    image, layout = write([as_layer(members)])

    ours = set(found_here(image))
    syft = set(found_by_syft(layout, image))
    trivy = set(found_by_trivy(layout, image, tmp_path / "trivy"))

    only_ours, only_syft = differing(ours, syft)
    assert only_ours == set()
    assert {found.name for found in only_syft} == {
        "apk-in-another-root",
        "being-developed",
        "configuration",
        "in-a-test",
        "in-another-root",
        "installed-by-half",
    }
    only_ours, only_trivy = differing(ours, trivy)
    assert {found.name for found in only_ours} == {"chosen-to-go", "example.org/not-executable", "stdlib"}
    assert {found.name for found in only_trivy} == {"being-developed", "in-a-test", "installed-by-half"}


def _stanzas(debian: Layer) -> dict[str, str]:
    """Read the database of that Debian: its stanzas by name."""
    with tarfile.open(fileobj=io.BytesIO(debian.blob.content)) as archive:
        status = archive.extractfile("./var/lib/dpkg/status")
        assert status is not None
        whole = status.read().decode()
    return {stanza.split("\n")[0].removeprefix("Package: "): stanza for stanza in whole.split("\n\n")}


def _piece(pieces: dict[str, str], *names: str) -> dict[str, Content]:
    # Syft looks for such pieces in folders that the layer itself tells of, as real ones do.
    folders = dict.fromkeys(("var/", "var/lib/", "var/lib/dpkg/", "var/lib/dpkg/status.d/"))
    return folders | {
        f"var/lib/dpkg/status.d/{name}": pieces[name].replace("Status: install ok installed\n", "") + "\n"
        for name in names
        if name in pieces
    }


def _deb(folder: Path, name: str, version: str) -> Path:
    made = folder / f"{name}-{version}"
    (made / "DEBIAN").mkdir(parents=True)
    (made / "usr/share" / name).mkdir(parents=True)
    (made / "usr/share" / name / "version").write_text(version)
    (made / "DEBIAN" / "control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\n"
        "Description: made\n"
    )
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", made, f"{made}.deb"], check=True, capture_output=True)
    return made.with_name(f"{made.name}.deb")


def _wheel(folder: Path, name: str, version: str) -> Path:
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    inside = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{name}.py", f"version = {version!r}\n")
        archive.writestr(f"{inside}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{inside}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{inside}/RECORD", f"{name}.py,,\n{inside}/METADATA,,\n{inside}/WHEEL,,\n{inside}/RECORD,,\n")
    return wheel


#: As apk-tools 2.14 writes it: the packages of a small Alpine 3.20, with some of their fields and files.
INSTALLED = "\n".join(
    f"C:Q1xU7Eo+Tn6YJGrDQBTbyFZnVkmW{letter}=\nP:{name}\nV:{version}\nA:x86_64\nS:{1000 + number}\nI:{9000 + number}\n"
    f"T:{name} as it is\nU:https://example.org/{name}\nL:{license}\no:{origin}\nm:Nobody <nobody@example.org>\n"
    f"t:17097471{number:02}\nc:{number:040x}\nD:so:libc.musl-x86_64.so.1\np:so:lib{origin}.so.1=1\n"
    f"F:usr\nF:usr/lib\nR:{name}\na:0:0:755\nZ:Q1WSAbjXDWEuJVIkmjsQ2vPBYs7m{letter}=\n"
    for number, (letter, name, version, license, origin) in enumerate(
        (
            ("A", "alpine-baselayout", "3.6.5-r0", "GPL-2.0-only", "alpine-baselayout"),
            ("E", "alpine-baselayout-data", "3.6.5-r0", "GPL-2.0-only", "alpine-baselayout"),
            ("I", "musl", "1.2.5-r0", "MIT", "musl"),
            ("M", "musl-utils", "1.2.5-r0", "MIT AND BSD-2-Clause AND GPL-2.0-or-later", "musl"),
            ("Q", "busybox", "1.36.1-r29", "GPL-2.0-only", "busybox"),
            ("U", "ssl_client", "1.36.1-r29", "GPL-2.0-only", "busybox"),
            ("Y", "libcrypto3", "3.3.2-r0", "Apache-2.0", "openssl"),
            ("c", "zlib", "1.3.1-r1", "Zlib", "zlib"),
        )
    )
)
