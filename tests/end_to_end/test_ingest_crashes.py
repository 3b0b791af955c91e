"""kill -9 of what reads and indexes, again and again, while images are pushed, moved and deleted.

In the end all is indexed, once, and every answer is the one of a service to which the same was done in peace.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
from msgspec.structs import replace

from cas import Digest
from cas.layer_index.protocol import By, FileQuery
from cas.layer_index.remote import RemoteLayerIndex
from catalog.search.conditions import Term
from catalog.search.documents import Document, ImageDocument, LayerDocument, PackageDocument, RepositoryDocument
from catalog.search.engine import SearchRequest
from catalog.search.tantivy_engine import TantivySearch
from tests.conftest import StartPortolan
from tests.end_to_end.direct import Direct
from tests.end_to_end.images import Image, Layer, Maker
from tests.end_to_end.parts import pids
from tests.services import Portolan, wait_until
from tests.services.portolan import Person

T = TypeVar("T")

IMAGES = 18
#: Kills of the ingest and the web process: the supervisor waits longer each time before it starts a part again.
INGEST_KILLS = 6
WEB_KILLS = 3
READER_KILLS = 25


def readers(service: Portolan) -> list[int]:
    """List the processes that read layers."""
    found = []
    for pid in service.pids():
        with suppress(OSError):
            if b"ingest.reader_process" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def packages(*installed: tuple[str, str]) -> bytes:
    return "\n".join(
        f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n"
        for name, version in installed
    ).encode()


def made(maker: Maker) -> list[Image]:
    """Images over a common base: packages that change from layer to layer, files that go, noise that takes time."""
    base = maker.layer(
        {
            "etc/os-release": b'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n',
            "var/lib/dpkg/status": packages(*((f"base{number}", "1.0") for number in range(40))),
            "usr/share/noise": maker.random_bytes(3_000_000),
        }
    )
    shared: list[Layer] = [base]
    images = []
    for number in range(IMAGES):
        own = maker.layer(
            {
                "var/lib/dpkg/status": packages(("base0", "1.0"), (f"own{number}", f"{number}.1")),
                "usr/share/.wh.noise": b"",
                f"srv/app{number}/data": maker.random_bytes(400_000 + 150_000 * (number % 7)),
            },
            compression=("gzip", "zstd", "none")[number % 3],  # type: ignore[arg-type]
        )
        images.append(maker.image([*shared, own], labels={"number": str(number)}))
        if number % 6 == 5:
            shared.append(own)
    return images


class Killer:
    """Kills processes of *service* in a thread of its own until it has killed enough of them."""

    def __init__(self, service: Portolan, chance: random.Random) -> None:
        self._service = service
        self._victims = ["ingest"] * INGEST_KILLS + ["web"] * WEB_KILLS + ["reader"] * READER_KILLS
        chance.shuffle(self._victims)
        self._chance = chance
        self._thread = threading.Thread(target=self._run)
        self.kills: list[str] = []
        self._failure: BaseException | None = None

    def __enter__(self) -> Killer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            for victim in self._victims:
                find: Callable[[Portolan], list[int]] = (
                    readers if victim == "reader" else lambda service, part=victim: pids(service, part)  # type: ignore[misc]
                )
                wait_until(lambda find=find: bool(find(self._service)), 60, f"a process of {victim}")  # type: ignore[misc]
                pause = threading.Event()
                pause.wait(self._chance.uniform(0.02, 0.3))  # work goes on for a while, however far it comes
                with suppress(ProcessLookupError, IndexError):
                    os.kill(self._chance.choice(find(self._service)), signal.SIGKILL)
                    self.kills.append(victim)
        except BaseException as error:  # noqa: BLE001 - raised in the test
            self._failure = error


def insist(change: Callable[[], T]) -> T:
    """Do as a client does whose server went away: begin again until it is there."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return change()
        except httpx.TransportError:
            assert time.monotonic() < deadline
            threading.Event().wait(0.1)


