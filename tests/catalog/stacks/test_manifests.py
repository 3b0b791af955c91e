"""Manifests as the catalog reads them, of well-meaning builders and others."""

from __future__ import annotations

import json
from dataclasses import asdict

from catalog.images.facts import ChainFacts
from catalog.images.manifests import ImageManifest, IndexManifest, read_manifest
from catalog.images.report import packages_answer
from catalog.images.texts import LONGEST_TEXT, MOST_NAMED, MOST_TEXT

IMAGE = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": "sha256:" + "c" * 64, "size": 2}


def read_annotated(annotations: object) -> ImageManifest:
    written = {"schemaVersion": 2, "config": CONFIG, "layers": [], "annotations": annotations}
    read = read_manifest(json.dumps(written).encode(), IMAGE)
    assert isinstance(read, ImageManifest)
    return read


def test_annotations_are_read_as_they_are() -> None:
    read = read_annotated({"org.opencontainers.image.title": "app", "a": "b c"})
    assert read.annotations == {"org.opencontainers.image.title": "app", "a": "b c"}
    assert read.limits == ()
    assert read_annotated(None).annotations == {}


def test_annotations_by_the_ten_thousand_are_cut_as_labels_are_and_that_is_told() -> None:
    read = read_annotated({f"a{number}": "x" for number in range(10_000)})
    assert len(read.annotations) == MOST_NAMED
    assert read.limits == ("annotations: 8000 of 10000 left out",)
    told = asdict(packages_answer("sha256:image", None, [], [], ChainFacts("", [], []), read.limits))
    assert told["limits_reached"] == ["annotations: 8000 of 10000 left out"]


def test_large_annotations_are_cut_and_their_text_has_an_end() -> None:
    read = read_annotated({"long": "x" * (LONGEST_TEXT + 1), "n" * 2000: "y", "number": 1, "nul": "a\0"})
    assert read.annotations == {"long": "x" * LONGEST_TEXT, "nul": "a\ufffd"}
    assert len(read.limits) == 3
    all_of_them = read_annotated({str(number): "x" * LONGEST_TEXT for number in range(100)})
    assert sum(map(len, all_of_them.annotations.values())) == MOST_TEXT


def test_annotations_of_an_index_have_the_same_bounds() -> None:
    written = {"schemaVersion": 2, "manifests": [], "annotations": {str(number): "" for number in range(10_000)}}
    read = read_manifest(json.dumps(written).encode(), INDEX)
    assert isinstance(read, IndexManifest)
    assert len(read.annotations) == MOST_NAMED
