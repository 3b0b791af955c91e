"""Images: what they hold, and how two of them differ."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from auth.callers import Caller
from cas import Digest, RepositoryName
from catalog.api.answering import errors, json
from catalog.api.parameters import PageNumber, PageSize
from catalog.api.problems import Refused
from catalog.api.services import ApiServices, Asking, Services
from catalog.browse.answers import (
    DiffAnswer,
    FilesAnswer,
    ImageAnswer,
    PlacesAnswer,
    RelationsAnswer,
    ResolvedAnswer,
)
from catalog.images.report import PackagesAnswer

router = APIRouter(tags=["images"])

Platform = Annotated[
    str | None,
    Query(
        pattern=r"^[a-z0-9_.-]+/[a-z0-9_.-]+(/[a-z0-9_.-]+)?$",
        description="Which image of an index: os/arch[/variant]; without it linux/amd64, or the first",
    ),
]
ReferenceText = Annotated[str, Query(max_length=500, examples=["library/nginx:1.27"])]


@router.get("/v1/resolve", response_model=ResolvedAnswer, responses=errors(404))
async def resolve(made: Services, asking: Asking, image: ReferenceText) -> Response:
    """Return the digest that a reference (`NAME`, `NAME:TAG`, `NAME@DIGEST`) names at this moment."""
    return json(ResolvedAnswer(image, (await _resolve(made, asking, image)).text))


@router.get("/v1/images/{digest}", response_model=ImageAnswer, responses=errors(404))
async def image(made: Services, asking: Asking, digest: str, platform: Platform = None) -> Response:
    """Show an image: the tags that point to it, its layers, config, bases, and what is built on it."""
    return json(await made.browse.image(asking, Digest.parse(digest), platform))


@router.get("/v1/images/{digest}/places", response_model=PlacesAnswer, responses=errors(404))
async def places(
    made: Services, asking: Asking, digest: str, platform: Platform = None, page: PageNumber = 1, size: PageSize = 25
) -> Response:
    """List the repositories that hold an image, with its tags there."""
    return json(await made.browse.places(asking, Digest.parse(digest), platform, page, size))


@router.get("/v1/images/{digest}/bases", response_model=RelationsAnswer, responses=errors(404, 409))
async def bases(
    made: Services, asking: Asking, digest: str, platform: Platform = None, page: PageNumber = 1, size: PageSize = 25
) -> Response:
    """List the images whose layers are the bottom ones of an image, the nearest first."""
    return json(await made.browse.bases(asking, Digest.parse(digest), platform, page, size))


@router.get("/v1/images/{digest}/derived", response_model=RelationsAnswer, responses=errors(404, 409))
async def derived(
    made: Services, asking: Asking, digest: str, platform: Platform = None, page: PageNumber = 1, size: PageSize = 25
) -> Response:
    """List the images that are built on an image: they have its layers and others, or steps, on top, or say so."""
    return json(await made.browse.derived(asking, Digest.parse(digest), platform, page, size))


@router.get("/v1/images/{digest}/packages", response_model=PackagesAnswer, responses=errors(404, 409))
async def packages(made: Services, asking: Asking, digest: str, platform: Platform = None) -> Response:
    """List the packages of an image, each with the layer that brought it."""
    return json(await made.browse.packages(asking, Digest.parse(digest), platform))


@router.get("/v1/images/{digest}/files", response_model=FilesAnswer, responses=errors(404, 409))
async def files(
    made: Services,
    asking: Asking,
    digest: str,
    path: Annotated[str, Query(max_length=4096, description="A directory; empty for the root")] = "",
    platform: Platform = None,
    after: Annotated[str, Query(max_length=1024, description="`next` of the page before")] = "",
    most: Annotated[int, Query(ge=1, le=1000)] = 500,
) -> Response:
    """List a directory of an image's merged tree."""
    return json(await made.browse.files(asking, Digest.parse(digest), path, platform, after, most))


@router.get("/v1/diff", response_model=DiffAnswer, responses=errors(404, 409))
async def diff(
    made: Services,
    asking: Asking,
    before: Annotated[ReferenceText, Query(alias="from", description="A digest, or NAME, NAME:TAG, NAME@DIGEST")],
    after: Annotated[ReferenceText, Query(alias="to", description="A digest, or NAME, NAME:TAG, NAME@DIGEST")],
    platform: Platform = None,
    page: PageNumber = 1,
    size: Annotated[int, Query(ge=1, le=1000, description="Files of a page")] = 1000,
) -> Response:
    """Compare two images: layers, packages, config, files."""
    first, second = await _resolve(made, asking, before), await _resolve(made, asking, after)
    return json(await made.browse.diff(asking, first, second, platform, page, size))


async def _resolve(made: ApiServices, asking: Caller, text: str) -> Digest:
    """Return the digest that *text* is, or names.

    Raises:
        InvalidName: it is no reference.
        RepositoryUnknown, ManifestUnknown: it names nothing that *asking* may read.
    """
    if text.startswith(("sha256:", "sha512:")):
        return Digest.parse(text)
    name, at, digest = text.partition("@")
    tag = ""
    if not at:
        head, colon, last = name.rpartition(":")
        if colon and "/" not in last:
            name, tag = head, last
    if not name:
        raise Refused(400, "A reference is NAME, NAME:TAG or NAME@DIGEST.")
    repository = RepositoryName.parse(name, made.default_namespace)
    return await made.browse.resolve(asking, repository, digest or tag or "latest")
