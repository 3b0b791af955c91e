"""Documents: what each says, and where it comes from."""

from __future__ import annotations

import time

import pytest

from cas import Digest, RepositoryName, StorageFull, Tag
from catalog.images.facts import Package
from catalog.metadata import repositories, tags
from catalog.metadata.pulls import PullCounter
from catalog.search.documents import Document, document_id, file_token
from database import DatabaseFull, DatabaseUnavailable
from ingest import documents as making
from ingest.documents import explained
from ingest.errors import NotStarted, ProgramFault
from tests.catalog.images import descriptor, index
from tests.ingest import tars
from tests.ingest.in_process import Ingest, image, small, status

OCI = "application/vnd.oci.image.manifest.v1+json"
BASE = {
    "org.opencontainers.image.base.name": "docker.io/library/debian:12",
    "org.opencontainers.image.base.digest": "sha256:" + "b" * 64,
}
DPKG = b"""Package: libssl3
Status: install ok installed
Architecture: amd64
Source: openssl (3.0.11-1)
Version: 3.0.11-1

Package: bash
Status: install ok installed
Architecture: amd64
Version: 5.2-1
"""


async def test_an_image_says_what_its_rows_config_and_layers_say(ingest: Ingest) -> None:
    base = tars.layer({"var/lib/dpkg/status": DPKG, "etc/": None, "etc/motd": "hello", "etc/gone": "bye"})
    top = tars.layer(
        {"etc/motd": "again", **tars.whiteout("etc/gone"), "var/lib/dpkg/status": status(("bash", "5.2-1"))}
    )
    pushed = image(
        base,
        top,
        config={
            "architecture": "arm64",
            "variant": "v8",
            "created": "2024-01-01T00:00:00Z",
            "config": {
                "User": "app",
                "Env": ["PATH=/bin", "TOKEN=secret"],
                "Entrypoint": ["/bin/app"],
                "Cmd": ["--serve"],
                "ExposedPorts": {"8080/tcp": {}},
                "Labels": {"team": "payments", **BASE},
            },
            "history": [
                {"created_by": "COPY a /"},
                {"created_by": "ENV x=y", "empty_layer": True},
                {"created_by": "RUN b"},
            ],
        },
        annotations={"org.opencontainers.image.title": "app"},
    )
    before = int(time.time())
    await ingest.push("library/app", pushed, "v1")
    await ingest.settled()

    document = await ingest.found("library/app", pushed.digest)

    repository = await ingest.repository("library/app")
    assert (document.repository_id, document.repository, document.public) == (repository.id, "library/app", True)
    assert document.official
    assert document.platform == "linux/arm64/v8"
    assert document.size == len(base.blob) + len(top.blob) + len(pushed.config)
    assert before <= document.pushed <= time.time()
    assert document.created == 1_704_067_200
    assert (document.user, document.entrypoint, document.command) == ("app", ["/bin/app"], ["--serve"])
    assert (document.ports, document.env) == (["8080/tcp"], ["PATH", "TOKEN"])
    assert document.history == ["COPY a /", "ENV x=y", "RUN b"]
    assert document.annotations == {"org.opencontainers.image.title": "app"}
    assert document.bases == [f"docker.io/library/debian:12@{'sha256:' + 'b' * 64}"]
    assert document.packages == [("deb/bash", "5.2-1")]
    assert document.removed == [("deb/libssl3", "3.0.11-1")]
    assert document.sources == [("deb/bash", "5.2-1")]
    assert document.chains[0] == base.diff_id.text
    assert document.chains[1] == Digest.of(f"{base.diff_id} {top.diff_id}".encode()).text
    assert len(document.histories) == 1, "nothing was done after the top layer"
    assert set(document.hidden) == {
        file_token(base.diff_id.text, path) for path in ("etc/gone", "etc/motd", "var/lib/dpkg/status")
    }


async def test_a_repository_says_what_its_tags_and_pulls_say(ingest: Ingest) -> None:
    amd, arm = image(small("1")), image(small("2"), config={"architecture": "arm64"})
    await ingest.push("ada/app", amd, "v1", public=False)
    await ingest.push("ada/app", arm, public=False)
    listed = index(
        descriptor(arm.manifest, OCI, platform={"os": "linux", "architecture": "riscv64"}),
        descriptor(Digest.of(b"attestation"), OCI, platform={"os": "unknown", "architecture": "unknown"}),
    )
    await ingest.push_manifest("ada/app", listed, "v2", public=False)
    row = await ingest.repository("ada/app")
    pulls = PullCounter(ingest.database)
    for _ in range(3):
        pulls.count(row.id)
    await pulls.flush()
    name = RepositoryName.parse("ada/app")
    await ingest.database.write(lambda tx: repositories.change(tx, name, description="The harbour's own."))
    await ingest.settled()

    document = await ingest.repository_document("ada/app")

    assert (document.name, document.public, document.official) == ("ada/app", False, False)
    assert (document.tags, document.pulls, document.description) == (2, 3, "The harbour's own.")
    assert document.platforms == ["linux/amd64", "linux/riscv64"]
    assert time.time() - 86_400 <= document.pulled <= time.time()
    assert document.pushed >= document.created > 0


