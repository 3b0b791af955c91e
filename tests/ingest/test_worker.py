"""The worker, with everything that is real: what is pushed comes to be found, however it comes."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shutil
import signal
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import msgspec
import pytest

from cas import BlobStore, Digest, RepositoryName, Tag
from catalog.images.facts import ChainFacts, LayerFacts
from catalog.images.objects import decode
from catalog.metadata import jobs, manifests, repositories, tags, tightened
from catalog.metadata.jobs import REPOSITORY
from catalog.search.documents import ImageDocument
from catalog.search.errors import SearchUnavailable
from database import Database
from ingest import worker as working
from ingest import works, writing
from ingest.consumer import ask_again
from ingest.documents import Documents
from ingest.limits import ReadLimits
from tests.catalog.images import descriptor, index
from tests.end_to_end.parts import seconds_of_work
from tests.ingest import tars
from tests.ingest.in_process import Image, Ingest, image, ingesting, opened, small, status
from tests.services.processes import wait_until

OCI = "application/vnd.oci.image.manifest.v1+json"
DEBIAN = tars.layer({"var/lib/dpkg/status": status(("openssl", "3.0.11-1"), ("libc6", "2.36-9")), "etc/": None})
NOISE = os.urandom(30_000_000)
RELEASE = 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n'


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once."""
    monkeypatch.setattr(working, "_FIRST_RETRY", 0.01)
    monkeypatch.setattr(working, "_POSTPONED", 0.1)


async def parked(ingest: Ingest) -> list[jobs.Failure]:
    """Return what failed for good, once nothing else is to be done."""
    async with asyncio.timeout(60):
        while True:
            await ingest.settled()
            counts = await jobs.counts(ingest.database)
            if not counts.waiting and not counts.running:
                return await jobs.failures(ingest.database)
            await asyncio.sleep(0.02)


async def test_a_push_is_read_and_found(ingest: Ingest) -> None:
    top = tars.layer({"etc/os-release": RELEASE}, compression="zstd")
    pushed = image(DEBIAN, top, config={"config": {"Labels": {"team": "payments"}, "Env": ["PATH=/bin"]}})
    await ingest.push("ada/app", pushed, "v1", "latest")

    await ingest.settled()

    document = await ingest.found("ada/app", pushed.digest)
    assert document.problem == ""
    assert sorted(document.packages) == [("deb/libc6", "2.36-9"), ("deb/openssl", "3.0.11-1")]
    assert document.diff_ids == [DEBIAN.diff_id.text, top.diff_id.text]
    assert document.layers == [DEBIAN.digest.text, top.digest.text]
    assert sorted(document.tags) == ["latest", "v1"]
    assert document.labels == {"team": "payments"}
    assert document.distro == ("debian", "12")
    assert ingest.reads == [True, True]
    assert (await ingest.repository_document("ada/app")).platforms == ["linux/amd64"]
    layer, package = await ingest.layer(DEBIAN.diff_id), await ingest.package("deb/openssl")
    assert layer is not None
    assert layer.blobs == {DEBIAN.digest.text: len(DEBIAN.blob)}
    assert layer.raw_size == len(DEBIAN.tar)
    assert package is not None
    assert package.versions == ["3.0.11-1"]


async def test_a_layer_is_read_once_however_many_images_hold_it(ingest: Ingest) -> None:
    pushed = [image(DEBIAN, small(str(number))) for number in range(6)]
    for number, each in enumerate(pushed):
        await ingest.push(f"ada/app{number % 2}", each, f"v{number}")

    await ingest.settled()

    assert len(ingest.reads) == 7
    for number, each in enumerate(pushed):
        assert (await ingest.found(f"ada/app{number % 2}", each.digest)).packages


