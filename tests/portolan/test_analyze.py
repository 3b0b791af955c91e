"""``portolan analyze``: images in layouts, archives and registries, without a server and beside one."""

from __future__ import annotations

import json
import os
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.end_to_end.direct import Direct
from tests.end_to_end.images import OCI_CONFIG, Blob, Compression, Image, Layer, Maker, as_json
from tests.end_to_end.layouts import write_layout
from tests.portolan.conftest import Run
from tests.services import Portolan
from tests.services.portolan import Person
from tests.services.processes import wait_until
from tests.services.programs import require

STATUS = b"""Package: base-files
Status: install ok installed
Version: 12.4
Architecture: amd64

Package: python3-six
Status: install ok installed
Version: 1.16.0-4
Architecture: all
"""
SIX = "usr/lib/python3/dist-packages/six-1.16.0.dist-info/METADATA"
METADATA = b"Metadata-Version: 2.1\nName: six\nVersion: 1.16.0\nLicense: MIT\n"
REQUESTS = "opt/venv/lib/python3.11/site-packages/requests-2.31.0.dist-info/METADATA"


def made(maker: Maker, platform: str = "linux/amd64", compression: Compression = "zstd") -> Image:
    """An image of two layers: what a distribution has, and a package of somebody's own."""
    lower = maker.layer(
        {
            "etc/os-release": b'ID=debian\nVERSION_ID="12"\n',
            "var/lib/dpkg/status": STATUS,
            "var/lib/dpkg/info/python3-six.list": f"/{SIX}\n".encode(),
            SIX: METADATA,
        }
    )
    upper = maker.layer(
        {REQUESTS: b"Metadata-Version: 2.1\nName: requests\nVersion: 2.31.0\n"}, compression=compression
    )
    return maker.image([lower, upper], platform=platform)


@pytest.fixture
def maker() -> Maker:
    return Maker()


@pytest.fixture
def image(maker: Maker) -> Image:
    return made(maker)


@pytest.fixture
def layout(image: Image, tmp_path: Path) -> Path:
    return write_layout(tmp_path / "layout", {"v1": image})


@pytest.fixture(scope="module")
def ada(portolan: Portolan) -> Person:
    return portolan.add_person("ada")


@pytest.fixture(scope="module")
def direct(portolan: Portolan, ada: Person) -> Iterator[Direct]:
    with Direct(portolan.url, ada) as direct:
        yield direct


def analyzed(run: Run, *words: str) -> Any:
    done = run("analyze", *words, "--json")
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def names(answer: Any) -> list[tuple[str, str, int]]:
    return sorted((row["name"], row["version"], row["layer"]["index"]) for row in answer["packages"])


PACKAGES = [("base-files", "12.4", 0), ("python3-six", "1.16.0-4", 0), ("requests", "2.31.0", 1), ("six", "1.16.0", 0)]


