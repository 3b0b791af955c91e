"""What is printed of texts that others wrote, and where a caret stands below one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.images.report import PackagesAnswer, ReadLayerRow
from portolan.commands import analysis, finding, repositories
from portolan.commands.output import show
from portolan.terminal import pointed, printable


@pytest.mark.parametrize(
    ("text", "place", "lines"),
    [
        ("app pakage:openssl", (4, 10), ["app pakage:openssl", "    ^^^^^^"]),
        ("app (", (5, 5), ["app (", "     ^"]),
        ("日本 pakage:x", (3, 9), ["日本 pakage:x", "     ^^^^^^"]),
        ("x 日本:y", (2, 4), ["x 日本:y", "  ^^^^"]),
        ("cafe\u0301 pakage:x", (6, 12), ["cafe\u0301 pakage:x", "     ^^^^^^"]),
        ("a\tb\npakage:x", (4, 10), ["a b pakage:x", "    ^^^^^^"]),
        ("\x1b[31m\x9b x\u202e:y", (7, 9), ["\ufffd[31m\ufffd x\ufffd:y", "       ^^"]),
        ("a" * 100 + " x:y " + "b" * 100, (101, 102), ["…" + "a" * 39 + " x:y " + "b" * 32 + "…", " " * 41 + "^"]),
    ],
)
def test_a_caret_stands_under_what_is_wrong(text: str, place: tuple[int, int], lines: list[str]) -> None:
    assert pointed(text, *place).split("\n") == lines


@given(st.text(max_size=200), st.integers(0, 200), st.integers(0, 200))
def test_two_lines_show_any_place_of_any_text(text: str, start: int, length: int) -> None:
    start = min(start, len(text))
    shown, carets = pointed(text, start, min(start + length, len(text))).split("\n")

    assert printable(shown) == shown  # spaces of all widths among it, and no commands
    assert set(carets.lstrip(" ")) == {"^"}


def test_forbids_obeying_what_is_printed_beside_tables(capsys: pytest.CaptureFixture[str]) -> None:
    evil, shown = "\x1b[2Jowned", "\ufffd[2Jowned"
    show(("What",), [], empty=evil)
    finding._show_packages({"packages": [], "limits_reached": [evil]})
    found = {"name": "ada/app", "public": True, "deprecated": False, "pulls": 0, "created": 0, "description": evil}
    repositories._show_one(found, as_json=False)
    package = ReadLayerRow(0, "", "", 0, "", evil)
    analysis._show(PackagesAnswer("ada/app", "linux/amd64", evil, [package], [], [evil], []), owned=False)

    told = capsys.readouterr()
    assert told.err.count(shown) == 4
    assert told.out.count(shown) == 2
    assert "\x1b" not in told.err + told.out


def test_forbids_obeying_what_others_wrote(capsys: pytest.CaptureFixture[str]) -> None:
    """A description, a label or an instruction may hold commands to the terminal."""
    show(
        ("What",),
        [("\x1b]0;owned\x07\x1b[2J\u202etxt.exe",), ("two\nlines",), (b"caf\xe9".decode("utf-8", "surrogateescape"),)],
        empty="",
    )

    told = capsys.readouterr().out
    assert "\ufffd]0;owned\ufffd\ufffd[2J\ufffdtxt.exe" in told
    assert "caf\ufffd" in told
    assert printable(told) == told
