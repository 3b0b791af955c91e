"""What a regular expression is made of, once it was read (`catalog.search.patterns`)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Characters:
    """One character: among *codes*, or (*negated*) none of them."""

    codes: frozenset[int]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other; none of them is the empty text."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """Any of them."""

    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """*node*, *least* times or more, at most *most* times; None: as often as one likes."""

    node: Node
    least: int
    most: int | None


Node = Characters | Sequence | Choice | Repeat

#: Any character.
ANY = Characters(frozenset(), negated=True)
