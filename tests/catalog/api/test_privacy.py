"""What somebody may not see changes no answer of theirs, in not a byte."""

from __future__ import annotations

import json

import httpx
import pytest

from cas import Digest
from tests.auth.hub import PASSWORD
from tests.catalog import images
from tests.catalog.api.conftest import BASE, OCI, PRIVATE, SECRET, Catalog
from tests.catalog.images import descriptor

in_one_loop = pytest.mark.asyncio(loop_scope="module")

NO_IMAGE, NO_LAYER = Digest.of(b"nowhere at all"), Digest.of(b"nor here")
#: A question to the API: a path and parameters.
Question = tuple[str, dict[str, str]]
#: What stands in the private image and nowhere else.
NEEDLES = ("secret", "hush", "kraken", "1234")


def questions(image: Digest, layer: Digest, repository: str, package: str, path: str) -> list[Question]:
    """Every question that names something, by what it names."""
    return [
        (f"images/{image}", {}),
        (f"images/{image}/packages", {}),
        (f"images/{image}/files", {}),
        (f"layers/{layer}", {}),
        (f"packages/deb/{package}", {}),
        (f"repositories/{repository}", {}),
        ("tags", {"repository": repository}),
        ("tag-history", {"repository": repository}),
        ("resolve", {"image": f"{repository}:v1"}),
        ("resolve", {"image": f"{repository}@{image}"}),
        ("files", {"path": path}),
        ("diff", {"from": image.text, "to": image.text}),
        ("diff", {"from": "debian:12", "to": f"{repository}:v1"}),
    ]


def about(image: Digest, layer: Digest, repository: str, package: str, path: str) -> list[str]:
    """Queries that would find it."""
    return [
        repository,
        f"repo:{repository}",
        f"digest:{image}",
        f"layer:{layer}",
        f"package:{package}",
        f"path:{path}",
        f"path:{path} deleted:include",
        "label:codename=kraken" if package == "hush" else "label:codename=nobody",
    ]


def same(first: httpx.Response, second: httpx.Response, *names: tuple[str, str]) -> None:
    """Two answers differ in nothing but in what the questions named."""
    told = second.text
    for one, other in names:
        told = told.replace(other, one)
    assert first.status_code == second.status_code
    assert first.text == told
    assert dict(first.headers) | {"content-length": ""} == dict(second.headers) | {"content-length": ""}


@in_one_loop
async def test_forbids_telling_what_is_hidden_from_what_is_absent(catalog: Catalog) -> None:
    site = catalog.site
    narrow = await site.hub.personal("alice", "repository:alice/app:pull")
    blind = await site.token("repository:alice/app:pull", "alice", PASSWORD)
    absent = (NO_IMAGE, NO_LAYER, "alice/deep/absent", "hvsh", "/opt/absent-plan")
    for layer in (SECRET.diff_id, Digest.of(SECRET.blob)):
        hidden = (catalog.private, layer, "alice/deep/secret", "hush", "/opt/secret-plan")
        names = [(str(one), str(other)) for one, other in zip(hidden, absent, strict=True)]
        names.append(("kraken", "nobody"))
        for credentials in ((), ("bob", PASSWORD), (narrow,), ("alice", narrow), (blind,)):
            for (path, given), (other, also) in zip(questions(*hidden), questions(*absent), strict=True):
                first = await site.get(f"/api/v1/{path}", *credentials, params=given)
                second = await site.get(f"/api/v1/{other}", *credentials, params=also)
                assert first.status_code in (401, 404) or path == "files", path
                same(first, second, *names)
            for query, another in zip(about(*hidden), about(*absent), strict=True):
                for kind in ("", "repository", "image", "package", "layer", "file"):
                    chosen = {"type": kind} if kind else {}
                    first = await site.get("/api/v1/search", *credentials, params={"q": query, **chosen})
                    second = await site.get("/api/v1/search", *credentials, params={"q": another, **chosen})
                    same(first, second, *names)
            for begun in ("secr", "repo:alice/deep", "package:hus", "label:code", "kra"):
                assert (await site.get("/api/v1/suggest", *credentials, params={"q": begun})).json() == []


