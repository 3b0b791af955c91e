"""A disk of 64 MiB that is full to its last block: nothing more goes in, everything that is there can be read.

Whoever tries to write is told at once what is full (507), and nothing changes; once there is room again, everything
goes on, an upload where it stopped.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from cas import Digest
from catalog.registry.routes import ROUTES, match
from tests.catalog.images import descriptor, image
from tests.conftest import StartPortolan
from tests.end_to_end.registry_client import RegistryClient
from tests.end_to_end.small_disk import SmallDisk
from tests.services import Portolan
from tests.services.portolan import Person

NAME, OTHER, DOOMED = "galley/soup", "galley/bread", "galley/scraps"
CONFIG, LAYER, LOOSE, ELSEWHERE = b"{}", os.urandom(300_000), os.urandom(5_000), os.urandom(6_000)
OLD = image(CONFIG, LAYER)
LATEST = image(CONFIG, LAYER, annotations={"name": "latest"})
SIGNATURE = image(CONFIG, subject=descriptor(OLD, "application/vnd.oci.image.manifest.v1+json"))
NEW = image(CONFIG, LAYER, annotations={"name": "new"})

#: Bytes of the layer that an upload holds from before the disk was full.
HEAD = 100_000

READING = {(route, method) for route in ROUTES for method in ("GET", "HEAD")}

#: Seconds that an answer may take: whoever waits for room waits for ever.
AT_ONCE = 15


def digest_of(content: bytes) -> str:
    return Digest.of(content).text


@dataclass(frozen=True)
class Write:
    """A request that changes something, and the status that it has where there is room."""

    method: str
    path: str
    status: int
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def route(self) -> tuple[str, str] | None:
        """The registry's route, None where it is another's."""
        found = match(self.path.partition("?")[0])
        return None if found is None else (found.route, self.method)


def rest_of_layer(held: int | None) -> dict[str, Any]:
    """Send what an upload that holds the layer's beginning lacks."""
    assert held is not None and HEAD <= held < len(LAYER)
    return {"content": LAYER[held:], "headers": {"content-range": f"{held}-{len(LAYER) - 1}"}}


def every_write(sessions: Mapping[str, int | None], token_id: str, password: str) -> list[Write]:
    """List every request that writes, in an order in which all can be done.

    *sessions* are four uploads and what they hold: nothing, and thrice the beginning of the layer.
    """
    (nothing, _), (appended, appended_to), (finished, finished_to), (complete, _) = sessions.items()
    manifests, uploads = f"/v2/{NAME}/manifests", f"/v2/{NAME}/blobs/uploads"
    body = os.urandom(40_000)
    return [
        Write("POST", f"{uploads}/", 202),
        Write("POST", f"{uploads}/?digest={digest_of(body)}", 201, {"content": body}),
        Write("POST", f"{uploads}/?mount={digest_of(ELSEWHERE)}&from={OTHER}", 201, {"also": OTHER}),
        Write("POST", f"{uploads}/?mount={digest_of(ELSEWHERE)}", 201),
        Write("PATCH", appended, 202, rest_of_layer(appended_to)),
        Write("PUT", f"{finished}?digest={digest_of(LAYER)}", 201, rest_of_layer(finished_to)),
        Write("PUT", f"{complete}?digest={digest_of(LAYER[:HEAD])}", 201),
        Write("DELETE", nothing, 204),
        Write("PUT", f"{manifests}/new", 201, {"content": NEW}),
        Write("PUT", f"{manifests}/{digest_of(NEW)}?tag=other", 201, {"content": NEW}),
        Write("PUT", f"{manifests}/latest", 201, {"content": OLD}),
        Write("DELETE", f"{manifests}/latest", 202),
        Write("DELETE", f"{manifests}/{digest_of(SIGNATURE)}", 202),
        Write("DELETE", f"/v2/{NAME}/blobs/{digest_of(LOOSE)}", 202),
        Write("PATCH", f"/api/v1/repositories/{NAME}", 200, {"json": {"description": "hot", "public": True}}),
        Write("DELETE", f"/api/v1/repositories/{DOOMED}", 204),
        Write("POST", "/api/v1/tokens", 201, {"json": {"name": "more"}}),
        Write("DELETE", f"/api/v1/tokens/{token_id}", 204),
        Write("PUT", "/api/v1/account/password", 204, {"json": {"current": password, "new": password[::-1]}}),
    ]


