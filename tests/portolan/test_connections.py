"""The limits of a connection: what a client may send, how long it may take, and what is never read as a request."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from portolan.connection import Connection
from portolan.straight import StraightBody
from tests.portolan.connections import serving

UPLOAD = "/v2/x/blobs/uploads/1"
H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"
INNER = b"GET /inner HTTP/1.1\r\nHost: x\r\n\r\n"
#: More bytes than this are a straight body.
LARGE = 200_000


async def hello(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await hello_without_reading(send)


async def hello_without_reading(send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


async def refuse(scope: Any, receive: Any, send: Any) -> None:
    """Answer 401 and read nothing, as to somebody who is not signed in."""
    await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


class Noting:
    """Answers as *application* does, and notes what was asked for."""

    def __init__(self, application: Any = hello) -> None:
        self.application = application
        self.asked: list[str] = []
        self.headers: list[list[bytes]] = []
        self.ended = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope["path"])
        try:
            await self.application(scope, receive, send)
        finally:
            self.ended += 1
            self.headers.append([name for name, _ in scope["headers"]])


async def exchange(port: int, *pieces: bytes, seconds: float = 20) -> bytes:
    """Send *pieces* and read until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(seconds):
            try:
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                return await reader.read()
            except ConnectionError:
                return b""
    finally:
        writer.close()


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def is_closed(reader: asyncio.StreamReader, seconds: float = 10) -> bool:
    """Read until the server closes, *seconds* at most."""
    try:
        async with asyncio.timeout(seconds):
            await reader.read()
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while True:
            if holds():
                return
            await asyncio.sleep(0.01)


def head(method: str = "PATCH", path: str = UPLOAD, *more: bytes) -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n".encode() + b"".join(more) + b"\r\n"


def length(count: int) -> bytes:
    return b"Content-Length: %d\r\n" % count


CHUNKED = b"Transfer-Encoding: chunked\r\n"
CLOSING = head("GET", "/last", b"Connection: close\r\n")


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Awaitable[None]], None]:
    """Run a test on both loops: the service's own and the one of the standard library."""

    def runs(test: Any) -> None:
        factory = uvloop.new_event_loop if request.param == "uvloop" else None
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(test)

    return runs


async def test_headers_without_end_are_cut_off() -> None:
    piece = b"a" * 65536

    async with serving(hello) as port:
        one_header = await exchange(port, b"GET / HTTP/1.1\r\nX-Long: ", *([piece] * 40))
        many_headers = await exchange(port, b"GET / HTTP/1.1\r\n", *([b"X-Short: 1\r\n" * 5000] * 60))
        address = await exchange(port, b"GET /", *([piece] * 40))

    for answer in (one_header, many_headers, address):
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")


async def test_headers_of_a_usual_size_and_bodies_of_any_are_taken() -> None:
    token = b"Authorization: Bearer " + b"a" * 16_000 + b"\r\n"
    close = b"Connection: close\r\n"
    body = b"x" * 3_000_000
    async with serving(hello) as port:
        long_header = await exchange(port, b"GET / HTTP/1.1\r\n" + token + close + b"\r\n")
        head = b"PUT /x HTTP/1.1\r\nContent-Length: %d\r\n%s\r\n" % (len(body), close)
        large_body = await exchange(port, head + body)
        twice = await exchange(
            port,
            b"PUT /x HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body + b"GET / HTTP/1.1\r\n",
            close + b"\r\n",
        )

    assert long_header.endswith(b"hello")
    assert large_body.endswith(b"hello")
    assert twice.count(b"hello") == 2


