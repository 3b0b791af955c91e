"""What conditions mean, in plain Python: engines and the query language are held against it."""

from __future__ import annotations

import re
from typing import assert_never

from catalog.search.analysis import Values
from catalog.search.conditions import (
    All,
    Between,
    Condition,
    Every,
    Near,
    Nothing,
    Pattern,
    Prefix,
    Some,
    Term,
    Terms,
    Without,
    Words,
)


def evaluate(condition: Condition, fields: Values) -> bool:
    """Tell whether *condition* holds for a document whose values are *fields* (`catalog.search.analysis.analyse`)."""
    match condition:
        case All():
            return True
        case Nothing():
            return False
        case Term(field, value):
            return value in values_of(fields, field)
        case Terms(field, values):
            return not set(values).isdisjoint(values_of(fields, field))
        case Between(field, least, most):
            number = fields.get(field)
            if number is None:
                return False
            assert isinstance(number, int), f"{field} is no number"
            return (least is None or least <= number) and (most is None or number <= most)
        case Prefix(field, value):
            return any(each.startswith(value) for each in values_of(fields, field))
        case Pattern(field, pattern):
            compiled = re.compile(pattern, re.ASCII | re.DOTALL)
            return any(compiled.fullmatch(each) for each in values_of(fields, field))
        case Near(field, value, distance):
            return any(near(each, value, distance) for each in values_of(fields, field))
        case Words(words, weighted):
            held = {value for field, _ in weighted for value in values_of(fields, field)}
            return all(any(synonym in held for synonym in synonyms) for synonyms in words)
        case Every(conditions):
            return all(evaluate(each, fields) for each in conditions)
        case Some(conditions):
            return any(evaluate(each, fields) for each in conditions)
        case Without(without):
            return not evaluate(without, fields)
        case _:
            assert_never(condition)


def values_of(fields: Values, field: str) -> list[str]:
    """Return a document's values of a keyword or text."""
    values = fields.get(field, [])
    assert isinstance(values, list), f"{field} is a number"
    return values


def near(left: str, right: str, distance: int) -> bool:
    """Tell whether two texts begin with the same character and are at most *distance* insertions, deletions,
    replacements and swaps of neighbours apart."""
    return left[:1] == right[:1] and edits(left, right) <= distance


def edits(left: str, right: str) -> int:
    """Return the distance of optimal string alignment."""
    rows = [[0] * (len(right) + 1) for _ in range(len(left) + 1)]
    for i in range(len(left) + 1):
        rows[i][0] = i
    for j in range(len(right) + 1):
        rows[0][j] = j
    for i in range(1, len(left) + 1):
        for j in range(1, len(right) + 1):
            same = left[i - 1] == right[j - 1]
            rows[i][j] = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + (not same))
            if i > 1 and j > 1 and left[i - 1] == right[j - 2] and left[i - 2] == right[j - 1]:
                rows[i][j] = min(rows[i][j], rows[i - 2][j - 2] + 1)
    return rows[-1][-1]
