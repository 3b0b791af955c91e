"""kill -9, again and again, of whatever process is at hand, while clients push, move, delete and upload.

The supervisor brings back what was killed, and the test brings back the supervisor. Whatever a client was told has to
be so at any time after, whatever it was not told may be so or not, and nothing is seen by halves. An upload goes on
where it stopped, never before what was acknowledged of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

import httpx
from sqlalchemy import text

from cas import Digest
from cas.directory import DirectoryStore
from database import Query, connect
from tests.catalog.images import image
from tests.conftest import StartPortolan
from tests.end_to_end.parts import pids
from tests.end_to_end.registry_client import NoAnswer, RegistryClient
from tests.promises import Promises
from tests.services import Portolan, wait_until
from tests.services.processes import end, is_alive

T = TypeVar("T")

#: What is killed, in any order, and then the supervisor; and how often all that. A supervisor waits longer each time
#: before it starts a part again: a new one begins anew.
IN_ANY_ORDER = ["web"] * 7 + ["ingest"] * 2
TIMES = 5
PUSHERS = 4
#: The most requests that are answered between two kills; how many it is, is drawn.
MOST_BETWEEN = 8
THERE = "there"


class Killer:
    """Kills one process each time that enough requests were answered."""

    def __init__(self, service: Portolan, chance: random.Random) -> None:
        self._service = service
        self._chance = chance
        self._victims = [
            part for _ in range(TIMES) for part in (*chance.sample(IN_ANY_ORDER, len(IN_ANY_ORDER)), "serve")
        ]
        self.answers = 0
        self._answered = asyncio.Condition()
        self.kills = 0
        self.done = False

    async def answered(self) -> None:
        """Note that a client got an answer."""
        async with self._answered:
            self.answers += 1
            self._answered.notify_all()

    async def run(self) -> None:
        try:
            for part in self._victims:
                async with self._answered:
                    for _ in range(self._chance.randint(1, MOST_BETWEEN)):
                        await self._answered.wait()
                await asyncio.to_thread(self._kill, part)
                self.kills += 1
        finally:
            self.done = True

    def _kill(self, part: str) -> None:
        if part != "serve":
            wait_until(lambda: bool(pids(self._service, part)), 30, f"a process of {part}")
            os.kill(self._chance.choice(pids(self._service, part)), signal.SIGKILL)
            return
        family = self._service.pids()
        assert end(self._service.pid, signal.SIGKILL, 10)
        wait_until(lambda: not any(map(is_alive, family)), 30, "the parts to end after their supervisor")
        self._service.start(wait=False)


class Pusher:
    """A client with a repository of its own. Where an answer fails to come, it looks what became of its request."""

    def __init__(self, number: int, client: RegistryClient, killer: Killer, chance: random.Random) -> None:
        self.name = f"crew{number}/cargo"
        self.unanswered = 0
        self.resumed = 0
        self._client = client
        self._killer = killer
        self._chance = chance
        self._promises = Promises()
        self._contents: dict[str, bytes] = {}
        self._kills = 0

    async def run(self) -> None:
        while not self._killer.done:
            await self._push_image()
            if self._chance.random() < 0.3:
                await self._delete_something()
            if self._kills != self._killer.kills:
                self._kills = self._killer.kills
                things = self._promises.things()
                for thing in self._chance.sample(things, min(4, len(things))):
                    await self.look(thing)

    async def look_at_everything(self) -> int:
        """See that each thing is as it was promised, and that nothing else is there; return how many there are."""
        things = self._promises.things()
        for thing in things:
            await self.look(thing)
        tags = (await self._read("GET", "tags/list")).json()["tags"]
        assert {f"tag {tag}" for tag in tags} == set(self._there("tag"))
        return len(things)

    # Looking

    async def look(self, thing: str) -> None:
        """Read *thing*; its state has to be a promised one, and its bytes the right ones."""
        kind, _, which = thing.partition(" ")
        answer = await self._read("GET", f"blobs/{which}" if kind == "blob" else f"manifests/{which}")
        state = ""
        if answer.status_code != 404:
            assert answer.status_code == 200, answer.text
            digest = Digest.of(answer.content).text
            assert answer.headers["docker-content-digest"] == digest, thing
            assert kind == "tag" or digest == which, thing
            state = digest if kind == "tag" else THERE
            if kind != "blob":
                await self._see_blobs(answer.json())
        assert state in self._promises.possible(thing), f"{thing} of {self.name} is {state!r}"
        self._promises.told(thing, state)

    async def _see_blobs(self, manifest: Any) -> None:
        for descriptor in [manifest["config"], *manifest["layers"]]:
            answer = await self._read("HEAD", f"blobs/{descriptor['digest']}")
            assert answer.status_code == 200, f"blob {descriptor['digest']} of a manifest of {self.name}"

    async def _read(self, method: str, rest: str) -> httpx.Response:
        return await self._insist(partial(self._client.request, method, self.name, rest))

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask until there is an answer."""
        deadline = time.monotonic() + 60
        while True:
            try:
                return await ask()
            except NoAnswer:
                assert time.monotonic() < deadline, "the service did not come back"
                await asyncio.sleep(0.05)

    def _there(self, kind: str) -> list[str]:
        things = [thing for thing in self._promises.things() if thing.startswith(f"{kind} ")]
        return [thing for thing in things if self._promises.possible(thing) != {""}]

    # Changing

    async def _change(
        self, expected: int, states: dict[str, str], method: str, rest: str, **options: Any
    ) -> httpx.Response | None:
        """Ask once for a change that brings things to *states*; None where there was no answer."""
        for thing, state in states.items():
            self._promises.asked(thing, state)
        try:
            answer = await self._client.request(method, self.name, rest, **options)
        except NoAnswer:
            self.unanswered += 1
            for thing in states:
                await self.look(thing)
            return None
        assert answer.status_code == expected, answer.text
        for thing, state in states.items():
            self._promises.told(thing, state)
        await self._killer.answered()
        return answer

    async def _push_image(self) -> None:
        config = self._random(20, 200)
        layers = [self._random(1_000, 400_000) for _ in range(self._chance.randint(1, 2))]
        await self._push_at_once(config)
        for layer in layers:
            await self._chance.choice([self._push_at_once, self._upload])(layer)
        await self._put(image(config, *layers), self._chance.choice(["latest", "next", "old"]))
        if self._chance.random() < 0.5:
            _, _, other = self._chance.choice(self._there("manifest")).partition(" ")
            await self._put(self._contents[other], self._chance.choice(["latest", "old"]))

    async def _put(self, manifest: bytes, tag: str) -> None:
        digest = self._remember(manifest)
        states = {f"manifest {digest}": THERE, f"tag {tag}": digest}
        while await self._change(201, states, "PUT", f"manifests/{tag}", content=manifest) is None:
            pass

    async def _push_at_once(self, content: bytes) -> None:
        digest = self._remember(content)
        states, rest = {f"blob {digest}": THERE}, f"blobs/uploads/?digest={digest}"
        while await self._change(201, states, "POST", rest, content=content) is None:
            pass

    async def _upload(self, content: bytes) -> None:
        """Push a blob in chunks; whenever an answer fails to come, go on where the session says that it is."""
        digest = self._remember(content)
        location = await self._insist(partial(self._client.begin, self.name))
        ends = [*sorted(self._chance.sample(range(100, len(content)), self._chance.randint(0, 3))), len(content)]
        held = sent = 0
        while held < len(content):
            stop = next(end for end in ends if end > held)
            sent = max(sent, stop)
            if await self._change(202, {}, "PATCH", location, **self._chunk(content, held, stop)) is not None:
                held = stop
                continue
            found = await self._offset(location)
            assert found is not None and held <= found <= sent, f"{found} of {sent} bytes; {held} were acknowledged"
            self.resumed += found > 0
            held = found
        states, rest = {f"blob {digest}": THERE}, f"{location}?digest={digest}"
        while await self._change(201, states, "PUT", rest) is None:
            found = await self._offset(location)
            if found is None:  # it was done: the session ends in the transaction that links the blob
                assert self._promises.possible(f"blob {digest}") == {THERE}
                return
            assert found == len(content), f"{found} of {len(content)} bytes after a PUT that was not answered"

    async def _offset(self, location: str) -> int | None:
        return await self._insist(partial(self._client.offset, self.name, location))

    def _chunk(self, content: bytes, start: int, stop: int) -> dict[str, Any]:
        """Send a chunk as one of the two kinds of client does: with its range, or as a stream of unknown length."""
        if self._chance.random() < 0.5:
            return {"content": content[start:stop], "headers": {"content-range": f"{start}-{stop - 1}"}}

        async def pieces() -> AsyncIterator[bytes]:
            for place in range(start, stop, 16_384):
                yield content[place : min(place + 16_384, stop)]
                await asyncio.sleep(0)

        return {"content": pieces()}

    async def _delete_something(self) -> None:
        tags, manifests = self._there("tag"), self._there("manifest")
        if tags and self._chance.random() < 0.5:
            tag = self._chance.choice(tags)
            await self._change(202, {tag: ""}, "DELETE", f"manifests/{tag.removeprefix('tag ')}")
        elif manifests:
            manifest = self._chance.choice(manifests)
            digest = manifest.removeprefix("manifest ")
            states = {manifest: ""} | {tag: "" for tag in tags if self._promises.possible(tag) == {digest}}
            if await self._change(202, states, "DELETE", f"manifests/{digest}") is not None:
                for layer in json.loads(self._contents[digest])["layers"]:
                    await self._change(202, {f"blob {layer['digest']}": ""}, "DELETE", f"blobs/{layer['digest']}")

    def _remember(self, content: bytes) -> str:
        digest = Digest.of(content).text
        self._contents[digest] = content
        return digest

    def _random(self, least: int, most: int) -> bytes:
        return self._chance.randbytes(self._chance.randint(least, most))