def do(service: Portolan, ada: Person, images: Sequence[Image]) -> None:
    """Push *images*, move tags, delete and hide: the same each time."""
    with Direct(service.url, ada) as direct:
        for number, image in enumerate(images):
            insist(partial(direct.push, f"ada/app{number % 3}", image, f"v{number}", "latest"))
            if number % 5 == 4:
                gone = f"/v2/ada/app{(number - 3) % 3}/manifests/{images[number - 3].digest}"
                answer = insist(partial(direct.http.delete, gone))
                assert answer.status_code in (202, 404), answer.text  # 404: it is gone, and the answer was lost
        insist(partial(direct.push, "ada/gone", images[0], "v1"))
        insist(partial(direct.publish, "ada/app1"))
    service.run("repository", "set", "--local", "ada/app1", "--private")
    service.run("repository", "delete", "--local", "--yes", "ada/gone")


def status(service: Portolan) -> dict[str, Any]:
    return dict(json.loads(service.run("ingest", "status", "--json").stdout))


def settle(service: Portolan) -> None:
    """Return when nothing is left to be done. What failed because its reader was killed need not wait for its time."""

    def is_done() -> bool:
        service.run("ingest", "retry", "--all")
        counts = status(service)
        return counts["events"] == counts["waiting"] == counts["running"] == counts["parked"] == 0

    wait_until(is_done, 180, "everything to be indexed")


async def answers(service: Portolan, images: Sequence[Image]) -> dict[str, object]:
    """Return all documents, and what the layer index says of every layer; without ids and times, which differ.

    What only images hold that were deleted is left out: it was read if there was time before they went.
    """
    engine = TantivySearch(service.data / "search")
    index = RemoteLayerIndex(service.data / "run" / "ingest.sock")
    found: dict[str, object] = {}
    try:
        documents: list[Document] = []
        for kind in ("repository", "image", "layer", "package"):
            answer = await engine.search(SearchRequest(Term("kind", kind), most=10_000))
            assert answer.total == len(answer.hits)
            documents += [hit.document for hit in answer.hits]
        names = {each.id: each.name for each in documents if isinstance(each, RepositoryDocument)}
        there = [each for each in documents if isinstance(each, ImageDocument)]
        layers = sorted({diff_id for each in there for diff_id in each.diff_ids})
        versions = {package for each in there for package in (*each.packages, *each.removed)}
        found["repositories"], found["images"], found["layers"] = len(names), len(there), len(layers)
        for document in documents:
            match document:
                case RepositoryDocument():
                    told = replace(document, id="", pushed=0, created=0)
                    found[f"repository {document.name}"] = replace(told, platforms=sorted(told.platforms))
                case ImageDocument():
                    repository = names[document.repository_id]
                    told_image = replace(document, repository_id="", pushed=0, tags=sorted(document.tags))
                    found[f"image {repository}@{document.digest}"] = told_image
                case LayerDocument():
                    if document.diff_id in layers:
                        found[f"layer {document.diff_id}"] = document
                case PackageDocument():
                    name = f"{document.ecosystem}/{document.name}"
                    still = [version for version in document.versions if (name, version) in versions]
                    if still:
                        found[f"package {name}"] = still
        for diff_id in layers:
            layer = Digest.parse(diff_id)
            found[f"entries of {diff_id}"] = [
                await index.children(layer, directory) for directory in ("", "etc", "usr/share", "srv")
            ]
            found[f"blobs of {diff_id}"] = await index.compressions(layer)
        for number in range(IMAGES):
            files = (await index.find_files(FileQuery(By.PATH, f"srv/app{number}/data"), 10)).files
            still_there = [file for file in files if file.diff_id.text in layers]
            found[f"files of {number}"] = await index.entries([(file.diff_id, file.path) for file in still_there])
    finally:
        await engine.aclose()
        await index.aclose()
    return found