async def test_another_compression_is_read_once_and_is_the_same_layer(ingest: Ingest) -> None:
    again = tars.Layer(tars.zstd(DEBIAN.tar), DEBIAN.tar, tars.MEDIA_TYPES["zstd"])
    first, second, third = image(DEBIAN), image(again), image(again, small())
    for pushed in (first, second, third):
        await ingest.push("ada/app", pushed)
        await ingest.settled()

    assert len(ingest.reads) == 3
    layer = await ingest.layer(DEBIAN.diff_id)
    assert layer is not None
    assert layer.blobs == {DEBIAN.digest.text: len(DEBIAN.blob), again.digest.text: len(again.blob)}
    one, other = await ingest.found("ada/app", first.digest), await ingest.found("ada/app", second.digest)
    assert (one.packages, one.diff_ids, one.chains) == (other.packages, other.diff_ids, other.chains)
    assert await ingest.index.compressions(DEBIAN.diff_id) == sorted([DEBIAN.digest, again.digest])


async def test_what_a_config_claims_shows_nothing_of_the_layer_that_it_names(ingest: Ingest) -> None:
    """Somebody knows the diff_id of a private layer, and claims it for one of their own."""
    await ingest.push("ada/secret", image(DEBIAN), public=False)
    await ingest.settled()
    own = small("mine")
    claiming = image(small(), own, diff_ids=[small().diff_id.text, DEBIAN.diff_id.text])
    await ingest.push("eve/app", claiming, "v1")

    (failure,) = await parked(ingest)

    document = await ingest.found("eve/app", claiming.digest)
    assert (document.packages, document.diff_ids, document.chains) == ([], [], [])
    assert document.tags == ["v1"]
    assert document.problem == failure.error
    assert f"layer 1 ({own.digest}) is {own.diff_id} when it is decompressed" in failure.error
    assert failure.parked


@pytest.mark.parametrize("claimed", [[], [DEBIAN.diff_id.text] * 2, ["nonsense"]])
async def test_diff_ids_that_do_not_fit_are_a_failure(ingest: Ingest, claimed: list[str]) -> None:
    pushed = image(DEBIAN, diff_ids=claimed)
    await ingest.push("ada/app", pushed)

    (failure,) = await parked(ingest)

    assert "diff_ids" in failure.error or "the config says that it is nonsense" in failure.error
    assert not (await ingest.found("ada/app", pushed.digest)).packages


async def test_a_blob_that_the_repository_does_not_have_is_not_known(ingest: Ingest) -> None:
    """A layer with addresses of its own may be missing; that another repository has it is nobody's business."""
    await ingest.push("ada/secret", image(DEBIAN), public=False)
    await ingest.settled()
    stolen = descriptor(DEBIAN.digest, DEBIAN.media_type, len(DEBIAN.blob), urls=["https://nowhere.invalid/layer"])
    claiming = image(diff_ids=[DEBIAN.diff_id.text], layers=[stolen])
    await ingest.push("eve/app", claiming, "v1")
    await ingest.settled()

    document = await ingest.found("eve/app", claiming.digest)
    assert (document.packages, document.diff_ids, document.chains) == ([], [], [])
    assert document.problem.endswith("it is not in the repository")


@pytest.mark.parametrize(
    ("media_type", "reason"),
    [
        ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", "it is kept elsewhere"),
        ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "it is kept elsewhere"),
        ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", "it is encrypted"),
        ("application/octet-stream", "application/octet-stream is no layer of a file system"),
    ],
)
async def test_layers_that_nobody_can_read_say_so(ingest: Ingest, media_type: str, reason: str) -> None:
    readable, other = small(), descriptor(Digest.of(b"other"), media_type, 5)
    pushed = image(
        readable,
        diff_ids=[readable.diff_id.text, Digest.of(b"raw").text],
        layers=[descriptor(readable.blob, readable.media_type), other],
    )
    if "elsewhere" not in reason:
        await ingest.push_blob("ada/app", b"other")
    await ingest.push("ada/app", pushed, "v1")

    (failure,) = await parked(ingest)

    assert failure.error == f"layer 1 ({Digest.of(b'other')}) could not be read: {reason}"
    assert failure.attempts == 1
    document = await ingest.found("ada/app", pushed.digest)
    assert (document.problem, document.tags) == (failure.error, ["v1"])


