"""Why an image is found: those of its packages, labels, layers and files that were asked for.

What is asked for is looked at once, for all the hits of an answer, and so is the time that looking may take.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from cas.layer_index.patterns import Pattern as Expression
from cas.layer_index.patterns import TooMuchWork
from catalog.search import analysis
from catalog.search.compile import Asked
from catalog.search.conditions import Condition, Nothing, Pattern, Prefix, Some, Term, Terms
from catalog.search.documents import ImageDocument, Placed, file_token

#: Reasons that an image's hit names.
MOST_MATCHED = 10
#: Steps that naming the reasons may take for one pattern.
_WORK = 1_000_000


class Reasons:
    """What was *asked* for, to be named where an image has it."""

    def __init__(self, asked: Asked) -> None:
        self._tests = [(name, _Test(condition)) for name, condition in asked.keywords]
        self._deleted = asked.deleted
        self._paths: dict[str, list[str]] = defaultdict(list)
        for each in asked.files:
            for file in each.files:
                self._paths[file.diff_id.text].append(file.path)
        self._placed: list[Callable[[Placed], bool]] = [each.asks_for() for each in asked.files]

    def __bool__(self) -> bool:
        return bool(self._tests or self._placed)

    def of(self, document: ImageDocument) -> list[str]:
        """Name what was asked for and *document* has; nothing more once that has cost too much."""
        found: dict[str, None] = {}
        try:
            for name, test in self._tests:
                found.update(dict.fromkeys(_values(document, name, test)))
            if self._placed:
                found.update(dict.fromkeys(self._files(document)))
        except TooMuchWork:
            pass
        return list(found)[:MOST_MATCHED]

    def _files(self, document: ImageDocument) -> list[str]:
        """Return the paths of the files that the image has; those that it hides are last, and say so."""
        hidden, moved = set(document.hidden), set(document.moved)
        shown: dict[str, None] = {}
        gone: dict[str, None] = {}
        for diff_id in document.diff_ids:
            for path in self._paths.get(diff_id, ()):
                token = file_token(diff_id, path)
                if token not in moved:
                    (gone if token in hidden else shown)[f"/{path}"] = None
        for each in document.placed:
            if any(test(each) for test in self._placed):
                (shown if each.stands else gone)[f"/{each.path}"] = None
        if self._deleted:
            shown = {} if self._deleted == "yes" else shown
            return [*shown, *(f"{path} (deleted)" for path in gone)]
        return list(shown)


def _values(document: ImageDocument, name: str, test: _Test) -> Iterable[str]:
    """Give those of a document's values of one field that *test* holds for, as they are shown."""
    shown: Iterable[tuple[str, tuple[str, ...]]]
    match name:
        case "package" | "removed":
            packages = document.packages if name == "package" else document.removed
            shown = (
                (f"{package}@{version}", (package.lower(), f"{package.lower()}@{version}"))
                for package, version in test.among(packages)
            )
        case "label" | "annotation":
            pairs = document.labels if name == "label" else document.annotations
            shown = ((f"{key}={value}", (key, analysis.pair_value(key, value))) for key, value in pairs.items())
        case _:
            shown = ((digest, (digest,)) for digest in (*document.layers, *document.diff_ids))
    return [text for text, values in shown if any(map(test.holds, values))]


class _Test:
    """Whether a value is one that a condition on a single field asks for."""

    def __init__(self, condition: Condition) -> None:
        self._values: set[str] = set()
        self._prefixes: list[str] = []
        self._patterns: list[Expression] = []
        self._add(condition)
        self._names = {*self._values, *(value.rpartition("@")[0] for value in self._values)}

    def _add(self, condition: Condition) -> None:
        match condition:
            case Term(_, value):
                self._values.add(value)
            case Terms(_, values):
                self._values.update(values)
            case Prefix(_, value):
                self._prefixes.append(value)
            case Pattern(_, pattern):
                # Behind the key of a label, which may be of any length, it may be too large: then it is no reason.
                with suppress(ValueError):
                    self._patterns.append(Expression(pattern, _WORK))
            case Some(conditions):
                for each in conditions:
                    self._add(each)
            case Nothing():
                pass
            case _:
                raise AssertionError(f"{condition} is not about a single field")

    def among(self, packages: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
        """Leave out those of hundreds of packages whose names are in no value that is asked for."""
        if self._prefixes or self._patterns:
            return packages
        return [each for each in packages if each[0].lower() in self._names]

    def holds(self, value: str) -> bool:
        return (
            value in self._values
            or any(map(value.startswith, self._prefixes))
            or any(pattern.matches(value) for pattern in self._patterns)
        )
