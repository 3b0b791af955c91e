"""What a query says, as a tree: the one form that texts, chips and facets are views of.

    node ─┬─ Term                    a free word, the beginning of one, or a phrase
          ├─ Field ── Value, …       NAME:VALUE, with one or several values
          ├─ Not                     of one node that is no Not
          └─ And, Or                 of nodes that are not of the same kind; And of none says nothing: everything

Trees are made by `word`, `both`, `either` and `negated` alone, which keep them in that form: so two texts that say the
same in the same order have equal trees. Positions (*start* to *stop*, in characters) take no part in comparing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum


class Form(Enum):
    """How a text is meant: whole, as a beginning (``deb*``), as a regular expression (``/v[0-9]+/``)."""

    WHOLE = "whole"
    BEGINNING = "beginning"
    PATTERN = "pattern"


@dataclass(frozen=True, slots=True)
class Term:
    """A free word. In *quotes* it is meant as it stands: it is not completed and not corrected. Never a pattern."""

    text: str
    form: Form = Form.WHOLE
    quoted: bool = False
    start: int = field(default=0, compare=False)
    stop: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a field; *operator* is ``<``, ``<=``, ``>``, ``>=``, ``=``, ``!=`` or empty."""

    text: str
    form: Form = Form.WHOLE
    operator: str = ""
    start: int = field(default=0, compare=False)
    stop: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Field:
    """``NAME:VALUE,VALUE``, or ``NAME.KEY:VALUE``."""

    name: str
    values: tuple[Value, ...]
    key: str | None = None
    start: int = field(default=0, compare=False)
    stop: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    """What *node* does not hold for."""

    node: Node
    start: int = field(default=0, compare=False)
    stop: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class And:
    """What all of *nodes* hold for."""

    nodes: tuple[Node, ...]
    start: int = field(default=0, compare=False)
    stop: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Or:
    """What at least one of *nodes* holds for."""

    nodes: tuple[Node, ...]
    start: int = field(default=0, compare=False)
    stop: int = field(default=0, compare=False)


Node = Term | Field | Not | And | Or

#: The query that asks for nothing in particular.
EVERYTHING = And(())


def both(nodes: Iterable[Node], start: int = 0, stop: int = 0) -> Node:
    """Join *nodes* by "and"."""
    flat: list[Node] = []
    for node in nodes:
        flat.extend(node.nodes if isinstance(node, And) else (node,))
    return flat[0] if len(flat) == 1 else And(tuple(flat), start, stop)


def either(nodes: Iterable[Node], start: int = 0, stop: int = 0) -> Node:
    """Join *nodes*, one at least, by "or"."""
    flat: list[Node] = []
    for node in nodes:
        flat.extend(node.nodes if isinstance(node, Or) else (node,))
    return flat[0] if len(flat) == 1 else Or(tuple(flat), start, stop)


def negated(node: Node, start: int = 0, stop: int = 0) -> Node:
    """Deny *node*; who denies twice says nothing."""
    return node.node if isinstance(node, Not) else Not(node, start, stop)


def conjuncts(node: Node) -> tuple[Node, ...]:
    """Return the nodes that all have to hold, which chips and facets take out and put in."""
    return node.nodes if isinstance(node, And) else (node,)
