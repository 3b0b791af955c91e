"""How answers are written: dataclasses as JSON, described in the OpenAPI by the same dataclasses."""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic import BaseModel
from starlette.responses import Response


class Problem(BaseModel):
    """An error (RFC 9457). Some have further members: *query*, *start*, *stop* and *suggestion* for a query that cannot
    be read, *errors* for parameters that cannot be used."""

    type: str
    title: str
    status: int
    detail: str


def json(value: object, status: int = 200) -> Response:
    """Write *value*. What a caller may see changes with their rights, so nobody keeps it for another."""
    return Response(
        msgspec.json.encode(value), status, {"cache-control": "private, no-cache"}, media_type="application/json"
    )


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe for the OpenAPI with which statuses an operation may fail, beside those that all may fail with."""
    listed = sorted({400, 401, 422, 429, 503, *statuses})
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _DESCRIPTIONS[status], "content": content} for status in listed}


_DESCRIPTIONS = {
    400: "The request cannot be read, or asks for too much",
    401: "The credentials are wrong, or nobody is signed in and it is needed",
    403: "The caller may see it and may not do this",
    404: "It does not exist, or the caller may not see it: the same answer",
    409: "The image could not be read: `problem` says why",
    413: "The body is too large",
    422: "A value cannot be used: `errors` says which and why",
    429: "Too many wrong credentials; `Retry-After`",
    503: "A part is being rebuilt, is being read, or does not answer; `Retry-After`",
    507: "No room is left",
}
