"""docs/search.md lists the fields and orders that there are."""

from __future__ import annotations

import re
from pathlib import Path

from cas.layer_index.effort import MOST_KEYS
from catalog.search.compile import MOST_BASES
from catalog.search.engine import WINDOW
from catalog.search.files import MOST_FILES
from catalog.search.language import FIELDS, SORTS, parse
from catalog.search.language.parser import DEEPEST, LONGEST, MOST_LEAVES, MOST_PATTERNS

_TEXT = (Path(__file__).parents[2] / "docs" / "search.md").read_text()


def test_every_field_is_told_of_with_its_example() -> None:
    rows = [line.split(" | ") for line in _TEXT.splitlines() if line.startswith("| `")]
    told = {row[0].removeprefix("| ").strip("`"): row[1:] for row in rows if len(row) == 3}

    assert told == {field.name: [field.help, f"`{field.example}` |"] for field in FIELDS.values()}


def test_every_example_can_be_read() -> None:
    """Those between backticks that have a field and a value, and those that stand by themselves."""
    refused = ("nginx:1.25", "repo:nginx:1.25")
    examples = [each for each in re.findall(r"`([^`\n]+)`", _TEXT) if re.search(r"[a-z]:[^`\s]", each)]
    examples += [line.split("   ")[0].strip() for line in re.findall(r"^    (.+)$", _TEXT, re.MULTILINE)]
    read = 0
    for example in examples:
        if example in refused or "Did you mean" in example or example.startswith(("^", "nginx is:publik")):
            continue
        parse(re.sub(r"(?:[0-9a-f]{6})?…", "0123456789abcdef" * 4, example))
        read += 1
    assert read > len(FIELDS)


def test_the_bounds_that_are_told_are_those_that_hold() -> None:
    for bound in (LONGEST, MOST_LEAVES, DEEPEST, MOST_FILES, MOST_KEYS, MOST_BASES, WINDOW):
        assert re.search(rf"\b{bound:,}\b", _TEXT), bound
    assert f" {MOST_PATTERNS} regular expressions" in _TEXT


def test_every_order_is_told_of() -> None:
    for kind, names in SORTS.items():
        assert f"| {kind} | {', '.join(f'`{name}`' for name in names)} |" in _TEXT
