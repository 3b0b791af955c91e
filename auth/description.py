"""What the OpenAPI document says of `auth.api`: the members of bodies are those that it reads."""

from __future__ import annotations

from typing import Any

from auth.api import LONGEST_LIFE, NAMED, NARROWED, PASSWORDS
from auth.tokens import LONGEST_NAME


def described() -> dict[str, Any]:
    """Describe the routes as ``paths`` of an OpenAPI document whose server is at ``/api``. Errors are of its schema
    ``Problem``, the ways to sign in are its ``basic`` and ``bearer``."""
    number, text = {"type": "integer"}, {"type": "string"}
    seconds = {"type": "integer", "minimum": 1, "maximum": LONGEST_LIFE}
    name = {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME}
    token = {
        "id": text,
        "kind": {"type": "string", "enum": ["personal", "refresh"]},
        "name": text,
        "scopes": _or_null(text),
        "created": number,
        "expires": _or_null(number),
        "last_used": _or_null(number),
    }
    tokens = {"tokens": {"type": "array", "items": _object(token)}}
    id_ = {"name": "id", "in": "path", "required": True, "schema": text}
    return {
        "/v1/account/password": {
            "put": _operation(
                "Change one's own password: refresh tokens end, personal ones stay.",
                {204: None},
                _body(PASSWORDS, {}),
            )
        },
        "/v1/tokens": {
            "get": _operation("List one's live tokens, without their secrets.", {200: _object(tokens)}),
            "post": _operation(
                "Make a personal token; the answer has its secret in `token`, this once. Without `scopes` it is not "
                "narrowed, without `expires_in` (seconds) it lives until it is revoked.",
                {201: _object({**token, "token": text})},
                _body(NAMED, NARROWED, name=name, expires_in=_or_null(seconds)),
            ),
        },
        "/v1/tokens/{id}": {
            "delete": {
                **_operation("Revoke a token: it and what was made with it are refused from now on.", {204: None}),
                "parameters": [id_],
            }
        },
    }


#: What every operation may be refused with; `problem` phrases them.
_REFUSALS = {
    400: "The request cannot be read",
    401: "Nobody is signed in, or the credentials are wrong",
    403: "The caller may not do this",
    404: "The caller has no such token",
    409: "The caller holds as many tokens as one may",
    422: "A value is refused: a password, a scope",
    429: "Too many wrong credentials; `Retry-After`",
    503: "The database does not answer; `Retry-After`",
    507: "No room is left",
}


def _operation(told: str, answers: dict[int, Any], body: Any = None) -> dict[str, Any]:
    """Describe an operation with the schemas of its *answers* (None: there is no body)."""
    responses = {
        str(status): {"description": "It was done"}
        | ({} if schema is None else {"content": {"application/json": {"schema": schema}}})
        for status, schema in answers.items()
    }
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    responses |= {str(status): {"description": why, "content": content} for status, why in _REFUSALS.items()}
    operation = {
        "tags": ["account"],
        "summary": told.partition(":")[0].partition(";")[0].rstrip("."),
        "description": told,
        "security": [{"basic": []}, {"bearer": []}],
        "responses": responses,
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


def _body(required: dict[str, type], optional: dict[str, type], **narrower: Any) -> dict[str, Any]:
    """Describe what `_json` reads; *narrower* are the schemas of members that are more than a type."""
    types: dict[type, Any] = {str: {"type": "string"}, int: {"type": "integer"}}
    members = {name: types[kind] for name, kind in required.items()}
    members |= {name: _or_null(types[kind]) for name, kind in optional.items()}
    return {**_object({**members, **narrower}), "required": list(required), "additionalProperties": False}


def _object(members: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": members, "required": list(members)}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "type": [schema["type"], "null"]}
