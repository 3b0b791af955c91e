"""From a text to tokens: one regular expression at the top, and one for the values of fields.

    a word          runs to a space, a parenthesis or a quote
    "a phrase"      a quote that is not closed ends with the text; `\\"` is a quote, `\\\\` a backslash
    NAME:           a field, where NAME is known, or looks as if a field were meant (that is an error)
    -  NOT  OR  AND ( )

A colon alone makes no field: `http://x`, `host:5000/x`, `pkg:deb/openssl`, `std::string` and `12:30` are words.

After `NAME:` come values, separated by commas: an operator, then `/a regular expression/`, or plain characters and
quoted parts, of which a quote keeps commas, spaces and parentheses.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import NamedTuple

from catalog.search.errors import QueryError
from catalog.search.language.fields import COMING, FIELDS, nearest_field
from catalog.search.language.tree import Form, Term, Value


class Kind(Enum):
    """What a token is."""

    TERM = "term"
    FIELD = "field"
    MINUS = "-"
    NOT = "NOT"
    AND = "AND"
    OR = "OR"
    OPEN = "("
    CLOSE = ")"
    END = "the end"


class Token(NamedTuple):
    """A token; *value* is a term, or the field's name, its key and its values."""

    kind: Kind
    start: int
    stop: int
    term: Term | None = None
    name: str = ""
    key: str | None = None
    values: tuple[Value, ...] = ()


