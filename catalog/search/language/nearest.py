"""What was probably meant: the nearest of several words."""

from __future__ import annotations

from collections.abc import Iterable


def edits(left: str, right: str, most: int) -> int:
    """Return how many insertions, deletions, replacements and swaps of neighbours *left* and *right* are apart
    (optimal string alignment); anything above *most* is *most* + 1."""
    if abs(len(left) - len(right)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(right) + 1))
    for i, one in enumerate(left, 1):
        two_before, before, row = before, row, [i]
        for j, other in enumerate(right, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (one != other))
            if i > 1 and j > 1 and one == right[j - 2] and left[i - 2] == other:
                cost = min(cost, two_before[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return min(row[-1], most + 1)


def nearest(word: str, words: Iterable[str]) -> str | None:
    """Return the one of *words* that *word* probably is a misspelling of, None where none is near."""
    most = 1 if len(word) < 5 else 2
    best = min(((edits(word, each, most), each) for each in words), default=(most + 1, ""))
    return best[1] if best[0] <= most else None