@pytest.mark.parametrize("announced", [length(len(INNER)), CHUNKED, length(LARGE)])
@pytest.mark.parametrize("apart", [False, True])
def test_a_body_under_an_upgrade_is_refused_and_never_becomes_a_request(
    run: Any, announced: bytes, apart: bool
) -> None:
    """httptools drops the body that follows such headers, and reads it as what comes next."""
    application = Noting()

    async def test() -> None:
        first = head("PATCH", UPLOAD, H2C, announced)
        async with serving(application) as port, connected(port) as (reader, writer):
            writer.write(first if apart else first + INNER)
            if apart:
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
                writer.write(INNER)
            async with asyncio.timeout(10):
                with contextlib.suppress(ConnectionError):
                    assert b"HTTP/1.1 200" not in await reader.read()

    run(test())
    assert application.asked == []


def test_an_upgrade_without_a_body_is_an_ordinary_request(run: Any) -> None:
    application = Noting()

    async def test() -> None:
        async with serving(application) as port:
            ordinary = head("GET", "/one", H2C) + head("GET", "/two", H2C, length(0))
            answer = await exchange(port, ordinary + head("PUT", "/three", length(5)) + b"he", b"llo", INNER, CLOSING)
        assert answer.count(b"HTTP/1.1 200") == 5

    run(test())
    assert application.asked == ["/one", "/two", "/three", "/inner", "/last"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.parametrize("size", [3, LARGE])
async def test_curl_that_offers_http_2_with_a_body_is_told(tmp_path: Path, size: int) -> None:
    body = tmp_path / "body"
    body.write_bytes(os.urandom(size))
    async with serving(Noting()) as port:
        arguments = ["-sS", "-o", "/dev/null", "-w", "%{http_code}", "--http2", "-X", "PATCH", "-H", "Expect:"]
        arguments += ["-H", H2C.partition(b"\r\n")[0].decode(), "-H", "Upgrade: h2c", "-H", "HTTP2-Settings: AAMAAABk"]
        curl = await asyncio.create_subprocess_exec(
            "curl", *arguments, "--data-binary", f"@{body}", f"http://127.0.0.1:{port}{UPLOAD}", stdout=-1, stderr=-1
        )
        told, _ = await curl.communicate()
    assert told == b"400"


def test_trailers_without_end_are_cut_off_and_not_kept(run: Any) -> None:
    application = Noting()

    async def test() -> None:
        async with serving(application) as port:
            many = b"ab: cd\r\n" * 8192
            tracemalloc.start()
            try:
                for trailers in ([many] * 80, [b"X-Long: "] + [b"a" * 65536] * 80, [b"1;x="] + [b"a" * 65536] * 80):
                    start = b"" if trailers[0].startswith(b"1;") else b"0\r\n"
                    async with connected(port) as (reader, writer):
                        with contextlib.suppress(ConnectionError):
                            for piece in [head("POST", "/x", CHUNKED) + start, *trailers]:
                                writer.write(piece)
                                await writer.drain()
                        assert await is_closed(reader)
                assert tracemalloc.get_traced_memory()[1] < 4 * 1024 * 1024
            finally:
                tracemalloc.stop()

    run(test())
    assert [len(each) for each in application.headers] == [2, 2, 2]


def test_a_few_trailers_are_dropped_and_the_connection_goes_on(run: Any) -> None:
    application = Noting()

    async def test() -> None:
        async with serving(application) as port:
            body = b"3\r\nabc\r\n0\r\nX-Digest: abc\r\nAuthorization: x\r\n\r\n"
            answer = await exchange(port, head("POST", "/x", CHUNKED) + body, CLOSING)
        assert answer.count(b"HTTP/1.1 200") == 2

    run(test())
    assert application.headers == [[b"host", b"transfer-encoding"], [b"host", b"connection"]]


def test_bodies_of_many_small_chunks_are_taken(run: Any) -> None:
    """What their chunks' lengths take is more than any headers may."""

    async def test() -> None:
        async with serving(hello) as port:
            chunks = b"1\r\nx\r\n" * 200_000 + b"0\r\n\r\n"
            answer = await exchange(port, head("POST", "/x", CHUNKED, b"Connection: close\r\n"), chunks)
        assert answer.endswith(b"hello")

    run(test())


def test_a_body_that_nobody_wants_takes_no_memory(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bodies: list[StraightBody] = []
    original = Connection.on_headers_complete

    def noting(self: Connection) -> None:
        original(self)
        assert self.body is not None
        bodies.append(self.body)

    monkeypatch.setattr(Connection, "on_headers_complete", noting)
    waiting = asyncio.Event()

    async def refuse_later(scope: Any, receive: Any, send: Any) -> None:
        await waiting.wait()
        await refuse(scope, receive, send)

    async def test() -> None:
        async with serving(refuse_later) as port, contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(connected(port)) for _ in range(40)]
            for _, writer in clients:
                writer.write(head("PATCH", UPLOAD, length(10**12)))
            await until(lambda: len(bodies) == len(clients))
            for _, writer in clients:
                writer.write(b"before the answer")
            await asyncio.sleep(0.2)
            assert not any(body._filling for body in bodies)
            waiting.set()
            for reader, writer in clients:
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 401")
                writer.write(b"x")
            await until(lambda: all(body.left <= 10**12 - 18 for body in bodies))
            assert not any(body._filling or body._ready for body in bodies)

    run(test())


def test_a_body_that_was_refused_ends_where_it_was_announced_to(run: Any) -> None:
    application = Noting(refuse)

    async def test() -> None:
        async with serving(application) as port:
            body = (INNER * 10_000)[:LARGE]
            answer = await exchange(port, head("PATCH", UPLOAD, length(LARGE)), body + CLOSING)
        assert answer.count(b"HTTP/1.1 401") == 2

    run(test())
    assert application.asked == [UPLOAD, "/last"]


def test_who_asks_for_nothing_is_shown_out(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "FIRST_REQUEST", 0.2)

    async def test() -> None:
        async with serving(hello) as port:
            assert await exchange(port, seconds=10) == b""
            assert await exchange(port, b"GET / HTTP/1.1\r\nX-Slow: ", seconds=10) == b""

    run(test())


@pytest.mark.parametrize("beginning", [b"G", b"\r\n", b"GET / HTTP/1.1\r\nX-Slow: "])
def test_headers_of_a_second_request_have_to_come_too(
    run: Any, monkeypatch: pytest.MonkeyPatch, beginning: bytes
) -> None:
    monkeypatch.setattr(Connection, "FIRST_REQUEST", 0.3)

    async def test() -> None:
        async with serving(hello) as port, connected(port) as (reader, writer):
            for _ in range(2):
                writer.write(INNER)
                assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
                await asyncio.sleep(0.5)  # between requests more time is given
            writer.write(beginning)
            assert await is_closed(reader)

    run(test())


def test_headers_that_drip_are_not_given_more_time(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "FIRST_REQUEST", 0.3)

    async def test() -> None:
        async with serving(hello) as port, connected(port) as (reader, writer):
            async with asyncio.timeout(10):
                with contextlib.suppress(ConnectionError):
                    while not reader.at_eof():
                        writer.write(b"\r\n")
                        await writer.drain()
                        await asyncio.sleep(0.05)

    run(test())


@pytest.mark.parametrize("application", [hello, refuse])
@pytest.mark.parametrize("announced", [length(50), length(10**12), CHUNKED])
def test_a_body_that_stalls_ends_the_connection(
    run: Any, monkeypatch: pytest.MonkeyPatch, application: Any, announced: bytes
) -> None:
    """Before the answer and after an early one; but a body that comes slowly is taken."""
    monkeypatch.setattr(Connection, "BODY_STALLED", 0.4)

    async def test() -> None:
        noting = Noting(application)
        async with serving(noting) as port, connected(port) as (reader, writer):
            writer.write(head("PATCH", UPLOAD, announced))
            for _ in range(6):
                await asyncio.sleep(0.15)
                writer.write(b"1\r\nx\r\n" if announced == CHUNKED else b"x")
                await writer.drain()
            assert not reader.at_eof()
            assert await is_closed(reader)
        assert noting.ended == 1

    run(test())


def test_a_connection_whose_refused_body_has_come_is_not_kept_for_ever(run: Any) -> None:
    async def test() -> None:
        async with serving(refuse, timeout_keep_alive=1) as port, connected(port) as (reader, writer):
            writer.write(head("PATCH", UPLOAD, length(LARGE)))
            await reader.readuntil(b"\r\n\r\n")
            writer.write(bytes(LARGE))
            assert await is_closed(reader)

    run(test())


@pytest.mark.parametrize("path", [UPLOAD, "/x"])
def test_time_in_which_nothing_is_read_counts_for_nobody(run: Any, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """An application that is slower than the limit, in the beginning and in the middle, gets everything."""
    monkeypatch.setattr(Connection, "BODY_STALLED", 0.3)
    monkeypatch.setattr(Connection, "FIRST_REQUEST", 0.3)
    announced = 10_000_000

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        received, waited = 0, 0
        await asyncio.sleep(0.7)
        while True:
            message = await receive()
            received += len(message["body"])
            if not message["more_body"]:
                break
            if received > waited * 2_000_000:
                waited += 1
                await asyncio.sleep(0.4 if waited < 3 else 0)
        await hello_without_reading(send)

    async def test() -> None:
        async with serving(slow) as port:
            answer = await exchange(port, head("PUT", path, length(announced)) + bytes(announced), CLOSING)
        assert answer.count(b"HTTP/1.1 200") == 2

    run(test())


def test_a_stall_counts_from_when_reading_began_again(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "BODY_STALLED", 0.4)

    async def late(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.6)
        await hello(scope, receive, send)

    async def test() -> None:
        async with serving(late) as port, connected(port) as (reader, writer):
            writer.write(head("PUT", UPLOAD, length(LARGE)))
            assert not await is_closed(reader, 0.8)
            assert await is_closed(reader)

    run(test())


def test_an_empty_line_after_a_body_does_not_end_a_slow_answer(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Connection, "FIRST_REQUEST", 0.2)

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.8)
        await hello_without_reading(send)

    async def test() -> None:
        async with serving(slow) as port, connected(port) as (reader, writer):
            writer.write(head("POST", "/x", length(1)) + b"x")
            await asyncio.sleep(0.05)
            writer.write(b"\r\n")
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")

    run(test())


@pytest.mark.parametrize("announced", [length(50), length(LARGE), CHUNKED])
def test_who_asked_first_and_was_refused_has_to_connect_anew(run: Any, announced: bytes) -> None:
    """Nobody can know whether the body comes now or the next request (RFC 9110, 10.1.1)."""
    application = Noting(refuse)

    async def test() -> None:
        async with serving(application) as port:
            answer = await exchange(port, head("PATCH", UPLOAD, b"Expect: 100-continue\r\n", announced))
        assert answer.startswith(b"HTTP/1.1 401")
        assert b"\r\nconnection: close\r\n" in answer

    run(test())
    assert application.asked == [UPLOAD]


def test_who_asked_first_and_sent_all_the_same_goes_on(run: Any) -> None:
    expect = b"Expect: 100-continue\r\n"

    async def test() -> None:
        async with serving(refuse) as port:
            for request in (head("PATCH", UPLOAD, expect, length(3)) + b"abc", head("GET", "/x", expect)):
                async with connected(port) as (reader, writer):
                    writer.write(request)
                    assert b"connection: close" not in await reader.readuntil(b"\r\n\r\n")
        async with serving(hello) as port:
            answer = await exchange(port, head("PUT", UPLOAD, expect, length(3)) + b"abc", CLOSING)
        assert answer.count(b"HTTP/1.1 200") == 2

    run(test())