_QUOTED = r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)'
_TOKEN = re.compile(
    rf"""
    (?P<space>\s+)
    | (?P<open>\()
    | (?P<close>\))
    | (?P<minus>-(?=[^\s)]))
    | (?P<word>NOT|AND|OR)(?=[\s()]|\Z)
    | (?P<name>[A-Za-z][A-Za-z0-9_-]*)(?:\.(?P<key>[^\s:()"]+))?:
    | (?P<phrase>{_QUOTED})(?P<open_phrase>\*)?
    | (?P<bare>[^\s()"]+)
    """,
    re.VERBOSE | re.DOTALL,
)
_VALUE = re.compile(
    rf"""
    (?P<operator>>=|<=|!=|[<>=])?
    (?:
        /(?P<pattern>(?:[^\s\\/]|\\.|/(?![\s),]|\Z))+)/(?=[\s),]|\Z)
        | (?P<plain>(?:[^\s(),"]|{_QUOTED})+)
    )?
    """,
    re.VERBOSE | re.DOTALL,
)
_BARE = re.compile(r'[^\s()"]+')
#: What follows the colon of an address, of a port, of a name in C++.
_NO_VALUE = re.compile(r":|//|[0-9]+/")
_PART = re.compile(rf'[^"]+|{_QUOTED}', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
#: A path with a slash at both ends is a directory, for all that is in it, unless a sign of patterns is among it.
_SPECIAL = re.compile(r"[*+?()\[\]{}|\\^$]")

_WORDS = {"NOT": Kind.NOT, "AND": Kind.AND, "OR": Kind.OR}
#: Beginnings of what is written with a colon and is no field: package URLs, digests of the other algorithm.
_NO_FIELDS = frozenset(("pkg", "sha512"))


def lex(text: str) -> list[Token]:
    """Read *text* as tokens.

    Raises:
        QueryError: a field is unknown, or has no value.
    """
    tokens: list[Token] = []
    position, length = 0, len(text)
    while position < length:
        match = _TOKEN.match(text, position)
        assert match is not None, "every character is a space, a parenthesis, a quote or bare"
        group, start, position = match.lastgroup, position, match.end()
        if group == "bare":
            tokens.append(_bare(match.group(), start, position))
        elif group in ("name", "key"):
            token = _field(text, match)
            tokens.append(token)
            position = token.stop
        elif group in ("phrase", "open_phrase"):
            form = Form.BEGINNING if match["open_phrase"] else Form.WHOLE
            written = _unquoted(match["phrase"])
            quoted = form is Form.WHOLE
            tokens.append(Token(Kind.TERM, start, position, Term(written, form, quoted, start, position)))
        elif group == "word":
            tokens.append(Token(_WORDS[match.group()], start, position))
        elif group == "minus":
            tokens.append(Token(Kind.MINUS, start, position))
        elif group == "open":
            tokens.append(Token(Kind.OPEN, start, position))
        elif group == "close":
            tokens.append(Token(Kind.CLOSE, start, position))
    tokens.append(Token(Kind.END, length, length))
    return tokens


def _bare(word: str, start: int, stop: int) -> Token:
    if len(word) > 1 and word[-1] == "*":
        return Token(Kind.TERM, start, stop, Term(word[:-1], Form.BEGINNING, False, start, stop))
    return Token(Kind.TERM, start, stop, Term(word, Form.WHOLE, False, start, stop))


def _field(text: str, match: re.Match[str]) -> Token:
    """Read a field from its name to the end of its last value; or a word, where no field can be meant."""
    start = match.start()
    name, key = match["name"].lower(), match["key"]
    known = FIELDS.get(name)
    if known is None and (name in _NO_FIELDS or key is not None or _NO_VALUE.match(text, match.end())):
        return _whole_word(text, start)
    if known is None:
        raise _unknown(text, match)
    if key is not None and not known.keyed:
        raise QueryError(text, start, match.end(), f"{name} has no parts: write {name}:")
    values: list[Value] = []
    position = match.end()
    while True:
        value, position = _value(text, position, name)
        if value is not None:
            values.append(value)
        if not text.startswith(",", position):
            break
        position += 1
    if not values:
        raise QueryError(text, start, position, f"{name}: needs a value, as in {known.example}")
    return Token(Kind.FIELD, start, position, name=name, key=key, values=tuple(values))


def _whole_word(text: str, start: int) -> Token:
    match = _BARE.match(text, start)
    assert match is not None, "a name stands here"
    return _bare(match.group(), start, match.end())


def _value(text: str, position: int, name: str) -> tuple[Value | None, int]:
    match = _VALUE.match(text, position)
    assert match is not None, "all of a value may be missing"
    operator, stop = match["operator"] or "", match.end()
    pattern = match["pattern"]
    if pattern is not None:
        if name != "path" or _SPECIAL.search(pattern):
            written = _ESCAPED.sub(lambda slash: "/" if slash[1] == "/" else slash[0], pattern)
            return Value(written, Form.PATTERN, operator, position, stop), stop
        return Value(f"/{pattern}/", Form.BEGINNING, operator, position, stop), stop
    plain = match["plain"]
    if plain is None:
        if operator:
            raise QueryError(text, position, stop, f"{operator} needs a value after it")
        return None, stop
    parts = _PART.findall(plain)
    form = Form.WHOLE
    if parts[-1].endswith("*") and not parts[-1].startswith('"'):
        form = Form.BEGINNING
        parts[-1] = parts[-1][:-1]
    written = "".join(_unquoted(part) if part.startswith('"') else part for part in parts)
    return Value(written, form, operator, position, stop), stop


def _unquoted(text: str) -> str:
    """Return what stands between the quotes; the second may be missing."""
    match = re.fullmatch(r'"((?:[^"\\]|\\.)*)(?:"|\\?)', text, re.DOTALL)
    assert match is not None, "it was found as a quoted text"
    return _ESCAPED.sub(r"\1", match[1])


def _unknown(text: str, match: re.Match[str]) -> QueryError:
    name, start, stop = match["name"].lower(), match.start("name"), match.end("name")
    if name in COMING:
        return QueryError(text, start, stop, f"{name}: cannot be asked for yet: {COMING[name]}")
    suggestion = nearest_field(name)
    if suggestion is None and (value := re.match(r"[\w.-]+", text[match.end() :])):
        return QueryError(text, start, stop, f"there is no field {name}.", f"repo:{name} tag:{value.group()}")
    return QueryError(text, start, stop, f"there is no field {name}.", suggestion)
