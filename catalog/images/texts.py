"""How much is kept of what somebody wrote into a config or a manifest: texts, and texts by name (labels, annotations).

What is too much or too long is left out or cut, and that is told in words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

#: Labels, or annotations, that are kept.
MOST_NAMED = 2_000
#: Characters of one text, and of all texts of one member together.
LONGEST_TEXT = 64 << 10
MOST_TEXT = 2 << 20
#: Characters of what is a word or a path: a name, a platform, a user, a signal.
LONGEST_WORD = 1_024
#: Limits that are told.
MOST_LIMITS = 100

_NUL = re.compile("\0")


class Limits(list[str]):
    """What was left out, the first hundred times."""

    def append(self, limit: str) -> None:
        """Tell of one more, if there is room."""
        if len(self) < MOST_LIMITS:
            super().append(limit)


def clean(text: str) -> str:
    """Replace what no database and no search engine takes."""
    return _NUL.sub("\ufffd", text)


def fitting(texts: Iterable[str], where: str, limits: Limits) -> Iterator[str]:
    """Give those of *texts* that there is room for, each cut to what one may have; *where* they stand is told."""
    room = MOST_TEXT
    for text in texts:
        kept = clean(text[:LONGEST_TEXT])
        if len(kept) < len(text):
            limits.append(f"{where}: a text is cut to {LONGEST_TEXT} of {len(text)} characters")
        room -= len(kept)
        if room < 0:
            limits.append(f"{where}: texts after the first {MOST_TEXT} characters left out")
            return
        yield kept


def fitting_by_name(
    found: Mapping[str, T], text_of: Callable[[T], str | None], where: str, limits: Limits
) -> dict[str, str]:
    """Return those of the texts *found* by name that there is room for; *text_of* reads one, None where it is none."""
    if len(found) > MOST_NAMED:
        limits.append(f"{where}: {len(found) - MOST_NAMED} of {len(found)} left out")
    read = {name: text_of(each) for name, each in islice(found.items(), MOST_NAMED)}
    texts = {name: text for name, text in read.items() if text is not None}
    if len(texts) < len(read):
        limits.append(f"{where}: {len(read) - len(texts)} of {len(read)} are not texts")
    names = [name for name in texts if len(name) <= LONGEST_WORD]
    if len(names) < len(texts):
        limits.append(f"{where}: names of more than {LONGEST_WORD} characters left out")
    values = fitting((texts[name] for name in names), where, limits)
    return {clean(name): text for name, text in zip(names, values, strict=False)}