class Galley:
    """A registry with something in it, on a disk that a ballast leaves some room on when it is thrown out."""

    def __init__(self, disk: SmallDisk, service: Portolan, person: Person, client: RegistryClient) -> None:
        self.disk = disk
        self.service = service
        self.person = person
        self.client = client
        self.ballast = disk.path / "ballast"
        self.sessions: list[str] = []
        self.token_id = ""
        self.refresh_token = ""

    async def set_up(self) -> None:
        self.ballast.write_bytes(bytes(16 * 1024 * 1024))
        await self._expect(201, *[await self._push(NAME, content) for content in (CONFIG, LAYER, LOOSE)])
        await self._expect(201, *[await self._push(name, ELSEWHERE) for name in (OTHER, DOOMED)])
        for tag, manifest in (("old", OLD), ("latest", LATEST), ("signature", SIGNATURE)):
            await self._expect(201, await self.client.request("PUT", NAME, f"manifests/{tag}", content=manifest))
        self.sessions = [await self.client.begin(NAME) for _ in range(4)]
        for session in self.sessions[1:]:
            await self._expect(202, await self.client.request("PATCH", NAME, session, content=LAYER[:HEAD]))
        made = await self._account("POST", "/api/v1/tokens", json={"name": "galley"})
        self.token_id = made.json()["id"]
        self.refresh_token = (await self._sign_in(offline_token="true")).json()["refresh_token"]

    async def fill(self) -> None:
        """Push until there is no room, with ever smaller blobs; then write rows until there is none for them either."""
        size = 4 * 1024 * 1024
        while size >= 1024:
            if (answer := await self._push(NAME, os.urandom(size))).status_code != 201:
                self.told_what_is_full(answer)
                size //= 2
        assert self.disk.free() < 4096
        connection = sqlite3.connect(self.service.data / "portolan.db", isolation_level=None)
        try:
            with pytest.raises(sqlite3.OperationalError, match="full"):
                for number in range(10_000):
                    connection.execute(f"PRAGMA user_version = {number}")  # the least that can be written: one page
        finally:
            connection.close()

    def make_room(self) -> None:
        self.ballast.unlink()

    def told_what_is_full(self, answer: httpx.Response) -> None:
        assert answer.status_code == 507, answer.text
        assert "no room is left in the" in answer.text.lower()
        assert str(self.disk.path) not in answer.text  # whoever runs it finds that in the log

    async def writes(self) -> list[Write]:
        """List every request that writes, for the uploads as they are now."""
        held = [await self.client.offset(NAME, session) for session in self.sessions]
        return every_write(dict(zip(self.sessions, held, strict=True)), self.token_id, self.person.password)

    async def write(self, write: Write) -> httpx.Response:
        async with asyncio.timeout(AT_ONCE):
            if write.route is None:
                return await self._account(write.method, write.path, **write.options)
            return await self.client.request(write.method, NAME, write.path, **write.options)

    async def read(self) -> dict[str, tuple[int, bytes]]:
        """Read everything that there is to read."""
        blobs, manifests = [CONFIG, LAYER, LOOSE], [OLD, LATEST, SIGNATURE]
        paths = [f"/v2/{NAME}/blobs/{digest_of(blob)}" for blob in blobs]
        paths += [f"/v2/{NAME}/manifests/{digest_of(manifest)}" for manifest in manifests]
        paths += [f"/v2/{NAME}/manifests/{tag}" for tag in ("old", "latest", "signature")]
        paths += [f"/v2/{NAME}/tags/list", f"/v2/{NAME}/referrers/{digest_of(OLD)}", "/v2/"]
        found = {}
        for path in paths:
            for method in ("GET", "HEAD"):
                answer = await self.client.request(method, NAME, path)
                found[f"{method} {path}"] = answer.status_code, answer.content
        for path in (f"/api/v1/repositories/{NAME}", "/api/v1/tokens"):
            answer = await self._account("GET", path)
            found[path] = answer.status_code, json.dumps(sorted(answer.json().items())).encode()
        listing = await self._sign_in(scope="registry:catalog:*")
        headers = {"authorization": f"Bearer {listing.json()['token']}"}
        answer = await self.client.raw("GET", "/v2/_catalog", headers=headers)
        found["/v2/_catalog"] = answer.status_code, answer.content
        return found

    async def sign_in_in_every_way(self) -> None:
        """Get access tokens as the clients do; no room is needed for those."""
        anonymous = await self.client.raw("GET", "/token", params={"service": "portolan"})
        form = {"grant_type": "password", "username": self.person.name, "password": self.person.password}
        refreshed = {"grant_type": "refresh_token", "refresh_token": self.refresh_token}
        answers = [
            anonymous,
            await self._sign_in(),
            await self._sign_in(offline_token="true"),
            await self.client.raw("POST", "/token", data=form),
            await self.client.raw("POST", "/token", data=form | {"access_type": "offline"}),
            await self.client.raw("POST", "/token", data=refreshed),
        ]
        for answer in answers:
            assert answer.status_code == 200, answer.text
            assert answer.json()["token"]

    async def _push(self, name: str, content: bytes) -> httpx.Response:
        async with asyncio.timeout(AT_ONCE):
            return await self.client.push_blob(name, digest_of(content), content)

    async def _account(self, method: str, path: str, **options: Any) -> httpx.Response:
        return await self.client.raw(method, path, headers={"authorization": self.person.basic}, **options)

    async def _sign_in(self, **parameters: str) -> httpx.Response:
        params = {"service": "portolan"} | parameters
        return await self.client.raw("GET", "/token", params=params, headers={"authorization": self.person.basic})

    async def _expect(self, status: int, *answers: httpx.Response) -> None:
        for answer in answers:
            assert answer.status_code == status, answer.text