async def see_what_is_kept(service: Portolan) -> tuple[int, int]:
    """Look at the disk itself; return how many blobs there are, and how many of those have no row."""
    database = await connect(f"sqlite:///{service.data / 'portolan.db'}")
    store = DirectoryStore(service.data / "store")
    try:
        rows = await database.all(Query(text("SELECT digest, size FROM blobs")))
        for digest, size in rows:
            assert await store.stat(Digest.parse(digest)) == size
        known = {digest for digest, _ in rows}
        found = 0
        async for digest in store.digests():
            found += 1
            async with await store.open(digest) as reader:
                pieces = [piece async for piece in reader.pieces(0, reader.size)]
            assert Digest.of(b"".join(pieces), digest.algorithm) == digest
        return found, found - len(known)
    finally:
        await database.close()


async def test_whatever_is_killed_what_was_acknowledged_stays(start_portolan: StartPortolan) -> None:
    seed = int.from_bytes(os.urandom(4))
    print(f"seed {seed}")
    chance = random.Random(seed)
    service = start_portolan({"PORTOLAN_WORKERS": "2"})
    person = service.add_person("boatswain", admin=True)
    killer = Killer(service, random.Random(chance.random()))
    async with RegistryClient(service.url, person) as client:
        pushers = [Pusher(n, client, killer, random.Random(chance.random())) for n in range(PUSHERS)]
        begun = time.monotonic()
        async with asyncio.TaskGroup() as group:
            group.create_task(killer.run())
            for pusher in pushers:
                group.create_task(pusher.run())
        took = time.monotonic() - begun
        things = sum([await pusher.look_at_everything() for pusher in pushers])
    assert killer.kills == 50
    unanswered, resumed = sum(pusher.unanswered for pusher in pushers), sum(pusher.resumed for pusher in pushers)
    print(f"{killer.kills} kills in {took:.0f} s; {killer.answers} changes were answered and {unanswered} not;")
    print(f"{resumed} uploads went on; {things} things are as promised")
    assert unanswered > 0

    await asyncio.to_thread(service.stop)

    found, without_row = await see_what_is_kept(service)
    print(f"{found} blobs on the disk, {without_row} of them without a row")
    assert "unexpected exception" not in service.log.read_text()
