"""Reading manifests: what clients push is read, and whatever else comes is refused in words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cas import Digest, InvalidManifest, Manifest, Role
from cas.manifest import (
    BUILDKIT_CACHE_CONFIG,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    MOST_REFERENCES,
    OCI_ARTIFACT,
    OCI_INDEX,
    OCI_MANIFEST,
)

DIGEST = Digest.of(b"something").text
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
CONFIG = "application/vnd.oci.image.config.v1+json"


def reference(media_type: str = LAYER, **members: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": DIGEST, "size": 9, **members}


def image(**members: Any) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": reference(CONFIG), "layers": [], **members}


def parse(value: object, media_type: str | None = None) -> Manifest:
    return Manifest.parse(json.dumps(value).encode(), media_type)


def test_an_image_refers_to_its_config_and_layers() -> None:
    found = parse(image(layers=[reference(), reference(urls=["file:///x"])], annotations={"a": "b"}))

    assert [(each.role, each.optional) for each in found.references] == [
        (Role.CONFIG, False),
        (Role.LAYER, False),
        (Role.LAYER, True),
    ]
    assert found.artifact_type == CONFIG
    assert found.annotations == {"a": "b"}


def test_the_artifact_type_is_the_manifests_own_or_its_configs() -> None:
    """OCI distribution specification, "Listing Referrers"."""
    assert parse(image(artifactType="application/x")).artifact_type == "application/x"
    assert parse(image(artifactType="")).artifact_type == CONFIG
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
    assert parse(index).artifact_type is None
    assert parse(index | {"artifactType": "application/x"}).artifact_type == "application/x"


def test_the_type_may_stand_in_the_content_type_alone() -> None:
    untyped = {key: value for key, value in image().items() if key != "mediaType"}

    assert parse(untyped, OCI_MANIFEST).media_type == OCI_MANIFEST
    with pytest.raises(InvalidManifest, match="neither"):
        parse(untyped)
    with pytest.raises(InvalidManifest, match="Content-Type"):
        parse(image(), DOCKER_MANIFEST)


def test_an_index_lists_manifests_that_may_be_missing() -> None:
    for media_type in (OCI_INDEX, DOCKER_LIST):
        found = parse({"schemaVersion": 2, "mediaType": media_type, "manifests": [reference(OCI_MANIFEST)]})
        assert [(each.role, each.optional) for each in found.references] == [(Role.MANIFEST, True)]


def test_the_older_cache_of_buildkit_lists_blobs() -> None:
    listed = [reference(), reference(BUILDKIT_CACHE_CONFIG)]
    found = parse({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed})

    assert [(each.role, each.optional) for each in found.references] == [(Role.LAYER, False), (Role.CONFIG, False)]


def test_the_older_artifact_manifest_refers_to_blobs() -> None:
    found = parse({"mediaType": OCI_ARTIFACT, "blobs": [reference()], "subject": reference(OCI_MANIFEST)})

    assert [each.role for each in found.references] == [Role.LAYER]
    assert found.subject == Digest(DIGEST)


@pytest.mark.parametrize("content", [b"not json", b'{"config": "x"}', b'{"annotations": {"a": 1}}', b"\xff\x00", b""])
def test_what_is_not_known_is_kept_unread(content: bytes) -> None:
    found = Manifest.parse(content, "application/vnd.acme.v1+json")

    assert (found.content, found.references, found.subject) == (content, (), None)
    with pytest.raises(InvalidManifest, match="Content-Type"):
        Manifest.parse(json.dumps(image()).encode(), "application/vnd.acme.v1+json")


def test_forbids_escaping_the_checks_by_another_spelling_of_a_media_type() -> None:
    odd = OCI_MANIFEST.replace("manifest", "Manifest")

    with pytest.raises(InvalidManifest, match="only an index"):
        parse(image(manifests=[]) | {"mediaType": odd}, odd)
    assert len(parse(image(layers=[reference()]) | {"mediaType": odd}, odd).references) == 2


def test_a_manifest_refers_to_no_more_than_it_may() -> None:
    assert len(parse(image(layers=[reference()] * MOST_REFERENCES)).references) == MOST_REFERENCES + 1
    with pytest.raises(InvalidManifest, match=str(MOST_REFERENCES)):
        parse(image(layers=[reference()] * (MOST_REFERENCES + 1)))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (image(manifests=[]), "only an index"),
        (image(fsLayers=[]), "fsLayers"),
        (image(blobs=[]), "blobs"),
        (image(layers=None), "needs config and layers"),
        (image(config=None), "needs config and layers"),
        (image(schemaVersion=3), "schemaVersion"),
        (image(layers=[reference(digest="sha256:0")]), r"layers\[0\].digest"),
        (image(layers=[reference(size=-1)]), r"layers\[0\].size"),
        (image(layers=[reference(size="9")]), "size"),
        (image(subject={}), "subject"),
        (image(layers=[reference(size=2**63)]), r"layers\[0\].size"),
        (image(artifactType="a\0b"), "artifact type"),
        (image(artifactType="a" * 256), "artifact type"),
        ({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "layers": []}, "must not have layers"),
        ({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [], "config": reference()}, "must not have config"),
        ({"schemaVersion": 2, "mediaType": OCI_INDEX}, "needs manifests"),
        ({"schemaVersion": 1, "mediaType": OCI_INDEX, "manifests": []}, "schema 1"),
        ({"mediaType": "text/html"}, "application/"),
        ({"mediaType": "application/x\r\nset-cookie: a=b"}, "application/"),
        ([], "object"),
    ],
)
def test_forbids_what_could_be_read_in_two_ways(value: object, words: str) -> None:
    """CVE-2021-41190, and the grammar of digests and sizes."""
    with pytest.raises(InvalidManifest, match=words):
        parse(value)


_members = st.sampled_from(
    ["schemaVersion", "mediaType", "config", "layers", "manifests", "subject", "annotations", "digest", "size", "urls"]
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from([DIGEST, LAYER]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_members, inner, max_size=5),
    max_leaves=30,
)


@given(st.dictionaries(_members, _json), st.sampled_from([None, OCI_MANIFEST, OCI_INDEX, DOCKER_LIST, "application/x"]))
def test_any_object_is_read_or_refused(value: dict[str, Any], media_type: str | None) -> None:
    content = json.dumps(value).encode()
    try:
        found = Manifest.parse(content, media_type)
    except InvalidManifest as error:
        assert error.reason
        return
    assert found.content == content
    assert found.digest == Digest.of(content)
    assert all(isinstance(each.digest, Digest) and each.size >= 0 for each in found.references)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    try:
        Manifest.parse(content, OCI_MANIFEST)
    except InvalidManifest as error:
        assert error.reason


@pytest.mark.parametrize("content", [b"[" * 1_000_000, b'{"annotations":' * 500_000, b'{"x":' * 500_000])
def test_depth_is_refused_and_costs_little(content: bytes) -> None:
    with pytest.raises(InvalidManifest):
        Manifest.parse(content, OCI_MANIFEST)
