"""The registry as one ASGI application: match, parse, authenticate, authorise, call the handler, answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from auth.errors import InvalidToken
from auth.grants import Grant
from cas import RepositoryName
from catalog.registry import blobs, lists, manifests, uploads, version_1
from catalog.registry.call import Call, Registry, ScopeMissing
from catalog.registry.errors import answer, phrased
from catalog.registry.messages import Headers, Receive, Request, Response, Scope, Send
from catalog.registry.routes import ROUTES, Match, match

Handler = Callable[[Call], Awaitable[Response]]

_NAMELESS = RepositoryName("")


async def _base(call: Call) -> Response:
    """`GET /v2/` (end-1): the token is good, the protocol is spoken."""
    return Response(
        200,
        [
            (b"content-type", b"application/json"),
            (b"content-length", b"2"),
            (b"docker-distribution-api-version", b"registry/2.0"),
        ],
        b"{}",
    )


HANDLERS: dict[str, dict[str, Handler]] = {
    "base": {"GET": _base, "HEAD": _base},
    "catalog": {"GET": lists.catalog, "HEAD": lists.catalog},
    "manifest": {"GET": manifests.get, "HEAD": manifests.head, "PUT": manifests.put, "DELETE": manifests.delete},
    "blob": {"GET": blobs.get, "HEAD": blobs.head, "DELETE": blobs.delete},
    "uploads": {"POST": uploads.begin},
    "upload": {"GET": uploads.status, "PATCH": uploads.append, "PUT": uploads.finish, "DELETE": uploads.cancel},
    "tags": {"GET": lists.tags, "HEAD": lists.tags},
    "referrers": {"GET": lists.referrers, "HEAD": lists.referrers},
}

#: What a client is asked to bring for an action, beside the action itself: a push reads what it wrote.
_SCOPES = {"pull": "pull", "push": "pull,push", "delete": "delete"}


class RegistryApplication:
    """Everything under ``/v2/``, and what docker and podman still ask of ``/v1/``."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI, HTTP only)."""
        request = Request(scope, receive)
        response = await self._respond(request, scope)
        await response.send(scope, send)

    async def _respond(self, request: Request, scope: Scope) -> Response:
        try:
            if b"%00" in scope["query_string"]:
                return answer(400, "UNSUPPORTED", "a parameter holds the character NUL, which nothing here has")
            if request.path.startswith("/v1/"):
                return await version_1.respond(self._registry, request)
            found = match(request.path)
            if found is None:
                return answer(404, "NOT_FOUND", "the registry has no such route")
            return await self._route(request, scope, found)
        except Exception as error:
            response = phrased(error)
            if response is None:
                raise
            return response

    async def _route(self, request: Request, scope: Scope, found: Match) -> Response:
        methods = ROUTES[found.route]
        action = methods.get(request.method)
        if action is None:
            allow: Headers = [(b"allow", ", ".join(methods).encode())]
            return answer(405, "UNSUPPORTED", f"{request.method} is not served here", None, allow)
        name = RepositoryName.parse(found.name, self._registry.default_namespace) if found.name else _NAMELESS
        grant, refusal = await self._authenticate(request)
        if grant is None or not _may(grant, action, name):
            return self._challenge(scope, found, action, refusal if grant is None else "insufficient_scope")
        call = Call(self._registry, request, grant, name, found.name, found.argument)
        try:
            return await HANDLERS[found.route][request.method](call)
        except ScopeMissing as missing:
            return self._challenge(scope, found, action, "insufficient_scope", missing.repository)

    async def _authenticate(self, request: Request) -> tuple[Grant | None, str | None]:
        """Return what the request's token grants, or why it has none (None: it brought none)."""
        authorization = request.headers.get(b"authorization")
        if authorization is None:
            return None, None
        scheme, _, token = authorization.decode("ascii", "replace").partition(" ")
        if scheme.lower() != "bearer":
            return None, None
        try:
            return await self._registry.verifier.verify(token.strip()), None
        except InvalidToken:
            return None, "invalid_token"

    def _challenge(
        self, scope: Scope, found: Match, action: str, refusal: str | None, also_pull: str | None = None
    ) -> Response:
        """Answer 401 with what to ask the token endpoint for: the same for what is forbidden and what is absent."""
        said = [f'Bearer realm="{self._registry.realm(scope)}"', f'service="{self._registry.service}"']
        detail: list[dict[str, Any]] | None = None
        if action == "list":
            said.append('scope="registry:catalog:*"')
            detail = [{"Type": "registry", "Class": "", "Name": "catalog", "Action": "*"}]
        elif found.name:
            also = "" if also_pull is None else f" repository:{also_pull}:pull"
            said.append(f'scope="repository:{found.name}:{_SCOPES[action]}{also}"')
            detail = [
                {"Type": "repository", "Class": "", "Name": found.name, "Action": each}
                for each in _SCOPES[action].split(",")
            ]
        if refusal is not None:
            said.append(f'error="{refusal}"')
        headers: Headers = [
            (b"www-authenticate", ",".join(said).encode("latin-1", "replace")),
            (b"docker-distribution-api-version", b"registry/2.0"),
        ]
        return answer(401, "UNAUTHORIZED", "a token for this is required", detail, headers)


def _may(grant: Grant, action: str, name: RepositoryName) -> bool:
    if action == "":
        return True
    if action == "list":
        return grant.may_list
    return grant.may(action, name)
