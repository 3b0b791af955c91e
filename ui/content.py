"""Pages of what images share: a layer, a package, files; and of what two images do not."""

from __future__ import annotations

from starlette.responses import Response

from catalog.browse import Browse
from catalog.browse.errors import ImageUnread, QueryError
from catalog.names import Digest, InvalidName, RepositoryName
from ui.rendering import Rendering
from ui.visits import Visit

_PAGE = 25
_VERSIONS = 100
#: Packages, and files, of a page of differences.
_DIFFERENCES = 1000


class ContentPages:
    """`/l/…`, `/p/…`, `/files`, `/compare`."""

    def __init__(self, rendering: Rendering, browse: Browse, default_namespace: str) -> None:
        self._rendering = rendering
        self._browse = browse
        self._default_namespace = default_namespace

    async def layer(self, visit: Visit) -> Response:
        """`GET /l/DIGEST`: a layer, by its diff_id or a blob's digest, and the images that hold it."""
        digest = Digest.parse(visit.request.path_params["digest"])
        answer = await self._browse.layer(visit.caller, digest, visit.page(), _PAGE)
        return self._rendering.page(visit, "layer.html", layer=answer)

    async def package(self, visit: Visit) -> Response:
        """`GET /p/ECOSYSTEM/NAME?version=…&page=…&versions=…`: its versions, and the images that hold those that are
        asked for, each in pages."""
        ecosystem, name = visit.request.path_params["ecosystem"], visit.request.path_params["name"]
        wanted = visit.parameter("version", 200).strip()
        problem = ""
        try:
            pages = visit.page(), _PAGE, visit.page("versions"), _VERSIONS
            answer = await self._browse.package(visit.caller, ecosystem, name, wanted, *pages)
        except QueryError as error:
            problem = error.message
            answer = await self._browse.package(visit.caller, ecosystem, name, "", 1, _PAGE)
        return self._rendering.page(
            visit,
            "package.html",
            400 if problem else 200,
            package=answer,
            wanted=wanted,
            problem=problem,
            versions_page=1 if problem else visit.page("versions"),
            versions_size=_VERSIONS,
        )

    async def files(self, visit: Visit) -> Response:
        """`GET /files?by=…&find=…&deleted=…`, or with ``path``, ``name`` or ``sha256`` themselves."""
        by, find = visit.parameter("by", 10), visit.parameter("find", 4096).strip()
        for field in ("path", "name", "sha256"):
            if visit.parameter(field, 4096):
                by, find = field, visit.parameter(field, 4096).strip()
        by = by if by in ("path", "name", "sha256") else "path"
        deleted = visit.parameter("deleted", 10)
        deleted = deleted if deleted in ("yes", "include") else ""
        found, problem = None, ""
        if find:
            try:
                found = await self._browse.find_files(
                    visit.caller,
                    path=find if by == "path" else "",
                    name=find if by == "name" else "",
                    sha256=find if by == "sha256" else "",
                    deleted=deleted,
                    page=visit.page(),
                    size=_PAGE,
                )
            except QueryError as error:
                problem = error.message
        return self._rendering.page(
            visit,
            "files.html",
            400 if problem else 200,
            found=found,
            by=by,
            find=find,
            deleted=deleted,
            problem=problem,
        )

    async def compare(self, visit: Visit) -> Response:
        """`GET /compare?from=…&to=…&platform=…&page=…&packages=…`: two images, each by digest or as ``NAME:TAG``; the
        files that differ, and the packages, have pages of their own."""
        before, after = visit.parameter("from", 600).strip(), visit.parameter("to", 600).strip()
        platform = visit.parameter("platform", 100) or None
        answer, problem, waiting = None, "", False
        if before and after:
            try:
                first, second = await self._resolve(visit, before), await self._resolve(visit, after)
                answer = await self._browse.diff(visit.caller, first, second, platform, visit.page(), _DIFFERENCES)
            except InvalidName as error:
                problem = f"{error}.".replace("'", "“", 1).replace("'", "”", 1)
            except ImageUnread as error:
                waiting = not error.problem
                problem = error.problem
        return self._rendering.page(
            visit,
            "compare.html",
            400 if problem else 200,
            before=before,
            after=after,
            diff=answer,
            problem=problem,
            waiting=waiting,
            platform=platform or "",
            packages_page=visit.page("packages"),
            size=_DIFFERENCES,
        )

    async def _resolve(self, visit: Visit, text: str) -> Digest:
        if text.startswith(("sha256:", "sha512:")):
            return Digest.parse(text)
        name, _, wanted = text.partition("@") if "@" in text else text.partition(":")
        repository = RepositoryName.parse(name, self._default_namespace)
        return await self._browse.resolve(visit.caller, repository, wanted or "latest")