class TestFiles:
    def test_a_layout(self, run: Run, layout: Path, image: Image) -> None:
        answer = analyzed(run, f"oci:{layout}:v1")

        assert (answer["image"], answer["platform"], answer["distro"]) == (image.digest, "linux/amd64", "debian 12")
        assert names(answer) == PACKAGES
        assert [(row["digest"], row["diff_id"]) for row in answer["layers"]] == [
            (layer.blob.digest, layer.diff_id) for layer in image.layers
        ]
        assert [row["owned_by"] for row in answer["packages"] if row["name"] == "six"] != [""]
        assert answer == analyzed(run, f"oci:{layout}"), "a layout of one image needs no tag"

    @pytest.mark.parametrize("form", ["oci-archive", "docker-archive"])
    def test_an_archive_made_by_skopeo(self, run: Run, maker: Maker, tmp_path: Path, form: str) -> None:
        layout = write_layout(tmp_path / "gzipped", {"v1": made(maker, compression="gzip")})
        archive = tmp_path / "image.tar"
        name = "example.test/app:v1" if form == "docker-archive" else "v1"
        copied = [require("skopeo"), "copy", "--insecure-policy", f"oci:{layout}:v1", f"{form}:{archive}:{name}"]
        subprocess.run(copied, check=True, capture_output=True)

        answer = analyzed(run, f"{form}:{archive}:{name}")

        assert names(answer) == PACKAGES
        assert answer == analyzed(run, f"{form}:{archive}")

    def test_a_tarball_made_by_crane(self, run: Run, portolan: Portolan, direct: Direct, tmp_path: Path) -> None:
        gzipped = Maker().image(
            [Maker().layer({REQUESTS: b"Metadata-Version: 2.1\nName: requests\nVersion: 2.31.0\n"})]
        )
        direct.push("ada/craned", gzipped, "v1")
        direct.publish("ada/craned")
        archive = tmp_path / "image.tar"
        pulled = [require("crane"), "pull", "--insecure", f"{portolan.address}/ada/craned:v1", archive]
        subprocess.run(pulled, check=True, capture_output=True)

        assert names(analyzed(run, f"docker-archive:{archive}")) == [("requests", "2.31.0", 0)]

    def test_people_get_a_table(self, run: Run, layout: Path, image: Image) -> None:
        done = run("analyze", f"oci:{layout}")
        assert done.exit_code == 0
        assert "requests" in done.stdout
        assert "python3-six" in done.stdout
        assert [line for line in done.stdout.splitlines() if " six " in line] == []
        assert f"{image.digest}: linux/amd64, debian 12, 2 layers, 3 packages, 1 more" in done.stdout
        assert [line for line in run("analyze", "--owned", f"oci:{layout}").stdout.splitlines() if " six " in line]

    def test_an_image_without_layers(self, run: Run, maker: Maker, tmp_path: Path) -> None:
        layout = write_layout(tmp_path / "empty", {"v1": maker.image([])})
        answer = analyzed(run, f"oci:{layout}")
        assert (answer["layers"], answer["packages"]) == ([], [])


class TestIndexes:
    @pytest.fixture
    def index(self, maker: Maker, tmp_path: Path) -> Path:
        images = [made(maker, platform) for platform in ("linux/arm64/v8", "linux/amd64")]
        return write_layout(tmp_path / "index", {"v1": maker.index(images)})

    def test_one_is_chosen(self, run: Run, index: Path) -> None:
        assert analyzed(run, f"oci:{index}")["platform"] == "linux/amd64"
        assert analyzed(run, f"oci:{index}", "--platform", "linux/arm64")["platform"] == "linux/arm64/v8"

    def test_all_are_listed_in_their_order(self, run: Run, index: Path) -> None:
        assert [each["platform"] for each in analyzed(run, f"oci:{index}", "--all")] == [
            "linux/arm64/v8",
            "linux/amd64",
        ]

    def test_a_platform_that_is_not_there_is_told(self, run: Run, index: Path, layout: Path) -> None:
        done = run("analyze", f"oci:{index}", "--platform", "linux/s390x")
        assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
        assert "has no image for linux/s390x: it has linux/arm64/v8, linux/amd64" in done.stderr
        done = run("analyze", f"oci:{layout}", "--platform", "linux/arm64")
        assert "has no image for linux/arm64: it has linux/amd64" in done.stderr

    def test_an_attestation_is_no_image(self, run: Run, maker: Maker, image: Image, tmp_path: Path) -> None:
        layout = write_layout(tmp_path / "attested", {"v1": maker.attested(image)})
        assert [each["image"] for each in analyzed(run, f"oci:{layout}", "--all")] == [image.digest]


