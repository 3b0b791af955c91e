"""How much a document counts for when it is ranked: one number, computed when it is written.

    weight = popularity × recency × 1.5 if official × 0.2 if deprecated, between 0.25 and 31

*Popularity* is 1 for what nobody pulled and 1 more for each hundredfold of pulls in 30 days. *Recency* doubles every
eight years: it is counted from a fixed day, not from now, so the order of two documents never changes while nothing
happens to them and none has to be written again because time has passed. The last day is in 2044.

tantivy multiplies a score by log2(2 + v) of a stored number v, so v = 2^(4 × weight) − 2 makes that four times the
weight (and four times the least is 1, the least that can be written so).
"""

from __future__ import annotations

from math import exp2, log2, log10

from catalog.search.documents import Document, ImageDocument, RepositoryDocument

LEAST, MOST = 0.25, 31.0

_EPOCH = 1_577_836_800  # 2020-01-01
_DOUBLING = 8 * 365.25 * 86_400
_DOUBLINGS = 3.0


def weight(document: Document) -> float:
    """Return what the scores of *document* are multiplied by. Of layers and packages, which nobody pulls, it is 1."""
    if not isinstance(document, RepositoryDocument | ImageDocument):
        return 1.0
    popularity = 1 + log10(1 + max(document.pulls, 0)) / 2
    recency = exp2(min(max(document.pushed - _EPOCH, 0) / _DOUBLING, _DOUBLINGS))
    said = (1.5 if document.official else 1.0) * (0.2 if document.deprecated else 1.0)
    product = popularity * recency * said
    return min(max(product, LEAST), MOST)


def stored(weight: float) -> float:
    """Return what tantivy keeps for *weight*."""
    return exp2(4 * weight) - 2


def from_stored(value: float) -> float:
    """Return the weight that `stored` was given."""
    return log2(2 + value) / 4
