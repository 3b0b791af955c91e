"""Requests as containerd, BuildKit and the lazy snapshotters send them, one by one.

They differ from docker's in the order of their questions, in how they read blobs (many ranges at once, and hanging up
early), and in the compression that they say they take: nothing may ever compress what is read here.
"""

from __future__ import annotations

import email
import email.policy
import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.end_to_end.direct import Direct, challenge_of
from tests.end_to_end.images import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Blob, Maker
from tests.services import Portolan
from tests.services.portolan import Person

MANIFESTS = f"{DOCKER_MANIFEST}, {DOCKER_LIST}, {OCI_MANIFEST}, {OCI_INDEX}, */*"
COMPRESSED = {"Accept-Encoding": "zstd;q=1.0, gzip;q=0.8, deflate;q=0.5"}

Authorize = Callable[..., None]


@pytest.fixture
def http(portolan: Portolan) -> Iterator[httpx.Client]:
    """Connections without a token."""
    with httpx.Client(base_url=portolan.url, trust_env=False, headers={"User-Agent": "containerd/v2.1.3"}) as http:
        yield http


@pytest.fixture
def authorize(http: httpx.Client, alice: Person) -> Authorize:
    """A function that gets alice's token for some scopes, as containerd does, and brings it from then on."""

    def authorize(*scopes: str) -> None:
        form = {
            "client_id": "containerd-client",
            "grant_type": "password",
            "scope": " ".join(scopes),
            "service": "portolan",
            "username": alice.name,
            "password": alice.password,
        }
        http.headers.pop("Authorization", None)
        answer = http.post("/token", data=form)
        assert answer.status_code == 200, answer.text
        http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    return authorize


def rights(repository: str, actions: str = "pull,push") -> str:
    return f"repository:{repository}:{actions}"


class TestTokens:
    def test_containerd_posts_its_password_first(self, http: httpx.Client, alice: Person, repository: str) -> None:
        form = {"client_id": "containerd-client", "grant_type": "password", "service": "portolan"}
        form |= {"username": alice.name, "password": alice.password, "scope": rights(repository)}
        answer = http.post("/token", data=form)
        assert answer.status_code == 200
        assert answer.json()["scope"] == rights(repository)
        assert "refresh_token" not in answer.json(), "it did not ask for one"

    def test_buildkit_gets_first_and_posts_what_it_was_given(
        self, http: httpx.Client, alice: Person, repository: str
    ) -> None:
        query = {"service": "portolan", "scope": rights(repository), "client_id": "buildkit-client"}
        answer = http.get("/token", params=query | {"offline_token": "true"}, headers={"Authorization": alice.basic})
        assert answer.status_code == 200
        form = {"grant_type": "refresh_token", "refresh_token": answer.json()["refresh_token"], "service": "portolan"}
        again = http.post("/token", data=form | {"client_id": "buildkit-client", "scope": rights(repository)})
        assert again.status_code == 200
        assert again.json()["access_token"]

    def test_buildkit_asks_for_nobody_with_a_get(self, http: httpx.Client, repository: str) -> None:
        answer = http.get("/token", params={"service": "portolan", "scope": rights(repository, "pull")})
        assert answer.status_code == 200
        headers = {"Authorization": f"Bearer {answer.json()['token']}"}
        refused = http.get(f"/v2/{repository}/manifests/latest", headers=headers)
        assert (refused.status_code, challenge_of(refused)["error"]) == (401, "insufficient_scope")

    @pytest.mark.parametrize("method", ["GET", "POST"])
    @pytest.mark.parametrize("together", [True, False], ids=["in one parameter", "in two"])
    def test_two_scopes(
        self,
        http: httpx.Client,
        alice: Person,
        direct: Direct,
        repository: str,
        maker: Maker,
        method: str,
        together: bool,
    ) -> None:
        """Separated by a space in one parameter, or in two parameters: clients do both, in both methods."""
        image = direct.push(repository, maker.image(1), "v1")
        scopes = [rights(f"{repository}-copy"), rights(repository, "pull")]
        fields: list[tuple[str, Any]] = [
            ("service", "portolan"),
            *(("scope", scope) for scope in ([" ".join(scopes)] if together else scopes)),
        ]
        if method == "GET":
            answer = http.get("/token", params=fields, headers={"Authorization": alice.basic})
        else:
            fields += [("grant_type", "password"), ("username", alice.name), ("password", alice.password)]
            answer = http.post(
                "/token",
                content=str(httpx.QueryParams(fields)),
                headers={"Content-Type": "application/x-www-form-urlencoded"},
            )
        http.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        digest = next(image.blobs()).digest
        mounted = http.post(f"/v2/{repository}-copy/blobs/uploads/", params={"mount": digest, "from": repository})
        assert mounted.status_code == 201

    def test_skopeo_deletes_with_a_star(
        self, http: httpx.Client, alice: Person, direct: Direct, repository: str, maker: Maker
    ) -> None:
        image = direct.push(repository, maker.image(1), "v1")
        query = {"service": "portolan", "scope": rights(repository, "*"), "account": alice.name}
        answer = http.get("/token", params=query, headers={"Authorization": alice.basic})
        http.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        digest = http.get(f"/v2/{repository}/manifests/v1", headers={"Accept": MANIFESTS}).headers[
            "docker-content-digest"
        ]
        assert digest == image.digest
        assert http.delete(f"/v2/{repository}/manifests/{digest}").status_code == 202
        assert http.head(f"/v2/{repository}/manifests/{digest}").status_code == 404


