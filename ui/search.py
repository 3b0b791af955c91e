"""Search: results of five kinds, what narrows them, and what is suggested while typing."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from catalog.browse import Browse
from catalog.browse.answers import Facet, HitType, SearchAnswer, Suggestion
from catalog.browse.errors import LayerIndexUnavailable, OutOfWindow, QueryError, SearchUnavailable, TooBroad
from ui.formats import link, path_of
from ui.headers import HEADERS
from ui.rendering import Rendering
from ui.visits import Visit

#: What each kind of hit is called.
TITLES: dict[HitType, str] = {
    "repository": "Repositories",
    "image": "Images",
    "package": "Packages",
    "layer": "Layers",
    "file": "Files",
}
#: In which orders hits of a kind can be shown: the language's word, and ours.
SORTS: dict[HitType, list[tuple[str, str]]] = {
    "repository": [("best", "Best match"), ("pushed", "Newest push"), ("pulls", "Most pulled")],
    "image": [("best", "Best match"), ("pushed", "Newest push"), ("size", "Largest"), ("size-asc", "Smallest")],
    "package": [("best", "Best match"), ("images", "In most images"), ("name", "Name")],
    "layer": [("images", "In most images"), ("size", "Largest"), ("size-asc", "Smallest")],
    "file": [("path", "Path"), ("images", "In most images"), ("size", "Largest")],
}
LONGEST = 2000
_PAGE = 25


class Search:
    """`/search`, and what the box asks while one types."""

    def __init__(self, rendering: Rendering, browse: Browse) -> None:
        self._rendering = rendering
        self._browse = browse

    async def show(self, visit: Visit) -> Response:
        """`GET /search?q=…&type=…&sort=…&page=…`."""
        text, sort = visit.parameter("q", LONGEST), visit.parameter("sort", 20)
        kind = next((each for each in TITLES if each == visit.parameter("type", 20)), None)
        try:
            found = await self._browse.search(
                visit.caller, text, type=kind, sort=sort or None, page=visit.page(), size=_PAGE
            )
        except QueryError as error:
            return self._page(visit, text, 400, error=error, better=_better(error))
        except TooBroad as error:
            return self._page(visit, text, 400, broad=error)
        except OutOfWindow as error:
            return self._page(visit, text, 400, beyond=error)
        except (SearchUnavailable, LayerIndexUnavailable) as error:
            return self._page(visit, text, 503, {"Retry-After": str(error.retry_after)}, closed=error)
        return self._page(
            visit, text, found=found, sort=sort, tabs=_tabs(found), facets=_narrowing(found), sorts=SORTS[found.type]
        )

    async def suggestions(self, visit: Visit) -> Response:
        """`GET /search/suggestions?q=…`: the list below the box; nothing where there is none."""
        text = visit.parameter("q", LONGEST)
        try:
            suggestions = await self._browse.suggest(visit.caller, text) if text.strip() else []
        except (QueryError, TooBroad, SearchUnavailable, LayerIndexUnavailable):
            return Response(headers=HEADERS)
        return self._rendering.page(visit, "_suggestions.html", suggestions=list(map(_completion, suggestions)))

    def _page(
        self, visit: Visit, text: str, status: int = 200, headers: dict[str, str] | None = None, /, **values: object
    ) -> Response:
        nothing: dict[str, object] = dict.fromkeys(("found", "error", "better", "broad", "beyond", "closed"))
        kind = visit.parameter("type", 20)
        shown = {
            **nothing,
            "sort": "",
            "tabs": [],
            "facets": [],
            "sorts": [],
            "kind": kind if kind in TITLES else "",
            "box": text,
            "titles": TITLES,
            **values,
        }
        return self._rendering.page(visit, "search.html", status, headers, **shown)


@dataclass(frozen=True, slots=True)
class Completion:
    """A suggestion as it is shown: *text* without the field that its *kind* tells of already, and where it leads."""

    kind: str
    text: str
    count: int
    query: str
    address: str


def _completion(suggestion: Suggestion) -> Completion:
    """Lead to the repository where it is all that is asked for; to what the whole query finds otherwise."""
    _, _, value = suggestion.text.partition(":")
    address = link("/search", q=suggestion.query)
    if suggestion.kind == "repository" and suggestion.query == suggestion.text:
        address = f"/r/{path_of(value)}"
    return Completion(suggestion.kind, value or suggestion.text, suggestion.count, suggestion.query, address)


def _better(error: QueryError) -> str | None:
    """Return the query with the suggestion in place of what was wrong."""
    if error.suggestion is None:
        return None
    wrong, rest = error.text[error.start : error.stop], error.text[error.stop :]
    meant = error.suggestion.removesuffix(":")
    colon = ":" if wrong.endswith(":") or (error.suggestion.endswith(":") and not rest.startswith(":")) else ""
    return error.text[: error.start] + meant + colon + rest


def _narrowing(found: SearchAnswer) -> list[Facet]:
    """Leave out facets of which every choice would find the same as now."""
    return [
        facet
        for facet in found.facets
        if any(value.chosen or found.more or value.count != found.total for value in facet.values)
    ]


def _tabs(found: SearchAnswer) -> list[tuple[HitType, str, int, bool, str]]:
    """List the kinds of hits that there are for these words: title, how many, whether more, and the query for them."""
    others = {each.type: each for each in found.elsewhere}
    tabs: list[tuple[HitType, str, int, bool, str]] = []
    for kind, title in TITLES.items():
        if kind == found.type:
            tabs.append((kind, title, found.total, found.more, found.query))
        elif kind in others:
            other = others[kind]
            tabs.append((kind, title, other.count, other.more, other.query))
    return tabs