@pytest.mark.usefixtures("hasty")
async def test_a_layer_that_cannot_be_read_is_tried_again_and_parked(ingest: Ingest) -> None:
    broken = tars.Layer(DEBIAN.blob[:-20], DEBIAN.tar, DEBIAN.media_type)
    pushed = image(small(), broken, config={"config": {"Labels": {"team": "payments"}}})
    await ingest.push("ada/app", pushed, "v1")
    good = image(DEBIAN)
    await ingest.push("ada/app", good, "v2")

    (failure,) = await parked(ingest)

    assert (failure.attempts, failure.parked) == (3, True)
    assert failure.error.startswith(f"layer 1 ({broken.digest}) could not be read: ")
    assert ingest.reads.count(False) == 3
    document = await ingest.found("ada/app", pushed.digest)
    assert (document.tags, document.labels) == (["v1"], {"team": "payments"})
    assert document.problem == failure.error
    assert (await ingest.found("ada/app", good.digest)).packages

    # What its tags are is known all the same, and each move costs one more attempt.
    repository = (await ingest.repository("ada/app")).id
    name = RepositoryName.parse("ada/app")
    move = tags.move
    await ingest.database.write(lambda tx: move(tx, repository, name, Tag.parse("v3"), pushed.digest, "ada"))
    (failure,) = await parked(ingest)
    assert failure.attempts == 4
    assert sorted((await ingest.found("ada/app", pushed.digest)).tags) == ["v1", "v3"]


@pytest.mark.usefixtures("hasty")
async def test_a_damaged_blob_that_is_pushed_again_is_read(ingest: Ingest, store: BlobStore) -> None:
    pushed = image(DEBIAN)
    await ingest.push("ada/app", pushed, "v1")
    await store.delete(DEBIAN.digest)
    (failure,) = await parked(ingest)
    assert "is not" in failure.error

    await ingest.push_blob("ada/app", DEBIAN.blob)
    assert await ingest.database.write(jobs.retry) == 1
    assert await parked(ingest) == []

    assert (await ingest.found("ada/app", pushed.digest)).problem == ""


async def test_artifacts_have_documents_without_layers(ingest: Ingest) -> None:
    """A signature, and BuildKit's attestation, which comes with the config of an image."""
    attested = small("in-toto")
    statement = tars.Layer(b"{}", b"{}", "application/vnd.in-toto+json")
    attestation = image(statement, config={"os": "unknown", "architecture": "unknown"})
    await ingest.push("ada/app", attestation)
    empty = b"{}"
    await ingest.push_blob("ada/app", empty)
    signature = image(attested, artifactType="application/vnd.example.signature", config_type="x")
    manifest = json.loads(signature.manifest)
    del manifest["config_type"]
    manifest["config"] = descriptor(empty, "application/vnd.oci.empty.v1+json")
    await ingest.push_blob("ada/app", attested.blob)
    signed = await ingest.push_manifest("ada/app", json.dumps(manifest).encode(), "sig")

    await ingest.settled()

    document = await ingest.found("ada/app", signed)
    assert (document.artifact_type, document.layers, document.tags) == (
        "application/vnd.example.signature",
        [],
        ["sig"],
    )
    attestation_document = await ingest.found("ada/app", attestation.digest)
    assert attestation_document.artifact_type == "application/vnd.in-toto+json"
    assert attestation_document.problem == ""
    assert await jobs.failures(ingest.database) == []
    assert ingest.reads == []


async def test_tags_of_indexes_are_their_images_too(ingest: Ingest) -> None:
    one, other = image(small("1")), image(small("2"), config={"architecture": "arm64"})
    for each in (one, other):
        await ingest.push("ada/app", each)
    inner = index(descriptor(one.manifest, OCI, platform={"os": "linux", "architecture": "amd64"}))
    outer = index(descriptor(inner, "application/vnd.oci.image.index.v1+json"), descriptor(other.manifest, OCI))
    await ingest.settled()
    inner_digest = await ingest.push_manifest("ada/app", inner, "inner")
    outer_digest = await ingest.push_manifest("ada/app", outer, "outer")
    await ingest.settled()

    first, second = await ingest.found("ada/app", one.digest), await ingest.found("ada/app", other.digest)
    assert set(first.parents) == {inner_digest.text, outer_digest.text}
    assert (sorted(first.tags), second.tags) == (["inner", "outer"], ["outer"])
    assert second.platform == "linux/arm64"
    assert await ingest.image("ada/app", outer_digest) is None

    name = RepositoryName.parse("ada/app")
    await ingest.database.write(lambda tx: manifests.remove(tx, name, outer_digest, "ada"))
    await ingest.settled()
    first, second = await ingest.found("ada/app", one.digest), await ingest.found("ada/app", other.digest)
    assert (first.parents, first.tags) == ([inner_digest.text], ["inner"])
    assert (second.parents, second.tags) == ([], [])