class TestPush:
    def put(self, http: httpx.Client, location: str, blob: Blob) -> None:
        done = http.put(
            httpx.URL(location).copy_merge_params({"digest": blob.digest}),
            content=blob.content,
            headers={"Content-Type": "application/octet-stream"},
        )
        assert done.status_code == 201, done.text

    def test_a_push(
        self, http: httpx.Client, authorize: Authorize, direct: Direct, repository: str, maker: Maker
    ) -> None:
        image = maker.image(compression="zstd")
        authorize(rights(repository))
        for blob in image.blobs():
            path = f"/v2/{repository}/blobs/{blob.digest}"
            assert http.head(path, headers={"Accept": f"{blob.media_type}, */*"}).status_code == 404
            begun = http.post(f"/v2/{repository}/blobs/uploads/")
            assert begun.status_code == 202
            self.put(http, begun.headers["location"], blob)
        path = f"/v2/{repository}/manifests/v1"
        assert http.head(path, headers={"Accept": f"{OCI_MANIFEST}, */*"}).status_code == 404
        done = http.put(path, content=image.manifest.content, headers={"Content-Type": OCI_MANIFEST})
        assert done.status_code == 201
        assert done.headers["docker-content-digest"] == image.digest
        assert direct.manifest(repository, "v1").content == image.manifest.content

    def test_a_mount_with_a_token_for_the_target_alone_is_challenged(
        self, http: httpx.Client, authorize: Authorize, direct: Direct, repository: str, maker: Maker
    ) -> None:
        """It asks again with both scopes; whoever cannot get the second posts plainly."""
        layer, target = maker.layer().blob, f"{repository}-copy"
        direct.push_blob(repository, layer.content, layer.digest)
        authorize(rights(target))
        mount = {"mount": layer.digest, "from": repository}

        refused = http.post(f"/v2/{target}/blobs/uploads/", params=mount)
        assert refused.status_code == 401
        challenge = challenge_of(refused)
        assert challenge["error"] == "insufficient_scope"
        asked = challenge["scope"].split()
        assert sorted(asked) == sorted([rights(target), rights(repository, "pull")])

        plain = http.post(f"/v2/{target}/blobs/uploads/")
        assert plain.status_code == 202

        authorize(*asked)
        assert http.post(f"/v2/{target}/blobs/uploads/", params=mount).status_code == 201

    def test_a_mount_from_what_is_anothers_becomes_an_upload(
        self,
        http: httpx.Client,
        authorize: Authorize,
        direct: Direct,
        repository: str,
        maker: Maker,
        portolan: Portolan,
        operator: Person,
    ) -> None:
        layer, private = maker.layer().blob, f"{operator.name}/{maker.name()}"
        with Direct(portolan.url, operator) as other:
            other.push_blob(private, layer.content, layer.digest)
        authorize(rights(repository), rights(private, "pull"))
        begun = http.post(f"/v2/{repository}/blobs/uploads/", params={"mount": layer.digest, "from": private})
        assert begun.status_code == 202
        assert direct.blob(repository, layer.digest).status_code == 404
        self.put(http, begun.headers["location"], layer)
        assert direct.blob(repository, layer.digest).content == layer.content

    def test_what_buildkit_pushes_is_kept(self, direct: Direct, repository: str, maker: Maker) -> None:
        """An index with attestations, and the older form of its cache, an index of layers."""
        attested = direct.push(repository, maker.attested(maker.image()), "v1")
        assert direct.manifest(repository, "v1").content == attested.manifest.content
        cache = direct.push(repository, maker.build_cache(), "cache")
        assert direct.manifest(repository, "cache").content == cache.manifest.content
        assert all(direct.blob(repository, blob.digest).content == blob.content for blob in cache.blobs())


