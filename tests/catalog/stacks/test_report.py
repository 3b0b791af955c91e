"""What the command line and the API say of packages."""

from __future__ import annotations

from dataclasses import asdict

from cas import Digest
from catalog.images.config import HistoryEntry, ImageConfig
from catalog.images.facts import Evidence, PackageFacts
from catalog.images.manifests import Reference
from catalog.images.report import packages_answer
from catalog.images.squash import squash
from tests.catalog.stacks.layers import layer

STATUS = "var/lib/dpkg/status"


def dpkg(*versions: tuple[str, str]) -> Evidence:
    return Evidence("dpkg", STATUS, [PackageFacts("deb", name, version, source="src") for name, version in versions])


def test_packages_name_the_layers_that_brought_and_removed_them() -> None:
    facts = [
        layer(texts={"etc/os-release": b"ID=debian\nVERSION_ID=12"}, evidence=[dpkg(("a", "1"), ("b", "1"))]),
        layer(evidence=[dpkg(("a", "1"), ("c", "2"))], unread="cut off"),
    ]
    blobs = [Reference("application/x", Digest.of(name), size) for name, size in ((b"x", 10), (b"y", 20))]
    diff_ids = [Digest.parse(each.diff_id) for each in facts]
    config = ImageConfig(
        os="linux",
        architecture="amd64",
        history=[HistoryEntry(0, "FROM", "", "", False, 0), HistoryEntry(0, "RUN", "", "", False, 1)],
        limits=["a label is left out"],
    )

    answer = asdict(packages_answer("sha256:image", config, blobs, diff_ids, squash(facts)))

    first, second = (
        {"index": index, "digest": blob.digest.text, "diff_id": diff_id.text}
        for index, (blob, diff_id) in enumerate(zip(blobs, diff_ids, strict=True))
    )
    purl = "pkg:deb/debian/{}?distro=debian-12"
    package = {"ecosystem": "deb", "source": "src", "licenses": [], "locations": [STATUS], "owned_by": ""}
    assert answer == {
        "image": "sha256:image",
        "platform": "linux/amd64",
        "distro": "debian 12",
        "layers": [
            {**first, "size": 10, "created_by": "FROM", "unread": ""},
            {**second, "size": 20, "created_by": "RUN", "unread": "cut off"},
        ],
        "packages": [
            {**package, "purl": purl.format("a@1"), "name": "a", "version": "1", "layer": first},
            {**package, "purl": purl.format("c@2"), "name": "c", "version": "2", "layer": second},
        ],
        "limits_reached": ["layer 1: cut off", "a label is left out"],
        "removed": [
            {
                "purl": purl.format("b@1"),
                "ecosystem": "deb",
                "name": "b",
                "version": "1",
                "layer": first,
                "removed_in": second,
            }
        ],
    }


def test_an_image_without_a_config_has_packages_all_the_same() -> None:
    facts = layer(evidence=[dpkg(("a", "1"))])
    blob = Reference("application/x", Digest.of(b"x"), 10)

    answer = packages_answer("sha256:image", None, [blob], [Digest.parse(facts.diff_id)], squash([facts]))

    assert (answer.platform, answer.distro, answer.layers[0].created_by) == ("", "", "")
    assert [each.name for each in answer.packages] == ["a"]