async def test_a_tag_that_moves_is_at_one_image_alone(ingest: Ingest) -> None:
    one, other = image(small("1")), image(small("2"))
    await ingest.push("ada/app", one, "latest")
    await ingest.settled()
    await ingest.push("ada/app", other, "latest")
    await ingest.settled()

    assert (await ingest.found("ada/app", one.digest)).tags == []
    assert (await ingest.found("ada/app", other.digest)).tags == ["latest"]


async def test_what_becomes_private_says_so_in_all_its_documents(ingest: Ingest) -> None:
    pushed = [image(small(str(number))) for number in range(3)]
    for each in pushed:
        await ingest.push("ada/app", each)
    await ingest.settled()
    name = RepositoryName.parse("ada/app")

    await ingest.database.write(lambda tx: repositories.change(tx, name, public=False))
    assert await tightened.repository_ids(ingest.database) != []
    await ingest.settled()

    assert await tightened.repository_ids(ingest.database) == []
    assert not (await ingest.repository_document("ada/app")).public
    for each in pushed:
        document = await ingest.found("ada/app", each.digest)
        assert not document.public
        assert document.diff_ids
    assert len(ingest.reads) == 3


async def test_what_is_deleted_leaves_no_document(ingest: Ingest) -> None:
    kept, gone = image(small("1")), image(small("2"))
    for each in (kept, gone):
        await ingest.push("ada/app", each)
    await ingest.push("ada/other", kept)
    await ingest.settled()
    name = RepositoryName.parse("ada/app")

    await ingest.database.write(lambda tx: manifests.remove(tx, name, gone.digest, "ada"))
    await ingest.settled()
    assert await ingest.image("ada/app", gone.digest) is None
    assert await ingest.image("ada/app", kept.digest) is not None

    await ingest.database.write(lambda tx: repositories.remove(tx, name))
    await ingest.settled()
    assert await tightened.repository_ids(ingest.database) == []
    names = [name for name in await ingest.everything() if name.startswith(("repository:", "image:"))]
    other = (await ingest.repository("ada/other")).id
    assert sorted(names) == [f"image:{other}:{kept.digest}", f"repository:{other}"]


