"""Sources of images hand out what was asked for; nothing that an archive or a registry says leads anywhere else."""

from __future__ import annotations

import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from cas import Digest
from catalog.images.manifests import ImageManifest, read_manifest
from ingest.sources import InvalidSource, Refused, SourceUnreadable, open_source
from ingest.sources.source import MOST
from tests.end_to_end.images import Image, Maker
from tests.end_to_end.layouts import write_layout

SECRET = ("ada", "correct horse battery staple")


def nobody(host: str, repository: str) -> None:
    """Know no credentials."""


def archive(path: Path, members: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    return path


def saved(image: Image, **changed: object) -> dict[str, bytes]:
    """What `docker save` writes of an image."""
    layers = [f"{number}/layer.tar" for number in range(len(image.layers))]
    listed = {"Config": "config.json", "RepoTags": ["app:v1"], "Layers": layers} | changed
    contents = dict(zip(layers, (layer.blob.content for layer in image.layers), strict=True))
    return {"config.json": image.config.content, "manifest.json": json.dumps([listed]).encode()} | contents


@pytest.fixture
def image() -> Image:
    return Maker(7).image(2, compression="none")


async def read(text: str) -> dict[Digest, bytes]:
    """Read everything that a source has of its image."""
    source = open_source(text, nobody)
    try:
        found = await source.manifest()
        manifest = read_manifest(found.content, found.media_type)
        assert isinstance(manifest, ImageManifest)
        contents = {manifest.config.digest: await source.small_blob(manifest.config.digest)}
        for layer in manifest.layers:
            async with await source.open(layer) as blob:
                contents[layer.digest] = b"".join([piece async for piece in blob.pieces(0, blob.size)])
        return contents
    finally:
        await source.aclose()


def expected(image: Image) -> dict[Digest, bytes]:
    return {Digest.parse(blob.digest): blob.content for blob in image.blobs()}


class TestLayouts:
    async def test_a_directory_and_an_archive_hold_the_same(self, image: Image, tmp_path: Path) -> None:
        layout = write_layout(tmp_path / "a:b", {"v1": image, "v2": Maker(8).image(1)})
        tar = tmp_path / "image.tar"
        with tarfile.open(tar, "w") as written:
            written.add(layout, ".")

        assert await read(f"oci:{layout}:v1") == expected(image)
        assert await read(f"oci-archive:{tar}:v1") == expected(image)

    async def test_which_image_is_asked_for_must_be_clear(self, image: Image, tmp_path: Path) -> None:
        layout = write_layout(tmp_path / "two", {"v1": image, "v2": Maker(8).image(1)})
        for text, told in ((f"oci:{layout}", "several images"), (f"oci:{layout}:v3", "no image called v3")):
            with pytest.raises(SourceUnreadable, match=f"{told}: expected one of: v1, v2"):
                await read(text)

    async def test_other_bytes_than_a_digest_names_are_refused(self, image: Image, tmp_path: Path) -> None:
        layout = write_layout(tmp_path / "changed", {"v1": image})
        place = layout / "blobs" / "sha256" / image.config.digest.removeprefix("sha256:")
        place.write_bytes(image.config.content + b" ")
        with pytest.raises(SourceUnreadable, match="other bytes"):
            await read(f"oci:{layout}")

    @pytest.mark.parametrize(
        "index",
        [b"", b"[]", b"{}", b'{"manifests": 7}', b'{"manifests": [7, {"digest": "sha256:../../etc/passwd"}]}',
         b"[" * 100_000, b'"\xff"', b" " * (MOST + 1)],
        ids=["empty", "a list", "no members", "a number", "a path", "deep", "no text", "large"],
    )  # fmt: skip
    async def test_a_hostile_index_is_an_error(self, tmp_path: Path, index: bytes) -> None:
        (tmp_path / "index.json").write_bytes(index)
        with pytest.raises(SourceUnreadable):
            await read(f"oci:{tmp_path}")


class TestDockerArchives:
    async def test_its_layers_are_named_by_what_they_are(self, image: Image, tmp_path: Path) -> None:
        path = archive(tmp_path / "saved.tar", saved(image))
        assert await read(f"docker-archive:{path}") == expected(image)
        assert await read(f"docker-archive:{path}:app:v1") == expected(image)

    async def test_a_layer_that_is_a_link_is_followed_inside(self, image: Image, tmp_path: Path) -> None:
        members = saved(image)
        members["moved.tar"] = members.pop("0/layer.tar")
        path = archive(tmp_path / "linked.tar", members, {"0/layer.tar": "../moved.tar"})
        assert await read(f"docker-archive:{path}") == expected(image)

    @pytest.mark.parametrize("target", ["/etc/passwd", "../../../../etc/passwd", "layer.tar"])
    async def test_a_link_leads_to_no_file_of_this_machine(self, image: Image, tmp_path: Path, target: str) -> None:
        members = saved(image)
        del members["0/layer.tar"]
        path = archive(tmp_path / "leading.tar", members, {"0/layer.tar": target})
        with pytest.raises(SourceUnreadable, match="does not hold"):
            await read(f"docker-archive:{path}")

    @pytest.mark.parametrize(
        "changed",
        [{"Layers": ["/etc/passwd"]}, {"Layers": 7}, {"Layers": [7]}, {"Config": None}, {"Config": "/etc/passwd"},
         {"RepoTags": 7}, {"RepoTags": [{}]}],
        ids=str,
    )  # fmt: skip
    async def test_a_hostile_list_is_an_error(self, image: Image, tmp_path: Path, changed: dict[str, object]) -> None:
        path = archive(tmp_path / "hostile.tar", saved(image, **changed))
        with pytest.raises(SourceUnreadable):
            await read(f"docker-archive:{path}")

    @pytest.mark.parametrize("content", [b"", b"\x1f\x8b\x08", b"x" * 1024, b"\0" * 10_240])
    async def test_what_is_no_archive_is_an_error(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "image.tar"
        path.write_bytes(content)
        for transport in ("docker-archive", "oci-archive"):
            with pytest.raises(SourceUnreadable):
                await read(f"{transport}:{path}")

    async def test_one_that_is_cut_off_is_an_error(self, image: Image, tmp_path: Path) -> None:
        path = archive(tmp_path / "cut.tar", saved(image))
        path.write_bytes(path.read_bytes()[:3000])
        with pytest.raises(SourceUnreadable):
            await read(f"docker-archive:{path}")


#: Answers a request with a status, headers and content.
Answer = tuple[int, dict[str, str], bytes]


@pytest.fixture
def registry() -> Iterator[Callable[[Callable[[str, str], Answer]], str]]:
    """Start a registry that answers (path, Authorization) as a test likes, and return its host."""
    servers: list[ThreadingHTTPServer] = []

    def start(answering: Callable[[str, str], Answer]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, headers, content = answering(self.path, self.headers.get("Authorization", ""))
                self.send_response(status)
                for name, value in ({"Content-Length": str(len(content))} | headers).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class TestHostileRegistries:
    @pytest.mark.parametrize(
        "realm", ["http://elsewhere.test/token", "", "/token", "file:///etc/passwd", "https://ada@elsewhere.test/token"]
    )
    async def test_credentials_go_to_no_wrong_realm(
        self, registry: Callable[[Callable[[str, str], Answer]], str], realm: str
    ) -> None:
        host = registry(lambda path, signed: (401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'}, b""))
        asked: list[str] = []

        def known(host: str, repository: str) -> tuple[str, str]:
            asked.append(f"{host}/{repository}")
            return SECRET

        source = open_source(f"{host}/ada/app:v1", known)
        with pytest.raises(SourceUnreadable, match="expected an address with https"):
            await source.manifest()
        await source.aclose()

    async def test_wrong_credentials_are_refused_without_being_told(
        self, registry: Callable[[Callable[[str, str], Answer]], str]
    ) -> None:
        hosts: list[str] = []

        def answering(path: str, signed: str) -> Answer:
            if path.startswith("/token"):
                return 401, {}, b"{}"
            return 401, {"WWW-Authenticate": f'Bearer realm="http://{hosts[0]}/token",service="x"'}, b""

        hosts.append(registry(answering))
        source = open_source(f"{hosts[0]}/ada/app:v1", lambda host, repository: SECRET)
        with pytest.raises(Refused, match="the credentials were refused") as refused:
            await source.manifest()
        assert SECRET[1] not in str(refused.value)
        await source.aclose()

    async def test_a_redirect_to_another_host_gets_no_credentials(
        self, registry: Callable[[Callable[[str, str], Answer]], str]
    ) -> None:
        content = b"config"
        digest = Digest.of(content)
        seen: list[str] = []

        def elsewhere(path: str, signed: str) -> Answer:
            seen.append(signed)
            return 200, {}, content

        other = registry(elsewhere)

        def answering(path: str, signed: str) -> Answer:
            if not signed:
                return 401, {"WWW-Authenticate": 'Basic realm="x"'}, b""
            return 307, {"Location": f"http://{other}/bytes"}, b""

        source = open_source(f"{registry(answering)}/ada/app:v1", lambda host, repository: SECRET)
        assert await source.small_blob(digest) == content
        assert seen == [""]
        await source.aclose()

    async def test_other_bytes_than_were_asked_for_are_refused(
        self, registry: Callable[[Callable[[str, str], Answer]], str]
    ) -> None:
        host = registry(lambda path, signed: (200, {"Content-Type": "application/json"}, b"{}"))
        source = open_source(f"{host}/ada/app@{Digest.of(b'x')}", nobody)
        with pytest.raises(SourceUnreadable, match="other bytes"):
            await source.manifest()
        with pytest.raises(SourceUnreadable, match="other bytes"):
            await source.small_blob(Digest.of(b"x"))
        await source.aclose()

    async def test_a_manifest_is_not_read_without_end(
        self, registry: Callable[[Callable[[str, str], Answer]], str]
    ) -> None:
        host = registry(lambda path, signed: (200, {}, b" " * (MOST + 1)))
        source = open_source(f"{host}/ada/app:v1", nobody)
        with pytest.raises(SourceUnreadable, match="sent more than"):
            await source.manifest()
        await source.aclose()

    async def test_redirects_in_a_circle_end(self, registry: Callable[[Callable[[str, str], Answer]], str]) -> None:
        host = registry(lambda path, signed: (307, {"Location": "/v2/again"}, b""))
        source = open_source(f"{host}/ada/app:v1", nobody)
        with pytest.raises(Refused):
            await source.manifest()
        await source.aclose()

    async def test_nobody_answering_is_told(self) -> None:
        source = open_source("127.0.0.1:1/ada/app:v1", nobody)
        with pytest.raises(SourceUnreadable, match="does not answer"):
            await source.manifest()
        await source.aclose()


@pytest.mark.parametrize(
    "text",
    ["", "app", "oci:", "oci-archive:", "app:v1", "host.test/", "host.test/App", "host.test/a/../b",
     "host.test/a@sha256:x", "http://host.test/app", "host.test/app:", "user:word@host.test/app"],
)  # fmt: skip
def test_what_names_no_image_is_refused(text: str) -> None:
    with pytest.raises(InvalidSource):
        open_source(text, nobody)
