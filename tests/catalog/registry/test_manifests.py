"""Manifests, tags, referrers and lists."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import httpx
import pytest

from cas import Digest, RepositoryName, Tag
from cas.manifest import BUILDKIT_CACHE_CONFIG, DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from catalog import metadata
from catalog.registry import Limits
from catalog.repositories import Repositories
from tests.catalog.images import CONFIG, LAYER, descriptor, image, index
from tests.catalog.in_process import EVERYTHING, InProcess, push_blob

NAME = "team/app"
CONFIG_BYTES = b'{"architecture": "amd64", "os": "linux"}'
LAYER_BYTES = b"not really a tar archive"


async def push_image(client: httpx.AsyncClient, name: str = NAME, tag: str = "latest", **members: Any) -> Digest:
    for blob in (CONFIG_BYTES, LAYER_BYTES):
        await push_blob(client, name, blob)
    content = image(CONFIG_BYTES, LAYER_BYTES, **members)
    answer = await client.put(f"/v2/{name}/manifests/{tag}", content=content, headers={"content-type": OCI_MANIFEST})
    assert answer.status_code == 201, answer.text
    return Digest.parse(answer.headers["docker-content-digest"])


def code(answer: httpx.Response) -> str:
    return str(answer.json()["errors"][0]["code"])


async def test_a_manifest_is_served_byte_for_byte(running: InProcess) -> None:
    content = image(CONFIG_BYTES, LAYER_BYTES).replace(b", ", b" ,\t\n ")
    async with running.client({NAME: EVERYTHING}) as client:
        for blob in (CONFIG_BYTES, LAYER_BYTES):
            await push_blob(client, NAME, blob)
        pushed = await client.put(f"/v2/{NAME}/manifests/1.0", content=content, headers={"content-type": OCI_MANIFEST})
        digest = Digest.of(content)

        assert pushed.headers["location"] == f"/v2/{NAME}/manifests/{digest}"
        for reference in ("1.0", digest):
            answer = await client.get(f"/v2/{NAME}/manifests/{reference}")
            assert answer.content == content
            assert answer.headers["content-type"] == OCI_MANIFEST
            head = await client.head(f"/v2/{NAME}/manifests/{reference}")
            assert head.headers["docker-content-digest"] == digest.text
            assert head.headers["content-length"] == str(len(content))
            assert head.content == b""


@pytest.mark.parametrize("elsewhere", [False, True])
async def test_a_manifest_needs_its_blobs_in_its_own_repository(running: InProcess, elsewhere: bool) -> None:
    async with running.client({NAME: EVERYTHING, "other/app": EVERYTHING}) as client:
        await push_blob(client, NAME, CONFIG_BYTES)
        if elsewhere:
            await push_blob(client, "other/app", LAYER_BYTES)
        answer = await client.put(f"/v2/{NAME}/manifests/latest", content=image(CONFIG_BYTES, LAYER_BYTES))

        assert answer.status_code == 404
        assert code(answer) == "MANIFEST_BLOB_UNKNOWN"
        assert answer.json()["errors"][0]["detail"] == [{"digest": Digest.of(LAYER_BYTES).text}]
        assert (await client.get(f"/v2/{NAME}/manifests/latest")).status_code == 404


async def test_an_index_may_be_sparse(running: InProcess) -> None:
    missing = descriptor(b"never pushed", OCI_MANIFEST, platform={"os": "linux", "architecture": "arm64"})
    async with running.client({NAME: EVERYTHING}) as client:
        answer = await client.put(f"/v2/{NAME}/manifests/latest", content=index(missing))

    assert answer.status_code == 201


async def test_layers_that_lie_elsewhere_need_not_be_here(running: InProcess) -> None:
    foreign = descriptor(b"windows", "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", urls=["file:///x"])
    other = descriptor(b"secret", "application/vnd.oci.image.layer.nondistributable.v1.tar")
    async with running.client({NAME: EVERYTHING}) as client:
        await push_blob(client, NAME, CONFIG_BYTES)
        content = json.loads(image(CONFIG_BYTES))
        content["layers"] = [foreign, other]
        answer = await client.put(f"/v2/{NAME}/manifests/latest", content=json.dumps(content))

    assert answer.status_code == 201


async def test_dockers_own_forms_are_kept(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        for blob in (CONFIG_BYTES, LAYER_BYTES):
            await push_blob(client, NAME, blob)
        schema_2 = json.loads(image(CONFIG_BYTES, LAYER_BYTES)) | {"mediaType": DOCKER_MANIFEST}
        one = await client.put(
            f"/v2/{NAME}/manifests/one", content=json.dumps(schema_2), headers={"content-type": DOCKER_MANIFEST}
        )
        entry = {"mediaType": DOCKER_MANIFEST, "digest": one.headers["docker-content-digest"], "size": 1}
        list_ = {"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [entry]}
        many = await client.put(
            f"/v2/{NAME}/manifests/many", content=json.dumps(list_), headers={"content-type": DOCKER_LIST}
        )

        assert (one.status_code, many.status_code) == (201, 201)
        assert (await client.get(f"/v2/{NAME}/manifests/many")).headers["content-type"] == DOCKER_LIST


async def test_the_older_cache_of_buildkit_is_an_index_of_blobs(running: InProcess) -> None:
    cache = index(descriptor(LAYER_BYTES, LAYER), descriptor(CONFIG_BYTES, BUILDKIT_CACHE_CONFIG))
    async with running.client({NAME: EVERYTHING}) as client:
        await push_blob(client, NAME, CONFIG_BYTES)
        early = await client.put(f"/v2/{NAME}/manifests/cache", content=cache)
        await push_blob(client, NAME, LAYER_BYTES)
        kept = await client.put(f"/v2/{NAME}/manifests/cache", content=cache)
        needed = await client.delete(f"/v2/{NAME}/blobs/{Digest.of(LAYER_BYTES)}")

    assert code(early) == "MANIFEST_BLOB_UNKNOWN"
    assert kept.status_code == 201
    assert needed.status_code == 405


async def test_an_unknown_media_type_is_kept(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        kept = await client.put(
            f"/v2/{NAME}/manifests/odd", content=b'{"a": 1}', headers={"content-type": "application/vnd.acme.v7+json"}
        )
        answer = await client.get(f"/v2/{NAME}/manifests/odd")

    assert kept.status_code == 201
    assert answer.content == b'{"a": 1}'
    assert answer.headers["content-type"] == "application/vnd.acme.v7+json"


@pytest.mark.parametrize(
    ("content", "content_type"),
    [
        (b"", OCI_MANIFEST),
        (b"not json", OCI_MANIFEST),
        (b"\xff\xfe{}", OCI_MANIFEST),
        (b"[" * 100_000, OCI_MANIFEST),
        (b'{"annotations":' * 100_000, OCI_MANIFEST),
        (b"{}", OCI_MANIFEST),
        (image(CONFIG_BYTES), OCI_INDEX),
        (image(CONFIG_BYTES).replace(b'"schemaVersion": 2', b'"schemaVersion": 1'), OCI_MANIFEST),
        (image(CONFIG_BYTES, manifests=[]), OCI_MANIFEST),
        (index(config=descriptor(b"", CONFIG)), OCI_INDEX),
        (index(layers=[]), OCI_INDEX),
        (index(fsLayers=[]), OCI_INDEX),
        (image(CONFIG_BYTES, subject={"mediaType": "x", "digest": "sha256:short", "size": 1}), OCI_MANIFEST),
        (image(CONFIG_BYTES, annotations={"a": 1}), OCI_MANIFEST),
        (b'{"x": 1}', "text/html"),
        (b"{}", "application/vnd.docker.distribution.manifest.v1+json"),
    ],
)
async def test_what_is_no_manifest_or_two_at_once_is_refused(
    running: InProcess, content: bytes, content_type: str
) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        await push_blob(client, NAME, CONFIG_BYTES)
        answer = await client.put(
            f"/v2/{NAME}/manifests/latest", content=content, headers={"content-type": content_type}
        )
        absent = await client.get(f"/v2/{NAME}/manifests/latest")

    assert answer.status_code == 400
    assert code(answer) == "MANIFEST_INVALID"
    assert absent.status_code == 404


async def test_a_manifest_larger_than_the_limit_is_refused(running: InProcess) -> None:
    large = image(CONFIG_BYTES, annotations={"a": "x" * (4 * 1024 * 1024)})
    async with running.client({NAME: EVERYTHING}) as client:
        answer = await client.put(f"/v2/{NAME}/manifests/latest", content=large)

    assert answer.status_code == 413
    assert "4194304" in answer.text


async def test_the_digest_in_the_path_is_checked(running: InProcess) -> None:
    content = index()
    async with running.client({NAME: EVERYTHING}) as client:
        wrong = await client.put(f"/v2/{NAME}/manifests/{Digest.of(b'other')}", content=content)
        long = Digest.of(content, "sha512")
        right = await client.put(f"/v2/{NAME}/manifests/{long}", content=content)

        assert (wrong.status_code, code(wrong)) == (400, "DIGEST_INVALID")
        assert right.headers["docker-content-digest"] == long.text
        assert (await client.get(f"/v2/{NAME}/manifests/{long}")).content == content


async def test_one_push_may_set_several_tags(running: InProcess) -> None:
    content = index()
    async with running.client({NAME: EVERYTHING}) as client:
        path = f"/v2/{NAME}/manifests/{Digest.of(content)}"
        pushed = await client.put(path, content=content, params={"tag": ["a", "b"]})
        bad = await client.put(path, content=content, params={"tag": [".no"]})
        tags = await client.get(f"/v2/{NAME}/tags/list")

    assert pushed.headers["oci-tag"] == "a, b"
    assert code(bad) == "TAG_INVALID"
    assert tags.json() == {"name": NAME, "tags": ["a", "b"]}


async def test_a_tag_moves_and_remembers(running: InProcess) -> None:

    async with running.client({NAME: EVERYTHING}, subject="alice") as client:
        first = await push_image(client)
        second = await push_image(client, annotations={"version": "2"})
        await push_image(client, annotations={"version": "2"})
        assert (await client.get(f"/v2/{NAME}/manifests/{first}")).status_code == 200
        assert (await client.delete(f"/v2/{NAME}/manifests/latest")).status_code == 202
        assert (await client.get(f"/v2/{NAME}/manifests/latest")).status_code == 404
        assert (await client.get(f"/v2/{NAME}/manifests/{second}")).status_code == 200
        assert (await client.delete(f"/v2/{NAME}/manifests/latest")).status_code == 404

    repository = await metadata.repositories.find(running.database, RepositoryName(NAME))
    moves = await metadata.tags.history(running.database, repository.id, Tag("latest"))
    assert [(move.digest, move.subject) for move in moves] == [
        (None, "alice"),
        (second.text, "alice"),
        (first.text, "alice"),
    ]


async def test_deleting_a_digest_takes_its_tags_and_warns_of_an_index_that_holds_it(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        child = await push_image(client)
        holder = await client.put(f"/v2/{NAME}/manifests/multi", content=index(descriptor(child, OCI_MANIFEST, 1)))
        answer = await client.delete(f"/v2/{NAME}/manifests/{child}")
        tags = await client.get(f"/v2/{NAME}/tags/list")

    assert answer.status_code == 202
    assert answer.headers["warning"] == f'299 - "still listed by {holder.headers["docker-content-digest"]}"'
    assert tags.json()["tags"] == ["multi"]


async def test_referrers_are_listed_and_filtered(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        subject = await push_image(client)
        pointing = {"subject": descriptor(subject, OCI_MANIFEST, 1)}
        sbom = await push_image(
            client, tag="sbom", artifactType="application/spdx+json", annotations={"a": "b"}, **pointing
        )
        plain = await push_image(client, tag="plain", **pointing)
        pushed = await client.put(f"/v2/{NAME}/manifests/x", content=index(artifactType="application/x", **pointing))
        everything = await client.get(f"/v2/{NAME}/referrers/{subject}")
        filtered = await client.get(f"/v2/{NAME}/referrers/{subject}", params={"artifactType": "application/spdx+json"})
        nothing = await client.get(f"/v2/{NAME}/referrers/{Digest.of(b'unknown')}")

    assert pushed.headers["oci-subject"] == subject.text
    assert everything.headers["content-type"] == OCI_INDEX
    found = {entry["digest"]: entry for entry in everything.json()["manifests"]}
    assert found[sbom.text]["artifactType"] == "application/spdx+json"
    assert found[sbom.text]["annotations"] == {"a": "b"}
    assert found[plain.text]["artifactType"] == CONFIG
    assert len(found) == 3
    assert [entry["digest"] for entry in filtered.json()["manifests"]] == [sbom.text]
    assert filtered.headers["oci-filters-applied"] == "artifactType"
    assert nothing.status_code == 200
    assert nothing.json()["manifests"] == []


async def test_referrers_under_the_fallback_tag_are_listed_too(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        subject = await push_image(client)
        old = await push_image(client, tag="old", annotations={"kind": "signature"})
        fallback = index(
            descriptor(old, OCI_MANIFEST, 1, artifactType="application/sig"),
            descriptor(b"never pushed", OCI_MANIFEST),
        )
        await client.put(f"/v2/{NAME}/manifests/sha256-{subject.hex}", content=fallback)
        answer = await client.get(f"/v2/{NAME}/referrers/{subject}")

    assert [entry["digest"] for entry in answer.json()["manifests"]] == [old.text]


async def test_what_says_itself_whom_it_refers_to_is_not_listed_twice(running: InProcess) -> None:
    subject = Digest.of(b"some image")
    pointing = index(subject=descriptor(subject, OCI_MANIFEST, 1))
    async with running.client({NAME: EVERYTHING}) as client:
        await client.put(f"/v2/{NAME}/manifests/one", content=pointing)
        listed = descriptor(Digest.of(pointing), OCI_INDEX, len(pointing))
        await client.put(f"/v2/{NAME}/manifests/sha256-{subject.hex}", content=index(listed))
        answer = await client.get(f"/v2/{NAME}/referrers/{subject}")

    assert [entry["digest"] for entry in answer.json()["manifests"]] == [Digest.of(pointing).text]


@pytest.mark.parametrize("odd", [b'"size": ' + b"9" * 5000, b'"size": 1, "x": ' + b"[" * 100_000])
async def test_a_fallback_index_that_cannot_be_read_lists_nothing(running: InProcess, odd: bytes) -> None:
    subject = Digest.of(b"some image")
    async with running.client({NAME: EVERYTHING}) as client:
        content = b'{"manifests": [{"mediaType": "m", "digest": "d", ' + odd + b"}]}"
        put = await client.put(
            f"/v2/{NAME}/manifests/sha256-{subject.hex}", content=content, headers={"content-type": "application/x"}
        )
        answer = await client.get(f"/v2/{NAME}/referrers/{subject}")

    assert put.status_code == 201
    assert answer.json()["manifests"] == []


async def test_a_page_of_referrers_ends_before_its_annotations_are_too_many(running: InProcess) -> None:
    running.registry = replace(running.registry, limits=Limits(manifest=25_000))
    subject = Digest.of(b"some image")
    async with running.client({NAME: EVERYTHING}) as client:
        for number in range(5):
            content = index(subject=descriptor(subject, OCI_MANIFEST, 1), annotations={str(number): "x" * 10_000})
            assert (await client.put(f"/v2/{NAME}/manifests/t{number}", content=content)).status_code == 201
        path, sizes = f"/v2/{NAME}/referrers/{subject}", []
        while path:
            answer = await client.get(path)
            sizes.append(len(answer.json()["manifests"]))
            path = answer.links.get("next", {}).get("url", "")

    assert sizes == [2, 2, 1]


async def test_a_parameter_with_nul_is_refused_on_every_engine(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING}, catalog=True) as client:
        await push_image(client)
        for path in (f"{NAME}/tags/list?last=", f"{NAME}/referrers/{Digest.of(b'')}?artifactType=", "_catalog?last="):
            answer = await client.get(f"/v2/{path}a%00b")
            assert answer.status_code == 400
            assert "NUL" in answer.text


async def test_referrers_come_in_pages(running: InProcess) -> None:
    running.registry = replace(running.registry, limits=Limits(referrers=2))
    async with running.client({NAME: EVERYTHING}) as client:
        subject = Digest.of(b"some image")
        pointing = {"subject": descriptor(subject, OCI_MANIFEST, 1)}
        for number in range(5):
            await client.put(
                f"/v2/{NAME}/manifests/t{number}", content=index(annotations={"n": str(number)}, **pointing)
            )
        path, seen = f"/v2/{NAME}/referrers/{subject}", []
        for _ in range(3):
            answer = await client.get(path)
            seen += [entry["digest"] for entry in answer.json()["manifests"]]
            path = answer.links.get("next", {}).get("url", "")

    assert not path
    assert len(set(seen)) == 5


async def test_tags_are_listed_in_pages_in_ascii_order(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        names = sorted(["a", "B", "_c", "1.0", "1.10", "1.9", "Z"])
        digest = Digest.of(index())
        await client.put(f"/v2/{NAME}/manifests/{digest}", content=index(), params={"tag": names})
        seen: list[str] = []
        path = f"/v2/{NAME}/tags/list?n=3"
        while path:
            answer = await client.get(path)
            seen += answer.json()["tags"]
            path = answer.links.get("next", {}).get("url", "")
        after = await client.get(f"/v2/{NAME}/tags/list", params={"last": "1.5"})
        none = await client.get(f"/v2/{NAME}/tags/list", params={"n": "0"})
        huge = await client.get(f"/v2/{NAME}/tags/list", params={"n": "100000"})
        absent = await client.get("/v2/team/nothing/tags/list")

    assert seen == names
    assert after.json()["tags"] == [name for name in names if name > "1.5"]
    assert none.json()["tags"] == [] and "link" not in none.headers
    assert huge.json()["tags"] == names
    assert absent.status_code == 401


@pytest.mark.parametrize("n", ["-1", "x", "1.5", "99999999999999999999", ""])
async def test_a_page_size_that_is_no_number_is_refused(running: InProcess, n: str) -> None:
    async with running.client({NAME: EVERYTHING}, catalog=True) as client:
        await push_image(client)
        for path in (f"/v2/{NAME}/tags/list", "/v2/_catalog"):
            answer = await client.get(path, params={"n": n})
            assert answer.status_code == 400
            assert code(answer) == "PAGINATION_NUMBER_INVALID"


async def test_pulls_are_counted_and_written_later(running: InProcess) -> None:

    async with running.client({NAME: EVERYTHING}) as client:
        await push_image(client)
        for _ in range(3):
            await client.get(f"/v2/{NAME}/manifests/latest")
        await client.head(f"/v2/{NAME}/manifests/latest")
    repositories = Repositories(running.database)
    repository = await repositories.find(RepositoryName(NAME))
    assert await repositories.pull_count(repository) == 0

    await running.registry.pulls.flush()
    await running.registry.pulls.flush()

    assert await repositories.pull_count(repository) == 3