@pytest.mark.usefixtures("hasty")
async def test_a_document_that_cannot_be_made_fails_alone(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pushed = [image(small(str(number))) for number in range(5)]
    make = Documents._image

    def make_but_one(self: Documents, stored, *rest):  # type: ignore[no-untyped-def]
        if stored.digest == pushed[2].digest:
            raise ValueError("a mistake of ours")
        return make(self, stored, *rest)

    monkeypatch.setattr(Documents, "_image", make_but_one)
    for each in pushed:
        await ingest.push("ada/app", each)

    (failure,) = await parked(ingest)

    assert (failure.digest, "in the log" in failure.error) == (pushed[2].digest.text, True)
    assert "a mistake of ours" in caplog.text
    assert [await ingest.image("ada/app", each.digest) is not None for each in pushed] == [
        True,
        True,
        False,
        True,
        True,
    ]


@pytest.mark.usefixtures("hasty")
async def test_jobs_wait_while_there_is_no_search_index(ingest: Ingest, tmp_path: Path) -> None:
    first, second = image(DEBIAN), image(small())
    await ingest.push("ada/app", first)
    await ingest.settled()
    shutil.rmtree(tmp_path / "search")
    await ingest.push("ada/app", second)
    await ingest.settled()
    counts = await jobs.counts(ingest.database)
    assert (counts.parked, counts.waiting > 0) == (0, True)

    await ingest.writing.rebuild()

    assert await parked(ingest) == []
    assert (await ingest.found("ada/app", first.digest)).packages
    assert (await ingest.found("ada/app", second.digest)).diff_ids


async def test_facts_that_were_removed_are_made_again(ingest: Ingest, tmp_path: Path) -> None:
    pushed = image(DEBIAN, small())
    await ingest.push("ada/app", pushed)
    await ingest.settled()
    before = await ingest.everything()
    repository = (await ingest.repository("ada/app")).id

    for kinds, reads in ((["chains"], 2), (["chains", "facts"], 4), (["chains", "facts", "blobs"], 6)):
        for kind in kinds:
            shutil.rmtree(tmp_path / "store" / "derived" / kind)
        await ask_again(ingest.database, {repository: [pushed.digest.text]})
        await ingest.settled()
        assert await ingest.everything() == before
        assert len(ingest.reads) == reads


async def test_a_killed_reader_costs_an_attempt_and_no_more(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working, "_FIRST_RETRY", 0.01)
    large = tars.layer({f"noise{number}": NOISE for number in range(6)}, compression="plain")
    pushed = image(large)
    await asyncio.to_thread(wait_until, lambda: len(ingest.pool.pids) == 2, 30, "the processes")
    before = {pid: seconds_of_work(pid) for pid in ingest.pool.pids}
    await ingest.push("ada/app", pushed)
    await asyncio.to_thread(
        wait_until,
        lambda: any(seconds_of_work(pid) > worked + 0.03 for pid, worked in before.items()),
        30,
        "the reading to begin",
    )
    for pid in ingest.pool.pids:
        os.kill(pid, signal.SIGKILL)

    assert await parked(ingest) == []

    assert ingest.reads == [False, True]
    assert (await ingest.found("ada/app", pushed.digest)).diff_ids == [large.diff_id.text]


async def test_what_a_worker_left_is_done_by_the_next(database: Database, store: BlobStore, tmp_path: Path) -> None:
    pushed = [image(DEBIAN, small(str(number))) for number in range(20)]
    async with opened(database, store, tmp_path) as ingest:
        for each in pushed:
            await ingest.push("ada/app", each)
        for _ in range(4):
            async with ingest.running():
                async with asyncio.timeout(30):
                    while not ingest.reads:  # noqa: ASYNC110 - it is the worker's own
                        await asyncio.sleep(0.002)
                ingest.reads.clear()
            assert (await jobs.counts(database)).running == 0
        async with ingest.running():
            await ingest.settled()
        assert (await jobs.counts(database))[:3] == (0, 0, 0)
        for each in pushed:
            assert (await ingest.found("ada/app", each.digest)).packages


async def test_what_layers_hold_is_in_memory_for_one_image_however_many_are_in_hand(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small layers may hide a lot: an archive of empty files is compressed some hundred times."""
    monkeypatch.setattr(writing, "_MOST_BYTES", 2 * 100 * 400)
    apply, seen = ingest.writer.apply, list[tuple[int, int]]()

    async def counted(changes):  # type: ignore[no-untyped-def]
        kinds = Counter(type(each) for each in gc.get_objects())
        seen.append(
            (kinds[ChainFacts], sum(isinstance(getattr(each, "document", 0), ImageDocument) for each in changes))
        )
        await apply(changes)

    monkeypatch.setattr(ingest.writer, "apply", counted)
    low, up = tars.layer({f"d/{number}": b"" for number in range(400)}), tars.layer({".wh.d": b""})
    pushed = [image(low, up, small(str(number))) for number in range(30)]
    for each in pushed:
        await ingest.push("ada/app", each)

    await ingest.settled()

    assert max(chains for chains, _ in seen) <= 2
    assert max(documents for _, documents in seen) <= 2
    for each in pushed:
        assert (await ingest.found("ada/app", each.digest)).diff_ids


async def leave_claimed(ingest: Ingest, *pushed: Image) -> None:
    """Claim the jobs of *pushed*, as a worker does that dies then."""
    consuming = asyncio.create_task(ingest.consumer.run(lambda: None))
    digests = {each.digest.text for each in pushed}
    claimed: list[jobs.Job] = []
    async with asyncio.timeout(30):
        while not digests <= {job.digest for job in claimed}:
            claimed += await ingest.database.write(lambda tx: jobs.claim(tx, 100, 60))
            await asyncio.sleep(0.01)
    consuming.cancel()
    await asyncio.wait([consuming])
    others = [job for job in claimed if job.digest not in digests]
    await ingest.database.write(lambda tx: jobs.release(tx, others))


async def test_what_was_alone_in_hand_when_a_worker_died_has_failed(
    database: Database, store: BlobStore, tmp_path: Path
) -> None:
    pushed = image(DEBIAN)
    async with opened(database, store, tmp_path, attempts=1) as ingest:
        await ingest.push("ada/app", pushed, "v1")
        await leave_claimed(ingest, pushed)

        async with ingest.running():
            (failure,) = await parked(ingest)

        assert (failure.digest, failure.parked, failure.attempts) == (pushed.digest.text, True, 1)
        assert "died" in failure.error
        document = await ingest.found("ada/app", pushed.digest)
        assert (document.tags, document.problem) == (["v1"], failure.error)
        assert ingest.reads == []


async def test_what_was_one_of_many_when_a_worker_died_is_done_alone_and_has_not_failed(
    database: Database, store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = [image(DEBIAN, small(str(number))) for number in range(5)]
    async with opened(database, store, tmp_path, attempts=1) as ingest:
        for each in pushed:
            await ingest.push("ada/app", each)
        await leave_claimed(ingest, *pushed[:4])
        claim, claimed = jobs.claim, list[tuple[bool, int, int]]()

        async def noted(tx, *rest, idle):  # type: ignore[no-untyped-def]
            found = await claim(tx, *rest, idle=idle)
            running = (await jobs.counts(tx)).running
            claimed.extend((job.alone, len(found), running) for job in found)
            return found

        monkeypatch.setattr(jobs, "claim", noted)
        async with ingest.running():
            assert await parked(ingest) == []

        assert [each for each in claimed if each[0]] == [(True, 1, 1)] * 4
        for each in pushed:
            assert (await ingest.found("ada/app", each.digest)).packages


async def test_a_rebuild_comes_to_the_same_and_misses_nothing_that_goes_on(ingest: Ingest) -> None:
    pushed = [image(DEBIAN, small(str(number))) for number in range(12)]
    for number, each in enumerate(pushed):
        await ingest.push(f"ada/app{number % 3}", each, f"v{number}")
    await ingest.settled()
    before = await ingest.everything()
    told: list[tuple[int, int]] = []

    await ingest.writing.rebuild(lambda done, of: told.append((done, of)))

    assert await ingest.everything() == before
    assert told[-1][0] == told[-1][1] == len(before)

    late = tars.layer({"var/lib/dpkg/status": status(("openssl", "3.0.12-2"))})
    added = image(DEBIAN, late)
    begin = ingest.writer.begin_rebuild

    async def begin_and_push():  # type: ignore[no-untyped-def]
        rebuild = await begin()
        pushing.append(asyncio.create_task(push_meanwhile()))
        return rebuild

    async def push_meanwhile() -> None:
        await ingest.push("ada/app0", added, "late")
        name = RepositoryName.parse("ada/app1")
        await ingest.database.write(lambda tx: repositories.remove(tx, name))
        await ingest.settled()

    pushing: list[asyncio.Task[None]] = []
    ingest.writer.begin_rebuild = begin_and_push  # type: ignore[method-assign]
    apply, slow = ingest.documents.known_image, asyncio.Event()

    async def slowly(*arguments, **options):  # type: ignore[no-untyped-def]
        made = await apply(*arguments, **options)  # what is read now is old by the time that it is written
        if pushing and not slow.is_set():
            slow.set()
            await asyncio.wait(pushing)
        return made

    ingest.documents.known_image = slowly  # type: ignore[method-assign]
    await ingest.writing.rebuild()
    await asyncio.gather(*pushing)
    ingest.documents.known_image = apply  # type: ignore[method-assign]
    ingest.writer.begin_rebuild = begin  # type: ignore[method-assign]
    after = await ingest.everything()

    assert (await ingest.found("ada/app0", added.digest)).tags == ["late"]
    package = await ingest.package("deb/openssl")
    assert package is not None
    assert package.versions == ["3.0.11-1", "3.0.12-2"]
    assert {each.name async for each in named(ingest)} == {"ada/app0", "ada/app2"}
    await ingest.writing.rebuild()
    rebuilt = await ingest.everything()
    gone = {name for name in after.keys() - rebuilt.keys() if name.startswith("layer:")}
    assert {name: document for name, document in after.items() if name not in gone} == rebuilt


async def named(ingest: Ingest):  # type: ignore[no-untyped-def]
    for name, document in (await ingest.everything()).items():
        if name.startswith("repository:"):
            yield document


async def test_a_rebuild_that_fails_leaves_what_was_there(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    pushed = image(DEBIAN)
    await ingest.push("ada/app", pushed)
    await ingest.settled()
    before = await ingest.everything()

    async def fail(*_: object, **__: object) -> None:
        raise SearchUnavailable("no room is left")

    with monkeypatch.context() as patched:
        patched.setattr(ingest.documents, "known_image", fail)
        with pytest.raises(SearchUnavailable):
            await ingest.writing.rebuild()

    assert await ingest.everything() == before
    more = image(small())
    await ingest.push("ada/app", more)
    await ingest.settled()
    assert await ingest.image("ada/app", more.digest) is not None


async def test_the_same_blob_in_many_jobs_is_read_by_one(database: Database, tmp_path: Path, store: BlobStore) -> None:
    large = tars.layer({"noise": os.urandom(8_000_000)})
    pushed: list[Image] = [image(large, small(str(number))) for number in range(8)]
    async with opened(database, store, tmp_path) as ingest:
        for number, each in enumerate(pushed):
            await ingest.push(f"ada/app{number}", each)
        async with ingest.running():
            await ingest.settled()
    assert len(ingest.reads) == 9


async def test_what_is_being_claimed_when_the_end_comes_is_given_back(
    database: Database, store: BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the next worker would take it for what killed this one."""
    loop, claim = asyncio.get_running_loop(), jobs.claim

    async def claim_and_end(tx, *rest, idle):  # type: ignore[no-untyped-def]
        found = await claim(tx, *rest, idle=idle)
        if found:
            loop.call_soon_threadsafe(worker.cancel)
        return found

    async with opened(database, store, tmp_path) as ingest:
        await ingest.push("ada/app", image(DEBIAN))
        await ask_again(database, {(await ingest.repository("ada/app")).id: [REPOSITORY]})
        monkeypatch.setattr(jobs, "claim", claim_and_end)
        worker = asyncio.create_task(ingest.worker.run())
        await asyncio.wait([worker], timeout=30)
        assert worker.cancelled()
        assert await jobs.held(database, 10) == []
        assert await jobs.are_waiting(database)


async def test_it_ends_at_once_when_it_is_told_to(database: Database, store: BlobStore, tmp_path: Path) -> None:
    async with ingesting(database, store, tmp_path) as ingest:
        await ingest.push("ada/app", image(tars.layer({"noise": NOISE})))
        begun = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - begun < 5
    assert (await jobs.counts(database)).running == 0


def test_limits_are_passed_on_whole() -> None:
    """What a reader process is told is what there is."""
    assert msgspec.convert(asdict(ReadLimits(raw=7)), ReadLimits) == ReadLimits(raw=7)


def test_limits_on_packages_are_those_of_the_catalogers(tmp_path: Path) -> None:
    """Catalogers are made in the reader process, of what it is told."""
    (tmp_path / "blob").write_bytes(tars.layer({"var/lib/dpkg/status": status(("bash", "5.2"), ("dash", "0.5"))}).blob)
    with (tmp_path / "blob").open("rb") as blob:
        _, content = works.read(asdict(ReadLimits(packages=1)), [], blob.fileno())
    assert decode(content, LayerFacts).limits == ["dpkg: more than 1 packages: var/lib/dpkg/status"]
