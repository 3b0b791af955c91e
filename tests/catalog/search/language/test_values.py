"""Sizes, numbers and dates: what a value stands for."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.search.language import FIELDS, Field, Takes, Value, parse
from catalog.search.language.values import MOST, BadValue, Span, Spans, read_spans

NOW = int(datetime(2026, 6, 15, 12, tzinfo=UTC).timestamp())
DAY = 86_400


def spans(text: str) -> Spans:
    field = parse(text)
    assert isinstance(field, Field)
    return read_spans(FIELDS[field.name].takes, field.values, NOW)


def at(*date: int) -> int:
    return int(datetime(*date, tzinfo=UTC).timestamp())  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("size:500", Span(500, 500)),
        ("size:10KB", Span(10_000, 10_000)),
        ("size:10kib", Span(10_240, 10_240)),
        ("size:1.5MB", Span(1_500_000, 1_500_000)),
        ("size:0.5GiB", Span(2**29, 2**29)),
        ("size:3GB", Span(3 * 10**9, 3 * 10**9)),
        ("size:1MB..2MB", Span(10**6, 2 * 10**6)),
        ("size:1MB..", Span(10**6, None)),
        ("size:..2MB", Span(None, 2 * 10**6)),
        ("size:999999999999999GB", Span(MOST, MOST)),
        ("layers:7", Span(7, 7)),
        ("layers:=7", Span(7, 7)),
        ("created:2026", Span(at(2026, 1, 1), at(2027, 1, 1) - 1)),
        ("created:2024-02", Span(at(2024, 2, 1), at(2024, 3, 1) - 1)),
        ("created:2026-05-01", Span(at(2026, 5, 1), at(2026, 5, 2) - 1)),
        ("created:2026-05-01T10:30Z", Span(at(2026, 5, 1, 10, 30), at(2026, 5, 1, 10, 31) - 1)),
        ("created:2026-05-01t10:30:05", Span(at(2026, 5, 1, 10, 30, 5), at(2026, 5, 1, 10, 30, 5))),
        ("created:2026-01..2026-02", Span(at(2026, 1, 1), at(2026, 3, 1) - 1)),
        ("created:-30d", Span(NOW - 30 * DAY, None)),
        ("created:-2w..-12h", Span(NOW - 14 * DAY, NOW - DAY // 2)),
        ("created:-999999y", Span(0, None)),
        ("created:1960", Span(0, 0)),
        ("created:9999", Span(at(9999, 1, 1), at(9999, 12, 31) + DAY - 1)),
    ],
)
def test_a_value_stands_for(text: str, span: Span) -> None:
    assert spans(text) == Spans((), (span,))


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("created:<2026-05-01", Span(None, at(2026, 5, 1) - 1)),
        ("created:<=2026-05-01", Span(None, at(2026, 5, 2) - 1)),
        ("created:>2026-05-01", Span(at(2026, 5, 2), None)),
        ("created:>=2026-05-01", Span(at(2026, 5, 1), None)),
        ("created:!=2026-05", Span(at(2026, 5, 1), at(2026, 6, 1) - 1, inside=False)),
        ("created:>-30d", Span(NOW - 30 * DAY + 1, None)),
        ("created:<-1y", Span(None, NOW - 365 * DAY - 1)),
        ("size:<0", Span(None, None, inside=False)),
    ],
)
def test_a_comparison_stands_for(text: str, span: Span) -> None:
    assert spans(text) == Spans((span,), ())


def test_comparisons_hold_together_and_one_of_all_others_does() -> None:
    found = spans("layers:>2,<5,9,11")

    assert [number for number in range(15) if found.holds(number)] == [3, 4, 9, 11]


@pytest.mark.parametrize(
    "text",
    [
        "10 MB",
        "1e9",
        "-5",
        "٣",
        "1.5.2MB",
        "1,5",
        "10PB",
        "",
        "0x10",
        "1" * 16,
        "1..x",
        "2026-13",
        "2026-02-29",
        "-30m",
    ],
)
def test_what_is_no_value_is_refused(text: str) -> None:
    for takes in (Takes.NUMBER, Takes.DATE):
        with pytest.raises(BadValue):
            read_spans(takes, (Value(text),), NOW)


@given(
    st.sampled_from([Takes.SIZE, Takes.NUMBER, Takes.DATE]),
    st.text(max_size=20),
    st.sampled_from(["", "<", ">=", "!="]),
)
def test_any_value_is_a_span_or_refused(takes: Takes, text: str, operator: str) -> None:
    try:
        found = read_spans(takes, (Value(text, operator=operator),), NOW)
    except BadValue as bad:
        assert bad.message
    else:
        for span in (*found.together, *found.apart):
            assert span.least is None or 0 <= span.least <= MOST + 1
            assert span.most is None or 0 <= span.most <= MOST
