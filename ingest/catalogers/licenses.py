"""Licenses as the files of packages tell of them: SPDX expressions where they can be read as such, else their text.

license-expression knows the identifiers and their spellings (``mit``, ``GPL-2.0+``). Its list takes a reader process
some 50 ms and 6 MiB when the first license is met, so it is loaded then; an image has few different licenses, so each
text is parsed once a process.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from license_expression import Licensing

#: Characters of an expression at most; characters of other text that are kept; licenses of one package that are kept.
_LONGEST = 300
_KEPT = 120
_MOST = 16


def read_licenses(texts: Iterable[str]) -> list[str]:
    """Return each license once, in order: as an SPDX expression, else the beginning of its first line."""
    found: dict[str, None] = {}
    for text in texts:
        told = spdx(text) or _first_line(text)
        if told:
            found[told] = None
        if len(found) == _MOST:
            break
    return list(found)


def spdx(text: str) -> str:
    """Return *text* as an SPDX expression in its usual spelling; empty where it is none."""
    text = text.strip()
    return _spdx(text) if text and len(text) <= _LONGEST and "\n" not in text else ""


@functools.lru_cache(maxsize=4096)
def _spdx(text: str) -> str:
    from license_expression import ExpressionError

    try:
        expression = _licensing().parse(text, validate=True)
    except (ExpressionError, IndexError, AssertionError):
        # The last two are how its parser ends on "()" and on "(MIT AND".
        return ""
    return "" if expression is None else str(expression.render("{symbol.key}"))


@functools.cache
def _licensing() -> Licensing:
    from license_expression import get_spdx_licensing

    return get_spdx_licensing()


def _first_line(text: str) -> str:
    line = text.strip().partition("\n")[0]
    return " ".join("".join(c if c.isprintable() else " " for c in line[: 2 * _KEPT]).split())[:_KEPT]
