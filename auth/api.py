"""The JSON API for one's own account: ``/api/v1/account/password`` and ``/api/v1/tokens``.

Only the Authorization header counts as a sign-in, never a cookie; and since a browser may add a Basic one by itself,
bodies must be JSON, which no page of another site can send unasked. Errors are ``application/problem+json`` (RFC 9457).
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from auth.callers import Caller
from auth.errors import (
    AuthError,
    BadCredentials,
    InvalidParameters,
    InvalidPassword,
    InvalidScope,
    NotPermitted,
    Throttled,
    TokenUnknown,
    TooManyTokens,
)
from auth.forms import address_of, bounded_body
from auth.limits import Limits
from auth.people import People
from auth.sign_in import SignIn
from auth.tokens import LONGEST_NAME, Token, Tokens

_LONGEST_BODY = 16 * 1024
_NOT_STORED = {"Cache-Control": "no-store"}

#: Seconds that a token may live, at most.
LONGEST_LIFE = 100 * 366 * 24 * 3600

#: Members of bodies, which `auth.description` describes: those that must be there, and those that may be.
PASSWORDS: dict[str, type] = {"current": str, "new": str}
NAMED: dict[str, type] = {"name": str}
NARROWED: dict[str, type] = {"scopes": str, "expires_in": int}

Handler = Callable[[Request], Awaitable[Response]]


class AccountApi:
    """Handlers for callers who change what is theirs."""

    def __init__(
        self,
        sign_in: SignIn,
        people: People,
        tokens: Tokens,
        default_namespace: str = "library",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sign_in = sign_in
        self._people = people
        self._tokens = tokens
        self._default_namespace = default_namespace
        self._clock = clock

    async def change_password(self, request: Request) -> Response:
        """``PUT /api/v1/account/password`` ``{"current", "new"}``: 204; refresh tokens end, personal ones stay."""
        caller = await self._account(request)
        body = await _json(request, PASSWORDS)
        try:
            proved = await self._sign_in.by_password(caller.name, body["current"], address_of(request))
        except BadCredentials:
            raise NotPermitted("a change without the current password") from None
        if proved.token_id is not None:
            raise NotPermitted("a change without the current password")
        await self._people.set_password(caller.name, body["new"], generation=proved.generation)
        return Response(status_code=204)

    async def list_tokens(self, request: Request) -> Response:
        """``GET /api/v1/tokens``: one's live tokens, without their secrets."""
        caller = await self._account(request)
        tokens = await self._tokens.of_person(caller.person_id)
        return JSONResponse({"tokens": [_shown(token) for token in tokens]}, headers=_NOT_STORED)

    async def create_token(self, request: Request) -> Response:
        """``POST /api/v1/tokens`` ``{"name", "scopes"?, "expires_in"?}``: 201, with the secret, this once.

        *scopes* is text in the grammar of `auth.limits`; left out, nothing is narrowed. *expires_in* is in seconds.
        """
        caller = await self._account(request)
        body = await _json(request, NAMED, NARROWED)
        if not 0 < len(body["name"]) <= LONGEST_NAME or not body["name"].isprintable():
            raise InvalidParameters(f"expected a name of 1 to {LONGEST_NAME} characters that can be printed")
        expires_in = body.get("expires_in")
        if expires_in is not None and not 0 < expires_in <= LONGEST_LIFE:
            raise InvalidParameters("expected expires_in to be a number of seconds, more than none")
        limits = Limits.parse(body["scopes"], self._default_namespace) if "scopes" in body else None

        expires = None if expires_in is None else int(self._clock()) + expires_in
        made = await self._tokens.add_personal(caller, body["name"], limits, expires)

        shown = {**_shown(made.token), "token": made.secret}
        location = {"Location": f"/api/v1/tokens/{made.token.id}"}
        return JSONResponse(shown, status_code=201, headers={**_NOT_STORED, **location})

    async def revoke_token(self, request: Request) -> Response:
        """``DELETE /api/v1/tokens/{id}``: 204; it and what was made with it are refused from now on."""
        caller = await self._account(request)
        await self._tokens.revoke(caller.person_id, request.path_params["id"])
        return Response(status_code=204)

    async def _account(self, request: Request) -> Caller:
        caller = await self._sign_in.caller(request.headers.get("authorization"), address_of(request))
        if caller.anonymous:
            raise BadCredentials
        if not caller.may_manage_account:
            raise NotPermitted("a change to the account: the token in use lacks the scope account")
        return caller


