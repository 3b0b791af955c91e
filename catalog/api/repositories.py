"""Repositories: look at one and its tags, change it, delete it."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from auth.callers import Caller
from cas import Digest, RepositoryName
from catalog.api.answering import errors, json
from catalog.api.problems import Refused
from catalog.api.services import ApiServices, Asking, Services
from catalog.browse.answers import RepositoryAnswer, TagHistoryAnswer, TagsAnswer
from catalog.errors import RepositoryUnknown

router = APIRouter(tags=["repositories"])

#: Characters of a description, at most; bytes of a request's body, at most.
LONGEST_DESCRIPTION = 25_000
_MOST_BODY = 256 * 1024


class Change(msgspec.Struct, forbid_unknown_fields=True):
    """What PATCH may set; what is left out stays as it is."""

    public: bool | None = None
    description: str | None = None
    deprecated: bool | None = None


_CHANGE = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {
                        "public": {"type": ["boolean", "null"]},
                        "description": {"type": ["string", "null"], "maxLength": LONGEST_DESCRIPTION},
                        "deprecated": {"type": ["boolean", "null"]},
                    },
                }
            }
        },
    }
}

RepositoryText = Annotated[str, Query(max_length=255, description="The repository's name")]


@router.get("/v1/repositories/{name:path}", response_model=RepositoryAnswer, responses=errors(404))
async def show(made: Services, asking: Asking, name: str) -> Response:
    """Show a repository with the tags that moved last."""
    return await _show(made, asking, await _readable(made, asking, name))


@router.patch(
    "/v1/repositories/{name:path}",
    response_model=RepositoryAnswer,
    responses=errors(403, 404, 413, 507),
    openapi_extra=_CHANGE,
)
async def change(made: Services, asking: Asking, name: str, request: Request) -> Response:
    """Set the visibility, the description, whether it is deprecated: those that are given."""
    repository = await _readable(made, asking, name)
    await _require_owner(made, asking, repository, "change")
    wanted = await _body(request)
    await made.repositories.change(
        repository, public=wanted.public, description=wanted.description, deprecated=wanted.deprecated
    )
    return await _show(made, asking, repository)


@router.delete("/v1/repositories/{name:path}", status_code=204, responses=errors(403, 404, 507))
async def delete(made: Services, asking: Asking, name: str) -> Response:
    """Delete a repository with its tags, manifests and links."""
    repository = await _readable(made, asking, name)
    await _require_owner(made, asking, repository, "delete")
    await made.repositories.delete(repository)
    return Response(status_code=204)


@router.get("/v1/tags", response_model=TagsAnswer, responses=errors(404))
async def tags(
    made: Services,
    asking: Asking,
    repository: RepositoryText,
    after: Annotated[str, Query(max_length=128, description="`next` of the page before")] = "",
    most: Annotated[int, Query(ge=1, le=1000)] = 100,
    digest: Annotated[
        str | None, Query(max_length=200, description="Only tags of this image, or of an index that holds it")
    ] = None,
) -> Response:
    """List a repository's tags by name."""
    name = RepositoryName.parse(repository, made.default_namespace)
    of = None if digest is None else Digest.parse(digest)
    return json(await made.browse.tags(asking, name, after, most, of))


@router.get("/v1/tag-history", response_model=TagHistoryAnswer, responses=errors(404))
async def tag_history(
    made: Services,
    asking: Asking,
    repository: RepositoryText,
    tag: Annotated[str | None, Query(max_length=128, description="Left out: of all tags")] = None,
    before: Annotated[int | None, Query(ge=1, lt=2**63, description="`next` of the page before")] = None,
    most: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Response:
    """List where a tag pointed and points, the newest move first."""
    name = RepositoryName.parse(repository, made.default_namespace)
    return json(await made.browse.tag_history(asking, name, tag, before, most))


async def _readable(made: ApiServices, asking: Caller, text: str) -> RepositoryName:
    """Return the repository's name if *asking* may know of it; absent and hidden are refused in the same words."""
    name = RepositoryName.parse(text, made.default_namespace)
    actions = await made.access.actions(asking, name)
    if "pull" not in actions and "*" not in actions:
        raise _hidden(asking)
    return name


def _hidden(asking: Caller) -> Refused:
    if asking.anonymous:
        return Refused(401, "There is no such public repository: sign in.", {"www-authenticate": "Bearer"})
    return Refused(404, "There is no such repository.")


async def _show(made: ApiServices, asking: Caller, name: RepositoryName) -> Response:
    try:
        return json(await made.browse.repository(asking, name))
    except RepositoryUnknown:
        raise _hidden(asking) from None


async def _require_owner(made: ApiServices, asking: Caller, name: RepositoryName, verb: str) -> None:
    if "*" not in await made.access.actions(asking, name):
        raise Refused(403, f"Only its owner may {verb} a repository.")
    try:
        await made.repositories.find(name)
    except RepositoryUnknown:
        raise _hidden(asking) from None


async def _body(request: Request) -> Change:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BODY:
            raise Refused(413, f"The body is larger than {_MOST_BODY} bytes.")
    try:
        wanted = msgspec.json.decode(body, type=Change)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        told = f"The body must be a JSON object with any of public, description and deprecated: {error}."
        raise Refused(400, told) from None
    if wanted.description is not None and "\0" in wanted.description:
        raise Refused(422, "A description must not hold the character NUL.")
    if wanted.description is not None and len(wanted.description) > LONGEST_DESCRIPTION:
        raise Refused(422, f"A description has at most {LONGEST_DESCRIPTION} characters.")
    return wanted
