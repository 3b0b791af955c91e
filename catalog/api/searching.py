"""Search, suggestions, files, packages and layers over everything."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from cas import Digest
from catalog.api.answering import errors, json
from catalog.api.parameters import PageNumber, PageSize
from catalog.api.services import Asking, Services
from catalog.browse.answers import (
    FoundFilesAnswer,
    HitType,
    LayerAnswer,
    PackageAnswer,
    SearchAnswer,
    Suggestion,
)
from catalog.search.language import SORTS

router = APIRouter(tags=["search"])

Text = Annotated[str, Query(max_length=4000)]
_SORTED = "The order; wins over `sort:` in the query. " + "; ".join(
    f"{kind}: {', '.join(names)}" for kind, names in SORTS.items()
)
_SORT_NAMES: dict[str, Any] = {"enum": sorted({name for names in SORTS.values() for name in names})}


@router.get("/v1/search", response_model=SearchAnswer, responses=errors())
async def search(
    made: Services,
    asking: Asking,
    q: Annotated[Text, Query(description="The query, in the language of docs/search.md", examples=["nginx"])] = "",
    type: Annotated[HitType | None, Query(description="What to find; wins over `type:` in the query")] = None,
    sort: Annotated[str | None, Query(description=_SORTED, max_length=40, json_schema_extra=_SORT_NAMES)] = None,
    page: PageNumber = 1,
    size: PageSize = 25,
    facets: Annotated[bool, Query(description="Whether to count the values of facets too")] = True,
) -> Response:
    """Find repositories, images, packages, layers or files."""
    return json(await made.browse.search(asking, q, type=type, sort=sort, page=page, size=size, facets=facets))


@router.get("/v1/suggest", response_model=list[Suggestion], responses=errors())
async def suggest(
    made: Services,
    asking: Asking,
    q: Text = "",
    most: Annotated[int, Query(ge=1, le=50)] = 8,
) -> Response:
    """Complete a query that is being typed."""
    return json(await made.browse.suggest(asking, q, most))


@router.get("/v1/layers/{digest}", response_model=LayerAnswer, responses=errors(404))
async def layer(made: Services, asking: Asking, digest: str, page: PageNumber = 1, size: PageSize = 25) -> Response:
    """Show a layer, by its diff_id or the digest of one of its blobs, and the images that contain it."""
    return json(await made.browse.layer(asking, Digest.parse(digest), page, size))


@router.get("/v1/packages/{ecosystem}/{name:path}", response_model=PackageAnswer, responses=errors(404))
async def package(
    made: Services,
    asking: Asking,
    ecosystem: str,
    name: str,
    version: Annotated[Text, Query(description="A version, or a range: `<3.0.7`, `>=1,<2`")] = "",
    page: PageNumber = 1,
    size: PageSize = 25,
    versions_page: PageNumber = 1,
    versions_size: Annotated[int, Query(ge=1, le=1000, description="Versions of a page")] = 100,
) -> Response:
    """List a package's versions, how many images hold each, and the images that hold those in `version`.

    `ecosystem` is the type of its purl: `deb`, `apk`, `pypi`, `npm`, `golang`.
    """
    found = await made.browse.package(asking, ecosystem, name, version, page, size, versions_page, versions_size)
    return json(found)


@router.get("/v1/files", response_model=FoundFilesAnswer, responses=errors())
async def files(
    made: Services,
    asking: Asking,
    path: Annotated[Text, Query(description="A whole path, or its beginning and `*`", examples=["/etc/passwd"])] = "",
    name: Annotated[Text, Query(description="A file's name, or its beginning and `*`")] = "",
    sha256: Annotated[str, Query(pattern="^([0-9a-f]{64})?$", description="The SHA-256 of a file's content")] = "",
    deleted: Annotated[
        Literal["", "yes", "include"],
        Query(
            description="`yes`: only files that an upper layer hides, but that are still pulled; `include`: these too"
        ),
    ] = "",
    page: PageNumber = 1,
    size: PageSize = 25,
) -> Response:
    """Find files in the merged trees of images, by exactly one of `path`, `name` and `sha256`."""
    found = await made.browse.find_files(
        asking, path=path, name=name, sha256=sha256, deleted=deleted, page=page, size=size
    )
    return json(found)