@in_one_loop
async def test_who_may_see_it_does_by_whatever_they_sign_in_with(catalog: Catalog) -> None:
    site = catalog.site
    hidden = (catalog.private, SECRET.diff_id, "alice/deep/secret", "hush", "/opt/secret-plan")
    wide = await site.hub.personal("alice")
    narrow = await site.hub.personal("alice", "repository:alice/deep/*:pull")
    access = await site.token("repository:alice/deep/secret:pull", "alice", PASSWORD)
    for credentials in (("alice", PASSWORD), ("root-person", PASSWORD), (wide,), ("alice", wide), (narrow,), (access,)):
        for path, given in questions(*hidden):
            if given.get("from") == "debian:12" and credentials in ((narrow,), (access,)):
                continue  # these see the one repository alone
            answer = await site.get(f"/api/v1/{path}", *credentials, params=given)
            assert answer.status_code == 200, (path, answer.text)
        for query in about(*hidden):
            told = (await site.get("/api/v1/search", *credentials, params={"q": query})).json()
            assert told["total"] == 1, query
    for credentials in ((narrow,), (access,)):
        told = (await site.get(f"/api/v1/layers/{BASE.diff_id}", *credentials)).json()
        assert (told["image_count"], [image["digest"] for image in told["images"]]) == (1, [catalog.private.text])
        everything = (await site.get("/api/v1/search", *credentials, params={"q": "type:image"})).json()
        assert (everything["total"], len(everything["hits"])) == (1, 1)
        assert {value["count"] for facet in everything["facets"] for value in facet["values"]} <= {1}
        image = (await site.get(f"/api/v1/images/{catalog.private}", *credentials)).json()
        assert (image["base"], image["derived"], image["layers"][0]["images"]) == ([], [], 1)
        assert (await site.get("/api/v1/repositories/debian", *credentials)).status_code == 404
        assert (await site.get(f"/api/v1/images/{catalog.debian}", *credentials)).status_code == 404


@in_one_loop
@pytest.mark.parametrize("claimed", ["blob", "diff_id"])
async def test_a_manifest_shows_nothing_of_blobs_that_it_merely_names(catalog: Catalog, claimed: str) -> None:
    """Bob names the config and the layers of alice's private image in a manifest of his own. A layer is also named by
    its diff_id as if that were a blob's digest: so it would be counted as his by every look-up of that layer."""
    site = catalog.site
    layer = Digest.of(SECRET.blob) if claimed == "blob" else SECRET.diff_id
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI,
        "config": descriptor(PRIVATE.config, images.CONFIG),
        "layers": [descriptor(BASE.blob, images.LAYER), descriptor(layer, images.LAYER, 7)],
        "annotations": {"claimed": claimed},
    }
    name = f"bob/{claimed.replace('_', '-')}"
    digest = await site.ingest.push_manifest(name, json.dumps(manifest).encode(), "v1", sparse=True)
    own = json.dumps({"os": "linux", "rootfs": {"diff_ids": [BASE.diff_id.text, SECRET.diff_id.text]}}).encode()
    await site.ingest.push_blob(name, own)
    manifest["config"] = descriptor(own, images.CONFIG)
    with_config = await site.ingest.push_manifest(name, json.dumps(manifest).encode(), "v2", sparse=True)
    await site.ingest.settled()

    named = {PRIVATE.config and Digest.of(PRIVATE.config).text, layer.text, SECRET.diff_id.text}
    for asked in (digest, with_config):
        paths = [f"images/{asked}", f"images/{asked}/packages", f"images/{asked}/files"]
        for path in (*paths, f"repositories/{name}", f"tags?repository={name}", f"diff?from={asked}&to=debian:12"):
            _shows_nothing(await site.get(f"/api/v1/{path}", "bob", PASSWORD), named)
        told = (await site.get(f"/api/v1/images/{asked}", "bob", PASSWORD)).json()
        assert told["state"]["name"] == "failed"
        assert [row["diff_id"] for row in told["layers"]] == ["", ""]
        assert [row["raw_size"] for row in told["layers"]] == [0, 0]
        assert (told["raw_size"], told["packages"], told["base"], told["derived"]) == (0, {}, [], [])
    assert (await site.get(f"/api/v1/images/{digest}", "bob", PASSWORD)).json()["config"] is None
    for asked in (SECRET.diff_id, Digest.of(SECRET.blob)):
        assert (await site.get(f"/api/v1/layers/{asked}", "bob", PASSWORD)).status_code == 404
        found = (await site.get("/api/v1/search", "bob", PASSWORD, params={"q": f"layer:{asked}"})).json()
        assert (found["total"], found["elsewhere"]) == (0, [])
    for query in ("path:/opt/secret-plan", "file:secret-plan", "package:hush", "secret-plan", "label:codename=kraken"):
        for kind in ("image", "file", "package", "layer", "repository"):
            given = {"q": query, "type": kind}
            found = (await site.get("/api/v1/search", "bob", PASSWORD, params=given)).json()
            assert found.get("total", 0) == 0, (query, kind, found)
    assert (await site.get("/api/v1/packages/deb/hush", "bob", PASSWORD)).status_code == 404
    for deleted in ("", "yes", "include"):
        given = {"path": "/opt/secret-plan", "deleted": deleted}
        assert (await site.get("/api/v1/files", "bob", PASSWORD, params=given)).json()["files"] == []


def _shows_nothing(answer: httpx.Response, named: set[str]) -> None:
    """An answer holds nothing of the private image, but for the digests that the manifest itself names."""
    assert answer.status_code in (200, 409), answer.text
    text = answer.text
    for name in named:
        text = text.replace(name, "")
    for needle in NEEDLES:
        assert needle not in text, (needle, answer.text)