class TestCache:
    def test_known_layers_are_not_read_again(self, run: Run, layout: Path, image: Image, tmp_path: Path) -> None:
        answer = analyzed(run, f"oci:{layout}")
        for layer in image.layers:
            (layout / "blobs" / "sha256" / layer.blob.digest.removeprefix("sha256:")).unlink()

        assert analyzed(run, f"oci:{layout}") == answer
        done = run("analyze", f"oci:{layout}", "--no-cache")
        assert done.exit_code == 1
        assert "layer 0" in done.stderr or "layer 1" in done.stderr

    def test_without_it_nothing_is_written(self, run: Run, layout: Path, tmp_path: Path) -> None:
        assert names(analyzed(run, f"oci:{layout}", "--no-cache")) == PACKAGES
        assert not (tmp_path / "home" / ".cache").exists()

    def test_a_damaged_cache_is_made_again(self, run: Run, layout: Path, tmp_path: Path) -> None:
        answer = analyzed(run, f"oci:{layout}")
        kept = [path for path in (tmp_path / "home" / ".cache" / "portolan").rglob("*") if path.is_file()]
        for path in kept:
            if "blobs" not in path.parts:
                path.write_bytes(path.read_bytes()[:40])
        assert analyzed(run, f"oci:{layout}") == answer

    def test_a_place_that_cannot_be_written_does_no_harm(
        self, run: Run, layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").write_text("no directory")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
        assert names(analyzed(run, f"oci:{layout}")) == PACKAGES


class TestClaims:
    def test_a_wrong_diff_id_names_the_layer(self, run: Run, maker: Maker, image: Image, tmp_path: Path) -> None:
        """Also where both layers are known by then: nothing is believed that a config says."""
        good = write_layout(tmp_path / "good", {"v1": image})
        assert run("analyze", f"oci:{good}").exit_code == 0
        lower, upper = image.layers
        lying = maker.image([lower, Layer(upper.blob, lower.diff_id)])
        layout = write_layout(tmp_path / "lying", {"v1": lying})

        for words in ([], ["--no-cache"]):
            done = run("analyze", f"oci:{layout}", *words)
            assert (done.exit_code, done.stderr.count("\n"), done.stdout) == (1, 1, "")
            assert f"layer 1 ({upper.blob.digest}) is {upper.diff_id} when it is decompressed" in done.stderr

    def test_a_layer_of_other_bytes_is_refused_and_not_kept(self, run: Run, maker: Maker, tmp_path: Path) -> None:
        """Its config may well agree with the bytes: under their digest they would speak for other images."""
        real, planted = maker.layer({SIX: METADATA}), maker.layer({"etc/motd": b"nothing here"})
        config_says = Layer(real.blob, planted.diff_id)
        layout = write_layout(tmp_path / "planted", {"v1": maker.image([config_says])})
        place = layout / "blobs" / "sha256" / real.blob.digest.removeprefix("sha256:")
        place.write_bytes(planted.blob.content)

        done = run("analyze", f"oci:{layout}")
        assert done.exit_code == 1
        assert f"layer 0 ({real.blob.digest}) could not be read" in done.stderr

        place.write_bytes(planted.blob.content + b"\0" * (real.blob.size - planted.blob.size))
        assert run("analyze", f"oci:{layout}").exit_code == 1
        honest = write_layout(tmp_path / "honest", {"v1": maker.image([real])})
        assert names(analyzed(run, f"oci:{honest}")) == [("six", "1.16.0", 0)]

    def test_a_config_of_fewer_layers_is_refused(self, run: Run, image: Image, tmp_path: Path) -> None:
        layout = write_layout(tmp_path / "short", {"v1": image})
        config = image.config.json()
        config["rootfs"]["diff_ids"].pop()
        blob = Blob(OCI_CONFIG, as_json(config))
        manifest = image.manifest.json() | {"config": blob.descriptor()}
        short = Image(Blob(image.manifest.media_type, as_json(manifest)), blob, image.layers, {})
        write_layout(layout, {"v1": short})
        done = run("analyze", f"oci:{layout}")
        assert done.exit_code == 1
        assert "it has 1 diff_ids, and the manifest 2 layers" in done.stderr

    def test_an_artifact_is_no_image(self, run: Run, maker: Maker, tmp_path: Path) -> None:
        layout = write_layout(tmp_path / "artifact", {"v1": maker.artifact()})
        done = run("analyze", f"oci:{layout}")
        assert done.exit_code == 1
        assert "is no image, but application/vnd.example.sbom.v1+json" in done.stderr


class TestRegistry:
    def test_it_says_what_the_service_says(
        self, run: Run, portolan: Portolan, direct: Direct, ada: Person, image: Image
    ) -> None:
        direct.push("ada/app", image, "v1")
        asked = f"{portolan.url}/api/v1/images/{image.digest}/packages"
        with httpx.Client(auth=(ada.name, ada.password), trust_env=False) as api:
            wait_until(lambda: api.get(asked).status_code == 200, 30, "the image to be read")
            told = api.get(asked).json()
        run("login", portolan.url, "--username", ada.name, "--password-stdin", input=ada.password + "\n")

        assert analyzed(run, f"{portolan.address}/ada/app:v1") == told
        assert analyzed(run, f"{portolan.address}/ada/app@{image.digest}") == told
        assert list(told) == ["image", "platform", "distro", "layers", "packages", "limits_reached", "removed"]

    def test_a_private_repository_needs_credentials(
        self, run: Run, portolan: Portolan, direct: Direct, ada: Person, image: Image, tmp_path: Path
    ) -> None:
        direct.push("ada/private", image, "v1")
        reference = f"{portolan.address}/ada/private:v1"

        refused = run("analyze", reference)
        assert (refused.exit_code, refused.stderr.count("\n")) == (1, 1)

        for password, status in (("wrong", 1), (ada.password, 0)):
            config = tmp_path / "home" / ".docker" / "config.json"
            config.parent.mkdir(parents=True, exist_ok=True)
            kept = b64encode(f"{ada.name}:{password}".encode()).decode()
            config.write_text(json.dumps({"auths": {portolan.address: {"auth": kept}}}))
            done = run("analyze", reference)
            assert done.exit_code == status, done.stderr
            assert ada.password not in done.stderr

    def test_a_public_one_needs_none(self, run: Run, portolan: Portolan, direct: Direct, image: Image) -> None:
        direct.push("ada/public", image, "v1")
        direct.publish("ada/public")
        assert names(analyzed(run, f"{portolan.address}/ada/public:v1", "--no-cache")) == PACKAGES

    def test_podmans_file_is_read(
        self, run: Run, portolan: Portolan, direct: Direct, ada: Person, image: Image, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        direct.push("ada/podman", image, "v1")
        file = tmp_path / "auth.json"
        signed = [require("skopeo"), "login", "--tls-verify=false", "--authfile", file, portolan.address]
        subprocess.run(
            [*signed, "--username", ada.name, "--password-stdin"], input=ada.password.encode(), check=True,
            capture_output=True,
        )  # fmt: skip
        monkeypatch.setenv("REGISTRY_AUTH_FILE", str(file))
        assert names(analyzed(run, f"{portolan.address}/ada/podman:v1")) == PACKAGES

    def test_a_credential_helper_is_not_run(
        self, run: Run, portolan: Portolan, direct: Direct, image: Image, tmp_path: Path
    ) -> None:
        direct.push("ada/helped", image, "v1")
        config = tmp_path / "home" / ".docker" / "config.json"
        config.parent.mkdir(parents=True)
        config.write_text(json.dumps({"credHelpers": {portolan.address: "ship"}}))
        done = run("analyze", f"{portolan.address}/ada/helped:v1")
        assert done.exit_code == 1
        assert "the credential helper 'ship' is not asked" in done.stderr


@pytest.mark.parametrize(
    ("reference", "status"),
    [
        ("app", 2),
        ("oci:", 2),
        ("127.0.0.1:1/App", 2),
        ("oci:absent", 1),
        ("oci-archive:absent", 1),
        (f"oci:{os.sep}", 1),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(run: Run, reference: str, status: int) -> None:
    done = run("analyze", reference)
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (status, "", 1)
