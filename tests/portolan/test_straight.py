"""Large bodies that bypass the parser: the same bytes and the same requests, however they are cut."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvloop
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse

from tests.portolan.connections import serving

PATH = "/v2/x/blobs/uploads/1"
LARGE = os.urandom(3_300_000)


class Hashing:
    """Answers with the digest of the body; notes what it saw of each."""

    def __init__(self) -> None:
        self.pieces: list[list[int]] = []
        self.lost: list[int] = []
        self.told = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        request = Request(scope, receive)
        running, sizes = hashlib.sha256(), []
        try:
            if not request.url.path.endswith("unread"):
                async for piece in request.stream():
                    running.update(piece)
                    sizes.append(len(piece))
        except ClientDisconnect:
            self.lost.append(sum(sizes))
            self.told.set()
            raise
        self.pieces.append(sizes)
        await PlainTextResponse(f"{request.method} {running.hexdigest()}")(scope, receive, send)


def put(body: bytes, path: str = PATH, *, chunked: bool = False, expect: bool = False) -> bytes:
    head = f"PUT {path} HTTP/1.1\r\nHost: x\r\n".encode()
    if expect:
        head += b"Expect: 100-continue\r\n"
    if not chunked:
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    head += b"Transfer-Encoding: chunked\r\n\r\n"
    pieces = [body[at : at + 100_000] for at in range(0, len(body), 100_000)]
    return head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def digest(body: bytes) -> str:
    return f"PUT {hashlib.sha256(body).hexdigest()}"


async def answer(reader: asyncio.StreamReader) -> str:
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    return (await reader.readexactly(length)).decode()


async def exchange(port: int, sent: list[bytes], answers: int) -> list[str]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def send() -> None:
        for piece in sent:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(send())
        found = [await answer(reader) for _ in range(answers)]
    writer.close()
    await writer.wait_closed()
    return found


async def test_a_large_body_comes_whole_in_large_pieces() -> None:
    application = Hashing()
    async with serving(application) as port:
        assert await exchange(port, [put(LARGE)], 1) == [digest(LARGE)]

    assert max(application.pieces[0]) == 1024 * 1024


@pytest.mark.parametrize("seed", range(12))
async def test_requests_of_all_kinds_follow_each_other_however_they_are_cut(seed: int) -> None:
    """Bodies of all sizes and forms on one connection, pipelined, in pieces of any size."""
    chance = random.Random(seed)
    bodies = [chance.randbytes(chance.choice([0, 1, 1000, 131_071, 131_072, 131_073, 700_000])) for _ in range(8)]
    bodies.insert(chance.randrange(8), LARGE)
    stream = b"".join(put(body, chunked=chance.random() < 0.3) for body in bodies)
    pieces, at = [], 0
    while at < len(stream):
        size = chance.choice([1, 60, 5_000, 65_536, 400_000])
        pieces.append(stream[at : at + size])
        at += size
    async with serving(Hashing()) as port:
        assert await exchange(port, pieces, len(bodies)) == [digest(body) for body in bodies]


def test_on_the_loop_of_the_service_too() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test_a_large_body_comes_whole_in_large_pieces())
        runner.run(test_requests_of_all_kinds_follow_each_other_however_they_are_cut(99))
        runner.run(test_a_body_that_nobody_reads_does_not_become_the_next_request())
        runner.run(test_a_client_that_vanishes_leaves_what_it_sent())


async def test_a_body_that_nobody_reads_does_not_become_the_next_request() -> None:
    smuggled = put(b"never a request")
    body = (smuggled * 200_000)[: 4 * 1024 * 1024]
    application = Hashing()
    async with serving(application) as port:
        found = await exchange(port, [put(body, PATH + "/unread"), put(LARGE)], 2)

    assert found == [digest(b""), digest(LARGE)]
    assert len(application.pieces) == 2


async def test_a_client_that_vanishes_leaves_what_it_sent() -> None:
    application = Hashing()
    async with serving(application) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(put(LARGE)[: -len(LARGE)] + LARGE[:1_500_000])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        async with asyncio.timeout(10):
            await application.told.wait()

    assert application.lost == [1_500_000]


async def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    request = put(LARGE, expect=True)
    head, body = request[: -len(LARGE)], request[-len(LARGE) :]
    async with serving(Hashing()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head)
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body)
        await writer.drain()
        assert await answer(reader) == digest(LARGE)
        writer.close()
        await writer.wait_closed()


async def test_a_reader_that_is_slow_holds_the_sender_back() -> None:
    """What waits in memory stays small, however fast the client sends."""
    most = 0
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        await go_on.wait()
        await Hashing()(scope, receive, send)

    body = LARGE * 10
    async with serving(slow) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.transport.set_write_buffer_limits(high=0)
        writer.write(put(body))
        await begun.wait()
        previous = -1
        while (most := writer.transport.get_write_buffer_size()) != previous:
            previous = most
            await asyncio.sleep(0.2)
        go_on.set()
        assert await answer(reader) == digest(body)
        writer.close()
        await writer.wait_closed()

    assert most > len(body) // 3
