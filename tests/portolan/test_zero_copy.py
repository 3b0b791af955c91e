"""Files that the kernel sends: the same bytes, to patient and impatient clients."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop
from starlette.requests import ClientDisconnect

from portolan.zero_copy import EXTENSION
from tests.portolan.connections import serving

CONTENT = os.urandom(5_000_000)


class Sending:
    """An application that sends one file, in windows, and notes how that ended."""

    def __init__(self, path: Path, window: int = 1_000_000) -> None:
        self.path = path
        self.window = window
        self.ended: list[BaseException | None] = []
        self.offered: list[bool] = []
        self.finished = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        self.offered.append(EXTENSION in scope.get("extensions", {}))
        try:
            with self.path.open("rb") as file:
                size = len(CONTENT)
                headers = [(b"content-length", str(size).encode())]
                await send({"type": "http.response.start", "status": 200, "headers": headers})
                for offset in range(0, size, self.window):
                    count = min(self.window, size - offset)
                    more = offset + count < size
                    await send({"type": EXTENSION, "file": file, "offset": offset, "count": count, "more_body": more})
            self.ended.append(None)
        except BaseException as error:
            self.ended.append(error)
            raise
        finally:
            self.finished.set()


def descriptors() -> set[Path]:
    return set(Path("/proc/self/fd").iterdir())


async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    return await reader.readexactly(len(CONTENT))


@pytest.fixture
def sending(tmp_path: Path) -> Sending:
    path = tmp_path / "blob"
    path.write_bytes(CONTENT)
    return Sending(path)


async def test_the_bytes_are_the_files_and_the_connection_goes_on(sending: Sending) -> None:
    async with serving(sending) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            assert await ask(reader, writer) == CONTENT
        writer.close()
        await writer.wait_closed()

    assert sending.ended == [None] * 3
    assert sending.offered == [True] * 3


def test_on_the_loop_of_the_service_too(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(CONTENT)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test_the_bytes_are_the_files_and_the_connection_goes_on(Sending(path)))
        runner.run(test_many_readers_of_all_speeds_get_the_same(Sending(path)))
        runner.run(test_a_client_that_hangs_up_ends_the_sending(Sending(path)))


async def test_requests_that_come_at_once_are_answered_in_turn(sending: Sending) -> None:
    async with serving(sending) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(len(CONTENT)) == CONTENT
        writer.close()
        await writer.wait_closed()


async def test_many_readers_of_all_speeds_get_the_same(sending: Sending) -> None:
    async def read(port: int, piece: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=piece)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        received = bytearray()
        while piece_read := await reader.read(piece):
            received += piece_read
            await asyncio.sleep(0)
        writer.close()
        await writer.wait_closed()
        return bytes(received)

    async with serving(sending) as port:
        received = await asyncio.gather(*(read(port, piece) for piece in (4_096, 20_000, 65_536, 1_000_000) * 4))

    assert all(each == CONTENT for each in received)


async def test_a_client_that_hangs_up_ends_the_sending(sending: Sending) -> None:
    before = descriptors()
    async with serving(sending) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=4096)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()
        async with asyncio.timeout(10):
            await sending.finished.wait()

    assert isinstance(sending.ended[0], ClientDisconnect)
    assert not descriptors() - before


async def test_a_file_that_ends_too_early_ends_the_connection(sending: Sending) -> None:
    sending.path.write_bytes(CONTENT[:1_500_000])
    async with serving(sending) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with pytest.raises(asyncio.IncompleteReadError):
            await ask(reader, writer)
        writer.close()
        await writer.wait_closed()

    assert isinstance(sending.ended[0], RuntimeError)
