"""Each derived store is deleted while people ask, push and pull; and made again, by itself or by one command.

What is answered in between is what was answered before, or that it cannot be answered now: 503, and when to come again.
"""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import StartPortolan
from tests.end_to_end.direct import Direct
from tests.end_to_end.images import Image, Layer, Maker
from tests.end_to_end.parts import pids
from tests.services import Portolan, wait_until
from tests.services.portolan import Person


def dpkg(*installed: tuple[str, str]) -> bytes:
    return "\n".join(
        f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: {version}\n"
        for name, version in installed
    ).encode()


@dataclass
class Harbour:
    """A service with images of ada's, all of them read, and what it answers."""

    service: Portolan
    ada: Person
    images: list[Image]
    layers: list[Layer]
    before: dict[str, Any] = field(default_factory=dict)

    def questions(self) -> list[str]:
        """Ask for everything that pages and clients ask for."""
        asked = [
            "search?q=app",
            "search?q=package:bash&type=image",
            "search?q=file:motd&type=image",
            "search?q=path:srv/0/data&type=image",
            "search?q=-file:motd&type=image",
            "search?q=type:image&sort=pushed&size=2&page=2",
            "search?q=bash&type=package",
            "search?q=motd&type=file",
            f"search?q=layer:{self.layers[0].diff_id}&type=layer",
            f"search?q=base:{self.images[0].digest}&type=image",
            "suggest?q=ap",
            "suggest?q=package:ba",
            "suggest?q=label:num",
            "repositories/ada/app0",
            "files?path=etc/motd",
            "files?path=etc/motd&deleted=include",
            "files?name=dat*",
            "packages/deb/bash",
            f"diff?from={self.images[0].digest}&to={self.images[-1].digest}",
        ]
        for image in self.images:
            asked += [
                f"images/{image.digest}",
                f"images/{image.digest}/packages",
                f"images/{image.digest}/files?path=etc",
                f"images/{image.digest}/places",
                f"images/{image.digest}/bases",
                f"images/{image.digest}/derived",
            ]
        for layer in self.layers:
            asked += [f"layers/{layer.diff_id}", f"layers/{layer.blob.digest}"]
        return asked

    def ask(self, http: httpx.Client, question: str) -> httpx.Response:
        return http.get(f"/api/v1/{question}", auth=(self.ada.name, self.ada.password))

    def answers(self) -> dict[str, Any]:
        """Return all answers, waiting for those that are not there yet."""
        found: dict[str, Any] = {}
        deadline = time.monotonic() + 90
        with httpx.Client(base_url=self.service.url, trust_env=False, timeout=30) as http:
            for question in self.questions():
                while (answer := self.ask(http, question)).status_code == 503:
                    assert time.monotonic() < deadline, (question, answer.text)
                    threading.Event().wait(0.1)
                assert answer.status_code == 200, (question, answer.text)
                found[question] = answer.json()
        return found

    def assert_unchanged(self) -> None:
        """Ask for everything again."""
        for question, answer in self.answers().items():
            assert _unordered(answer) == _unordered(self.before[question]), question

    @contextmanager
    def traffic(self) -> Iterator[Traffic]:
        """Let ada ask for everything, and bob push and pull, until the block ends; all of it has to be right."""
        bob = self.service.add_person("bob")
        traffic = Traffic(self, bob)
        threads = [threading.Thread(target=work) for work in (traffic.ask, traffic.ask, traffic.push_and_pull)]
        for thread in threads:
            thread.start()
        try:
            yield traffic
        finally:
            traffic.done.set()
            for thread in threads:
                thread.join()
        assert traffic.wrong == []
        assert traffic.asked > 50
        assert traffic.pushed > 1


class Traffic:
    def __init__(self, harbour: Harbour, bob: Person) -> None:
        self.done = threading.Event()
        self.wrong: list[str] = []
        self.asked = self.refused = self.pushed = 0
        self._harbour = harbour
        self._bob = bob

    def ask(self) -> None:
        try:
            with httpx.Client(base_url=self._harbour.service.url, trust_env=False, timeout=60) as http:
                while not self.done.is_set():
                    for question, expected in self._harbour.before.items():
                        self._judge(question, self._harbour.ask(http, question), expected)
        except Exception as error:  # noqa: BLE001 - raised by `traffic`
            self.wrong.append(repr(error))

    def _judge(self, question: str, answer: httpx.Response, expected: Any) -> None:
        self.asked += 1
        if answer.status_code == 503:
            self.refused += 1
            if int(answer.headers.get("retry-after", 0)) < 1:
                self.wrong.append(f"{question}: no word of when to come again")
        elif answer.status_code != 200 or _unordered(answer.json()) != _unordered(expected):
            self.wrong.append(f"{question}: {answer.status_code} {answer.text[:1000]}")

    def push_and_pull(self) -> None:
        maker = Maker(99)
        try:
            with Direct(self._harbour.service.url, self._bob) as direct:
                while not self.done.is_set():
                    layer = maker.layer({f"srv/bob{self.pushed}": maker.random_bytes(100_000)})
                    direct.push("bob/own", maker.image([layer]), "latest")
                    direct.everything("bob/own", "latest")
                    self.pushed += 1
        except Exception as error:  # noqa: BLE001 - raised by `traffic`
            self.wrong.append(repr(error))


def _unordered(answer: Any) -> Any:
    """Return an answer without the order of its hits: how rare a word is, and with it a score, depends on what all
    others push."""
    if isinstance(answer, dict) and "hits" in answer:
        return answer | {"hits": sorted(answer["hits"], key=lambda hit: json.dumps(hit, sort_keys=True))}
    return answer