def test_whatever_is_killed_everything_is_indexed_once(start_portolan: StartPortolan) -> None:
    seed = int(os.environ.get("PORTOLAN_TEST_SEED", random.randrange(1_000_000)))
    print(f"PORTOLAN_TEST_SEED={seed}")
    settings = {"PORTOLAN_INGEST_ATTEMPTS": "100", "PORTOLAN_READER_PROCESSES": "2"}
    images = made(Maker(seed))
    disturbed = start_portolan(settings)
    ada = disturbed.add_person("ada")

    with Killer(disturbed, random.Random(seed)) as killer:
        do(disturbed, ada, images)
    settle(disturbed)

    assert killer.kills.count("ingest") >= INGEST_KILLS - 1
    assert killer.kills.count("web") >= WEB_KILLS - 1
    assert killer.kills.count("reader") >= READER_KILLS - 3
    there = asyncio.run(answers(disturbed, images))
    disturbed.stop()

    peaceful = start_portolan(settings)
    do(peaceful, peaceful.add_person("ada"), images)
    settle(peaceful)
    expected = asyncio.run(answers(peaceful, images))

    assert there == expected
    assert (there["repositories"], there["images"]) == (3, IMAGES - len(range(4, IMAGES, 5)))
    told = [value for key, value in there.items() if key.startswith(("entries of", "blobs of"))]
    assert len(told) > IMAGES
    assert all(isinstance(value, list) and any(value) for value in told)
    assert not [line for line in errors(disturbed) if "tantivy" in line or "rocks" in line.lower()]


def kill_whoever_reads(service: Portolan, digest: str) -> int:
    """Kill the ingest process each time that it has claimed the job of *digest*, until that is parked; return how
    often."""
    kills, last = 0, 0

    def killed_or_parked() -> bool:
        nonlocal kills, last
        with closing(sqlite3.connect(service.data / "portolan.db", timeout=30)) as connection:
            row = connection.execute("SELECT claimed, parked FROM jobs WHERE digest = ?", (digest,)).fetchone()
        claimed, parked = row or (0, 0)
        if claimed and claimed != last and (found := pids(service, "ingest")):
            last, kills = claimed, kills + 1
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        return bool(parked)

    wait_until(killed_or_parked, 180, "the job to be parked")
    return kills


def test_what_kills_whoever_reads_it_is_parked_and_nothing_else_is(start_portolan: StartPortolan) -> None:
    service = start_portolan({"PORTOLAN_INGEST_ATTEMPTS": "2", "PORTOLAN_READER_PROCESSES": "2"})
    maker = Maker(7)
    harmless = [maker.image([maker.layer(size=3_000_000)]) for _ in range(8)]
    # It takes long enough to be caught at it.
    deadly = maker.image([maker.layer({f"noise{each}": maker.random_bytes(8_000_000) for each in range(6)})])
    with Direct(service.url, service.add_person("ada")) as direct, ThreadPoolExecutor(1) as beside:
        killing = beside.submit(kill_whoever_reads, service, deadly.digest)
        for number, each in enumerate([*harmless[:4], deadly, *harmless[4:]]):
            direct.push("ada/app", each, f"v{number}")
        kills = killing.result()

    def others_are_done() -> bool:
        counts = status(service)
        return counts["events"] == counts["waiting"] == counts["running"] == 0

    wait_until(others_are_done, 120, "everything else to be indexed")
    assert kills >= 2
    (failure,) = json.loads(service.run("ingest", "failures", "--json").stdout)
    assert failure["reference"].endswith(f"ada/app@{deadly.digest}")
    assert "died" in failure["error"]
    documents = asyncio.run(image_documents(service))
    assert {each.digest: each.problem for each in documents} == {
        **{each.digest: "" for each in harmless},
        deadly.digest: failure["error"],
    }


async def image_documents(service: Portolan) -> list[ImageDocument]:
    engine = TantivySearch(service.data / "search")
    try:
        found = await engine.search(SearchRequest(Term("kind", "image"), most=100))
    finally:
        await engine.aclose()
    return [hit.document for hit in found.hits if isinstance(hit.document, ImageDocument)]


def errors(service: Portolan) -> list[str]:
    """The errors that it logged."""
    return [line for line in service.log.read_text().splitlines() if '"level":"error"' in line]
