"""What a caller may read, as a condition that every search, count, facet and suggestion is narrowed by.

Documents say who owns their repository and whether it is public; they lag behind the database. A repository that is
*less* visible than they say is in the table `tightened` until they were written anew, and is judged by its row instead:
who may still read it finds it, nobody else does.

The order matters: this is read before the engine is asked. A row is removed from the table only when every reader's
next answer counts the new documents, so that what is not in it is right in the index.
"""

from __future__ import annotations

from collections.abc import Iterable

from auth.access import Visible
from cas import RepositoryName
from catalog.metadata import tightened
from catalog.search.conditions import (
    MOST_TERMS,
    All,
    Condition,
    Every,
    Nothing,
    Prefix,
    Some,
    Term,
    Terms,
    Without,
)
from database.protocol import Reader


async def readable(reader: Reader, visible: Visible) -> Condition:
    """Return the condition that holds for documents of repositories that *visible* admits at this moment."""
    denied = [
        row_id
        for row_id, name, public in await tightened.as_they_are(reader)
        if name is None or not visible.admits(RepositoryName(name), public)
    ]
    conditions = [_whose(visible), _within_limits(visible)]
    if denied:
        conditions.append(Without(terms("repository_id", denied)))
    narrowing = tuple(each for each in conditions if each != All())
    return Every(narrowing) if narrowing else All()


def terms(field: str, values: Iterable[str]) -> Condition:
    """Return the condition that a value of *field* is among *values*, however many these are."""
    every = tuple(dict.fromkeys(values))
    if len(every) <= MOST_TERMS:
        return Terms(field, every) if every else Nothing()
    pieces = (every[start : start + MOST_TERMS] for start in range(0, len(every), MOST_TERMS))
    return Some(tuple(Terms(field, piece) for piece in pieces))


def _whose(visible: Visible) -> Condition:
    if visible.everything:
        return All()
    public = Term("public", "yes")
    return Some((public, terms("namespace", sorted(visible.namespaces)))) if visible.namespaces else public


def _within_limits(visible: Visible) -> Condition:
    if visible.limits is None:
        return All()
    admitted: list[Condition] = []
    for pattern, actions in visible.limits.repositories:
        if not {"pull", "*"} & actions:
            continue
        if pattern.open and not pattern.text:
            return All()
        admitted.append(Prefix("repository", pattern.text) if pattern.open else Term("repository", pattern.text))
    return Some(tuple(admitted)) if admitted else Nothing()
