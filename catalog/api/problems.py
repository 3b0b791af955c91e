"""Errors of the JSON API, as ``application/problem+json`` (RFC 9457), and the one table from errors to statuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.responses import Response

from auth.errors import BadCredentials, Throttled
from cas.errors import InvalidName, LayerIndexUnavailable
from catalog.errors import (
    CatalogError,
    ImageUnknown,
    ImageUnread,
    LayerUnknown,
    ManifestUnknown,
    PackageUnknown,
    PathUnknown,
    RepositoryUnknown,
)
from catalog.search.errors import OutOfWindow, QueryError, SearchUnavailable, TooBroad
from database import DatabaseFull, DatabaseUnavailable

_TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not permitted",
    404: "Not found",
    409: "Not in a state for that",
    413: "Too large",
    415: "Unsupported media type",
    422: "Invalid value",
    429: "Too many attempts",
    500: "Unexpected error",
    503: "Unavailable",
    507: "No room left",
}


class Refused(Exception):
    """A handler refuses: *status*, and *detail* as a sentence for a person."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail
        self.headers = headers


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None, **members: object) -> Response:
    """Build the answer: *detail* is a sentence for a person, *members* are facts for a program."""
    title = _TITLES.get(status) or HTTPStatus(status).phrase
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, **members}
    kept = {"cache-control": "no-store", **(headers or {})}
    return Response(msgspec.json.encode(body), status, kept, media_type="application/problem+json")


#: Everything that a caller can cause, but for what a handler refuses by itself.
CAUSED: tuple[type[Exception], ...] = (
    BadCredentials,
    CatalogError,
    DatabaseFull,
    DatabaseUnavailable,
    InvalidName,
    LayerIndexUnavailable,
    OutOfWindow,
    QueryError,
    Refused,
    SearchUnavailable,
    Throttled,
    TooBroad,
)


def answer(error: Exception) -> Response:
    """Phrase an error. What is not in the table is raised on: nobody caused it but ourselves."""
    match error:
        case Refused():
            return problem(error.status, error.detail, error.headers)
        case BadCredentials():
            return problem(401, "The credentials are wrong.", {"www-authenticate": "Bearer"})
        case Throttled():
            retry = {"retry-after": str(error.retry_after)}
            return problem(429, "Too many attempts with wrong credentials.", retry)
        case RepositoryUnknown() | ManifestUnknown():
            return problem(404, "There is no such repository, or nothing of that name in it.")
        case ImageUnknown():
            return problem(404, "There is no such image.")
        case LayerUnknown():
            return problem(404, "There is no image with such a layer.")
        case PackageUnknown():
            return problem(404, "There is no image with such a package.")
        case PathUnknown():
            return problem(404, "The image has no such directory.")
        case ImageUnread() if error.problem:
            return problem(409, _sentence(f"The image could not be read: {error.problem}"), problem=error.problem)
        case ImageUnread() if error.waits_for:
            return problem(
                503, _sentence(f"The image is being read, and waits: {error.waits_for}"), {"retry-after": "5"}
            )
        case ImageUnread():
            return problem(503, "The image is being read.", {"retry-after": "1"})
        case QueryError():
            return problem(
                400,
                _sentence(error.message),
                query=error.text,
                start=error.start,
                stop=error.stop,
                suggestion=error.suggestion,
            )
        case TooBroad():
            return problem(400, _sentence(f"{error}"))
        case OutOfWindow():
            return problem(400, f"Only the first {error.window} hits can be paged to: narrow the query.")
        case InvalidName():
            return problem(400, _sentence(f"{error}"))
        case SearchUnavailable() | LayerIndexUnavailable():
            return problem(503, _sentence(error.reason), {"retry-after": str(error.retry_after)})
        case DatabaseFull():
            return problem(507, "No room is left in the database.")
        case DatabaseUnavailable():
            return problem(503, "The database does not answer.", {"retry-after": "1"})
        case _:
            raise error


def _sentence(text: str) -> str:
    """Errors of the packages below end without a full stop, but for some."""
    return text if text.endswith((".", "?", "!")) else f"{text}."


def invalid(errors: Sequence[Any]) -> Response:
    """Say which parameters, or members of the body, cannot be used, and why."""
    named = [{"where": ".".join(str(part) for part in error["loc"]), "problem": str(error["msg"])} for error in errors]
    told = "; ".join(f"{each['where']}: {each['problem']}" for each in named)
    return problem(422, f"{told}.", errors=named)