def on(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("galley", kinds, indirect=True)


@pytest.fixture
async def galley(
    request: pytest.FixtureRequest, tmp_path: Path, start_portolan: StartPortolan
) -> AsyncIterator[Galley]:
    """A registry whose disk is full."""
    with SmallDisk(tmp_path, request.param) as disk:
        service = start_portolan({"PORTOLAN_DATA": str(disk.path / "data")})
        service.data = disk.path / "data"
        person = service.add_person("cook", admin=True)
        async with RegistryClient(service.url, person) as client:
            galley = Galley(disk, service, person, client)
            await galley.set_up()
            await galley.fill()
            yield galley
        service.kill()


@on("tmpfs", "ext4")
async def test_a_full_disk_stops_writing_and_nothing_else(galley: Galley) -> None:
    before = await galley.read()
    assert {status for status, _ in before.values()} == {200}

    for write in await galley.writes():
        galley.told_what_is_full(await galley.write(write))
    await galley.sign_in_in_every_way()
    add_person = partial(galley.service.run, "user", "add", "stoker", "--password-stdin", input="coal and coal\n")
    refused = await asyncio.to_thread(add_person, check=False)
    assert (refused.returncode, "no room is left" in refused.stderr) == (1, True), refused

    assert await galley.read() == before
    assert "unexpected exception" not in galley.service.log.read_text()

    galley.make_room()
    for write in await galley.writes():
        answer = await galley.write(write)
        assert answer.status_code == write.status, (write, answer.text)


@on("ext4")
async def test_an_upload_that_no_room_was_left_for_goes_on_where_it_stopped(galley: Galley) -> None:
    _, session, *_ = galley.sessions
    galley.told_what_is_full(await galley.write(Write("PATCH", session, 202, rest_of_layer(HEAD))))
    held = await galley.client.offset(NAME, session)

    galley.make_room()

    assert (await galley.write(Write("PATCH", session, 202, rest_of_layer(held)))).status_code == 202
    assert (await galley.client.finish(NAME, session, digest_of(LAYER))).status_code == 201


@on("tmpfs")
async def test_a_body_larger_than_the_room_is_refused_and_cancelling_it_makes_room(galley: Galley) -> None:
    _, session, *_ = galley.sessions
    galley.make_room()
    room = galley.disk.free()
    body = Write("PATCH", session, 202, {"content": os.urandom(24 * 1024 * 1024)})
    galley.told_what_is_full(await galley.write(body))
    assert galley.disk.free() < 4096

    assert (await galley.write(Write("DELETE", session, 204))).status_code == 204

    assert galley.disk.free() >= room


@on("tmpfs", "ext4")
async def test_a_service_that_died_on_a_full_disk_starts_there_again(galley: Galley) -> None:
    before = await galley.read()

    galley.service.kill()
    await asyncio.to_thread(galley.service.start)

    assert await galley.read() == before
    galley.make_room()
    assert (await galley.client.push_blob(NAME, digest_of(b"crumbs"), b"crumbs")).status_code == 201


def test_every_route_of_the_registry_that_writes_is_tried() -> None:
    sessions = {f"/v2/{NAME}/blobs/uploads/{number}": HEAD for number in range(4)}
    writing = {(route, method) for route, methods in ROUTES.items() for method in methods} - READING
    assert {write.route for write in every_write(sessions, "", "")} - {None} == writing
