"""Descriptions: Markdown that somebody wrote, made into HTML that can do nothing.

Raw HTML is not HTML here, pictures become links (the policy would not load them, and a reader's address is nobody's
business), headings are pushed below the page's own. What comes out passes a list of what is allowed, as if none of that
had been done.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import nh3
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererProtocol
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup, escape

from catalog.browse.answers import Piece, RepositoryHit

_TEXT_TAGS = "a blockquote br code em h3 h4 h5 h6 hr li ol p pre s strong table tbody td th thead tr ul"
_TAGS = set(_TEXT_TAGS.split())
_ATTRIBUTES = {"a": {"href", "title"}, "ol": {"start"}}
_SCHEMES = {"http", "https", "mailto"}
#: The page has its title and the section's heading above.
_DEEPER = 2


def _picture(
    renderer: RendererProtocol, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType
) -> str:
    token = tokens[index]
    address = escape(str(token.attrs.get("src", "")))
    return f'<a href="{address}">{escape(token.content or "picture")}</a>'


def _headings(tokens: Sequence[Token]) -> None:
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, int(token.tag[1]) + _DEEPER)}"


def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False, "maxNesting": 20}).enable(["table", "strikethrough"])
    parser.add_render_rule("image", _picture)
    return parser


@lru_cache(maxsize=256)
def rendered(text: str) -> Markup:
    """Return *text* as HTML that may stand in a page."""
    parser = _parser()
    tokens = parser.parse(text)
    _headings(tokens)
    html = parser.renderer.render(tokens, parser.options, {})
    clean = nh3.clean(
        html,
        tags=_TAGS,
        clean_content_tags={"script", "style"},
        attributes=_ATTRIBUTES,
        url_schemes=_SCHEMES,
        link_rel="nofollow noopener noreferrer ugc",
    )
    return Markup(clean)  # noqa: S704 - the line above is what makes it safe


@lru_cache(maxsize=1024)
def plain(text: str) -> str:
    """Return a description as words in one line, without what is Markdown's."""
    words: list[str] = []
    for token in _parser().parse(text):
        if token.type == "inline" and token.children is not None:
            words += [" " if child.type.endswith("break") else child.content for child in token.children]
            words.append(" ")
        elif token.type in ("fence", "code_block"):
            words += [token.content, " "]
    return " ".join("".join(words).split())


def excerpt(text: str, marked: Sequence[str], longest: int = 200) -> list[Piece]:
    """Return the part of a description that shows most of it: the beginning, or where one of the *marked* texts is."""
    words = plain(text)
    pattern = re.compile(
        "|".join(re.escape(each) for each in sorted(set(marked), key=len, reverse=True)), re.IGNORECASE
    )
    found = pattern.search(words) if marked else None
    begin = 0
    if found is not None and found.end() > longest:
        begin = words.rfind(" ", 0, max(1, found.start() - longest // 3)) + 1
    shown = words[begin : begin + longest]
    if begin + longest < len(words):
        shown = shown[: longest - 1].rpartition(" ")[0] or shown[: longest - 1]
        shown = shown.rstrip() + " …"
    if begin:
        shown = "… " + shown
    if not marked:
        return [Piece(shown)]
    pieces: list[Piece] = []
    at = 0
    for match in pattern.finditer(shown):
        pieces += [Piece(shown[at : match.start()]), Piece(match[0], True)]
        at = match.end()
    return [piece for piece in [*pieces, Piece(shown[at:])] if piece.text]


def described(hit: RepositoryHit) -> list[Piece]:
    """Return what a list shows of a repository's description, with what was searched for marked."""
    return excerpt(hit.description, [piece.text for piece in hit.marked_description if piece.marked and piece.text])
