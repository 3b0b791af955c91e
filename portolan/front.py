"""The outermost ASGI application: what every request passes, and nothing that a request does not need.

In order: who is asked (behind a proxy), the request's id, the application by path prefix, counting, the access log, and
the last resort for exceptions that nobody expected. It is one function and one small object a request, because it
stands before the registry's hot path.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from functools import lru_cache
from ipaddress import ip_address
from itertools import count
from time import perf_counter
from typing import Any

from starlette.requests import ClientDisconnect

from catalog.registry.routes import match
from portolan import logs
from portolan.metrics import Figures, Timing
from portolan.origin import HOST
from portolan.values import Network

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

log = logs.get_logger()

_READS = frozenset(("GET", "HEAD", "OPTIONS"))
_METHODS = _READS | {"POST", "PUT", "PATCH", "DELETE"}
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

_REGISTRY = ("/v2/", "/v1/")
#: The site's routes by the first part of the path.
_FIRST_PARTS = {
    "": "page",
    **{
        part: part for part in ("api", "healthz", "metrics", "readyz", "set-up", "static", "token", "v1", ".well-known")
    },
    **dict.fromkeys(
        ("account", "compare", "files", "first-image", "i", "l", "p", "r", "search", "sign-in", "sign-out"), "page"
    ),
}

#: Status that is logged and counted where the client went away before there was one (as nginx calls it).
CLIENT_GONE = 499


class Front:
    """Sends requests under ``/v2/`` and ``/v1/`` to *registry*, all others to *site*."""

    def __init__(
        self,
        registry: Application,
        site: Application,
        figures: Figures,
        trusted_proxies: Iterable[Network] = (),
        access_log: str = "writes",
    ) -> None:
        self._registry = registry
        self._site = site
        self._figures = figures
        self._proxies = tuple(trusted_proxies)
        self._logged = {"none": frozenset[str](), "writes": _METHODS - _READS, "all": _METHODS}[access_log]
        self._prefix = f"{secrets.token_hex(4)}{os.getpid():x}-"
        self._numbers = count(1)
        self._timings: dict[tuple[str, str, int], Timing] = {}
        self._trusts = lru_cache(maxsize=4096)(self._is_trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await _refuse(scope, receive, send)
            return
        started = perf_counter()
        request_id = f"{self._prefix}{next(self._numbers):x}"
        if self._proxies:
            request_id = self._behind_proxy(scope) or request_id
        logs.REQUEST_ID.set(request_id)
        path: str = scope["path"]
        method: str = scope["method"]
        exchange = _Exchange(send, request_id)
        if method not in _READS:
            exchange.receiving = receive
            receive = exchange.receive
        application = self._registry if path.startswith(_REGISTRY) or path == "/v2" else self._site
        try:
            await application(scope, receive, exchange.send)
        except ClientDisconnect:
            exchange.status = exchange.status or CLIENT_GONE
        except Exception:
            self._figures.exceptions += 1
            log.exception("unexpected exception", method=method, path=path)
            if not exchange.status:
                await exchange.fail(path, method)
        finally:
            self._finish(method, path, exchange, perf_counter() - started)

    def _finish(self, method: str, path: str, exchange: _Exchange, seconds: float) -> None:
        status = exchange.status or CLIENT_GONE
        if method not in _METHODS:
            method = "other"
        figures = self._figures
        figures.sent += exchange.sent
        figures.received += exchange.received
        route = route_of(path)
        key = (route, method, status // 100)
        timing = self._timings.get(key)
        if timing is None:
            timing = self._timings[key] = figures.request(route, method, status)
        timing.add(seconds)
        if method in self._logged:
            log.info(
                "request",
                method=method,
                path=path,
                status=status,
                seconds=round(seconds, 6),
                received=exchange.received,
                sent=exchange.sent,
            )

    def _behind_proxy(self, scope: Scope) -> str | None:
        """Let a trusted proxy say who was asked, by whom, and under which id; return the id."""
        client = scope.get("client")
        if client is None or not self._trusts(client[0]):
            return None
        said = {name: value for name, value in scope["headers"] if name.startswith(b"x-")}
        scheme = _last(said.get(b"x-forwarded-proto", b""))
        if scheme in (b"http", b"https"):
            scope["scheme"] = scheme.decode()
        host = _last(said.get(b"x-forwarded-host", b""))
        if host and HOST.fullmatch(host):
            scope["headers"] = [
                *((name, value) for name, value in scope["headers"] if name != b"host"),
                (b"host", host),
            ]
        for hop in reversed(said.get(b"x-forwarded-for", b"").decode("latin-1").split(",")):
            address = hop.strip()
            if _is_address(address):
                scope["client"] = (address, 0)
            if not self._trusts(address):
                break
        request_id = said.get(b"x-request-id", b"")
        return request_id.decode() if _REQUEST_ID.fullmatch(request_id) else None

    def _is_trusted(self, address: str) -> bool:
        return _is_address(address) and any(ip_address(address) in network for network in self._proxies)


class _Exchange:
    """One request and its response, as they go by."""

    __slots__ = ("_id", "_send", "received", "receiving", "sent", "status")

    receiving: Receive

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._id = request_id
        self.status = 0
        self.sent = 0
        self.received = 0

    async def receive(self) -> Message:
        message = await self.receiving()
        self.received += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), (b"x-request-id", self._id.encode())]}
        else:
            self.sent += message["count"] if "count" in message else len(message.get("body", b""))
        await self._send(message)

    async def fail(self, path: str, method: str) -> None:
        """Answer 500."""
        media_type, body = unexpected(path, self._id)
        headers = [(b"content-type", media_type.encode()), (b"content-length", str(len(body)).encode())]
        await self.send({"type": "http.response.start", "status": 500, "headers": headers})
        await self.send({"type": "http.response.body", "body": b"" if method == "HEAD" else body})


def route_of(path: str) -> str:
    """Name what was asked for, without what clients chose in it: few names, whatever they make up."""
    if path.startswith("/v2"):
        found = match(path)
        return "other" if found is None else found.route
    return _FIRST_PARTS.get(path[1:].partition("/")[0], "other")


def unexpected(path: str, request_id: str) -> tuple[str, bytes]:
    """Tell of an error of the program, in the form of what was asked (the registry: OCI's, "Error Codes"; all else: RFC
    9457's): the media type and the body."""
    message = f"an unexpected error; the log tells more under request id {request_id}"
    detail = {"request_id": request_id}
    if path.startswith("/v2"):
        errors = {"errors": [{"code": "UNKNOWN", "message": message, "detail": detail}]}
        return "application/json", json.dumps(errors).encode()
    problem = {"type": "about:blank", "title": "Unexpected error", "status": 500, "detail": message, **detail}
    return "application/problem+json", json.dumps(problem).encode()


def _last(value: bytes) -> bytes:
    return value.rpartition(b",")[2].strip()


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer what is no request: WebSockets are closed; the server is told to go on without a lifespan."""
    await receive()
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
    elif scope["type"] == "lifespan":
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