def routes(api: AccountApi) -> Sequence[Route]:
    """Return the routes, each of which phrases its own errors."""
    return [
        Route("/api/v1/account/password", _phrased(api.change_password), methods=["PUT"]),
        Route("/api/v1/tokens", _phrased(api.list_tokens), methods=["GET"]),
        Route("/api/v1/tokens", _phrased(api.create_token), methods=["POST"]),
        Route("/api/v1/tokens/{id}", _phrased(api.revoke_token), methods=["DELETE"]),
    ]


def problem(error: AuthError) -> Response:
    """Phrase *error* for a client of the JSON API."""
    match error:
        case BadCredentials():
            challenge = {"WWW-Authenticate": 'Basic realm="portolan", charset="UTF-8"'}
            return _problem(401, "Sign in to do this", "Nobody is signed in, or with wrong credentials.", **challenge)
        case NotPermitted(what=what):
            return _problem(403, "Not permitted", f"Refused: {what}.")
        case TokenUnknown():
            return _problem(404, "No such token", "It was revoked already, has ended, or never was yours.")
        case TooManyTokens(most=most):
            return _problem(409, "Too many tokens", f"You hold {most}: revoke one first.")
        case InvalidPassword(rule=rule):
            return _problem(422, "The new password is refused", f"Refused: {rule}.")
        case InvalidScope():
            return _problem(422, "A scope cannot be read", str(error))
        case InvalidParameters(reason=reason):
            return _problem(400, "The request cannot be read", reason)
        case Throttled(retry_after=seconds):
            return _problem(429, "Too many attempts", f"Try again in {seconds} s.", **{"Retry-After": str(seconds)})
        case _:
            raise error


def _problem(status: int, title: str, detail: str, **headers: str) -> Response:
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return JSONResponse(
        body, status_code=status, media_type="application/problem+json", headers={**_NOT_STORED, **headers}
    )


def _phrased(handler: Handler) -> Handler:
    async def phrased(request: Request) -> Response:
        try:
            return await handler(request)
        except AuthError as error:
            return problem(error)

    return phrased


async def _json(request: Request, required: dict[str, type], optional: dict[str, type] | None = None) -> dict[str, Any]:
    """Read a body that is an object with these members and no others; null counts as left out."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise InvalidParameters("expected a body of the type application/json")
    members = required | (optional or {})
    try:
        body = json.loads(await bounded_body(request, _LONGEST_BODY))
    except (ValueError, RecursionError):
        raise InvalidParameters("expected JSON") from None
    if not isinstance(body, dict) or not body.keys() <= members.keys():
        raise InvalidParameters(f"expected an object with the members {', '.join(members)}, and no others")
    found = {name: value for name, value in body.items() if value is not None}
    if not required.keys() <= found.keys():
        raise InvalidParameters(f"expected the members {', '.join(required)}")
    if any(type(value) is not members[name] for name, value in found.items()):
        raise InvalidParameters("expected members of other types: texts, and whole numbers of seconds")
    return found


def _shown(token: Token) -> dict[str, object]:
    return {
        "id": token.id,
        "kind": token.kind,
        "name": token.name,
        "scopes": None if token.limits is None else str(token.limits),
        "created": token.created,
        "expires": token.expires,
        "last_used": token.last_used,
    }
