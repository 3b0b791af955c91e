"""Everything of the site that is not the registry: one Starlette application, and what it says when nothing fits."""

from __future__ import annotations

import hmac
from http import HTTPStatus
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from auth import api as account_api
from auth import token_endpoint
from auth.description import described
from catalog.api import ApiServices, api_application
from catalog.metadata import jobs
from database import DatabaseFull, DatabaseUnavailable
from portolan import __version__, front, logs

if TYPE_CHECKING:
    from portolan.app import Services

_NOT_STORED = {"Cache-Control": "no-store"}

#: Paths whose answers are read by programs.
_FOR_PROGRAMS = ("/api/", "/token", "/.well-known/", "/metrics", "/healthz", "/readyz")


def site(made: Services) -> Starlette:
    """Put the routes of the main address together."""
    hub, settings = made.hub, made.settings
    own = _Own(made)
    tokens = token_endpoint.TokenEndpoint(
        hub.sign_in,
        hub.access,
        hub.tokens,
        hub.signing_keys,
        hub.public_keys,
        audience=settings.audience,
        issuer=settings.issuer,
    )
    account = account_api.AccountApi(hub.sign_in, hub.people, hub.tokens, settings.default_namespace)
    return Starlette(
        routes=[
            *token_endpoint.routes(tokens),
            *account_api.routes(account),
            Mount("/api", api_application(_api_services(made), __version__, described())),
            *own.health_routes(),
            Route("/metrics", own.metrics_with_token, methods=["GET"]),
            *made.pages.routes(),
        ],
        exception_handlers={
            HTTPException: own.refused,
            DatabaseUnavailable: own.unavailable,
            DatabaseFull: own.full,
            Exception: own.unexpected,
        },
    )


def metrics_site(made: Services) -> Starlette:
    """Put the routes of `metrics_listen` together: whoever can reach that address may read them."""
    own = _Own(made)
    return Starlette(routes=[*own.health_routes(), Route("/metrics", own.metrics, methods=["GET"])])


def _api_services(made: Services) -> ApiServices:
    hub = made.hub
    return ApiServices(made.browse, made.repositories, hub.access, hub.sign_in, made.settings.default_namespace)


class _Own:
    """The handlers that belong to no other package."""

    def __init__(self, made: Services) -> None:
        self._made = made

    def health_routes(self) -> list[Route]:
        return [
            Route("/healthz", self.alive, methods=["GET"]),
            Route("/readyz", self.ready, methods=["GET"]),
        ]

    async def alive(self, request: Request) -> Response:
        """`GET /healthz`: the event loop turns."""
        return PlainTextResponse("ok\n", headers=_NOT_STORED)

    async def ready(self, request: Request) -> Response:
        """`GET /readyz`: whether requests should be sent here, and the state of each part."""
        ready, parts = await self._made.health.ready()
        return JSONResponse({"ready": ready, "parts": parts}, 200 if ready else 503, _NOT_STORED)

    async def metrics(self, request: Request) -> Response:
        """`GET /metrics` on an address of its own."""
        counts = await jobs.counts(self._made.database)
        states = {"waiting": counts.waiting, "running": counts.running, "parked": counts.parked}
        text, media_type = self._made.metrics.exposition(states)
        return Response(text, media_type=media_type, headers=_NOT_STORED)

    async def metrics_with_token(self, request: Request) -> Response:
        """`GET /metrics` on the main address: with the token of the settings, or not there at all."""
        expected = self._made.settings.metrics_token
        if expected is None:
            raise HTTPException(404)
        shown = request.headers.get("authorization", "")
        if not hmac.compare_digest(shown.encode("utf-8", "replace"), f"Bearer {expected}".encode()):
            raise HTTPException(401, headers={"WWW-Authenticate": "Bearer"})
        return await self.metrics(request)

    async def refused(self, request: Request, error: Exception) -> Response:
        """Answer what no route took, in the form of whoever asked."""
        assert isinstance(error, HTTPException)
        phrase = HTTPStatus(error.status_code).phrase
        if request.url.path.startswith(_FOR_PROGRAMS) or request.method not in ("GET", "HEAD", "POST"):
            body = {"type": "about:blank", "title": phrase, "status": error.status_code, "detail": error.detail}
            return JSONResponse(body, error.status_code, error.headers, media_type="application/problem+json")
        told = "There is nothing at this address." if error.status_code == 404 else f"{error.detail}."
        response = await self._made.pages.message(request, error.status_code, phrase, told)
        response.headers.update(error.headers or {})
        return response

    async def unavailable(self, request: Request, error: Exception) -> Response:
        """Answer 503 while the database does not answer."""
        return _problem(503, "The database does not answer.", {"Retry-After": "1"})

    async def full(self, request: Request, error: Exception) -> Response:
        """Answer 507, naming what is full."""
        return _problem(507, "No room is left in the database.")

    async def unexpected(self, request: Request, error: Exception) -> Response:
        """Answer 500; Starlette raises the error on, and the front logs it."""
        media_type, body = front.unexpected(request.url.path, logs.REQUEST_ID.get())
        return Response(body, 500, media_type=media_type)


def _problem(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return JSONResponse(body, status, {**_NOT_STORED, **(headers or {})}, media_type="application/problem+json")
