"""Several processes serve one registry, and no answer depends on which of them gives it."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from cas import Digest
from tests.catalog.images import image
from tests.conftest import StartPortolan
from tests.end_to_end.registry_client import RegistryClient
from tests.services import Portolan, PostgreSQL
from tests.services.portolan import Person
from tests.services.processes import wait_until

CONFIG, LAYER = b"{}", os.urandom(600_000)
IMAGE = image(CONFIG, LAYER)
OTHER_IMAGE = image(CONFIG, LAYER, annotations={"name": "other"})

#: More than the store gathers before it writes.
BULK = os.urandom(3_000_000)

#: Seconds in which anything here is over, on a busy machine.
PATIENCE = 60.0


def digest_of(content: bytes) -> str:
    return Digest.of(content).text


class OneProcess(RegistryClient):
    """A client whose every request is answered by the same process, which is found out by the ids of its requests."""

    def __init__(self, url: str, person: Person, pid: int) -> None:
        super().__init__(url, person)
        self.pid = pid

    async def raw(self, method: str, path: str, **options: Any) -> httpx.Response:
        answer = await super().raw(method, path, **options)
        assert process_of(answer) == self.pid, f"the process {self.pid} hung up, and another one answers"
        return answer


def process_of(answer: httpx.Response) -> int:
    """Tell which process answered: an id is random, then the process in hexadecimal, then a number."""
    return int(answer.headers["x-request-id"].partition("-")[0][8:], 16)


class Pair(NamedTuple):
    """A client for each of two processes, and the services that these belong to."""

    here: OneProcess
    there: OneProcess
    person: Person
    services: list[Portolan]


async def one_process_each(services: list[Portolan], person: Person, stack: AsyncExitStack) -> list[OneProcess]:
    """Connect to both processes, however the kernel hands out connections."""
    found: dict[int, OneProcess] = {}
    async with asyncio.timeout(PATIENCE):
        for service in itertools.cycle(services):
            client = await stack.enter_async_context(OneProcess(service.url, person, 0))
            client.pid = process_of(await client.http.get("/healthz"))
            found.setdefault(client.pid, client)
            if len(found) == 2:
                break
    return list(found.values())


@pytest.fixture(scope="module", params=["two web processes", "two nodes on PostgreSQL"])
def services(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Portolan]]:
    """Two processes of one service, or of two on one directory."""
    directory = tmp_path_factory.mktemp("portolan")
    with ExitStack() as stack:
        if request.param == "two web processes":
            yield [stack.enter_context(Portolan(directory, settings={"PORTOLAN_WORKERS": "2"}))]
            return
        server: PostgreSQL = request.getfixturevalue("postgresql")
        name = server.create()
        stack.callback(server.drop, name)
        settings = {"PORTOLAN_DATABASE_URL": server.url(name)}
        yield [stack.enter_context(Portolan(directory, settings=settings, command=("web",))) for _ in range(2)]


@pytest.fixture(scope="module")
def person(services: list[Portolan]) -> Person:
    return services[0].add_person("mate", admin=True)


@pytest.fixture
async def pair(services: list[Portolan], person: Person) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        here, there = await one_process_each(services, person, stack)
        yield Pair(here, there, person, services)


async def expect(status: int, answer: Awaitable[httpx.Response]) -> httpx.Response:
    found = await answer
    assert found.status_code == status, found.text
    return found


async def push(client: RegistryClient, name: str, tag: str = "latest") -> None:
    for blob in (CONFIG, LAYER):
        await expect(201, client.push_blob(name, digest_of(blob), blob))
    await expect(201, client.request("PUT", name, f"manifests/{tag}", content=IMAGE))


async def test_chunks_of_one_upload_alternate_between_processes(pair: Pair) -> None:
    name, here, there = "fleet/chunks", pair.here, pair.there
    location = await here.begin(name)
    bounds = [0, 1_000, 200_000, 200_001, 450_000, len(LAYER)]
    for number, (start, stop) in enumerate(itertools.pairwise(bounds)):
        client, other = (here, there) if number % 2 else (there, here)
        headers = {"content-range": f"{start}-{stop - 1}"} if number % 3 else {}
        await expect(202, client.request("PATCH", name, location, content=LAYER[start:stop], headers=headers))
        assert await other.offset(name, location) == stop
        wrong = {"content-range": f"{start}-{stop - 1}"}
        await expect(416, other.request("PATCH", name, location, content=LAYER[start:stop], headers=wrong))

    refused = await expect(400, here.finish(name, location, digest_of(b"something else")))
    assert refused.json()["errors"][0]["detail"]["computed"] == digest_of(LAYER)
    await expect(201, there.finish(name, location, digest_of(LAYER)))

    for client in pair.here, pair.there:
        assert (await client.request("GET", name, f"blobs/{digest_of(LAYER)}")).content == LAYER
        assert await client.offset(name, location) is None


async def test_an_upload_that_one_process_writes_to_is_busy_in_the_other(pair: Pair) -> None:
    name, slow = "fleet/busy", SlowBody(BULK)
    location = await pair.here.begin(name)
    appending = asyncio.create_task(pair.here.request("PATCH", name, location, content=slow.pieces()))
    await wait_for(lambda: holds_something(pair, name, location))

    await expect(409, pair.there.request("PATCH", name, location, content=b"more"))
    await expect(409, pair.there.finish(name, location, digest_of(BULK)))

    slow.go_on.set()
    await expect(202, appending)
    await expect(201, pair.there.finish(name, location, digest_of(BULK)))


async def holds_something(pair: Pair, name: str, location: str) -> bool:
    return bool(await pair.there.offset(name, location))


class SlowBody:
    """A body of which all but the last bytes are sent, and those when it is told to go on."""

    def __init__(self, content: bytes) -> None:
        self.go_on = asyncio.Event()
        self._content = content

    async def pieces(self) -> AsyncIterator[bytes]:
        for place in range(0, len(self._content) - 100, 50_000):
            yield self._content[place : min(place + 50_000, len(self._content) - 100)]
        await self.go_on.wait()
        yield self._content[-100:]


async def wait_for(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - another process brings it about
            await asyncio.sleep(0.02)


async def test_what_one_process_did_the_other_knows_at_once(pair: Pair) -> None:
    name = "fleet/flagship"
    for here, there in ((pair.here, pair.there), (pair.there, pair.here)):
        await push(here, name)
        for blob in (CONFIG, LAYER):
            await expect(200, there.request("HEAD", name, f"blobs/{digest_of(blob)}"))
        assert (await there.request("GET", name, "manifests/latest")).content == IMAGE

        await expect(201, here.request("PUT", name, "manifests/latest", content=OTHER_IMAGE))
        assert (await there.request("GET", name, "manifests/latest")).content == OTHER_IMAGE
        await expect(201, there.request("PUT", name, "manifests/second", content=IMAGE))
        assert (await here.request("GET", name, "tags/list")).json()["tags"] == ["latest", "second"]
        await expect(201, here.request("POST", "fleet/copy", mount_of(LAYER, name), also=name))
        assert (await there.request("GET", "fleet/copy", f"blobs/{digest_of(LAYER)}")).content == LAYER

        await expect(202, here.request("DELETE", name, "manifests/second"))
        await expect(404, there.request("GET", name, "manifests/second"))
        await expect(202, there.request("DELETE", name, f"manifests/{digest_of(OTHER_IMAGE)}"))
        await expect(404, here.request("GET", name, "manifests/latest"))
        await expect(202, here.request("DELETE", name, f"manifests/{digest_of(IMAGE)}"))
        await expect(202, here.request("DELETE", name, f"blobs/{digest_of(LAYER)}"))
        await expect(404, there.request("HEAD", name, f"blobs/{digest_of(LAYER)}"))

        location = await here.begin(name)
        await expect(204, there.request("DELETE", name, location))
        assert await here.offset(name, location) is None


def mount_of(content: bytes, source: str) -> str:
    return f"blobs/uploads/?mount={digest_of(content)}&from={source}"


async def test_who_may_see_a_repository_is_known_to_both_at_once(pair: Pair) -> None:
    name, address = "fleet/hidden", "/api/v1/repositories/fleet/hidden"
    await push(pair.here, name)
    for here, there in ((pair.here, pair.there), (pair.there, pair.here)):
        for public, status in ((True, 200), (False, 401)):
            signed_in = {"authorization": pair.person.basic}
            await expect(200, here.raw("PATCH", address, json={"public": public}, headers=signed_in))

            shown = await there.raw("GET", address, headers=signed_in)
            assert shown.json()["public"] is public
            anonymous = await there.raw("GET", "/token", params={"scope": f"repository:{name}:pull"})
            headers = {"authorization": f"Bearer {anonymous.json()['token']}"}
            await expect(status, there.raw("GET", f"/v2/{name}/manifests/latest", headers=headers))

    await expect(204, pair.here.raw("DELETE", address, headers={"authorization": pair.person.basic}))
    await expect(404, pair.there.request("GET", name, "manifests/latest"))
    await expect(404, pair.there.raw("GET", address, headers={"authorization": pair.person.basic}))


async def test_credentials_that_ended_in_one_process_are_refused_by_the_other_at_once(pair: Pair) -> None:
    here, there = pair.here, pair.there
    person = pair.services[0].add_person("leaver")
    signed_in = {"authorization": person.basic}
    made = await expect(201, here.raw("POST", "/api/v1/tokens", json={"name": "machine"}, headers=signed_in))
    token = {"authorization": f"Bearer {made.json()['token']}"}
    await expect(200, there.raw("GET", "/token", headers=token))
    await expect(200, there.raw("GET", "/token", headers=signed_in))

    await expect(204, here.raw("DELETE", f"/api/v1/tokens/{made.json()['id']}", headers=signed_in))
    await expect(401, there.raw("GET", "/token", headers=token))

    change = {"current": person.password, "new": "another long enough password"}
    await expect(204, here.raw("PUT", "/api/v1/account/password", json=change, headers=signed_in))
    await expect(401, there.raw("GET", "/token", headers=signed_in))
    changed = Person(person.name, change["new"])
    await expect(200, there.raw("GET", "/token", headers={"authorization": changed.basic}))


async def test_an_upload_goes_on_after_a_restart(pair: Pair) -> None:
    name = "fleet/restarted"
    location = await pair.here.begin(name)
    await expect(202, pair.here.request("PATCH", name, location, content=LAYER[:250_000]))

    for how in (Portolan.restart, kill_and_start):
        for service in pair.services:
            await asyncio.to_thread(how, service)
        async with RegistryClient(pair.services[-1].url, pair.person) as client:
            held = await client.offset(name, location)
            assert held is not None and held >= 250_000
            headers = {"content-range": f"{held}-{held + 99_999}"}
            body = LAYER[held : held + 100_000]
            await expect(202, client.request("PATCH", name, location, content=body, headers=headers))

    async with RegistryClient(pair.services[0].url, pair.person) as client:
        await expect(201, client.finish(name, location, digest_of(LAYER), LAYER[450_000:]))
        assert (await client.request("GET", name, f"blobs/{digest_of(LAYER)}")).content == LAYER


def kill_and_start(service: Portolan) -> None:
    service.kill()
    service.start()


async def test_sigterm_waits_for_a_slow_upload(pair: Pair) -> None:
    """The one under way is finished and acknowledged; nobody new is let in."""
    name, service = "fleet/slow", pair.services[0]
    slow = {client: SlowBody(BULK) for client in (pair.here, pair.there) if client.pid in service.pids()}
    pushing = [
        asyncio.create_task(
            client.request("POST", name, f"blobs/uploads/?digest={digest_of(BULK)}", content=body.pieces())
        )
        for client, body in slow.items()
    ]
    uploads = service.data / "store" / "uploads"
    await wait_for_staged(uploads, len(pushing))

    stopping = asyncio.create_task(asyncio.to_thread(service.stop))
    await asyncio.to_thread(wait_until, lambda: not accepts(service), PATIENCE, "new connections to be refused")
    assert not any(task.done() for task in (stopping, *pushing))
    for body in slow.values():
        body.go_on.set()

    for push in pushing:
        await expect(201, push)
    assert await stopping == 0
    service.start()
    async with RegistryClient(service.url, pair.person) as client:
        assert (await client.request("GET", name, f"blobs/{digest_of(BULK)}")).content == BULK


async def wait_for_staged(uploads: Path, number: int) -> None:
    def staged() -> bool:
        return uploads.is_dir() and len(list(uploads.iterdir())) == number

    await asyncio.to_thread(wait_until, staged, PATIENCE, "the uploads to begin")


def accepts(service: Portolan) -> bool:
    with closing(socket.socket()) as connection:
        return connection.connect_ex(("127.0.0.1", service.port)) == 0


@pytest.mark.parametrize("engine", ["sqlite", "postgresql"])
async def test_the_ingest_process_drops_uploads_that_nobody_comes_back_to(
    engine: str, request: pytest.FixtureRequest, start_portolan: StartPortolan, tmp_path: Path
) -> None:
    settings = {"PORTOLAN_UPLOAD_EXPIRY": "2s"}
    if engine == "postgresql":
        settings["PORTOLAN_DATABASE_URL"] = request.getfixturevalue("postgresql_url")
    service = start_portolan(settings, command=("web",), directory=tmp_path)
    person = service.add_person("purser", admin=True)
    name, uploads = "fleet/forgotten", service.data / "store" / "uploads"
    async with RegistryClient(service.url, person) as client:
        forgotten, kept = [await client.begin(name) for _ in range(2)]
        await expect(202, client.request("PATCH", name, forgotten, content=LAYER))
        file = uploads / forgotten.rpartition("/")[2]
        assert file.stat().st_size == len(LAYER)
        ingest = Portolan(tmp_path, settings=settings, command=("ingest",))
        ingest.start(wait=False)
        try:
            held = 0
            async with asyncio.timeout(PATIENCE):
                while await client.offset(name, forgotten) is not None or file.exists():
                    await expect(202, client.request("PATCH", name, kept, content=LAYER[held : held + 100]))
                    held += 100
                    await asyncio.sleep(0.05)
            assert await client.offset(name, kept) == held
            await expect(404, client.request("PATCH", name, forgotten, content=b"more"))
            await expect(201, client.finish(name, kept, digest_of(LAYER), LAYER[held:]))
            assert await asyncio.to_thread(ingest.stop) == 0
        finally:
            ingest.kill()
