"""Where clients get access tokens: ``/token``, and the keys to verify them with.

GET is the distribution specification's ("Token Authentication"): Basic credentials or none, `scope` repeated. POST is
its OAuth2 form (RFC 6749, sections 4.3 and 6): `grant_type=password` or `refresh_token`, credentials in the form. What
is not granted is left out of the answer and is no error; only credentials that are wrong are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from auth.access import Access
from auth.access_tokens import LIFETIME, sign_access_token
from auth.callers import Caller
from auth.errors import BadCredentials, InvalidParameters, Throttled
from auth.forms import Parameters, address_of, form_parameters, query_parameters
from auth.keys import PublicKeys, SigningKeys
from auth.scopes import requested_scopes
from auth.sign_in import SignIn
from auth.tokens import Tokens
from database import DatabaseFull

#: Resources that one token may be asked for. Each is looked up.
MOST_SCOPES = 32

_NOT_STORED = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_CHALLENGE = {"WWW-Authenticate": 'Basic realm="portolan", charset="UTF-8"'}


class TokenEndpoint:
    """Serves ``GET`` and ``POST /token``, and ``/.well-known/jwks.json``."""

    def __init__(
        self,
        sign_in: SignIn,
        access: Access,
        tokens: Tokens,
        signing_keys: SigningKeys,
        public_keys: PublicKeys,
        *,
        audience: str,
        issuer: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sign_in = sign_in
        self._access = access
        self._tokens = tokens
        self._signing_keys = signing_keys
        self._public_keys = public_keys
        self._audience = audience
        self._issuer = issuer
        self._clock = clock

    async def token(self, request: Request) -> Response:
        """``GET`` or ``POST /token``: an access token for what was asked and is allowed."""
        try:
            if request.method == "POST":
                return await self._post(request)
            return await self._get(request)
        except InvalidParameters as error:
            return _refusal(400, "invalid_request", error.reason)
        except BadCredentials:
            return _refusal(401, "invalid_grant", "the credentials are not right", code="UNAUTHORIZED", **_CHALLENGE)
        except Throttled as error:
            return _refusal(
                429,
                "slow_down",
                f"too many attempts: try again in {error.retry_after} s",
                code="TOOMANYREQUESTS",
                **{"Retry-After": str(error.retry_after)},
            )

    async def jwks(self, request: Request) -> Response:
        """``GET /.well-known/jwks.json``: the public keys (RFC 7517, section 5)."""
        return JSONResponse(
            await self._public_keys.jwks(),
            media_type="application/jwk-set+json",
            headers={"Cache-Control": "public, max-age=60"},
        )

    async def _get(self, request: Request) -> Response:
        parameters = query_parameters(request)
        self._check_service(parameters)
        caller = await self._sign_in.client(request.headers.get("authorization"), address_of(request))
        wants_refresh = parameters.get("offline_token") == "true"
        return await self._answer(caller, parameters, wants_refresh=wants_refresh, with_scope=False)

    async def _post(self, request: Request) -> Response:
        query_parameters(request)
        parameters = await form_parameters(request)
        self._check_service(parameters)
        grant_type = parameters.get("grant_type")
        name, password, refresh = (parameters.get(each) for each in ("username", "password", "refresh_token"))
        if (name is not None or password is not None) + (refresh is not None) + (
            "authorization" in request.headers
        ) > 1:
            raise InvalidParameters("expected credentials of one kind, in one place")
        wants_refresh = parameters.get("access_type") == "offline"
        match grant_type:
            case "password" if name is not None and password is not None:
                caller = await self._sign_in.by_password(name, password, address_of(request))
            case "refresh_token" if refresh is not None:
                caller = await self._sign_in.by_refresh_token(refresh, self._audience)
            case "password" | "refresh_token":
                raise InvalidParameters(f"expected the credentials of grant_type={grant_type}")
            case _:
                return _refusal(400, "unsupported_grant_type", "expected grant_type=password or refresh_token")
        return await self._answer(
            caller, parameters, wants_refresh=wants_refresh, with_scope=True, refresh_token=refresh
        )

    def _check_service(self, parameters: Parameters) -> None:
        if parameters.get("service") not in (None, self._audience):
            raise InvalidParameters(f"the service is not known here: expected service={self._audience}")

    async def _answer(
        self,
        caller: Caller,
        parameters: Parameters,
        *,
        wants_refresh: bool,
        with_scope: bool,
        refresh_token: str | None = None,
    ) -> Response:
        scopes = requested_scopes(parameters.every("scope"))
        if len(scopes) > MOST_SCOPES:
            raise InvalidParameters(f"expected at most {MOST_SCOPES} scopes")
        access = await self._access.granted(caller, scopes)
        now = int(self._clock())
        token = sign_access_token(
            await self._signing_keys.current(),
            issuer=self._issuer,
            subject=caller.person_id,
            audience=self._audience,
            access=access,
            limits=caller.limits,
            now=now,
        )
        answer: dict[str, object] = {
            "token": token,
            "access_token": token,
            "expires_in": LIFETIME,
            "issued_at": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        if with_scope:
            answer["token_type"] = "Bearer"  # noqa: S105 - RFC 6749, section 5.1
            answer["scope"] = " ".join(
                f"{entry['type']}:{entry['name']}:{','.join(entry['actions'])}" for entry in access if entry["actions"]
            )
        if wants_refresh and not caller.anonymous:
            if refresh_token is None:
                client = parameters.get("client_id") or "unnamed client"
                if not client.isprintable():
                    raise InvalidParameters("expected a client_id that can be printed")
                refresh_token = await self._new_refresh_token(caller, client)
            if refresh_token is not None:
                answer["refresh_token"] = refresh_token  # the one in use stays: clients keep it in their configuration
        return JSONResponse(answer, headers=_NOT_STORED)

    async def _new_refresh_token(self, caller: Caller, client: str) -> str | None:
        """Make a refresh token; None on a full disk: clients do without one, and reading goes on."""
        try:
            return (await self._tokens.add_refresh(caller, client, self._audience)).secret
        except DatabaseFull:
            return None


def routes(endpoint: TokenEndpoint) -> Sequence[Route]:
    """Return the routes of the hub's public side."""
    return [
        Route("/token", endpoint.token, methods=["GET", "POST"]),
        Route("/.well-known/jwks.json", endpoint.jwks, methods=["GET"]),
    ]


def _refusal(status: int, error: str, message: str, *, code: str = "DENIED", **headers: str) -> Response:
    """Say no to both kinds of reader: the registry's clients (OCI distribution, "Error Codes") and OAuth2's (5.2)."""
    return JSONResponse(
        {"errors": [{"code": code, "message": message}], "error": error, "error_description": message},
        status_code=status,
        headers={**_NOT_STORED, **headers},
    )
