"""From `catalog.search.conditions` to tantivy's queries.

What tantivy does otherwise than one would think, and what is done about it:

- A query of negations alone finds nothing: every negation stands beside a query for everything.
- Whether a keyword scores depends on its field's norms: filters score nothing, whatever they are.
- A range without ends, a phrase of one word, a limit of 0 end in an exception or a panic: none is ever made.
- `.` of a regular expression is any character but a line's end: all of them are made to mean any.
- A fuzzy query may change the first character: it is asked of a field where that would take too many changes.
- Tombstones are documents too: "everything" leaves them out, and no other query can find one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
from typing import assert_never

import tantivy
from tantivy import FieldType, Occur, Query

from catalog.search.analysis import MOST_NUMBER
from catalog.search.conditions import (
    MOST_TERMS,
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
from catalog.search.errors import TooBroad
from catalog.search.fields import FIELDS, TYPED, Type
from catalog.search.pattern_cost import MOST_STATES
from catalog.search.tantivy_schema import STATE, near_field, near_value

#: What a filter scores where it stands beside words and one of them is enough: less than any word.
_BESIDE_WORDS = 0.01

#: Values that are looked up one by one. For a set of terms an automaton walks through the dictionary, which takes three
#: times as long for 1,000 of them and still twice for 10,000; but each that is looked up takes some memory meanwhile.
_FEW = 5_000

#: States of the automata that are kept, some 4 KiB each.
_MOST_STATES_KEPT = 16_000

#: States of `.*`.
_AFTER_PREFIX = 20

_SPECIAL = frozenset(r"\.+*?()|[]{}^$#&-~")


class Queries:
    """Translates conditions; *tombstones* says whether there are any to be left out."""

    def __init__(self, schema: tantivy.Schema, tombstones: bool = True) -> None:
        self._schema = schema
        self._tombstones = tombstones
        self._automata = _Automata(schema)

    def filter(self, condition: Condition) -> Query:
        """Return a query for exactly the documents of *condition*; what it scores means nothing."""
        match condition:
            case All():
                return self._everything()
            case Nothing():
                return Query.empty_query()
            case Term(field, value):
                return self.term(field, value)
            case Terms(field, values):
                return self.terms(field, values)
            case Between(field, least, most):
                return self._between(field, least, most)
            case Prefix(field, value):
                _require(field, Type.KEYWORD, Type.TEXT)
                if not is_text(value):
                    return Query.empty_query()
                return self._matching(field, f"{_escaped(value)}.*", len(value.encode()) + _AFTER_PREFIX)
            case Pattern(field, pattern):
                _require(field, Type.KEYWORD, Type.TEXT)
                return self._matching(field, pattern)
            case Near():
                return self._near(condition)
            case Words():
                return self._words(condition)
            case Every(conditions):
                return self._every(conditions, self.filter)
            case Some(conditions):
                return _any([self.filter(each) for each in conditions])
            case Without(without):
                return self._every((Without(without),), self.filter)
            case _:
                assert_never(condition)

    def scored(self, condition: Condition) -> Query:
        """Return a query for exactly the documents of *condition*, scored by the words in it."""
        if not scores(condition):
            return Query.const_score_query(self.filter(condition), 0.0)
        match condition:
            case Words():
                return self._words(condition)
            case Every(conditions):
                return self._every(conditions, self.scored)
            case Some(conditions):
                return _any(
                    [
                        self.scored(each) if scores(each) else _constant(self.filter(each), _BESIDE_WORDS)
                        for each in conditions
                    ]
                )
            case _:
                raise AssertionError(f"{type(condition).__name__} does not score")

    def term(self, field: str, value: str) -> Query:
        """Return a query for *value* in *field*."""
        _require(field, Type.KEYWORD, Type.TEXT)
        return self._term(field, value) if is_text(value) else Query.empty_query()

    def terms(self, field: str, values: Sequence[str]) -> Query:
        """Return a query for one of *values* in *field*."""
        _require(field, Type.KEYWORD, Type.TEXT)
        if len(values) > MOST_TERMS:
            raise ValueError(f"{len(values)} values of {field}: at most {MOST_TERMS}")
        values = [value for value in values if is_text(value)]
        if len(values) <= _FEW:
            return _any([self._term(field, value) for value in values])
        return Query.term_set_query(self._schema, field, values)

    def without_value(self, condition: Query, field: str) -> Query:
        """Return a query for what *condition* finds that has no number *field*."""
        return Query.boolean_query([(Occur.Must, condition), (Occur.MustNot, Query.exists_query(field))])

    def with_value(self, condition: Query, field: str, value: float) -> Query:
        """Return a query for what *condition* finds whose number *field* is *value*."""
        kind = FieldType.Unsigned if field in FIELDS else FieldType.Float
        return both(condition, Query.range_query(self._schema, field, kind, value, value))

    def _everything(self) -> Query:
        if not self._tombstones:
            return Query.all_query()
        return Query.boolean_query([(Occur.Must, Query.all_query()), (Occur.MustNot, self._term(STATE, "gone"))])

    def _term(self, field: str, value: str) -> Query:
        return Query.term_query(self._schema, field, value, "basic")

    def _between(self, field: str, least: int | None, most: int | None) -> Query:
        _require(field, Type.NUMBER)
        least = max(least or 0, 0)
        most = MOST_NUMBER if most is None else min(most, MOST_NUMBER)
        if least > most:
            return Query.empty_query()
        return Query.range_query(self._schema, field, FieldType.Unsigned, least, most)

    def _matching(self, field: str, pattern: str, states: int = MOST_STATES) -> Query:
        try:
            return self._automata.query(field, f"(?s:{pattern})", states)
        except ValueError as error:
            # The beginning of a value, or the key of a label, may be that long; what was checked is never refused.
            raise TooBroad(f"/{pattern}/", "the regular expression has too many ways to match") from error

    def _near(self, near: Near) -> Query:
        if near.field not in TYPED:
            raise ValueError(f"{near.field} is not among {', '.join(sorted(TYPED))}")
        if near.distance not in (1, 2):
            raise ValueError(f"a distance of {near.distance}: 1 or 2")
        if not near.value or not is_text(near.value):
            return Query.empty_query()
        return Query.fuzzy_term_query(self._schema, near_field(near.field), near_value(near.value), near.distance)

    def _words(self, words: Words) -> Query:
        for field, _ in words.fields:
            _require(field, Type.KEYWORD, Type.TEXT)
        if not words.words:
            return self._everything()
        return _all([self._word(synonyms, words.fields) for synonyms in words.words])

    def _word(self, synonyms: Sequence[str], fields: Sequence[tuple[str, float]]) -> Query:
        found = [
            Query.boost_query(Query.term_query(self._schema, field, synonym, "freq"), weight)
            for synonym in synonyms
            if is_text(synonym)
            for field, weight in fields
        ]
        if len(found) > 1:
            return Query.disjunction_max_query(found)
        return found[0] if found else Query.empty_query()

    def _every(self, conditions: Sequence[Condition], translate: Callable[[Condition], Query]) -> Query:
        """Return the conjunction, its negations and what it must hold in one level."""
        clauses: list[tuple[Occur, Query]] = []
        positive = False
        for condition in conditions:
            match condition:
                case Without(without):
                    clauses.append((Occur.MustNot, self.filter(without)))
                case All():
                    pass
                case _:
                    clauses.append((Occur.Must, translate(condition)))
                    positive = True
        if not positive:
            clauses.append((Occur.Must, self._everything()))
        return clauses[0][1] if len(clauses) == 1 else Query.boolean_query(clauses)


class _Automata:
    """Queries for patterns. Each is made once as long as it is among those that were asked for lately: an answer asks
    for the same ones again, for each facet and each count."""

    def __init__(self, schema: tantivy.Schema) -> None:
        self._schema = schema
        self._lock = Lock()
        self._kept: OrderedDict[tuple[str, str], tuple[Query, int]] = OrderedDict()
        self._states = 0

    def query(self, field: str, pattern: str, states: int) -> Query:
        """Return the query for values of *field* that match *pattern*, whose automaton has at most *states* states.

        Raises:
            ValueError: tantivy refuses it.
        """
        with self._lock:
            if (field, pattern) in self._kept:
                self._kept.move_to_end((field, pattern))
                return self._kept[field, pattern][0]
            query = Query.regex_query(self._schema, field, pattern)
            self._kept[field, pattern] = query, states
            self._states += states
            while self._states > _MOST_STATES_KEPT:
                self._states -= self._kept.popitem(last=False)[1][1]
            return query


def scores(condition: Condition) -> bool:
    """Tell whether there are words in *condition* that a document may be scored by."""
    match condition:
        case Words():
            return True
        case Every(conditions) | Some(conditions):
            return any(scores(each) for each in conditions)
        case _:
            return False


def total(result: tantivy.SearchResult) -> int:
    """Return how many documents were found in all."""
    count: int = result.count  # type: ignore[attr-defined]
    return count


def both(left: Query, right: Query) -> Query:
    """Return a query for what *left* and *right* find."""
    return _all([left, right])


def _all(queries: Sequence[Query]) -> Query:
    return queries[0] if len(queries) == 1 else Query.boolean_query([(Occur.Must, query) for query in queries])


def _any(queries: Sequence[Query]) -> Query:
    if not queries:
        return Query.empty_query()
    return queries[0] if len(queries) == 1 else Query.boolean_query([(Occur.Should, query) for query in queries])


def _constant(query: Query, score: float) -> Query:
    return Query.const_score_query(query, score)


def _require(field: str, *kinds: Type) -> None:
    if FIELDS.get(field) not in kinds:
        raise ValueError(f"{field} is no {' or '.join(kind.value for kind in kinds)}")


def is_text(value: str) -> bool:
    """Tell whether an engine can be given *value*: it has no lone surrogates. No document has one that has."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _escaped(text: str) -> str:
    return "".join([f"\\{character}" if character in _SPECIAL else character for character in text])
