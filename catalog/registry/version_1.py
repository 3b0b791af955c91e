"""What docker and podman still ask of the first protocol: ``/v1/_ping`` and ``/v1/search``.

podman asks ``/v1/search`` without credentials, and takes any 200, even an empty one, as the end of its search; on
another status it goes on to ``/v2/_catalog`` with them. So an anonymous search that finds nothing is an error.
"""

from __future__ import annotations

from contextlib import suppress

import msgspec

from auth.callers import Caller
from auth.errors import BadCredentials, InvalidToken, Throttled
from catalog.browse.answers import RepositoryHit
from catalog.registry.call import Registry
from catalog.registry.errors import RegistryError, answer
from catalog.registry.messages import Headers, Request, Response
from catalog.search.errors import OutOfWindow, SearchUnavailable, TooBroad

_MOST = 100
_DEFAULT = 25
#: Characters of what is searched for.
_LONGEST = 100


async def respond(registry: Registry, request: Request) -> Response:
    """Answer a request under ``/v1/``."""
    if request.path == "/v1/_ping":
        return _json({"standalone": True}, [(b"x-docker-registry-standalone", b"true")])
    if request.path == "/v1/search":
        if request.method not in ("GET", "HEAD"):
            return answer(405, "UNSUPPORTED", f"{request.method} is not served here", None, [(b"allow", b"GET, HEAD")])
        return await _search(registry, request)
    return answer(404, "NOT_FOUND", "the registry has no such route")


async def _search(registry: Registry, request: Request) -> Response:
    text = request.parameter("q") or ""
    if len(text) > _LONGEST:
        raise RegistryError(400, "UNSUPPORTED", f"q must have at most {_LONGEST} characters")
    size = min(max(_number(request, "n", _DEFAULT), 1), _MOST)
    page = max(_number(request, "page", 1), 1)
    try:
        caller = await _caller(registry, request)
    except BadCredentials:
        return answer(401, "UNAUTHORIZED", "the credentials are wrong")
    except Throttled as error:
        retry: Headers = [(b"retry-after", b"%d" % error.retry_after)]
        return answer(429, "TOOMANYREQUESTS", "too many attempts with wrong credentials", None, retry)
    try:
        total, hits = await _found(registry, caller, text, page, size)
    except TooBroad as error:
        return answer(400, "UNSUPPORTED", str(error))
    except SearchUnavailable as error:
        retry = [(b"retry-after", b"%d" % error.retry_after)]
        return answer(503, "UNAVAILABLE", error.reason, None, retry)
    if caller.anonymous and not total:
        challenge: Headers = [(b"www-authenticate", b'Basic realm="portolan"')]
        return answer(401, "UNAUTHORIZED", "nothing that everybody may see matches: sign in", None, challenge)
    return _json(
        {
            "query": text,
            "num_results": total,
            "num_pages": -(-total // size),
            "page": page,
            "page_size": size,
            "results": [
                {
                    "name": hit.name,
                    "description": hit.description,
                    "star_count": 0,
                    "is_official": hit.official,
                    "is_automated": False,
                }
                for hit in hits
            ],
        }
    )


async def _found(
    registry: Registry, caller: Caller, words: str, page: int, size: int
) -> tuple[int, list[RepositoryHit]]:
    """Return how many repositories there are, and one page of them: an empty one beyond what can be paged to."""
    try:
        found = await registry.search(caller, words, page, size)
    except OutOfWindow:
        return (await registry.search(caller, words, 1, 1)).total, []
    return found.total, [hit for hit in found.hits if isinstance(hit, RepositoryHit)]


async def _caller(registry: Registry, request: Request) -> Caller:
    """Return who searches.

    An access token for lists stands for its person here, as it does for `_catalog`: docker brings one, for
    ``registry:catalog:search``, where it signed in with an identity token.
    """
    header = request.header(b"authorization")
    scheme, _, text = (header or "").partition(" ")
    if scheme.lower() == "bearer":
        with suppress(InvalidToken):  # a personal token is none of these, and signs in below
            grant = await registry.verifier.verify(text.strip())
            if grant.may_list:
                return await registry.access.caller_of(grant)
    return await registry.sign_in.caller(header, request.address)


def _number(request: Request, name: str, default: int) -> int:
    text = request.parameter(name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 6):
        raise RegistryError(400, "PAGINATION_NUMBER_INVALID", f"{name} must be a whole number", {name: text[:80]})
    return int(text)


def _json(value: object, headers: Headers | None = None) -> Response:
    body = msgspec.json.encode(value)
    fixed: Headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    return Response(200, fixed + (headers or []), body)
