"""Requests and responses, as thin as ASGI allows: this is the hot path.

Starlette's own classes cost more than the work behind a HEAD (a trivial route alone is limited to 10,000 a second), so
the registry reads the scope itself. Everything else of the site is ordinary Starlette.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import ClientDisconnect

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

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


class Response:
    """What goes back: a status, headers, and a body in memory or in pieces that are read while it is sent."""

    __slots__ = ("body", "close", "headers", "pieces", "status")

    def __init__(
        self,
        status: int,
        headers: Headers | None = None,
        body: bytes = b"",
        pieces: AsyncIterator[bytes] | None = None,
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.status = status
        self.headers = headers if headers is not None else []
        self.body = body
        self.pieces = pieces
        self.close = close

    async def send(self, send: Send, *, head_only: bool = False) -> None:
        """Send it; to a HEAD everything but the body."""
        try:
            await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
            if self.pieces is None or head_only:
                await send({"type": "http.response.body", "body": b"" if head_only else self.body})
                return
            async for piece in self.pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            if self.close is not None:
                await self.close()
