"""Licenses: SPDX expressions where they can be read as such, and text that does no harm elsewhere."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.catalogers.licenses import read_licenses, spdx


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("MIT", "MIT"),
        (" apache-2.0 ", "Apache-2.0"),
        ("GPL-2.0+", "GPL-2.0-or-later"),
        ("(MIT OR Apache-2.0)", "MIT OR Apache-2.0"),
        ("MIT OR Apache-2.0 AND ISC", "MIT OR (Apache-2.0 AND ISC)"),
        ("GPL-2.0-or-later WITH Classpath-exception-2.0", "GPL-2.0-or-later WITH Classpath-exception-2.0"),
        ("BSD", ""),
        ("GPL2 MIT", ""),
        ("MIT AND", ""),
        ("(MIT AND", ""),
        ("()", ""),
        ("", ""),
        ("(" * 150 + "MIT" + ")" * 150, ""),
        ("MIT AND " * 100 + "MIT", ""),
        ("MIT\nAND ISC", ""),
    ],
)
def test_expressions(text: str, expression: str) -> None:
    assert spdx(text) == expression


def test_text_is_kept_short_and_clean() -> None:
    assert read_licenses(["  A license\x00\twith  tabs\nand lines", "MIT", "mit", ""]) == ["A license with tabs", "MIT"]
    assert read_licenses([str(number) for number in range(100)]) == [str(number) for number in range(16)]
    assert read_licenses(["x" * 1_000_000]) == ["x" * 120]


def test_the_list_of_licenses_is_loaded_when_the_first_one_is_met() -> None:
    """It takes each reader process memory and time, and a layer without packages needs none of it."""
    program = (
        "import sys, ingest.catalogers\n"
        "assert 'license_expression' not in sys.modules\n"
        "from ingest.catalogers.licenses import spdx\n"
        "assert spdx('mit') == 'MIT' and 'license_expression' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@settings(deadline=None)
@given(
    st.text(max_size=60)
    | st.lists(st.sampled_from(["MIT", "AND", "OR", "WITH", "(", ")", "+", ",", "/", "GPL-2.0", "x"]), max_size=12).map(
        " ".join
    )
)
def test_any_text_is_a_license_or_words(text: str) -> None:
    for license in read_licenses([text]):
        assert license.isprintable()
        assert 0 < len(license) <= 400
        assert read_licenses([license]) == [license]
