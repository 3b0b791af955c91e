"""The images that other tests push are what clients take for images."""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.end_to_end.images import OCI_EMPTY, Compression, Content, Maker, everything
from tests.end_to_end.layouts import layout_roots, read_dir, read_layout, write_dir, write_layout
from tests.services import Distribution, require


def run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_seed_makes_the_same_images_again() -> None:
    first, second = (Maker(7).multi_platform() for _ in range(2))
    assert everything(first) == everything(second)
    assert Maker(8).multi_platform().digest != first.digest


def test_without_a_seed_every_image_is_new() -> None:
    assert Maker().image().digest != Maker().image().digest


@pytest.mark.parametrize("compression", ["gzip", "zstd", "none"])
def test_layers_are_unpacked_to_their_diff_ids(compression: Compression, tmp_path: Path) -> None:
    """Skopeo decompresses each layer to verify it where the destination wants none compressed."""
    # Larger than a block of zstd, and not a multiple of one.
    image = Maker().image(2, layer_size=300_001, compression=compression)
    layout = write_layout(tmp_path / "layout", {"v1": image})

    run(require("skopeo"), "copy", "--dest-decompress", f"oci:{layout}:v1", f"dir:{tmp_path / 'plain'}")

    assert set(image.diff_ids) <= set(read_dir(tmp_path / "plain"))


def test_umoci_unpacks_the_files_of_an_image(tmp_path: Path) -> None:
    maker = Maker()
    image = maker.image([maker.layer({"etc/os-release": b"ID=made\n"}), maker.layer({"etc/other": b"x"})])
    layout = write_layout(tmp_path / "layout", {"v1": image})

    run(require("umoci"), "unpack", "--rootless", "--image", f"{layout}:v1", tmp_path / "bundle")

    assert (tmp_path / "bundle/rootfs/etc/os-release").read_bytes() == b"ID=made\n"
    assert (tmp_path / "bundle/rootfs/etc/other").read_bytes() == b"x"


@pytest.mark.parametrize("docker", [False, True])
def test_skopeo_reads_an_index_in_its_own_form(docker: bool, tmp_path: Path) -> None:
    index = Maker().multi_platform(docker=docker)
    write_dir(tmp_path / "made", index)

    made_there, copied = tmp_path / "made", tmp_path / "copied"
    run(require("skopeo"), "copy", "--all", "--preserve-digests", f"dir:{made_there}", f"dir:{copied}")

    assert read_dir(copied) == everything(index)


def made(maker: Maker) -> dict[str, Content]:
    image = maker.image(compression=["gzip", "zstd", "none"])
    return {
        "image": image,
        "docker": maker.image(docker=True),
        "multi": maker.multi_platform(),
        "docker-multi": maker.multi_platform(docker=True),
        "artifact": maker.artifact(subject=image),
        "attested": maker.attested(maker.image()),
        "nested": maker.index([maker.index([maker.image()]), maker.artifact()]),
    }


def test_a_reference_registry_takes_and_returns_them_all(tmp_path: Path) -> None:
    """Pushed by regctl, pulled by crane: two programs that read a layout each in its own way."""
    contents = made(Maker())
    with Distribution(tmp_path / "registry") as registry:
        layout = write_layout(tmp_path / "layout", contents)
        for tag, content in contents.items():
            run(
                require("regctl"), "--host", f"reg={registry.address},tls=disabled", "image", "copy",
                f"ocidir://{layout}:{tag}", f"{registry.address}/made/{tag}:v1",
            )  # fmt: skip
            pulled = tmp_path / "pulled" / tag
            run(require("crane"), "pull", "--insecure", "--format=oci", f"{registry.address}/made/{tag}:v1", pulled)

            assert set(layout_roots(pulled).values()) == {content.digest}
            assert read_layout(pulled) == everything(content)


def test_a_layout_names_its_roots(tmp_path: Path) -> None:
    contents = made(Maker())
    layout = write_layout(tmp_path, contents)
    assert layout_roots(layout) == {tag: content.digest for tag, content in contents.items()}
    assert set(read_layout(layout)) == {digest for content in contents.values() for digest in everything(content)}


def test_an_artifact_has_an_empty_config_and_a_subject() -> None:
    maker = Maker()
    image = maker.image()
    manifest = maker.artifact("application/vnd.example", subject=image).manifest.json()
    assert manifest["subject"]["digest"] == image.digest
    assert manifest["config"]["mediaType"] == OCI_EMPTY


def test_a_build_cache_lists_blobs_and_no_manifests() -> None:
    cache = Maker().build_cache(3)
    assert [entry["digest"] for entry in cache.manifest.json()["manifests"]] == [blob.digest for blob in cache.blobs()]
    assert list(cache.manifests()) == [cache.manifest]


def test_images_may_share_layers() -> None:
    maker = Maker()
    shared = maker.layer()
    index = maker.index([maker.image([shared]), maker.image([shared, maker.layer()])])
    digests = [blob.digest for blob in index.blobs()]
    assert len(digests) == len(set(digests)) == 4


def test_a_layer_is_a_tar(tmp_path: Path) -> None:
    layer = Maker().layer({"a/b/c": b"content"})
    (tmp_path / "layer").write_bytes(layer.blob.content)
    with tarfile.open(tmp_path / "layer") as tar:
        assert tar.getnames() == ["a", "a/b", "a/b/c"]


def test_a_config_tells_the_platform() -> None:
    config = json.loads(Maker().image(platform="linux/arm64/v8").config.content)
    assert (config["os"], config["architecture"], config["variant"]) == ("linux", "arm64", "v8")
