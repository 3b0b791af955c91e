"""Why an image is found: those of its packages, labels, layers and files that were asked for.

What is asked for is looked at once, for all the hits of an answer, and so is the time that looking may take.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import msgspec

from cas.layer_index.patterns import Pattern as Expression
from cas.layer_index.patterns import TooMuchWork
from catalog.search import analysis
from catalog.search.compile import Asked
from catalog.search.conditions import Condition, Nothing, Pattern, Prefix, Some, Term, Terms
from catalog.search.documents import Placed, file_token
from catalog.search.engine import Hit

#: Reasons that an image's hit names.
MOST_MATCHED = 10
#: Steps that naming the reasons may take for one pattern.
_WORK = 1_000_000


# What is read of an image's document (`catalog.search.documents.ImageDocument`), each where it is asked for.


class _Holds(msgspec.Struct):
    packages: list[tuple[str, str]] = []
    removed: list[tuple[str, str]] = []


class _Says(msgspec.Struct):
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    layers: list[str] = []
    diff_ids: list[str] = []


class _Stands(msgspec.Struct):
    diff_ids: list[str] = []
    hidden: list[str] = []
    moved: list[str] = []
    placed: list[Placed] = []


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

    def of(self, image: Hit) -> list[str]:
        """Name what was asked for and *image* has; nothing more once that has cost too much."""
        found: dict[str, None] = {}
        try:
            for name, test in self._tests:
                values = _packages if name in ("package", "removed") else _others
                found.update(dict.fromkeys(values(image, name, test)))
            if self._placed:
                found.update(dict.fromkeys(self._files(image.part(_Stands))))
        except TooMuchWork:
            pass
        return list(found)[:MOST_MATCHED]

    def _files(self, document: _Stands) -> list[str]:
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


def _packages(image: Hit, name: str, test: _Test) -> Iterator[str]:
    """Give those of an image's packages that *test* holds for, as they are shown."""
    held = image.part(_Holds)
    for package, version in test.among(held.packages if name == "package" else held.removed):
        lowered = package.lower()
        if test.holds(lowered) or test.holds(f"{lowered}@{version}"):
            yield f"{package}@{version}"


def _others(image: Hit, name: str, test: _Test) -> Iterator[str]:
    """Give those of an image's values of another field that *test* holds for, as they are shown."""
    said = image.part(_Says)
    if name == "layer":
        yield from filter(test.holds, (*said.layers, *said.diff_ids))
        return
    for key, value in (said.labels if name == "label" else said.annotations).items():
        if test.holds(key) or test.holds(analysis.pair_value(key, value)):
            yield f"{key}={value}"


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
