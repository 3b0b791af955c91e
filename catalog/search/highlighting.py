"""Which pieces of a text are what was searched for."""

from __future__ import annotations

import re
from collections.abc import Iterable

from catalog.browse.answers import Piece
from catalog.search import analysis
from catalog.search.language import And, Form, Node, Or, Term

#: Characters of an excerpt of a description.
EXCERPT = 240
_BEFORE = 60


class Marker:
    """Marks the words of one query."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        words: dict[str, None] = {}
        for term in _terms(nodes):
            if term.form is Form.BEGINNING:
                words[term.text] = None
            for synonyms in analysis.words(term.text):
                words.update(dict.fromkeys(synonyms))
        longest_first = sorted((word for word in words if word), key=len, reverse=True)
        alternatives = "|".join(map(re.escape, longest_first))
        self._words = re.compile(rf"(?<![^\W\d_])(?:{alternatives})|(?<!\d)(?:{alternatives})", re.IGNORECASE)
        self._nothing = not longest_first

    def mark(self, text: str) -> list[Piece]:
        """Cut *text* into pieces."""
        pieces: list[Piece] = []
        position = 0
        for match in () if self._nothing else self._words.finditer(text):
            if match.start() > position:
                pieces.append(Piece(text[position : match.start()]))
            pieces.append(Piece(match.group(), marked=True))
            position = match.end()
        if position < len(text) or not pieces:
            pieces.append(Piece(text[position:]))
        return pieces

    def excerpt(self, text: str) -> list[Piece]:
        """Cut the part of *text* into pieces where the first word stands, or its beginning."""
        text = " ".join(text[:20_000].split())
        start = 0
        if len(text) > EXCERPT and not self._nothing and (match := self._words.search(text)):
            start = min(max(match.start() - _BEFORE, 0), len(text) - EXCERPT)
            if start:
                start = text.find(" ", start, start + 20) + 1 or start
        shown = text[start : start + EXCERPT]
        return self.mark(f"{'… ' if start else ''}{shown}{' …' if start + EXCERPT < len(text) else ''}")


def _terms(nodes: Iterable[Node]) -> Iterable[Term]:
    """Give the free words that are not denied."""
    for node in nodes:
        if isinstance(node, Term):
            yield node
        elif isinstance(node, And | Or):
            yield from _terms(node.nodes)
