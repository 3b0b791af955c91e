"""One client's connection: uvicorn's, with files sent and large bodies received our way, and with the limits it lacks.

Nobody may keep memory or a descriptor of ours by saying little or by saying what nobody reads:

    between two requests        `KEEP_ALIVE` of `portolan.web` (uvicorn's own)
    headers                     whole within FIRST_REQUEST seconds of their first byte, and MOST_HEADERS bytes
    body                        some bytes of it every BODY_STALLED seconds, after an early answer too
    trailers, between chunks    MOST_HEADERS bytes; none of it is kept

Time in which this side does not read, because the application has enough for now, counts for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from enum import Enum
from math import inf
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from portolan.straight import StraightConnection
from portolan.zero_copy import ZeroCopyConnection

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Any, Send], Awaitable[None]]


class _Awaited(Enum):
    """What the client has to send next."""

    NOTHING = "nothing"
    HEADERS = "headers"
    BODY = "body"


class _BodyOfAnotherProtocol(Exception):
    """Raised into the parser, which stops for good."""


class Connection(ZeroCopyConnection, StraightConnection):
    """What uvicorn makes for each client."""

    #: Seconds that headers may take: of a new connection from its beginning, later from their first byte.
    FIRST_REQUEST = 30.0
    #: Seconds that a client may be silent in the middle of a body.
    BODY_STALLED = 300.0
    #: Bytes that may come without being part of a body or the end of headers. More than one read of the event loop
    #: (256 KiB), so that a read which holds other things as well is never taken for headers.
    MOST_HEADERS = 512 * 1024

    _awaited = _Awaited.HEADERS
    #: Bytes since something came of them.
    _fruitless = 0
    #: When (on the loop's clock) the client must have sent what is awaited, and when the timer looks.
    _due = inf
    _looks = inf
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _Flow(transport, self._reading_again)
        self._give(self.FIRST_REQUEST)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def _give(self, seconds: float) -> None:
        """Close in *seconds*, unless what is awaited comes. One timer looks, and mostly finds that it is too early."""
        self._due = self.loop.time() + seconds
        if self._due < self._looks:
            self._look_at(self._due)

    def _look_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._looks = when
        self._timer = self.loop.call_at(when, self._look)

    def _look(self) -> None:
        self._looks = inf
        if self._due == inf or self.flow.read_paused or self.transport.is_closing():
            return  # `_reading_again` gives new time
        if self.loop.time() < self._due:
            self._look_at(self._due)
        elif self._awaited is _Awaited.HEADERS and self._is_answering():
            self._give(self.FIRST_REQUEST)  # some clients send an empty line after a body
        else:
            self.transport.abort()  # not `close`, which waits until the client has read everything

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _reading_again(self) -> None:
        if self._awaited is _Awaited.BODY:
            self._give(self.BODY_STALLED)
        elif self._due != inf:
            self._give(self.FIRST_REQUEST)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        self._unset_keepalive_if_required()
        if self._awaited is _Awaited.NOTHING:
            self._awaited = _Awaited.HEADERS
        if not self._parse(data):
            return
        self._fruitless += len(data)
        if self._fruitless > self.MOST_HEADERS:
            self._refuse("The headers are too long.")
        elif self._awaited is _Awaited.BODY:
            self._give(self.BODY_STALLED)
        elif self._awaited is _Awaited.HEADERS and self._due == inf:
            self._give(self.FIRST_REQUEST)

    def _parse(self, data: bytes) -> bool:
        left = memoryview(data)
        while left:
            try:
                self.parser.feed_data(left)
            except httptools.HttpParserUpgrade as upgrade:
                left = left[upgrade.args[0] :]  # no other protocol is spoken here: what follows is the next request
            except httptools.HttpParserError:
                self._refuse("Invalid HTTP request received.")
                return False
            else:
                break
        return True

    def _refuse(self, reason: str) -> None:
        """Answer 400 where the client takes it for the answer to what it just sent, and close."""
        if self.transport.is_closing():
            return
        if self._awaited is _Awaited.BODY:
            answered = self.cycle.response_started or bool(self.pipeline)
            self.cycle.disconnected = True
        else:
            answered = self._is_answering()
        if answered:
            self.transport.close()
        else:
            self.send_400_response(reason)

    def on_message_begin(self) -> None:
        self._awaited = _Awaited.HEADERS
        self._fruitless = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._awaited is _Awaited.HEADERS:  # and no trailer
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        # The parser takes all that follows such headers for another protocol, so a body would become the next request.
        if self.parser.should_upgrade() and self._announces_body():
            raise _BodyOfAnotherProtocol
        self._unset_keepalive_if_required()
        super().on_headers_complete()
        self._awaited = _Awaited.BODY
        self._fruitless = 0

    def _announces_body(self) -> bool:
        return any(
            name == b"transfer-encoding" or (name == b"content-length" and int(value) > 0)
            for name, value in self.headers
        )

    def on_body(self, body: bytes) -> None:
        self._fruitless = 0
        super().on_body(body)

    def filled(self, count: int) -> None:
        super().filled(count)
        if self._awaited is _Awaited.BODY:
            self._give(self.BODY_STALLED)

    def on_message_complete(self) -> None:
        self._awaited = _Awaited.NOTHING
        self._fruitless = 0
        self._due = inf
        super().on_message_complete()
        if self.cycle.response_complete and not self.transport.is_closing():
            # uvicorn's timer began with the early answer, and ended with the next bytes of the body
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if cycle.waiting_for_100_continue:
            app = _closing_when_refused(app, cycle)
        super()._start_asgi_task(cycle, app)


def _closing_when_refused(app: Application, cycle: RequestResponseCycle) -> Application:
    """Close after an answer to who still asks whether to send the body (RFC 9110, 10.1.1).

    The client may send it or not, so what comes next could be either the body or a request.
    """

    async def closing(scope: MutableMapping[str, Any], receive: Any, send: Send) -> None:
        async def send_and_close(message: Message) -> None:
            if message["type"] == "http.response.start" and cycle.waiting_for_100_continue and cycle.more_body:
                cycle.keep_alive = False
            await send(message)

        await app(scope, receive, send_and_close)

    return closing


class _Flow(FlowControl):
    """uvicorn's flow control, which tells when reading begins again."""

    def __init__(self, transport: asyncio.Transport, on_reading: Callable[[], None]) -> None:
        super().__init__(transport)
        self._on_reading = on_reading

    def resume_reading(self) -> None:
        if self.read_paused:
            super().resume_reading()
            self._on_reading()
