"""From a tree to the text that people would write for it: `parse(write(tree)) == tree`.

Chips and facets change a tree and write it anew, so the text in the box is always one that can be read again.
"""

from __future__ import annotations

import re

from catalog.search.language.tree import And, Field, Form, Node, Not, Or, Term, Value

#: Words and values that mean nothing else without quotes.
_PLAIN_WORD = re.compile(r"[^\s()\"*:A-Z-][^\s()\":*]*(?<!\*)|[A-Z][a-z0-9][^\s()\":*]*")
_PLAIN_VALUE = re.compile(r"[^\s(),\"<>=!/*](?:[^\s(),\"]*[^\s(),\"*])?")
_PATH_VALUE = re.compile(r"/[^\s(),\"]*[^\s(),\"*/]")
_RESERVED = frozenset(("OR", "AND", "NOT"))
_END_OF_PATTERN = re.compile(r"\\.|/(?=[\s),]|\Z)", re.DOTALL)


def write(node: Node) -> str:
    """Write a tree as text."""
    match node:
        case Term():
            return _term(node)
        case Field():
            name = node.name if node.key is None else f"{node.name}.{node.key}"
            return f"{name}:{','.join(map(_value, node.values))}"
        case Not():
            return f"-{_grouped(node.node)}"
        case And():
            return " ".join(_grouped(each) if isinstance(each, Or) else write(each) for each in node.nodes)
        case Or():
            return " OR ".join(_grouped(each) if isinstance(each, And) else write(each) for each in node.nodes)


def _grouped(node: Node) -> str:
    return f"({write(node)})" if isinstance(node, And | Or) else write(node)


def _term(term: Term) -> str:
    if term.form is Form.BEGINNING:
        return f"{term.text if _is_plain_word(term.text) else _quoted(term.text)}*"
    return _quoted(term.text) if term.quoted else term.text


def _is_plain_word(text: str) -> bool:
    return _PLAIN_WORD.fullmatch(text) is not None and text not in _RESERVED


def _value(value: Value) -> str:
    text = value.text
    if value.form is Form.PATTERN:
        escaped = _END_OF_PATTERN.sub(lambda match: "\\/" if match.group() == "/" else match.group(), text)
        return f"{value.operator}/{escaped}/"
    plain = _PLAIN_VALUE.fullmatch(text) or _PATH_VALUE.fullmatch(text)
    if value.form is Form.BEGINNING:
        # A slash is no pattern's beginning where a star follows.
        plain = plain or re.fullmatch(r"/[^\s(),\"*]*", text)
        return f"{value.operator}{text if plain else _quoted(text)}*"
    return f"{value.operator}{text if plain else _quoted(text)}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
