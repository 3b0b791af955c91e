"""The documentation has no dead links, and the search for them finds what it is for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.links import dead_links


def test_no_link_in_the_documentation_is_dead() -> None:
    assert [str(link) for link in dead_links(Path(__file__).parents[2])] == []


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "settings.md").write_text(
        "# Settings\n\n## `PORTOLAN_DATA` – where\n\n## Twice\n\n## Twice\n\nUnder *lined* x_y\n---\n\n"
        '<a id="by-hand"></a>\n\n```sh\n# no heading\n```\n'
    )
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        "[a](docs/settings.md)",
        "[a](<docs/settings.md> 'title') and [b](docs/)",
        "[a](docs/settings.md#twice-1)",
        "[a](docs/settings.md#portolan_data--where)",
        "[a](docs/settings.md#by-hand)",
        "[a](docs/settings.md#under-lined-x_y)",
        "[a](#here)\n\n# Here",
        "[a](https://example.org/nowhere) <https://example.org> [m](mailto:a@example.org)",
        "`[a](nowhere.md)` and ``[b](no`where.md)``",
        "```\n[a](nowhere.md)\n```",
        "[a][there]\n\n[there]: docs/settings.md",
        "[there][]\n\n[There]: docs/settings.md#settings",
        "- [ ] to do, item[1] and a[i]",
        "![picture](docs/settings.md)",
    ],
)
def test_a_link_that_leads_somewhere_is_not_told(site: Path, text: str) -> None:
    (site / "README.md").write_text(text)
    assert dead_links(site) == []


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("[a](nowhere.md)", 1, "no such file"),
        ("x\n\n![a](nowhere.png)", 3, "no such file"),
        ("[a](docs/settings.md#no-heading)", 1, "no heading or anchor of that name in docs/settings.md"),
        ("[a](#nowhere)", 1, "no heading or anchor of that name in README.md"),
        ("[a](../outside.md)", 1, "leaves the checkout"),
        ("[a](/docs/settings.md)", 1, "an absolute path is another place on every site"),
        ("[there]: nowhere.md", 1, "no such file"),
        ("[a][there]", 1, "no such link is defined in this file"),
        ("```\n```\n[a](nowhere.md)", 3, "no such file"),
        ('<img src="nowhere.png">', 1, "no such file"),
    ],
)
def test_a_dead_link_is_told(site: Path, text: str, line: int, reason: str) -> None:
    (site / "README.md").write_text(text)
    assert [(link.line, link.reason) for link in dead_links(site)] == [(line, reason)]


def test_what_is_hidden_or_built_is_not_looked_at(site: Path) -> None:
    for folder in (".venv", "build"):
        (site / folder).mkdir()
        (site / folder / "README.md").write_text("[a](nowhere.md)")
    assert dead_links(site) == []
