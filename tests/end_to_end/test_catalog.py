"""What Portolan is for: an image is pushed, and a moment later it is found by what it holds.

A Debian made by debootstrap, with a layer of Python packages and one of npm's, pushed by skopeo to a service that was
started as the README says.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import re
import sysconfig
import tarfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from isal import igzip
from playwright.sync_api import expect, sync_playwright

from tests.docker.engine import base_archive
from tests.end_to_end.clients import CLIENTS
from tests.end_to_end.conftest import ClientOf
from tests.end_to_end.direct import Direct
from tests.end_to_end.images import Blob, Image, Layer, Maker, everything
from tests.end_to_end.trees import packed
from tests.ingest import tars
from tests.services import Portolan
from tests.services.portolan import Person
from tests.services.processes import wait_until
from tests.services.programs import require

#: Seconds within which an image is found, on a machine that does many things. `benchmarks/README.md` has the figure.
SOON = 10.0

NAME = "alice/harbour"
#: Words that describe the image, each its own way of being found.
LABELS = {"team": "pilots", "org.opencontainers.image.title": "harbour"}


def compressed(layer: Layer) -> Layer:
    """Compress a layer as clients do."""
    content = igzip.compress(layer.blob.content, 1)
    return Layer(Blob(tars.MEDIA_TYPES["gzip"], content), layer.diff_id)


@pytest.fixture(scope="session")
def layers() -> list[Layer]:
    """A minimal Debian, Python packages, npm with its packages."""
    archive = base_archive().read_bytes()
    debian = Layer(Blob(tars.MEDIA_TYPES["plain"], archive), f"sha256:{hashlib.sha256(archive).hexdigest()}")
    python = packed(
        Path(sysconfig.get_path("purelib")), "opt/venv/lib/python3.11/site-packages", lambda path: "-info/" in path
    )
    npm = require("npm").resolve().parents[2]
    node = packed(npm, "usr/lib/node_modules", lambda path: path.endswith("package.json"))
    return [compressed(each) for each in (debian, python, node)]


@pytest.fixture(scope="module")
def image(layers: list[Layer]) -> Image:
    """The three of them as an image."""
    return Maker().image(layers, labels=LABELS)


@pytest.fixture(scope="module")
def api(portolan: Portolan, alice: Person) -> Iterator[httpx.Client]:
    """The JSON API, as alice."""
    with httpx.Client(base_url=f"{portolan.url}/api/v1", auth=(alice.name, alice.password), trust_env=False) as client:
        yield client


@dataclass(frozen=True)
class Pushed:
    """The image, in the catalog beside others that have little in common with it."""

    image: Image
    api: httpx.Client

    def found(self, query: str) -> list[tuple[str, str]]:
        """Search; return the type and the name (images: the digest) of each hit."""
        answer = self.api.get("/search", params={"q": query})
        assert answer.status_code == 200, answer.text
        told: dict[str, Any] = answer.json()
        assert told["total"] == len(told["hits"])
        return [(hit["type"], hit.get("digest") or hit.get("name") or hit.get("path")) for hit in told["hits"]]


@pytest.fixture(scope="module")
def pushed(
    portolan: Portolan,
    alice: Person,
    direct: Direct,
    api: httpx.Client,
    image: Image,
    layers: list[Layer],
    tmp_path_factory: pytest.TempPathFactory,
) -> Pushed:
    """Push it, and wait until it is found."""
    maker = Maker()
    direct.push("alice/other", maker.image(2, labels={"team": "stokers"}), "v1")
    skopeo = CLIENTS["skopeo"](tmp_path_factory.mktemp("skopeo"), portolan.address)
    skopeo.log_in(alice)
    skopeo.push(image, f"{NAME}:v1")
    given = Pushed(image, api)
    wait_until(lambda: given.found("package:deb/dpkg") == [("image", image.digest)], 60, "the image to be found")
    return given


class TestFinding:
    @pytest.mark.parametrize(
        "query",
        [
            f"type:image repo:{NAME}",
            f"repo:{NAME} tag:v1",
            "type:image harbour",
            "package:dpkg",
            "package:pypi/pytest",
            "package:npm/npm",
            "package:deb/dpkg>=1 package:npm/npm>=1",
            "label:team=pilots",
            "label.team:pilots",
            "distro:debian:12 arch:amd64",
            "file:dpkg-deb",
            "path:/usr/bin/dpkg",
            "path:/var/lib/dpkg/status",
            "path:/usr/lib/node_modules/npm/package.json",
        ],
    )
    def test_it_is_found_by_what_it_holds(self, pushed: Pushed, query: str) -> None:
        assert pushed.found(query) == [("image", pushed.image.digest)]

    @pytest.mark.parametrize("number", range(3))
    def test_it_is_found_by_each_layer_under_either_name(self, pushed: Pushed, number: int) -> None:
        layer = pushed.image.layers[number]
        for digest in (layer.blob.digest, layer.diff_id):
            assert pushed.found(f"layer:{digest}") == [("image", pushed.image.digest)]
            told = pushed.api.get(f"/layers/{digest}").json()
            assert (told["diff_id"], told["digests"]) == (layer.diff_id, [layer.blob.digest])
            assert [hit["digest"] for hit in told["images"]] == [pushed.image.digest]

    def test_it_is_found_by_the_content_of_a_file(self, pushed: Pushed, layers: list[Layer]) -> None:
        content = _file(layers[0], "./usr/bin/dpkg")
        digest = hashlib.sha256(content).hexdigest()
        assert pushed.found(f"sha256:{digest}") == [("image", pushed.image.digest)]
        [row] = pushed.api.get("/files", params={"path": "/usr/bin/dpkg"}).json()["files"]
        assert (row["sha256"], row["size"], row["diff_id"]) == (digest, len(content), layers[0].diff_id)

    def test_its_repository_is_found_by_its_name(self, pushed: Pushed) -> None:
        assert pushed.found("harbour") == [("repository", NAME)]
        assert pushed.found(f"type:repository repo:{NAME}") == [("repository", NAME)]

    def test_a_package_tells_its_versions_and_images(self, pushed: Pushed) -> None:
        version = importlib.metadata.version("pytest")
        told = pushed.api.get("/packages/pypi/pytest").json()
        assert [(row["version"], row["images"]) for row in told["versions"]] == [(version, 1)]
        assert [hit["digest"] for hit in told["images"]] == [pushed.image.digest]
        older = pushed.api.get("/packages/pypi/pytest", params={"version": f"<{version}"}).json()
        assert (older["versions"], older["images"]) == ([], [])

    def test_what_it_does_not_hold_does_not_find_it(self, pushed: Pushed) -> None:
        for query in ("package:deb/dpkg<1", "label:team=pilots -package:npm/npm", "path:/usr/bin/absent"):
            assert pushed.found(query) == []

    def test_nobody_else_finds_it(self, portolan: Portolan, pushed: Pushed) -> None:
        with httpx.Client(base_url=f"{portolan.url}/api/v1", trust_env=False) as nobody:
            for query in ("harbour", "package:deb/dpkg", "label:team=pilots", "path:/usr/bin/dpkg"):
                told = nobody.get("/search", params={"q": query}).json()
                assert (told["total"], told["hits"]) == (0, [])
            assert nobody.get(f"/images/{pushed.image.digest}").status_code == 404
            assert nobody.get(f"/layers/{pushed.image.diff_ids[0]}").status_code == 404
            assert nobody.get("/packages/deb/dpkg").status_code == 404


class TestPackages:
    def test_each_is_of_the_layer_that_brought_it(self, pushed: Pushed, layers: list[Layer]) -> None:
        told = pushed.api.get(f"/images/{pushed.image.digest}/packages").json()

        assert (told["image"], told["distro"], told["limits_reached"]) == (pushed.image.digest, "debian 12", [])
        assert [(row["index"], row["digest"], row["diff_id"]) for row in told["layers"]] == [
            (index, layer.blob.digest, layer.diff_id) for index, layer in enumerate(layers)
        ]
        for row in told["packages"]:
            layer = told["layers"][row["layer"]["index"]]
            assert (row["layer"]["digest"], row["layer"]["diff_id"]) == (layer["digest"], layer["diff_id"])
        found = {(row["ecosystem"], row["name"], row["version"], row["layer"]["index"]) for row in told["packages"]}

        assert {each for each in found if each[0] == "deb"} == {
            ("deb", name, version, 0) for name, version in _installed(layers[0])
        }
        expected = {
            ("pypi", re.sub(r"[-_.]+", "-", each.metadata["Name"]).lower(), each.version, 1)
            for each in importlib.metadata.distributions(path=[sysconfig.get_path("purelib")])
        }
        # setuptools brings some of its own, in a folder below it.
        nested = [row for row in told["packages"] if row["ecosystem"] == "pypi" and _is_nested(row["locations"][0])]
        inner = {("pypi", row["name"], row["version"], 1) for row in nested}
        python = {each for each in found if each[0] == "pypi"}
        assert python - inner <= expected <= python
        assert all("/setuptools/_vendor/" in row["locations"][0] for row in nested)
        node = {each for each in found if each[0] == "npm"}
        assert {layer for *_, layer in node} == {2}
        assert ("npm", "npm", _npm_version(layers[2]), 2) in node
        assert len(node) > 100

    def test_it_is_pulled_as_it_was_pushed(
        self, pushed: Pushed, client_of: ClientOf, alice: Person, layers: list[Layer]
    ) -> None:
        assert client_of("skopeo", alice).pull(f"{NAME}:v1") == everything(pushed.image)


def test_from_the_last_put_to_being_found(
    direct: Direct, api: httpx.Client, pushed: Pushed, repository: str, maker: Maker, capsys: pytest.CaptureFixture[str]
) -> None:
    """An image with a new layer of 100 MB compressed, on a known base, in a repository that nobody knew."""
    text = b"what a chart says of a coast " * 3000
    files = {
        f"srv/charts/{number % 40}/{number}": tars.file(maker.random_bytes(50_000) + text) for number in range(2000)
    }
    own = compressed_tar(tars.tar({**files, "srv/charts/of-all": tars.file(b"this one")}))
    image = maker.image([*pushed.image.layers, own], labels={"chart": maker.name()})
    for blob in image.blobs():
        direct.push_blob(repository, blob.content, blob.digest)
    query = {"q": "path:/srv/charts/of-all package:dpkg"}

    direct.push_manifest(repository, "v1", image.manifest.content, image.manifest.media_type)
    begun = time.monotonic()
    found = [image.digest]
    wait_until(
        lambda: [hit["digest"] for hit in api.get("/search", params=query).json()["hits"]] == found,
        SOON,
        "the image to be found",
    )
    took = time.monotonic() - begun

    with capsys.disabled():
        print(f"\nfrom the last PUT to being found, a layer of {own.blob.size / 1e6:.0f} MB: {took:.2f} s")
    assert own.blob.size > 95_000_000


def test_its_page_says_what_it_holds(portolan: Portolan, alice: Person, pushed: Pushed) -> None:
    """As alice reads it in Chromium: signed in, found by a label, its packages and where each is from."""
    program = require("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{portolan.url}/sign-in")
        page.get_by_label("Name").fill(alice.name)
        page.get_by_label("Password").fill(alice.password)
        page.get_by_role("main").get_by_role("button", name="Sign in").click()

        page.goto(f"{portolan.url}/search?q=label:team%3Dpilots")
        page.get_by_role("main").get_by_role("link", name=re.compile("harbour")).first.click()
        page.wait_for_url(re.compile(r"/(r|i)/"))
        page.goto(f"{portolan.url}/i/{pushed.image.digest}")
        main = page.get_by_role("main")
        expect(main).to_contain_text("Debian GNU/Linux 12")
        expect(main).to_contain_text(pushed.image.digest)
        for number in range(3):
            expect(main.locator(f"#layer-{number}")).to_be_attached()

        main.get_by_role("navigation", name="This image").get_by_role("link", name=re.compile("Packages")).click()
        main.get_by_label("Filter").fill("pytest")
        row = main.get_by_role("row").filter(has=page.get_by_role("link", name="pytest", exact=True))
        expect(row).to_contain_text(importlib.metadata.version("pytest"))
        expect(row.get_by_role("link", name="Layer 1")).to_be_attached()
        expect(main.get_by_role("link", name="dpkg", exact=True)).to_have_count(0)
        browser.close()
        assert complaints == []


def compressed_tar(archive: bytes) -> Layer:
    """Make a layer of a tar, compressed."""
    return compressed(Layer(Blob(tars.MEDIA_TYPES["plain"], archive), f"sha256:{hashlib.sha256(archive).hexdigest()}"))


def _file(layer: Layer, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(layer.blob.content)) as archive:
        file = archive.extractfile(name)
        assert file is not None
        return file.read()


def _installed(debian: Layer) -> set[tuple[str, str]]:
    """Read which packages dpkg says are installed, and their versions."""
    stanzas = _file(debian, "./var/lib/dpkg/status").decode().split("\n\n")
    fields = [dict(re.findall(r"^(Package|Status|Version): (.*)$", each, re.MULTILINE)) for each in stanzas]
    return {(each["Package"], each["Version"]) for each in fields if each.get("Status") == "install ok installed"}


def _is_nested(location: str) -> bool:
    return location.partition("site-packages/")[2].count("/") > 1


def _npm_version(node: Layer) -> str:
    return str(json.loads(_file(node, "usr/lib/node_modules/npm/package.json"))["version"])
