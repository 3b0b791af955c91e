"""What an engine is asked: a tree of conditions on the fields of `catalog.search.fields`, the same for every engine.

    condition ─┬─ All, Nothing
               ├─ Term, Terms, Between, Prefix, Pattern, Near      one field; they do not score
               ├─ Words                                            scored text
               └─ Every, Some, Without                             and, or, not

Values are analysed before they come here (`catalog.search.analysis`): what is compared is compared as it stands.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class All:
    """Every document."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """No document."""


@dataclass(frozen=True, slots=True)
class Term:
    """Documents one of whose values of *field* is *value*."""

    field: str
    value: str


@dataclass(frozen=True, slots=True)
class Terms:
    """Documents one of whose values of *field* is among *values* (at most `MOST_TERMS`; none of them: nothing)."""

    field: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Between:
    """Documents whose number *field* is *least* or more and *most* or less; None leaves an end open."""

    field: str
    least: int | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Prefix:
    """Documents one of whose values of *field* begins with *value*."""

    field: str
    value: str


@dataclass(frozen=True, slots=True)
class Pattern:
    """Documents one of whose values of *field* matches, as a whole, a regular expression of the subset that
    `catalog.search.patterns` lets through."""

    field: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Near:
    """Documents one of whose values of *field* (one of `catalog.search.fields.TYPED`) is *value* but for *distance* (1
    or 2) characters that were put in, left out, replaced or swapped with their neighbour; the first stands."""

    field: str
    value: str
    distance: int


@dataclass(frozen=True, slots=True)
class Words:
    """Scored: documents that hold every one of *words* in one of *fields*, each with its weight; the better the more
    often and the rarer (BM25, the best field of each word counts). A word may have synonyms beside it: any will do."""

    words: tuple[tuple[str, ...], ...]
    fields: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Every:
    """Documents that all of *conditions* hold for (none of them: every document)."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """Documents that at least one of *conditions* holds for (none of them: nothing)."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Without:
    """Documents that *condition* does not hold for."""

    condition: Condition


Condition = All | Nothing | Term | Terms | Between | Prefix | Pattern | Near | Words | Every | Some | Without

#: Values of one `Terms`, at most (OpenSearch and Elasticsearch: `index.max_terms_count`).
MOST_TERMS = 65_536
