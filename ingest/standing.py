"""Which files of an image's layers stand in its merged tree, and where: as its document says it.

A layer may stand in a stack more than once, and says the same each time. So what is told of a file of it holds for all
of these: it is hidden where none of them is seen.
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from catalog.images.facts import ChainFacts
from catalog.search.documents import Placed, file_token


class Standing(NamedTuple):
    """See `ImageDocument`: its fields of these names."""

    hidden: list[str]
    moved: list[str]
    placed: list[Placed]


def standing(chain: ChainFacts) -> Standing:
    """Tell of the files of a stack. Of those that stand elsewhere than their layers say no more are placed than the
    stack says, and its limits tell that the others are found nowhere."""
    diff_ids = chain.diff_ids
    stands = Counter(diff_ids)
    absent = Counter((diff_ids[layer], path) for layer, path in chain.hidden)
    if not chain.strays:
        return Standing([file_token(*file) for file, times in absent.items() if times == stands[file[0]]], [], [])
    moved: Counter[tuple[str, str]] = Counter()
    placed: dict[tuple[str, str, str], bool] = {}
    back: set[tuple[str, str]] = set()
    for stray in chain.strays:
        file = diff_ids[stray.layer], stray.source
        if not stray.link:
            moved[file] += 1
            absent[file] += not stray.hidden
        if stray.path != stray.source:
            key = (stray.path, *file)
            placed[key] = placed.get(key, False) or not stray.hidden
        elif not stray.hidden:
            back.add(file)  # a hard link to it took its own place
    hidden = [file for file, times in absent.items() if times == stands[file[0]] and file not in back]
    return Standing(
        [file_token(*file) for file in hidden],
        [file_token(*file) for file in hidden if moved[file] == stands[file[0]]],
        [Placed(*key, stands_there) for key, stands_there in list(placed.items())[: chain.most_placed]],
    )