def settle(service: Portolan) -> None:
    def is_done() -> bool:
        counts = json.loads(service.run("ingest", "status", "--json").stdout)
        return not any(counts[kind] for kind in ("events", "waiting", "running"))

    wait_until(is_done, 120, "everything to be read")


@pytest.fixture
def harbour(start_portolan: StartPortolan) -> Harbour:
    service = start_portolan({"PORTOLAN_DEFAULT_VISIBILITY": "private"})
    ada = service.add_person("ada")
    maker = Maker(5)
    base = maker.layer({"var/lib/dpkg/status": dpkg(("bash", "5.2"), ("zlib1g", "1.3")), "etc/motd": b"hello"})
    layers, images = [base], []
    for number in range(3):
        hides = {"etc/.wh.motd": b""} if number == 1 else {}
        own = maker.layer({f"srv/{number}/data": maker.random_bytes(1_000), **hides})
        layers.append(own)
        images.append(maker.image([base, own], labels={"number": str(number)}))
    with Direct(service.url, ada) as direct:
        for number, image in enumerate(images):
            direct.push(f"ada/app{number}", image, "v1")
    settle(service)
    harbour = Harbour(service, ada, images, layers)
    harbour.before = harbour.answers()
    assert harbour.before["files?path=etc/motd"]
    return harbour


def removed(path: Path) -> None:
    """Remove a directory that somebody writes into."""
    deadline = time.monotonic() + 10
    while path.exists():
        assert time.monotonic() < deadline
        shutil.rmtree(path, ignore_errors=True)


#: What is deleted, and with which options the rebuild is asked for (None: it comes by itself).
STORES: dict[str, tuple[tuple[str, ...], tuple[str, ...] | None]] = {
    "nothing, the layer index being rebuilt": ((), ()),
    "nothing, search being rebuilt": ((), ("--search",)),
    "the layer index": (("index",), None),
    "the search index": (("search",), None),
    "the facts": (("store/derived",), ("--facts",)),
    "everything that is derived": (("store/derived", "index", "search"), ("--facts", "--search")),
}


@pytest.mark.parametrize("what", STORES)
def test_a_derived_store_that_is_deleted_under_traffic_comes_back(harbour: Harbour, what: str) -> None:
    directories, command = STORES[what]
    with harbour.traffic() as traffic:
        wait_until(lambda: traffic.asked > 30, 60, "some questions")
        for directory in directories:
            removed(harbour.service.data / directory)
        if command is not None:
            harbour.service.run("index", "rebuild", *command, seconds=120)

        harbour.assert_unchanged()
        so_far = traffic.asked
        wait_until(lambda: traffic.asked > so_far + len(harbour.before), 60, "more questions")
    settle(harbour.service)
    harbour.assert_unchanged()


# The command


def test_it_tells_how_far_it_has_come_in_lines(harbour: Harbour) -> None:
    done = harbour.service.run("index", "rebuild", "--facts", "--search", seconds=120)

    told = done.stderr.splitlines()
    assert "layers of images: 3 of 3" in told
    assert "layers: 4 of 4" in told
    assert any(line.startswith("search: ") for line in told)
    assert done.stdout == "The layer index was rebuilt, and search too.\n"
    harbour.assert_unchanged()


def test_it_shows_a_bar_on_a_terminal(harbour: Harbour) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "portolan", "index", "rebuild"],
        cwd=harbour.service.directory,
        env={**harbour.service.environment, "TERM": "xterm", "COLUMNS": "100"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                read = os.read(ours, 65_536)
            except OSError:  # nobody has the other side open any more
                break
            if not read:
                break
            shown += read
    os.close(ours)

    assert process.returncode == 0
    assert "Layers" in shown.decode()
    assert "4/4" in shown.decode()
    assert "━" in shown.decode()


def test_without_a_service_it_does_the_work_itself(harbour: Harbour) -> None:
    harbour.service.stop()
    for directory in ("index", "search", "store/derived"):
        removed(harbour.service.data / directory)

    done = harbour.service.run("index", "rebuild", "--facts", "--search", seconds=120)

    assert "layers of images: 3 of 3" in done.stderr
    harbour.service.start()
    harbour.assert_unchanged()
    log = harbour.service.log.read_text()
    assert "is not there, and is made of the facts" not in log.rpartition("stopped")[2]


def test_in_a_wrong_directory_nothing_is_begun(tmp_path: Path) -> None:
    elsewhere = Portolan(tmp_path)

    done = elsewhere.run("index", "rebuild", check=False)

    assert done.returncode == 1
    assert "there is no installation" in done.stderr
    assert not elsewhere.data.exists()


@pytest.mark.parametrize("runs", [True, False], ids=["with a service", "without"])
def test_ctrl_c_leaves_what_was_there_and_the_next_time_goes_on(harbour: Harbour, runs: bool) -> None:
    if not runs:
        harbour.service.stop()
    current = harbour.service.data / "index" / "CURRENT"
    before = current.read_text()
    _interrupted(harbour, lambda line: line.startswith("layers"))

    if runs:
        harbour.assert_unchanged()
        assert len(pids(harbour.service, "ingest")) == 1
    harbour.service.run("index", "rebuild", seconds=120)

    assert current.read_text() != before
    if not runs:
        harbour.service.start()
    harbour.assert_unchanged()


def _interrupted(harbour: Harbour, when: Callable[[str], bool]) -> None:
    """Begin a rebuild that has much to do, and press Ctrl-C at the line that *when* holds for."""
    with subprocess.Popen(
        [sys.executable, "-m", "portolan", "index", "rebuild", "--facts"],
        cwd=harbour.service.directory,
        env=harbour.service.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if when(line):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
    assert "Traceback" not in rest
    assert process.returncode in (0, 130)
