"""A repository's pages: what it is, its tags, where they pointed."""

from __future__ import annotations

from starlette.responses import Response

from catalog.browse import Browse
from catalog.names import InvalidTag, RepositoryName, Tag
from ui import commands
from ui.formats import reference
from ui.image import ImagePages
from ui.rendering import Rendering
from ui.visits import Visit

_PAGE = 100
_SHOWN = 15


class RepositoryPages:
    """`/r/NAME` and what is below it, for readers."""

    def __init__(self, rendering: Rendering, browse: Browse, images: ImagePages, default_namespace: str) -> None:
        self._rendering = rendering
        self._browse = browse
        self._images = images
        self._default_namespace = default_namespace

    async def show(self, visit: Visit) -> Response:
        """`GET /r/NAME`, and with ``:TAG`` or ``@DIGEST`` the image that is called so."""
        path: str = visit.request.path_params["name"]
        if "@" in path or ":" in path:
            return await self._images.show_named(visit, path)
        answer = await self._browse.repository(visit.caller, RepositoryName.parse(path, self._default_namespace))
        newest = answer.tags[0].name if answer.tags else None
        latest = next((row.name for row in answer.tags if row.name == "latest"), newest)
        return self._rendering.page(
            visit,
            "repository.html",
            repository=answer,
            shown=answer.tags[:_SHOWN],
            latest=latest,
            pulls=commands.pull(visit.address, reference(answer.name, latest)) if latest else [],
            pushes=commands.push(visit.address, answer.name) if "push" in answer.actions else [],
            **_may(answer.actions),
        )

    async def tags(self, visit: Visit) -> Response:
        """`GET /r/NAME/-/tags?after=…`: all of them, by name."""
        name = self._name(visit)
        answer = await self._browse.repository(visit.caller, name)
        page = await self._browse.tags(visit.caller, name, visit.parameter("after", 128), _PAGE)
        return self._rendering.page(visit, "repository_tags.html", repository=answer, page=page, **_may(answer.actions))

    async def history(self, visit: Visit) -> Response:
        """`GET /r/NAME/-/history?tag=…&before=…`: where tags pointed, and who moved them."""
        name = self._name(visit)
        tag = _tag(visit.parameter("tag", 128))
        text = visit.parameter("before", 18)
        before = int(text) if text.isascii() and text.isdigit() else None
        answer = await self._browse.repository(visit.caller, name)
        history = await self._browse.tag_history(visit.caller, name, tag, before, _PAGE)
        return self._rendering.page(
            visit, "repository_history.html", repository=answer, history=history, tag=tag, **_may(answer.actions)
        )

    def _name(self, visit: Visit) -> RepositoryName:
        return RepositoryName.parse(visit.request.path_params["name"], self._default_namespace)


def _tag(text: str) -> str | None:
    try:
        return Tag.parse(text).text if text else None
    except InvalidTag:
        return None


def _may(actions: list[str]) -> dict[str, bool]:
    """Tell what of the page's buttons somebody is shown who may do *actions*."""
    everything = "*" in actions
    return {
        "may_push": everything or "push" in actions,
        "may_delete": everything or "delete" in actions,
        "may_own": everything,
    }
