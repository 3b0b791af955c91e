"""Errors of the JSON API, as ``application/problem+json`` (RFC 9457)."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.responses import JSONResponse

_TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not permitted",
    404: "Not found",
    413: "Too large",
    415: "Unsupported media type",
    422: "Invalid value",
    429: "Too many attempts",
    503: "Unavailable",
    507: "No room left",
}


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None, **members: object) -> JSONResponse:
    """Build the answer: *detail* is a sentence for a person, *members* are facts for a program."""
    body = {"type": "about:blank", "title": _TITLES[status], "status": status, "detail": detail, **members}
    return JSONResponse(body, status, headers, media_type="application/problem+json")