async def test_a_repository_that_is_deprecated_is_so_in_its_images_too(ingest: Ingest) -> None:
    first, second = image(small("1")), image(small("2"))
    await ingest.push("ada/app", first, "v1")
    await ingest.push("ada/app", second)
    await ingest.push("ada/other", first, "v1")
    await ingest.settled()
    name = RepositoryName.parse("ada/app")

    for deprecated in (True, False):
        await ingest.database.write(lambda tx, to=deprecated: repositories.change(tx, name, deprecated=to))
        await ingest.settled()

        assert (await ingest.repository_document("ada/app")).deprecated is deprecated
        for pushed in (first, second):
            assert (await ingest.found("ada/app", pushed.digest)).deprecated is deprecated
        assert not (await ingest.found("ada/other", first.digest)).deprecated


async def test_a_tag_that_moves_is_a_push(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    pushed = image(small())
    await ingest.push("ada/app", pushed)
    later = time.time() + 1000
    monkeypatch.setattr(time, "time", lambda: later)
    row = await ingest.repository("ada/app")
    name = RepositoryName.parse("ada/app")
    await ingest.database.write(lambda tx: tags.move(tx, row.id, name, Tag.parse("v1"), pushed.digest, "ada"))
    await ingest.settled()

    assert (await ingest.repository_document("ada/app")).pushed == int(later)


async def test_all_documents_are_those_that_were_written_one_by_one(ingest: Ingest) -> None:
    base = tars.layer({"var/lib/dpkg/status": DPKG})
    for number in range(4):
        top = tars.layer({"var/lib/dpkg/status": status((f"own{number}", f"{number}.0"), ("bash", f"5.{number}"))})
        await ingest.push(f"ada/app{number % 2}", image(base, top), f"v{number}")
    wrong = image(base, diff_ids=[Digest.of(b"nothing").text])
    await ingest.push("ada/wrong", wrong, "v1")
    await ingest.settled()

    made: dict[str, Document] = {document_id(each): each async for each in ingest.documents.all()}

    assert made == await ingest.everything()
    assert await ingest.documents.count() == 8  # three repositories, five manifests
    package = await ingest.package("deb/bash")
    assert package is not None
    assert package.versions == ["5.0", "5.1", "5.2", "5.2-1", "5.3"]


async def test_a_manifest_of_an_unknown_kind_is_found_by_its_tag(ingest: Ingest) -> None:
    digest = await ingest.push_manifest("ada/app", b"{}", "odd", media_type="application/vnd.example.odd+json")
    await ingest.settled()

    document = await ingest.found("ada/app", digest)

    assert (document.artifact_type, document.tags) == ("application/vnd.example.odd+json", ["odd"])


async def test_an_image_without_layers_is_read(ingest: Ingest) -> None:
    scratch = image(config={"config": {"Labels": {"team": "payments"}}})
    await ingest.push("ada/app", scratch, "v1")
    await ingest.settled()

    document = await ingest.found("ada/app", scratch.digest)

    assert (document.problem, document.labels, document.diff_ids) == ("", {"team": "payments"}, [])


async def test_a_config_that_is_no_config_is_a_problem(ingest: Ingest) -> None:
    layer = small()
    pushed = image(layer)
    broken = b"not JSON"
    manifest = pushed.manifest.replace(Digest.of(pushed.config).text.encode(), Digest.of(broken).text.encode())
    await ingest.push_blob("ada/app", layer.blob)
    await ingest.push_blob("ada/app", broken)
    digest = await ingest.push_manifest("ada/app", manifest, "v1")
    await ingest.settled()

    document = await ingest.found("ada/app", digest)

    assert document.tags == ["v1"]
    assert "0 diff_ids, and the manifest 1 layers" in document.problem


@pytest.mark.parametrize(
    ("licenses", "found"),
    [
        (["MIT"], ["MIT"]),
        (
            ["MIT OR (Apache-2.0 AND GPL-2.0-only WITH Classpath-exception-2.0)"],
            ["MIT", "Apache-2.0", "GPL-2.0-only", "Classpath-exception-2.0"],
        ),
        (["The MIT License (MIT)"], ["The MIT License (MIT)"]),
        (["MIT OR", "AND"], ["MIT OR", "AND"]),
        (["MIT", "MIT OR BSD-3-Clause"], ["MIT", "BSD-3-Clause"]),
        ([""], []),
        (["(" * 5000, "( )"], []),
    ],
)
def test_licenses_are_taken_apart(licenses: list[str], found: list[str]) -> None:
    assert making._licenses([Package("pkg:deb/x", "deb", "x", "1", 0, licenses=licenses)]) == found


SECRET = "/srv/portolan/store"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (StorageFull("the store", SECRET), "no room is left in the store"),
        (DatabaseFull(SECRET), "no room is left in the database"),
        (DatabaseUnavailable(SECRET), "the database does not answer"),
        (NotStarted(f"No such file: {SECRET}"), "no process could be started to read it"),
        (ProgramFault(f"OSError: {SECRET}", SECRET), "an error of the program"),
        (OSError(5, "Input/output error", SECRET), "an error of the program"),
        (ValueError(), "an error of the program"),
    ],
)
def test_why_an_image_was_not_read_tells_nothing_of_the_installation(error: Exception, words: str) -> None:
    assert words in explained(error)
    assert SECRET not in explained(error)