class TestReading:
    """A layer that compresses well: whatever compresses answers would be tempted."""

    @pytest.fixture
    def layer(self, direct: Direct, repository: str, maker: Maker, authorize: Authorize) -> Blob:
        layer = maker.layer({"zeros": bytes(2_000_000), "noise": maker.random_bytes(500_000)}, compression="none").blob
        direct.push_blob(repository, layer.content, layer.digest)
        authorize(rights(repository, "pull"))
        return layer

    def test_nothing_is_compressed_whatever_the_client_takes(
        self, http: httpx.Client, direct: Direct, repository: str, maker: Maker, layer: Blob
    ) -> None:
        image = direct.push(repository, maker.image(1, labels={"long": "x" * 5000}), "v1")
        blob = f"/v2/{repository}/blobs/{layer.digest}"
        asked = {
            "whole": (http.get(blob, headers=COMPRESSED), 200, layer.content),
            "range": (http.get(blob, headers=COMPRESSED | {"Range": "bytes=100-"}), 206, layer.content[100:]),
            "head": (http.head(blob, headers=COMPRESSED), 200, b""),
            "manifest": (
                http.get(f"/v2/{repository}/manifests/v1", headers=COMPRESSED | {"Accept": MANIFESTS}),
                200,
                image.manifest.content,
            ),
        }
        for what, (answer, status, content) in asked.items():
            assert answer.status_code == status, what
            assert "content-encoding" not in answer.headers, what
            assert "transfer-encoding" not in answer.headers, what
            assert answer.content == content, what
            assert what == "head" or answer.headers["content-length"] == str(len(content)), what

    def test_reads_that_hang_up_early_disturb_nobody(
        self, http: httpx.Client, repository: str, layer: Blob, portolan: Portolan
    ) -> None:
        """containerd opens a read at each offset that it wants, without an end, and closes when it has enough."""
        path = f"/v2/{repository}/blobs/{layer.digest}"

        def read(offset: int) -> bytes:
            wanted = b""
            with http.stream("GET", path, headers=COMPRESSED | {"Range": f"bytes={offset}-"}) as answer:
                assert answer.status_code == 206
                assert answer.headers["content-range"] == f"bytes {offset}-{layer.size - 1}/{layer.size}"
                for piece in answer.iter_raw(4096):
                    wanted += piece
                    if len(wanted) >= 10_000:
                        break
            return wanted[:10_000]

        offsets = range(0, 2_400_000, 60_000)
        with ThreadPoolExecutor(8) as threads:
            for offset, found in zip(offsets, threads.map(read, offsets), strict=True):
                assert found == layer.content[offset : offset + 10_000]
        assert hashlib.sha256(http.get(path).content).hexdigest() == layer.digest.removeprefix("sha256:")

    def test_a_read_from_the_beginning_is_a_range_too(self, http: httpx.Client, repository: str, layer: Blob) -> None:
        answer = http.get(f"/v2/{repository}/blobs/{layer.digest}", headers={"Range": "bytes=0-"})
        assert answer.status_code == 206
        assert answer.headers["content-range"] == f"bytes 0-{layer.size - 1}/{layer.size}"

    def test_a_read_at_the_end_says_that_there_is_no_more(
        self, http: httpx.Client, repository: str, layer: Blob
    ) -> None:
        answer = http.get(f"/v2/{repository}/blobs/{layer.digest}", headers={"Range": f"bytes={layer.size}-"})
        assert answer.status_code == 416
        assert answer.headers["content-range"] == f"bytes */{layer.size}"

    def test_the_name_of_a_mirrored_registry_changes_nothing(
        self, http: httpx.Client, direct: Direct, repository: str, maker: Maker, layer: Blob
    ) -> None:
        """Hosts that are configured as mirrors are told for whom they stand."""
        image = direct.push(repository, maker.image(1), "v1")
        for path in ("manifests/v1?ns=registry.example", f"blobs/{layer.digest}?ns=registry.example"):
            assert http.get(f"/v2/{repository}/{path}").status_code == 200
        assert http.head(f"/v2/{repository}/manifests/{image.digest}?ns=registry.example").status_code == 200


