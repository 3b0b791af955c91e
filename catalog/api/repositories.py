"""``/api/v1/repositories/{name}``: look at a repository, change it, delete it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from auth.access import Access
from auth.callers import Caller
from auth.errors import BadCredentials, Throttled
from auth.forms import address_of
from auth.sign_in import SignIn
from cas import InvalidRepositoryName, RepositoryName
from catalog.api.problems import problem
from catalog.errors import RepositoryUnknown
from catalog.metadata.repositories import Repository
from catalog.repositories import Repositories
from database import DatabaseFull, DatabaseUnavailable

#: Characters of a description, at most; bytes of a request's body, at most.
LONGEST_DESCRIPTION = 25_000
_MOST_BODY = 256 * 1024


class _Change(msgspec.Struct, forbid_unknown_fields=True):
    """What PATCH may set; what is left out stays as it is."""

    public: bool | None = None
    description: str | None = None


class _Endpoint:
    """The three methods of one resource, and the order that all keep: who asks, which one, may they, do it."""

    def __init__(
        self, repositories: Repositories, access: Access, sign_in: SignIn, default_namespace: str = "library"
    ) -> None:
        self._repositories = repositories
        self._access = access
        self._sign_in = sign_in
        self._default_namespace = default_namespace
        self._methods: dict[str, Callable[[Request, RepositoryName, frozenset[str]], Awaitable[Response]]] = {
            "GET": self._show,
            "PATCH": self._change,
            "DELETE": self._delete,
        }

    async def __call__(self, request: Request) -> Response:
        try:
            caller = await self._sign_in.caller(request.headers.get("authorization"), address_of(request))
            name = RepositoryName.parse(request.path_params["name"], self._default_namespace)
            actions = await self._access.actions(caller, name)
            if "pull" not in actions and "*" not in actions:
                return self._hidden(caller)
            method = "GET" if request.method == "HEAD" else request.method
            return await self._methods[method](request, name, actions)
        except BadCredentials:
            return problem(401, "The credentials are wrong.", {"www-authenticate": "Bearer"})
        except Throttled as error:
            return problem(429, "Too many attempts with wrong credentials.", {"retry-after": str(error.retry_after)})
        except InvalidRepositoryName as error:
            return problem(400, f"{error}.")
        except RepositoryUnknown:
            return self._hidden(caller)
        except DatabaseFull as error:
            return problem(507, f"No room is left for the database, {error.what}.")
        except DatabaseUnavailable:
            return problem(503, "The database does not answer.", {"retry-after": "1"})

    @staticmethod
    def _hidden(caller: Caller) -> Response:
        """Answer for what is not there and for what this caller may not see: the same."""
        if caller.anonymous:
            return problem(401, "There is no such public repository: sign in.", {"www-authenticate": "Bearer"})
        return problem(404, "There is no such repository.")

    async def _show(self, request: Request, name: RepositoryName, actions: frozenset[str]) -> Response:
        return await self._answer(await self._repositories.find(name))

    async def _change(self, request: Request, name: RepositoryName, actions: frozenset[str]) -> Response:
        if "*" not in actions:
            return problem(403, "Only its owner may change a repository.")
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > _MOST_BODY:
                return problem(413, f"The body is larger than {_MOST_BODY} bytes.")
        try:
            change = msgspec.json.decode(body, type=_Change)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return problem(400, f"The body must be a JSON object with public, description, or both: {error}.")
        if change.description is not None and "\0" in change.description:
            return problem(422, "A description must not hold the character NUL.")
        if change.description is not None and len(change.description) > LONGEST_DESCRIPTION:
            return problem(422, f"A description has at most {LONGEST_DESCRIPTION} characters.")
        changed = await self._repositories.change(name, public=change.public, description=change.description)
        return await self._answer(changed)

    async def _delete(self, request: Request, name: RepositoryName, actions: frozenset[str]) -> Response:
        if "*" not in actions:
            return problem(403, "Only its owner may delete a repository.")
        await self._repositories.delete(name)
        return Response(status_code=204)

    async def _answer(self, repository: Repository) -> Response:
        return JSONResponse(
            {
                "name": repository.name.short(self._default_namespace),
                "public": repository.public,
                "description": repository.description,
                "created": repository.created,
                "pulls": await self._repositories.pull_count(repository),
            }
        )


def routes(
    repositories: Repositories, access: Access, sign_in: SignIn, default_namespace: str = "library"
) -> list[Route]:
    """Return the routes of this part of the API."""
    endpoint = _Endpoint(repositories, access, sign_in, default_namespace)
    return [Route("/api/v1/repositories/{name:path}", endpoint.__call__, methods=["GET", "PATCH", "DELETE"])]
