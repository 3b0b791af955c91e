"""Sending files without copying them: the ``http.response.zerocopysend`` extension of ASGI, which uvicorn lacks.

A blob of 256 MiB that is read into Python and written out again costs the processor two copies of it; `sendfile` leaves
the bytes in the kernel. The message is ASGI's ("Zero Copy Send"): ``file`` has a ``fileno()``, ``offset`` and ``count``
are in bytes, ``more_body`` as in ``http.response.body``. Whoever sends it has made sure that the bytes are in memory:
a read from a cold disk here would keep the event loop.

It is offered where the socket is ours to write to: to a GET without TLS. To any GET another thing is added that uvicorn
lacks: sending to a client who has hung up raises `ClientDisconnect`, where uvicorn would let a whole blob be read for
nobody. Clients open many reads and hang up early (containerd does).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from starlette.requests import ClientDisconnect
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Any, Send], Awaitable[None]]

EXTENSION = "http.response.zerocopysend"


class ZeroCopyConnection(HttpToolsProtocol):
    """uvicorn's connection with the extension."""

    _socket = -1

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._writable: asyncio.Future[None] | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        if self._socket >= 0:
            self.loop.remove_writer(self._socket)
            os.close(self._socket)
            self._socket = -1

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if cycle.scope["method"] == "GET":
            app = self._offering(cycle, app)
        super()._start_asgi_task(cycle, app)

    def _offering(self, cycle: RequestResponseCycle, app: Application) -> Application:
        async def offering(scope: MutableMapping[str, Any], receive: Any, send: Send) -> None:
            async def send_or_copy(message: Message) -> None:
                if cycle.disconnected:
                    raise ClientDisconnect
                if message["type"] == EXTENSION:
                    await self._send_file(cycle, message)
                else:
                    await send(message)

            if scope["scheme"] == "http":
                scope["extensions"] = {EXTENSION: {}}
            await app(scope, receive, send_or_copy)

        return offering

    async def _send_file(self, cycle: RequestResponseCycle, message: Message) -> None:
        file, offset, left = message["file"].fileno(), message["offset"], message["count"]
        if left > cycle.expected_content_length:
            raise RuntimeError("Response content longer than Content-Length")
        cycle.expected_content_length -= left
        while self.transport.get_write_buffer_size() and not cycle.disconnected:
            await self._wait_until_writable()  # what uvicorn wrote before, the headers, leaves first
        while left and not cycle.disconnected:
            try:
                sent = os.sendfile(self._own_socket(), file, offset, left)
            except BlockingIOError:
                await self._wait_until_writable()
                continue
            except (BrokenPipeError, ConnectionResetError):
                self.transport.abort()
                raise ClientDisconnect from None
            if not sent:
                raise RuntimeError("the file ends before what was promised")
            offset += sent
            left -= sent
            if left:
                await self._wait_until_writable()
        await cycle.send({"type": "http.response.body", "body": b"", "more_body": message.get("more_body", False)})

    def _own_socket(self) -> int:
        """Return a descriptor of the socket that the event loop lets us watch: its own belongs to the transport."""
        if self._socket < 0:
            self._socket = os.dup(self.transport.get_extra_info("socket").fileno())
        return self._socket

    async def _wait_until_writable(self) -> None:
        writable = self._writable = self.loop.create_future()
        self.loop.add_writer(self._own_socket(), _resolve, writable)
        try:
            await writable
        finally:
            if self._socket >= 0:
                self.loop.remove_writer(self._socket)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
