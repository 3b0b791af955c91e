"""Large bodies straight from the socket into the buffers that the store hashes and writes.

On uvicorn's way a body is copied four times before the application has it: out of the socket's buffer, out of the
parser, into the cycle's body and out of it again. For a layer of 256 MiB that is more work than its SHA-256. A body
whose length the client announced needs no parser: here the kernel fills buffers of `PIECE` bytes, and each is handed
over whole, as a bytearray. What comes after the body goes to the parser again.

A body has a buffer only while the application wants it: nothing is read before the first `receive`, which in this
program comes after the caller is known, and what comes after the answer goes into a buffer that all connections share.

Chunked bodies, small ones, and bodies for other parts of the site take uvicorn's way.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

Message = MutableMapping[str, Any]
Application = Callable[[MutableMapping[str, Any], Callable[[], Awaitable[Message]], Any], Awaitable[None]]

#: Bytes of a buffer, and how many full ones may wait before the socket is left alone.
PIECE = 1024 * 1024
_WAITING = 2
#: Bodies of fewer bytes are not worth it.
_LEAST = 128 * 1024
#: Bytes that are read at a time outside of such a body.
_READ = 256 * 1024

_BODY = "portolan.straight_body"


class StraightBody:
    """The body of one request, while it comes."""

    def __init__(self, length: int, connection: StraightConnection) -> None:
        self.left = length
        self._connection = connection
        self._ready: deque[bytes | bytearray] = deque()
        self._filling = bytearray()
        self._filled = 0
        self._waiting: asyncio.Future[None] | None = None
        self._gone = False
        self._unwanted = False

    def room(self, shared: memoryview) -> memoryview:
        """Return where the next bytes of the body go: never more room than it needs, *shared* when nobody wants it."""
        if self._unwanted:
            return shared[: self.left]
        if not self._filling:
            self._filling = bytearray(min(PIECE, self.left))
        return memoryview(self._filling)[self._filled :]

    def fill(self, count: int) -> None:
        """Take note of *count* bytes that were put into `room`."""
        self.left -= count
        if self._unwanted:
            return
        self._filled += count
        if self._filled == len(self._filling):
            self._hand_over()

    def feed(self, content: bytes) -> None:
        """Take bytes that came to the parser together with the request's head."""
        self.left -= len(content)
        if not self._unwanted:
            self._ready.append(content)
            self._wake()

    def _hand_over(self) -> None:
        full, self._filling, self._filled = self._filling, bytearray(), 0
        self._ready.append(full)
        if len(self._ready) >= _WAITING and self.left:
            self._connection.flow.pause_reading()
        self._wake()

    def lose(self) -> None:
        """Note that nothing more will come. What came is handed over all the same: an upload keeps it."""
        self._gone = True
        if self._filled and not self._unwanted:
            self._ready.append(self._filling[: self._filled])
        self._wake()

    def abandon(self, cycle: RequestResponseCycle) -> None:
        """Drop what is here and what will come: the response is complete."""
        self._unwanted = True
        self._ready.clear()
        self._filling, self._filled = bytearray(), 0
        if not self._gone:
            self._read_on(cycle)

    def _read_on(self, cycle: RequestResponseCycle) -> None:
        """Let more come, unless what comes next is another request's, which has its own say."""
        if self._connection.cycle is cycle:
            self._connection.flow.resume_reading()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def receive(self, cycle: RequestResponseCycle) -> Message:
        """Be the application's `receive` (ASGI, "Request")."""
        if cycle.waiting_for_100_continue and not cycle.transport.is_closing():
            cycle.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            cycle.waiting_for_100_continue = False
        while not self._ready:
            if self._gone or not self.left or cycle.response_complete:
                return {"type": "http.disconnect"}
            self._read_on(cycle)
            self._waiting = asyncio.get_running_loop().create_future()
            await self._waiting
        piece = self._ready.popleft()
        if len(self._ready) < _WAITING:
            self._read_on(cycle)
        return {"type": "http.request", "body": piece, "more_body": bool(self.left or self._ready)}


class StraightConnection(HttpToolsProtocol):
    """uvicorn's connection, with the parser left out of large bodies. `StraightReader` feeds it."""

    body: StraightBody | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.body is not None:
            self.body.lose()

    def on_headers_complete(self) -> None:
        length = self._length_of_large_body()
        if length:
            self.body = StraightBody(length, self)
            cast("dict[str, Any]", self.scope)[_BODY] = self.body
        super().on_headers_complete()

    def _length_of_large_body(self) -> int:
        """Return the announced length of a body that is worth it, else 0."""
        if b"/blobs/uploads/" not in self.url:
            return 0
        length = 0
        for name, value in self.headers:
            if name == b"transfer-encoding":
                return 0
            if name == b"content-length":
                length = int(value)
        return length if length >= _LEAST else 0

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        body: StraightBody | None = cast("dict[str, Any]", cycle.scope).pop(_BODY, None)
        if body is not None:
            app = _receiving(app, body, cycle)
            self.flow.pause_reading()
        super()._start_asgi_task(cycle, app)

    def on_body(self, body: bytes) -> None:
        if self.body is None:
            super().on_body(body)
        else:
            self.body.feed(body)

    def on_message_complete(self) -> None:
        body, self.body = self.body, None
        if body is not None and body.left:
            body.lose()
        super().on_message_complete()

    def filled(self, count: int) -> None:
        """Take *count* bytes of a large body; after its last one the parser begins anew."""
        body = self.body
        assert body is not None
        self._unset_keepalive_if_required()
        body.fill(count)
        if not body.left:
            self.on_message_complete()
            self.parser = httptools.HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)


def _receiving(app: Application, body: StraightBody, cycle: RequestResponseCycle) -> Application:
    async def receiving(scope: MutableMapping[str, Any], _: Any, send: Any) -> None:
        try:
            await app(scope, lambda: body.receive(cycle), send)
        finally:
            body.abandon(cycle)

    return receiving


class StraightReader(asyncio.BufferedProtocol):
    """Stands between a socket and its connection, and says where the kernel puts what comes.

    *buffer* is where everything goes that is no large body. All connections of an event loop may share one: it is
    emptied in the same step that fills it.
    """

    def __init__(self, connection: StraightConnection, buffer: memoryview) -> None:
        self._connection = connection
        self._buffer = buffer

    @classmethod
    def maker(cls, connection: Callable[..., StraightConnection]) -> Callable[..., StraightReader]:
        """Return what uvicorn calls for each connection, in place of the class *connection*."""
        shared = memoryview(bytearray(_READ))
        return lambda **parts: cls(connection(**parts), shared)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._connection.connection_made(transport)  # type: ignore[arg-type]

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)

    def pause_writing(self) -> None:
        self._connection.pause_writing()

    def resume_writing(self) -> None:
        self._connection.resume_writing()

    def eof_received(self) -> None:
        self._connection.eof_received()

    def get_buffer(self, sizehint: int) -> memoryview:
        body = self._connection.body
        return self._buffer if body is None else body.room(self._buffer)

    def buffer_updated(self, nbytes: int) -> None:
        if self._connection.body is None:
            self._connection.data_received(bytes(self._buffer[:nbytes]))
        else:
            self._connection.filled(nbytes)
