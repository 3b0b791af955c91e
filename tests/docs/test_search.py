"""docs/search.md lists the fields and orders that there are."""

from __future__ import annotations

from pathlib import Path

from catalog.search.language import FIELDS, SORTS

_TEXT = (Path(__file__).parents[2] / "docs" / "search.md").read_text()


def test_every_field_is_told_of_with_its_example() -> None:
    rows = [line.split(" | ") for line in _TEXT.splitlines() if line.startswith("| `")]
    told = {row[0].removeprefix("| ").strip("`"): row[-1].removesuffix(" |").strip("`") for row in rows}

    assert told == {field.name: field.example for field in FIELDS.values()}


def test_every_order_is_told_of() -> None:
    for kind, names in SORTS.items():
        assert f"| {kind} | {', '.join(f'`{name}`' for name in names)} |" in _TEXT
