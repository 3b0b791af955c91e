"""Values of fields that are numbers: sizes with units, dates, times ago; single ones, comparisons and ranges.

    10MB  1.5GiB  500            bytes: KB, MB, GB are thousands, KiB, MiB, GiB are 1024s
    2026  2026-05  2026-05-01  2026-05-01T10:30Z       all of that year, month, day, or that second, in UTC
    -30d  -12h  -2w  -1y         since then; in a comparison or range, that moment
    <X  <=X  >X  >=X  !=X  X..Y  X..  ..Y

In a list comparisons hold together (`size:>1MB,<5MB`), and one of all others has to (`layers:1,2`).
"""

from __future__ import annotations

import re
import time
from calendar import monthrange
from datetime import UTC, datetime
from typing import NamedTuple

from catalog.search.language.fields import Takes
from catalog.search.language.tree import Value

#: The greatest number that is asked for; what is larger is cut down to it.
MOST = 2**53 - 1

_UNITS = {"": 1, "b": 1} | {
    f"{letter}{middle}b": base**power
    for middle, base in (("", 1000), ("i", 1024))
    for power, letter in enumerate("kmg", 1)
}
_SIZE = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,6}))? ?([a-z]{0,3})", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,15}", re.ASCII)
_DATE = re.compile(
    r"([0-9]{4})(?:-([0-9]{1,2})(?:-([0-9]{1,2})(?:T([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?Z?)?)?)?", re.ASCII
)
_AGO = re.compile(r"-([0-9]{1,6})([hdwy])", re.ASCII)
_SECONDS = {"h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}

_EXPECTED = {
    Takes.SIZE: "expected a size, as 500, 10MB or 1.5GiB",
    Takes.NUMBER: "expected a whole number",
    Takes.DATE: "expected a date, as 2026, 2026-05 or 2026-05-01, or a time ago, as -30d (h, d, w, y)",
}


class Span(NamedTuple):
    """Whole numbers from *least* to *most*, both among them; None leaves an end open. *inside* is False where all
    others are meant."""

    least: int | None
    most: int | None
    inside: bool = True


class Spans(NamedTuple):
    """Numbers that are in all of *together*, or in one of *apart*; where one of these is empty, the other counts."""

    together: tuple[Span, ...]
    apart: tuple[Span, ...]

    def holds(self, number: int) -> bool:
        """Tell whether *number* is one of them."""
        return bool(self.together and all(_in(span, number) for span in self.together)) or any(
            _in(span, number) for span in self.apart
        )


def read_spans(takes: Takes, values: tuple[Value, ...], now: int | None = None) -> Spans:
    """Read the values of a field that takes sizes, numbers or dates; *now* is in seconds since 1970.

    Raises:
        BadValue: one of them is none.
    """
    now = int(time.time()) if now is None else now
    together: list[Span] = []
    apart: list[Span] = []
    for value in values:
        (together if value.operator not in ("", "=") else apart).append(_span(takes, value, now))
    return Spans(tuple(together), tuple(apart))


class BadValue(Exception):
    """*value* cannot be read: *message* says what was expected; *suggestion* is what was probably meant."""

    def __init__(self, value: Value, message: str, suggestion: str | None = None) -> None:
        super().__init__(value, message, suggestion)
        self.value = value
        self.message = message
        self.suggestion = suggestion


def _span(takes: Takes, value: Value, now: int) -> Span:
    if ".." in value.text and not value.operator:
        left, _, right = value.text.partition("..")
        if not left and not right:
            raise BadValue(value, "expected a number at one end at least")
        least = _read(takes, left, value, now).least if left else None
        most = _read(takes, right, value, now).most if right else None
        return Span(least, most)
    exact = _read(takes, value.text, value, now)
    match value.operator:
        case "<":
            # Below 0 there is nothing, and engines know no negative bounds.
            return Span(None, exact.least - 1) if exact.least else Span(None, None, inside=False)
        case "<=":
            return Span(None, exact.most)
        case ">":
            return Span(exact.most + 1, None)
        case ">=":
            return Span(exact.least, None)
        case "!=":
            return Span(exact.least, exact.most, inside=False)
        case _:
            return Span(exact.least, None) if _AGO.fullmatch(value.text) else Span(exact.least, exact.most)


class _Exact(NamedTuple):
    """What one text stands for: a number, or all the seconds of a day."""

    least: int
    most: int


def _read(takes: Takes, text: str, value: Value, now: int) -> _Exact:
    found: _Exact | None
    match takes:
        case Takes.SIZE:
            found = _size(text)
        case Takes.NUMBER:
            found = _number(text)
        case _:
            found = _date(text, now)
    if found is None:
        raise BadValue(value, _EXPECTED[takes])
    return _Exact(min(found.least, MOST), min(found.most, MOST))


def _size(text: str) -> _Exact | None:
    match = _SIZE.fullmatch(text.lower())
    if match is None or match[3] not in _UNITS:
        return None
    unit = _UNITS[match[3]]
    fraction = match[2] or ""
    size = int(match[1]) * unit + (int(fraction) * unit // 10 ** len(fraction) if fraction else 0)
    return _Exact(size, size)


def _number(text: str) -> _Exact | None:
    return _Exact(int(text), int(text)) if _NUMBER.fullmatch(text) else None


def _date(text: str, now: int) -> _Exact | None:
    if ago := _AGO.fullmatch(text.lower()):
        moment = max(now - int(ago[1]) * _SECONDS[ago[2]], 0)
        return _Exact(moment, moment)
    match = _DATE.fullmatch(text.upper())
    if match is None:
        return None
    year, month, day, hour, minute, second = (None if part is None else int(part) for part in match.groups())
    assert year is not None, "every date has one"
    try:
        start = datetime(year, month or 1, day or 1, hour or 0, minute or 0, second or 0, tzinfo=UTC)
        if second is not None:
            length = 1
        elif minute is not None:
            length = 60
        elif day is not None:
            length = 86_400
        elif month is not None:
            length = 86_400 * monthrange(year, month)[1]
        else:
            length = 86_400 * sum(monthrange(year, each)[1] for each in range(1, 13))
    except ValueError:
        return None
    first = int(start.timestamp())
    return _Exact(max(first, 0), max(first + length - 1, 0))


def _in(span: Span, number: int) -> bool:
    within = (span.least is None or number >= span.least) and (span.most is None or number <= span.most)
    return within is span.inside
