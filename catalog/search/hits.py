"""From documents to what people are shown of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from cas import RepositoryName
from cas.layer_index.patterns import Pattern as Expression
from cas.layer_index.patterns import TooMuchWork
from catalog.browse.answers import ImageHit, Piece, RepositoryHit
from catalog.search import analysis
from catalog.search.compile import Asked
from catalog.search.conditions import Condition, Nothing, Pattern, Prefix, Some, Term, Terms
from catalog.search.documents import ImageDocument, RepositoryDocument, file_token
from catalog.search.files import AskedFiles
from catalog.search.highlighting import Marker

#: Reasons that an image's hit names.
MOST_MATCHED = 10
#: Characters of a description in a hit.
_DESCRIPTION = 1_000
#: Steps that naming the reasons may take for one pattern.
_WORK = 200_000


def short_name(name: str, default_namespace: str) -> str:
    """Return the name of a repository as people write it."""
    return RepositoryName(name).short(default_namespace)


def repository_hit(document: RepositoryDocument, default_namespace: str, marker: Marker) -> RepositoryHit:
    """Return what is shown of a repository."""
    name = short_name(document.name, default_namespace)
    return RepositoryHit(
        name=name,
        description=document.description[:_DESCRIPTION],
        public=document.public,
        official=document.official,
        deprecated=document.deprecated,
        pulls=document.pulls,
        pushed=document.pushed,
        tags=document.tags,
        platforms=list(document.platforms),
        marked_name=marker.mark(name),
        marked_description=marker.excerpt(document.description) if document.description else [],
    )


def image_hit(
    document: ImageDocument, default_namespace: str, marker: Marker | None = None, asked: Asked | None = None
) -> ImageHit:
    """Return what is shown of an image; what was *asked* for is named where the image has it."""
    name = short_name(document.repository, default_namespace)
    distro = document.distro_name or " ".join(part for part in document.distro or () if part)
    return ImageHit(
        repository=name,
        digest=document.digest,
        tags=list(document.tags),
        platform=document.platform,
        size=document.size,
        pushed=document.pushed,
        distro=distro,
        public=document.public,
        deprecated=document.deprecated,
        layers=len(document.layers),
        packages=len(document.packages),
        matched=_matched(document, asked) if asked is not None else [],
        marked_name=marker.mark(name) if marker is not None else [Piece(name)],
    )


def _matched(document: ImageDocument, asked: Asked) -> list[str]:
    found: dict[str, None] = {}
    for name, condition in asked.keywords:
        found.update(dict.fromkeys(_values(document, name, condition)))
    if asked.files:
        found.update(dict.fromkeys(_paths(document, asked)))
    return list(found)[:MOST_MATCHED]


def _values(document: ImageDocument, name: str, condition: Condition) -> Iterable[str]:
    """Give those of a document's values of one field that *condition* holds for, as they are shown."""
    shown: Iterable[tuple[str, tuple[str, ...]]]
    match name:
        case "package" | "removed":
            packages = document.packages if name == "package" else document.removed
            shown = (
                (f"{package}@{version}", (package.lower(), f"{package.lower()}@{version}"))
                for package, version in packages
            )
        case "label" | "annotation":
            pairs = document.labels if name == "label" else document.annotations
            shown = ((f"{key}={value}", (key, analysis.pair_value(key, value))) for key, value in pairs.items())
        case _:
            shown = ((digest, (digest,)) for digest in (*document.layers, *document.diff_ids))
    try:
        test = _Test(condition)
        return [text for text, values in shown if any(map(test.holds, values))]
    except TooMuchWork:
        return []


class _Test:
    """Whether a value is one that a condition on a single field asks for."""

    def __init__(self, condition: Condition) -> None:
        self._values: set[str] = set()
        self._prefixes: list[str] = []
        self._patterns: list[Expression] = []
        self._add(condition)

    def _add(self, condition: Condition) -> None:
        match condition:
            case Term(_, value):
                self._values.add(value)
            case Terms(_, values):
                self._values.update(values)
            case Prefix(_, value):
                self._prefixes.append(value)
            case Pattern(_, pattern):
                self._patterns.append(Expression(pattern, _WORK))
            case Some(conditions):
                for each in conditions:
                    self._add(each)
            case Nothing():
                pass
            case _:
                raise AssertionError(f"{condition} is not about a single field")

    def holds(self, value: str) -> bool:
        return (
            value in self._values
            or any(map(value.startswith, self._prefixes))
            or any(pattern.matches(value) for pattern in self._patterns)
        )


def _paths(document: ImageDocument, asked: Asked) -> list[str]:
    """Return the paths of the files asked for that the image has; those that it hides are last, and say so."""
    by_layer: dict[str, list[str]] = defaultdict(list)
    for each in asked.files:
        for file in each.files:
            by_layer[file.diff_id.text].append(file.entry.path)
    hidden, moved = set(document.hidden), set(document.moved)
    shown: dict[str, None] = {}
    gone: dict[str, None] = {}
    for diff_id in document.diff_ids:
        for path in by_layer.get(diff_id, ()):
            token = file_token(diff_id, path)
            if token not in moved:
                (gone if token in hidden else shown)[f"/{path}"] = None
    for path, stands in _placed(document, asked.files):
        (shown if stands else gone)[f"/{path}"] = None
    if asked.deleted:
        shown = {} if asked.deleted == "yes" else shown
        return [*shown, *(f"{path} (deleted)" for path in gone)]
    return list(shown)


def _placed(document: ImageDocument, asked: Iterable[AskedFiles]) -> Iterable[tuple[str, bool]]:
    """Give the paths of files asked for that stand elsewhere than their layers have them, and whether they do still."""
    tests = [each.asks_for() for each in asked] if document.placed else []
    try:
        return [(each.path, each.stands) for each in document.placed if any(test(each) for test in tests)]
    except TooMuchWork:
        return []
