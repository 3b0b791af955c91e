"""An image's pages: layers, packages, files, configuration, relatives, and the documents that it is made of."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass, replace

from starlette.responses import Response

from catalog.browse import Browse
from catalog.browse.answers import ImageAnswer, RelationsAnswer
from catalog.browse.errors import ImageUnread
from catalog.images.report import PackageRow, PackagesAnswer
from catalog.names import Digest, RepositoryName
from ui import commands, layers
from ui.formats import link, path_of, reference
from ui.headers import HEADERS, RAW_HEADERS
from ui.rendering import Rendering
from ui.visits import Visit

_PACKAGES = 400
_ENTRIES = 500
_RELATIVES = 25
_PLATFORM = re.compile(r"[a-z0-9_.+-]{1,64}(?:/[a-z0-9_.+-]{1,64}){0,3}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Named:
    """An image as it is looked at: by which digest, for which platform, and under which name of a repository's.

    *repository* is empty where it may be read in none under that name; *tag* is empty where it is named by digest.
    """

    digest: str
    platform: str
    repository: str
    tag: str
    asked: str

    @property
    def title(self) -> str:
        """``name:tag``, or what there is of that."""
        if not self.repository:
            return self.digest
        return reference(self.repository, self.tag or self.digest)

    @property
    def home(self) -> str:
        """The address of the first of its pages."""
        if self.asked and self.tag:
            return link(f"/r/{path_of(self.asked)}", platform=self.platform)
        return link(f"/i/{self.digest}", platform=self.platform, ref=self.asked)

    def part(self, name: str, /, **parameters: object) -> str:
        """The address of another of its pages."""
        return link(f"/i/{self.digest}/{name}", platform=self.platform, ref=self.asked, **parameters)


class ImagePages:
    """`/i/DIGEST` and below: ``?platform=`` chooses from an index, ``?ref=`` keeps the name it was found by."""

    def __init__(self, rendering: Rendering, browse: Browse, default_namespace: str) -> None:
        self._rendering = rendering
        self._browse = browse
        self._default_namespace = default_namespace

    async def show_named(self, visit: Visit, text: str) -> Response:
        """`GET /r/NAME:TAG` and `/r/NAME@DIGEST`."""
        name, _, wanted = text.partition("@") if "@" in text else text.partition(":")
        repository = RepositoryName.parse(name, self._default_namespace)
        digest = await self._browse.resolve(visit.caller, repository, wanted)
        return await self._layers(visit, digest, text)

    async def show(self, visit: Visit) -> Response:
        """`GET /i/DIGEST`: its layers, and what each brought."""
        return await self._layers(visit, self._digest(visit), visit.parameter("ref", 600))

    async def _layers(self, visit: Visit, digest: Digest, asked: str) -> Response:
        image = await self._browse.image(visit.caller, digest, _platform(visit))
        bottom = layers.base_layers(image.layers, image.base)
        return self._page(
            visit,
            digest,
            image,
            asked,
            "image_layers.html",
            tab="layers",
            strata=layers.strata(image.layers, bottom),
            groups=layers.groups(image.layers, image.base),
            largest=max((layer.size for layer in image.layers), default=0),
        )

    async def state(self, visit: Visit) -> Response:
        """`GET /i/DIGEST/state`: asked while the image is being read; has the page loaded again when that is over."""
        image = await self._browse.image(visit.caller, self._digest(visit), _platform(visit))
        return Response(
            status_code=204, headers=HEADERS if image.state.name == "waiting" else {**HEADERS, "HX-Refresh": "true"}
        )

    async def packages(self, visit: Visit) -> Response:
        """`GET /i/DIGEST/packages?find=…&ecosystem=…&layer=…&owned=yes&page=…`."""
        digest = self._digest(visit)
        image = await self._browse.image(visit.caller, digest, _platform(visit))
        answer = await self._packages(visit, digest)
        chosen = _Chosen(visit)
        found = [] if answer is None else [row for row in answer.packages if chosen.admits(row)]
        owned = 0 if answer is None else sum(1 for row in answer.packages if row.owned_by)
        pages = max(1, -(-len(found) // _PACKAGES))
        page = min(visit.page(), pages)
        counts: dict[str, int] = {}
        for row in [] if answer is None else answer.packages:
            if chosen.owned or not row.owned_by:
                counts[row.ecosystem] = counts.get(row.ecosystem, 0) + 1
        return self._page(
            visit,
            digest,
            image,
            visit.parameter("ref", 600),
            "image_packages.html",
            tab="packages",
            answer=answer,
            found=found[(page - 1) * _PACKAGES : page * _PACKAGES],
            total=len(found),
            owned=owned,
            counts=counts,
            chosen=chosen,
            page=page,
            pages=pages,
        )

    async def files(self, visit: Visit) -> Response:
        """`GET /i/DIGEST/files?path=…&after=…`: a directory; ``&part=yes`` is its entries alone."""
        digest = self._digest(visit)
        path, after = visit.parameter("path", 4096).strip("/"), visit.parameter("after", 4096)
        image = await self._browse.image(visit.caller, digest, _platform(visit))
        try:
            listing = await self._browse.files(visit.caller, digest, path, _platform(visit), after, _ENTRIES)
        except ImageUnread:
            listing = None
        part = bool(visit.parameter("part", 3))
        return self._page(
            visit,
            digest,
            image,
            visit.parameter("ref", 600),
            "_entries.html" if part else "image_files.html",
            tab="files",
            listing=listing,
            path=path,
            after=after,
            above=_above(path),
        )

    async def configuration(self, visit: Visit) -> Response:
        """`GET /i/DIGEST/configuration`: labels, annotations, environment, how it starts, its history."""
        digest = self._digest(visit)
        image = await self._browse.image(visit.caller, digest, _platform(visit))
        return self._page(
            visit, digest, image, visit.parameter("ref", 600), "image_configuration.html", tab="configuration"
        )

    async def related(self, visit: Visit) -> Response:
        """`GET /i/DIGEST/related?bases=…&derived=…`: where it is, what it is built on, what is built on it."""
        digest, platform = self._digest(visit), _platform(visit)
        image = await self._browse.image(visit.caller, digest, platform)
        # The image itself tells the first of both.
        declared = [each for each in image.base if each.certainty == "declared"]
        read = [each for each in image.base if each.certainty == "layers"]
        below = RelationsAnswer(read, image.base_count, 1, _RELATIVES)
        above = RelationsAnswer(image.derived, image.derived_count, 1, _RELATIVES)
        if image.base_count > len(read):
            below = await self._browse.bases(visit.caller, digest, platform, visit.page("bases"), _RELATIVES)
        if image.derived_count > len(image.derived):
            # Of an image that was not read, the first stand for all: only those that declare it are known.
            with suppress(ImageUnread):
                above = await self._browse.derived(visit.caller, digest, platform, visit.page("derived"), _RELATIVES)
        return self._page(
            visit,
            digest,
            image,
            visit.parameter("ref", 600),
            "image_related.html",
            tab="related",
            base=layers.bases([*(declared if below.page == 1 else ()), *below.images]),
            bases=below,
            derived=above,
        )

    async def raw_manifest(self, visit: Visit) -> Response:
        """`GET /i/DIGEST/manifest`: the very bytes, as text."""
        _, content = await self._browse.manifest(visit.caller, self._digest(visit))
        return Response(content, 200, RAW_HEADERS, "text/plain; charset=utf-8")

    async def raw_config(self, visit: Visit) -> Response:
        """`GET /i/DIGEST/config`: the very bytes, as text."""
        content = await self._browse.config(visit.caller, self._digest(visit))
        return Response(content, 200, RAW_HEADERS, "text/plain; charset=utf-8")

    async def _packages(self, visit: Visit, digest: Digest) -> PackagesAnswer | None:
        try:
            return await self._browse.packages(visit.caller, digest, _platform(visit))
        except ImageUnread:
            return None

    def _page(
        self, visit: Visit, digest: Digest, image: ImageAnswer, asked: str, template: str, /, **values: object
    ) -> Response:
        image = replace(image, base=layers.bases(image.base))
        named = self._named(visit, digest, image, asked)
        wanted = reference(named.repository, named.tag or named.digest) if named.repository else ""
        pull = commands.pull_artifact if image.artifact_type else commands.pull
        return self._rendering.page(
            visit,
            template,
            image=image,
            named=named,
            deprecated=any(place.deprecated for place in image.places if place.repository == named.repository),
            pulls=pull(visit.address, wanted) if wanted else [],
            box="",
            **values,
        )

    def _named(self, visit: Visit, digest: Digest, image: ImageAnswer, asked: str) -> Named:
        """Take the name that it was asked by where the image is there under it, else one that it has.

        What an address says is not believed: somebody else may have made that link.
        """
        platform = _platform(visit) or ""
        name, _, wanted = asked.partition("@") if "@" in asked else asked.partition(":")
        for place in image.places:
            if place.repository != name:
                continue
            if wanted in place.tags:
                return Named(digest.text, platform, place.repository, wanted, asked)
            if wanted == digest.text:
                return Named(digest.text, platform, place.repository, "", asked)
        for place in image.places:
            if place.tags:
                return Named(digest.text, platform, place.repository, place.tags[0], "")
        repository = image.places[0].repository if image.places else ""
        return Named(digest.text, platform, repository, "", "")

    @staticmethod
    def _digest(visit: Visit) -> Digest:
        return Digest.parse(visit.request.path_params["digest"])


class _Chosen:
    """Which packages are shown."""

    def __init__(self, visit: Visit) -> None:
        self.find = visit.parameter("find", 100)
        self.ecosystem = visit.parameter("ecosystem", 30)
        self.layer = visit.parameter("layer", 6)
        self.owned = visit.parameter("owned", 3) == "yes"

    def admits(self, row: PackageRow) -> bool:
        """Tell whether *row* is one of them. Packages that belong to one of the distribution's are its double."""
        find = self.find.strip().lower()
        return (
            (self.owned or not row.owned_by)
            and (not self.ecosystem or row.ecosystem == self.ecosystem)
            and (not self.layer or str(row.layer.index) == self.layer)
            and (not find or find in row.name.lower() or find in row.source.lower() or find in row.version.lower())
        )


def _platform(visit: Visit) -> str | None:
    text = visit.parameter("platform", 200)
    return text if _PLATFORM.fullmatch(text) else None


def _above(path: str) -> list[tuple[str, str]]:
    """List the directories above and at *path*: name and path, from the top."""
    parts = path.split("/") if path else []
    return [(part, "/".join(parts[: number + 1])) for number, part in enumerate(parts)]
