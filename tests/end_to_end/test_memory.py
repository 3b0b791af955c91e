"""However large a blob and however slow its reader: the process that serves it grows by less than 64 MiB."""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import httpx
import pytest

from tests.end_to_end.parts import forget_most_resident, most_resident, pids, resident, seconds_of_work
from tests.services import Portolan, wait_until
from tests.services.portolan import Person

MIB = 1024 * 1024
NAME = "bulk/cargo"
LARGE = 4096 * MIB
CHUNK = 512 * MIB
GROWTH = 64 * MIB

READERS = 50
READ_SLOWLY = 256 * MIB

_BLOCK = os.urandom(MIB)


def pieces(start: int, stop: int) -> Iterator[bytes]:
    """Make the bytes of a blob from *start* to *stop*, which are multiples of a MiB; no two MiB of it are the same."""
    for number in range(start // MIB, stop // MIB):
        yield number.to_bytes(8) + _BLOCK[8:]


def digest_of(size: int) -> str:
    running = hashlib.sha256()
    for piece in pieces(0, size):
        running.update(piece)
    return f"sha256:{running.hexdigest()}"


@pytest.fixture(scope="module")
def person(portolan: Portolan) -> Person:
    return portolan.add_person("lader", admin=True)


class Lader:
    """A client that keeps nothing of what it sends and reads: it is not what is measured, and runs beside it."""

    def __init__(self, service: Portolan, person: Person) -> None:
        self._service = service
        answer = httpx.get(
            f"{service.url}/token",
            params={"scope": f"repository:{NAME}:pull,push,delete"},
            headers={"authorization": person.basic},
            trust_env=False,
        )
        self.headers = {"Authorization": f"Bearer {answer.json()['token']}"}

    @contextmanager
    def ask(
        self, method: str, path: str, body: Iterator[bytes] | None = None, **headers: str
    ) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("127.0.0.1", self._service.port, timeout=120)
        try:
            connection.request(method, path, body, self.headers | {"Content-Length": "0"} | headers)
            yield connection.getresponse()
        finally:
            connection.close()

    def begin(self) -> str:
        with self.ask("POST", f"/v2/{NAME}/blobs/uploads/") as answer:
            assert answer.status == 202, answer.read()
            return answer.headers["Location"]

    def push_in_one(self, digest: str, size: int) -> None:
        headers = {"Content-Length": str(size)}
        with self.ask("PUT", f"{self.begin()}?digest={digest}", pieces(0, size), **headers) as answer:
            assert answer.status == 201, answer.read()

    def push_in_chunks(self, digest: str, size: int) -> None:
        location = self.begin()
        for start in range(0, size, CHUNK):
            stop = min(start + CHUNK, size)
            headers = {"Content-Length": str(stop - start), "Content-Range": f"{start}-{stop - 1}"}
            with self.ask("PATCH", location, pieces(start, stop), **headers) as answer:
                assert answer.status == 202, answer.read()
                location = answer.headers["Location"]
        with self.ask("PUT", f"{location}?digest={digest}") as answer:
            assert answer.status == 201, answer.read()

    def pull(self, digest: str, size: int) -> None:
        running, buffer = hashlib.sha256(), memoryview(bytearray(MIB))
        with self.ask("GET", f"/v2/{NAME}/blobs/{digest}") as answer:
            assert (answer.status, answer.headers["Content-Length"]) == (200, str(size))
            while taken := answer.readinto(buffer):
                running.update(buffer[:taken])
        assert f"sha256:{running.hexdigest()}" == digest


@pytest.fixture
def lader(portolan: Portolan, person: Person) -> Iterator[Lader]:
    yield Lader(portolan, person)
    shutil.rmtree(portolan.data / "store" / "blobs")  # gigabytes that nobody wants to look at later


def growth(pid: int, work: Callable[[], None]) -> int:
    """Do *work* and tell by how many bytes the process grew at most."""
    forget_most_resident(pid)
    before = resident(pid)
    work()
    return most_resident(pid) - before


def test_four_gibibytes_are_pushed_and_pulled_in_little_memory(portolan: Portolan, lader: Lader) -> None:
    (pid,) = pids(portolan, "web")
    digest = digest_of(LARGE)
    measured: dict[str, int] = {}
    for name, work in (("in one", lader.push_in_one), ("in chunks", lader.push_in_chunks), ("pulled", lader.pull)):
        begun = time.monotonic()
        measured[name] = growth(pid, partial(work, digest, LARGE))
        print(f"{name}: {time.monotonic() - begun:.1f} s, {measured[name] / MIB:.1f} MiB more")

    assert sum(measured.values()) < GROWTH, measured


def test_slow_readers_are_waited_for(portolan: Portolan, lader: Lader) -> None:
    """What a reader has not taken yet stays on the disk, not in the process."""
    (pid,) = pids(portolan, "web")
    digest = digest_of(READ_SLOWLY)
    lader.push_in_one(digest, READ_SLOWLY)

    def read_slowly() -> None:
        with ExitStack() as stack:
            readers = [stack.enter_context(slow_reader(portolan, lader, digest)) for _ in range(READERS)]
            for _ in range(3):
                for reader in readers:
                    taken = 0
                    while taken < 128 * 1024:
                        taken += len(reader.recv(65_536))
                wait_until_idle(pid)

    measured = growth(pid, read_slowly)
    print(f"{READERS} readers: {measured / MIB:.1f} MiB more")
    assert measured < GROWTH


@contextmanager
def slow_reader(service: Portolan, lader: Lader, digest: str) -> Iterator[socket.socket]:
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        reader.settimeout(60)
        reader.connect(("127.0.0.1", service.port))
        head = [f"GET /v2/{NAME}/blobs/{digest} HTTP/1.1", f"Host: {service.address}"]
        head += [f"{name}: {value}" for name, value in lader.headers.items()]
        reader.sendall("\r\n".join([*head, "", ""]).encode())
        assert reader.recv(12) == b"HTTP/1.1 200"
        yield reader


def wait_until_idle(pid: int) -> None:
    """Return when the process has had nothing to do for a while."""
    last = [-1.0] * 10

    def has_rested() -> bool:
        last.append(seconds_of_work(pid))
        return last[-1] - last.pop(0) < 0.02

    wait_until(has_rested, 60, "the process to rest")