class TestLazyReading:
    """eStargz and zstd:chunked: the end of a layer first, then the files that are wanted, several ranges at once."""

    @pytest.fixture
    def path(self, direct: Direct, repository: str, layer: Blob, authorize: Authorize) -> str:
        direct.push_blob(repository, layer.content, layer.digest)
        authorize(rights(repository, "pull"))
        return f"/v2/{repository}/blobs/{layer.digest}"

    @pytest.fixture
    def layer(self, maker: Maker) -> Blob:
        return maker.layer(size=1_000_000).blob

    def test_the_size_is_found_with_two_bytes(self, http: httpx.Client, path: str, layer: Blob) -> None:
        answer = http.get(path, headers={"Range": "bytes=0-1", "Accept-Encoding": "identity"})
        assert answer.status_code == 206
        assert answer.headers["content-range"] == f"bytes 0-1/{layer.size}"
        assert answer.content == layer.content[:2]
        assert http.head(path).headers["content-length"] == str(layer.size)

    def test_the_footer_is_read_from_the_end(self, http: httpx.Client, path: str, layer: Blob) -> None:
        answer = http.get(path, headers={"Range": "bytes=-51", "Accept-Encoding": "identity"})
        assert (answer.status_code, answer.content) == (206, layer.content[-51:])

    @pytest.mark.parametrize("number", [2, 300])
    def test_several_ranges_come_in_one_answer(self, http: httpx.Client, path: str, layer: Blob, number: int) -> None:
        """zstd:chunked asks for all the chunks that it lacks: hundreds."""
        wanted = [(at, at + 99) for at in range(0, number * 3000, 3000)]
        header = "bytes=" + ",".join(f"{first}-{last}" for first, last in wanted)
        answer = http.get(path, headers={"Range": header, "Accept-Encoding": "identity"})
        assert answer.status_code == 206
        assert "content-encoding" not in answer.headers
        head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
        parts = list(email.message_from_bytes(head + answer.content, policy=email.policy.HTTP).iter_parts())
        assert [part["content-range"] for part in parts] == [
            f"bytes {first}-{last}/{layer.size}" for first, last in wanted
        ]
        assert [part.get_payload(decode=True) for part in parts] == [
            layer.content[first : last + 1] for first, last in wanted
        ]

    def test_too_many_ranges_give_the_whole(self, http: httpx.Client, path: str, layer: Blob) -> None:
        header = "bytes=" + ",".join(f"{at}-{at}" for at in range(0, 4000, 2))
        answer = http.get(path, headers={"Range": header})
        assert (answer.status_code, answer.content) == (200, layer.content)

    def test_annotations_are_kept_byte_for_byte(self, direct: Direct, repository: str, maker: Maker) -> None:
        """They hold the digest of a layer's table of contents."""
        layer = maker.layer()
        toc = {
            "containerd.io/snapshot/stargz/toc.digest": f"sha256:{'0' * 64}",
            "io.github.containers.zstd-chunked": "1:2",
        }
        described = Blob(layer.blob.media_type, layer.blob.content, toc)
        image = direct.push(repository, maker.image([type(layer)(described, layer.diff_id)]), "v1")
        assert direct.manifest(repository, "v1").content == image.manifest.content
