"""Completions of what is being typed: fields, their values, names of repositories and packages."""

from __future__ import annotations

import re
from typing import Literal

from catalog.browse.answers import Suggestion
from catalog.search import analysis
from catalog.search.candidates import kept, packages_in
from catalog.search.compile import beginning
from catalog.search.conditions import Prefix, Terms
from catalog.search.documents import RepositoryDocument
from catalog.search.engine import FacetRequest, SearchRequest
from catalog.search.hits import short_name
from catalog.search.language import FIELDS, Field, Takes, Value, write
from catalog.search.language.parser import LONGEST
from catalog.search.view import View, every

#: Candidates that images have and that the best are chosen from, for each kind of suggestion.
_CANDIDATES = 50

Kind = Literal["repository", "package", "label", "base", "field", "distro"]

_LAST = re.compile(r'(?P<deny>-?)(?:(?P<field>[A-Za-z]+):)?(?P<text>[^\s()":]*(?::[^\s()"]*)?)\Z')

#: Fields whose values are counted in images, with the field of the documents, and the kind of suggestion.
_COUNTED: dict[str, tuple[str, Kind]] = {
    "label": ("label", "label"),
    "anno": ("annotation_key", "label"),
    "base": ("base", "base"),
    "distro": ("distro", "distro"),
    "org": ("namespace", "field"),
    "tag": ("tag", "field"),
    "license": ("license", "field"),
    "env": ("env", "field"),
    "os": ("os", "field"),
    "arch": ("arch", "field"),
    "user": ("user", "field"),
    "port": ("port", "field"),
}
_FOLDED = frozenset(("base", "distro", "org", "license", "os", "arch", "port"))


async def suggestions(view: View, text: str, most: int) -> list[Suggestion]:
    """Complete the last word of *text*: at most *most* suggestions, the best first. Of a text that is no query the
    last word counts all the same."""
    match = _LAST.search(text)
    if match is None or len(text) > LONGEST or not text.isprintable():
        return []
    before, typed = text[: match.end("deny")], match["text"]
    name = (match["field"] or "").lower()
    complete = _Complete(view, before, most)
    if name in FIELDS:
        found = await complete.value(name, typed)
    elif name or not typed:
        found = []
    else:
        found = await complete.word(typed)
    return found[:most]


class _Complete:
    """Completes the text after *before*."""

    def __init__(self, view: View, before: str, most: int) -> None:
        self._view = view
        self._before = before
        self._most = most

    async def word(self, typed: str) -> list[Suggestion]:
        """Complete a word that no field stands before."""
        half = max(self._most // 2, 1)
        repositories = await self._repositories(typed, self._most)
        packages = await self._packages(typed, self._most)
        names = [
            Suggestion("field", f"{name}:", f"{self._before}{name}:", 0)
            for name in FIELDS
            if name.startswith(typed.lower())
        ]
        kept = max(half, self._most - len(packages) - len(names))
        return [*repositories[:kept], *packages[: max(self._most - kept - len(names), 1)], *names, *repositories[kept:]]

    async def value(self, name: str, typed: str) -> list[Suggestion]:
        """Complete a value of the field *name*."""
        takes = FIELDS[name].takes
        if FIELDS[name].choices:
            choices = FIELDS[name].choices
            return [self._suggest("field", name, each, 0) for each in choices if each.startswith(typed.lower())]
        if name == "repo":
            return await self._repositories(typed, self._most)
        if takes is Takes.PACKAGE:
            return await self._packages(typed, self._most)
        if name in _COUNTED:
            return await self._counted(name, typed)
        return []

    async def _repositories(self, typed: str, most: int) -> list[Suggestion]:
        condition = self._view.repositories(beginning(typed)) if typed else self._view.repositories()
        value = analysis.name_value(typed)
        exact = Prefix("last", value) if value else None
        found = await self._view.engine.search(SearchRequest(condition, exact, most=most))
        documents = [hit.document for hit in found.hits if isinstance(hit.document, RepositoryDocument)]
        counts = await self._counts("repository_id", [document.id for document in documents])
        return [
            self._suggest("repository", "repo", short_name(document.name, self._view.default_namespace), count)
            for document, count in zip(documents, counts, strict=True)
        ]

    async def _packages(self, typed: str, most: int) -> list[Suggestion]:
        ecosystem, _, name = typed.rpartition("/") if typed.count("/") == 1 else ("", "", typed)
        value = analysis.name_value(name)
        if not value:
            return []
        condition = every("package", beginning(value))
        if ecosystem:
            condition = every("package", Prefix("package", f"{ecosystem.lower()}/{value}"))
        request = SearchRequest(condition, Terms("name", (value,)))
        rows, _ = await kept(self._view, packages_in("package"), request, self._view.images(), _CANDIDATES)
        rows.sort(key=lambda row: (not row[0].name.lower().startswith(value), -row[1], row[0].name, row[0].ecosystem))
        return [
            self._suggest("package", "package", f"{document.ecosystem}/{document.name}", count)
            for document, count in rows[:most]
        ]

    async def _counted(self, name: str, typed: str) -> list[Suggestion]:
        """Complete by the values that images have, the most frequent first."""
        field, kind = _COUNTED[name]
        value = typed.lower() if name in _FOLDED else typed
        within = self._view.images(Prefix(field, value)) if value else self._view.images()
        (counts,) = await self._view.engine.facets([FacetRequest(field, within, _CANDIDATES * 4)])
        return [
            self._suggest(kind, name, each.value, each.count)
            for each in counts
            if each.value.startswith(value) and not each.value.startswith("sha256:") and "…" not in each.value
        ][: self._most]

    async def _counts(self, field: str, values: list[str]) -> list[int]:
        return await self._view.engine.counts(field, values, self._view.images()) if values else []

    def _suggest(self, kind: Kind, name: str, value: str, count: int) -> Suggestion:
        text = write(Field(name, (Value(value),)))
        return Suggestion(kind, text, f"{self._before}{text}", count)
