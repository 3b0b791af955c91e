"""Requests and responses, as thin as ASGI allows: this is the hot path.

Starlette's own classes cost more than the work behind a HEAD (a trivial route alone is limited to 10,000 a second), so
the registry reads the scope itself. Everything else of the site is ordinary Starlette.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect

from cas import BlobReader

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

#: The ASGI extension by which the kernel sends a file (ASGI specification, "Zero Copy Send").
_ZERO_COPY = "http.response.zerocopysend"
#: Spans up to this many bytes are copied: one write then takes them together with the headers.
_COPY = 64 * 1024
#: Bytes that the kernel is asked to send at a time.
_WINDOW = 4 * 1024 * 1024

#: Pairs of lower-case name and value, in bytes.
Headers = list[tuple[bytes, bytes]]


class BodyTooLarge(Exception):
    """The body is larger than *limit* bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class Request:
    """What a client sent: the head at once, the body as it is asked for."""

    __slots__ = ("_receive", "headers", "method", "path", "scope")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self._receive = receive

    def header(self, name: bytes) -> str | None:
        """Return a header's value, None when it was not sent; bytes above ASCII become replacement characters."""
        value = self.headers.get(name)
        return None if value is None else value.decode("ascii", "replace")

    def query(self) -> list[tuple[str, str]]:
        """Return the query's parameters in their order, empty ones included; at most 100."""
        text = self.scope["query_string"]
        return parse_qsl(text.decode("ascii", "replace"), keep_blank_values=True)[:100] if text else []

    def parameter(self, name: str) -> str | None:
        """Return the first value of a query parameter, None when it was not sent."""
        return next((value for key, value in self.query() if key == name), None)

    @property
    def address(self) -> str:
        """Where the request comes from, empty where the server cannot tell."""
        client = self.scope.get("client")
        return client[0] if client else ""

    @property
    def content_length(self) -> int | None:
        """The body's length in bytes as the client announced it, None when it did not."""
        value = self.headers.get(b"content-length")
        return int(value) if value is not None and value.isdigit() else None

    async def stream(self) -> AsyncIterator[bytes]:
        """Read the body as it comes.

        Raises:
            ClientDisconnect: the client went away before its end.
        """
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            if body := message.get("body"):
                yield body
            if not message.get("more_body"):
                return

    async def body(self, limit: int) -> bytes:
        """Read the whole body.

        Raises:
            BodyTooLarge: it is longer than *limit* bytes.
            ClientDisconnect: the client went away before its end.
        """
        if (self.content_length or 0) > limit:
            raise BodyTooLarge(limit)
        gathered = bytearray()
        async for chunk in self.stream():
            gathered += chunk
            if len(gathered) > limit:
                raise BodyTooLarge(limit)
        return bytes(gathered)


class Span(NamedTuple):
    """Bytes *start* to *stop* of an open blob."""

    blob: BlobReader
    start: int
    stop: int


class Response:
    """What goes back: a status, headers, and a body in memory, in a blob, or in pieces made while it is sent."""

    __slots__ = ("body", "close", "headers", "pieces", "span", "status")

    def __init__(
        self,
        status: int,
        headers: Headers | None = None,
        body: bytes = b"",
        *,
        span: Span | None = None,
        pieces: AsyncIterator[bytes] | None = None,
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.status = status
        self.headers = headers if headers is not None else []
        self.body = body
        self.span = span
        self.pieces = pieces
        self.close = close

    async def send(self, scope: Scope, send: Send) -> None:
        """Send it; to a HEAD everything but the body."""
        try:
            await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
            if scope["method"] == "HEAD":
                await send({"type": "http.response.body", "body": b""})
            elif self.span is not None:
                await _send_span(self.span, scope, send)
            elif self.pieces is not None:
                await _send_pieces(self.pieces, send)
            else:
                await send({"type": "http.response.body", "body": self.body})
        finally:
            if self.close is not None:
                await self.close()


async def _send_span(span: Span, scope: Scope, send: Send) -> None:
    """Send a span of a blob, leaving the copying to the kernel where the server offers that and it pays."""
    blob, start, stop = span
    if stop - start <= _COPY or _ZERO_COPY not in scope.get("extensions", ()) or blob.fileno() is None:
        await _send_pieces(blob.pieces(start, stop), send)
        return
    while start < stop:
        count = min(_WINDOW, stop - start)
        await blob.warm(start, start + count)
        more = start + count < stop
        await send({"type": _ZERO_COPY, "file": blob, "offset": start, "count": count, "more_body": more})
        start += count


async def _send_pieces(pieces: AsyncIterator[bytes], send: Send) -> None:
    async for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
