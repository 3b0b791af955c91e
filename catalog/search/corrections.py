"""Typing errors: which word was probably meant, among the names that the caller may see."""

from __future__ import annotations

from catalog.search import analysis
from catalog.search.conditions import Near
from catalog.search.documents import ImageDocument, RepositoryDocument
from catalog.search.engine import SearchRequest
from catalog.search.language import Form, Node, Term
from catalog.search.language.nearest import edits
from catalog.search.question import Question
from catalog.search.view import View

#: Hits below which a query is thought to hold typing errors.
FEW = 3
#: Characters from which one, and two, of a word may be wrong.
_ONE, _TWO = 4, 8
#: Documents whose names are looked at, the best first.
_LOOKED_AT = 20
#: Words of a query that are looked at.
_MOST_WORDS = 5


async def corrected(view: View, question: Question) -> tuple[Node, ...] | None:
    """Return the conditions with the words that were probably meant, None where they are as good as they can be."""
    nodes: list[Node] = []
    changed = tried = 0
    for node in question.nodes:
        meant = None
        if isinstance(node, Term) and node.form is Form.WHOLE and not node.quoted and tried < _MOST_WORDS:
            tried += 1
            meant = await _meant(view, node.text)
        changed += meant is not None
        nodes.append(node if meant is None else Term(meant))
    return tuple(nodes) if changed else None


async def _meant(view: View, text: str) -> str | None:
    """Return the word of a visible name that *text* is nearest to, None where it is one itself or none is near."""
    word = text.casefold()
    if len(word) < _ONE or not word.replace("-", "").replace("_", "").isalnum():
        return None
    distance = 1 if len(word) < _TWO else 2
    near = Near("words", word, distance)
    request = SearchRequest(view.repositories(near), most=_LOOKED_AT)
    best: tuple[int, int, str] | None = None
    for place, hit in enumerate((await view.engine.search(request)).hits):
        assert isinstance(hit.document, RepositoryDocument | ImageDocument), "only these are of that kind"
        name = hit.document.name if isinstance(hit.document, RepositoryDocument) else hit.document.repository
        for candidate in analysis.words_of([name]):
            apart = edits(word, candidate, distance)
            if apart == 0:
                return None
            if apart <= distance and (best is None or (apart, place) < best[:2]):
                best = (apart, place, candidate)
    return best[2] if best is not None else None
