"""Text that others wrote, for a terminal: it shows what is there, and obeys none of it."""

from __future__ import annotations

from unicodedata import category, combining, east_asian_width

#: What stands for a character that is not shown: a command to the terminal, or one that hides or turns what follows.
_UNSHOWN = "\N{REPLACEMENT CHARACTER}"
#: Columns of a line that is pointed into, and of these, those before the place.
_COLUMNS = 76
_BEFORE = 40


def printable(text: str) -> str:
    """Replace control and format characters, halves of surrogate pairs and the like, but for line feeds and tabs."""
    return text if text.isprintable() else "".join(map(_shown, text))


def pointed(text: str, start: int, stop: int) -> str:
    """Return *text* as one line, and below it a line with a caret for each column from *start* to *stop*, one at least;
    of a long one, what is around that place."""
    first = max(0, start - _BEFORE) if len(text) > _COLUMNS else 0
    last = min(len(text), first + _COLUMNS)
    signs = [_shown(sign) if sign not in "\n\t" else " " for sign in text]
    before = ("…" if first else "") + "".join(signs[first:start])
    wrong = "".join(signs[start : min(stop, last)])
    behind = "".join(signs[max(start, min(stop, last)) : last]) + ("…" if last < len(text) else "")
    return f"{before}{wrong}{behind}\n{' ' * _columns(before)}{'^' * max(_columns(wrong), 1)}"


def _shown(sign: str) -> str:
    if sign in "\n\t":
        return sign
    return _UNSHOWN if category(sign)[0] == "C" or category(sign) in ("Zl", "Zp") else sign


def _columns(text: str) -> int:
    """Count the columns that *text* takes: those that stand upon others none, wide ones two."""
    return sum(
        0 if combining(sign) or category(sign) in ("Mn", "Me") else 2 if east_asian_width(sign) in "WF" else 1
        for sign in text
    )
