"""The application under ``/api``: its routes, how their errors are phrased, and ``/api/openapi.json`` from the code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from catalog.api import images, repositories, searching
from catalog.api.answering import Problem
from catalog.api.problems import CAUSED, answer, invalid, problem
from catalog.api.services import ApiServices

_SECURITY: dict[str, Any] = {
    "basic": {"type": "http", "scheme": "basic", "description": "A name, and a password or a personal token"},
    "bearer": {"type": "http", "scheme": "bearer", "description": "A personal token, or an access token"},
}

_DESCRIPTION = (
    "Find images, and what they hold. Everything is narrowed to what the caller may read: what is hidden and what does "
    "not exist give the same answer. Times are seconds since 1970, sizes are bytes."
)


def api_application(made: ApiServices, version: str, others: Mapping[str, Any] | None = None) -> ASGIApp:
    """Make the application; mount it at ``/api``. *others* are the paths, as OpenAPI has them, that somebody else
    answers below there: they are described with its own."""
    api = FastAPI(
        title="Portolan",
        version=version,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        servers=[{"url": "/api"}],
        root_path_in_servers=False,
    )
    api.state.services = made
    for part in (searching, images, repositories):
        api.include_router(part.router)
    for kind in CAUSED:
        api.add_exception_handler(kind, _caused)
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(HTTPException, _refused)
    api.add_exception_handler(Exception, _unexpected)
    _describe(api, others or {})
    return _Door(api)


class _Door:
    """A HEAD is answered as a GET; the server leaves out the body. The character NUL comes no further: PostgreSQL takes
    it in no text."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        if scope["type"] == "http" and (b"%00" in scope["query_string"] or "\0" in scope["path"]):
            refusal = problem(400, "The address holds the character NUL, which nothing here has.")
            await refusal(scope, receive, send)
            return
        await self._inner(scope, receive, send)


def _describe(api: FastAPI, others: Mapping[str, Any]) -> None:
    """Complete the description: the form of errors, the ways to sign in (not to is one of them), and *others*."""
    described = api.openapi()
    described["paths"].update(others)
    schemas = described["components"]["schemas"]
    schemas["Problem"] = Problem.model_json_schema()
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    described["components"]["securitySchemes"] = _SECURITY
    described["security"] = [{}, *({name: []} for name in _SECURITY)]


async def _caused(request: Request, error: Exception) -> Response:
    return answer(error)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return invalid(error.errors())


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem(error.status_code, f"{error.detail}.", error.headers)


async def _unexpected(request: Request, error: Exception) -> Response:
    """Answer 500; Starlette raises the error on, to whoever logs it."""
    return problem(500, "An unexpected error; the log tells more under the request id of this answer.")
