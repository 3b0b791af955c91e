"""Whether a field's values can be read: the one place that knows what each field takes."""

from __future__ import annotations

import re

from catalog.search.errors import QueryError
from catalog.search.language.fields import FIELDS, Qualifier, Takes
from catalog.search.language.nearest import nearest
from catalog.search.language.packages import read_packages, read_purl
from catalog.search.language.tree import Field, Form, Node, Not, Term, Value, conjuncts
from catalog.search.language.values import BadValue, read_spans
from catalog.search.patterns import InvalidPattern, check

_NUMBERS = (Takes.SIZE, Takes.NUMBER, Takes.DATE)
_COMPARED = (*_NUMBERS, Takes.PACKAGE)
_CHOSEN = (Takes.CHOICE, Takes.DIRECTIVE)
_DIGEST = re.compile(r"(?:sha(?:256|512):)?[0-9a-f]{7,128}", re.ASCII)
_FILE_DIGEST = re.compile(r"(?:sha256:)?[0-9a-f]{64}", re.ASCII)
_HOST = re.compile(r"(?:localhost|[^/]*[.:][^/]*)/")

#: Fields whose patterns must begin with plain characters: they have the most values.
_LEAST_PREFIX = {Takes.FILE: 2, Takes.PATH: 2, Takes.PACKAGE: 2, Takes.SOURCE: 2}


def check_field(text: str, field: Field) -> None:
    """Raise `QueryError` where a value of *field* is none that it takes; *text* is the whole query."""
    qualifier = FIELDS[field.name]
    try:
        for value in field.values:
            _check_form(qualifier, value)
        _check_values(qualifier, field)
    except BadValue as bad:
        raise QueryError(
            text, bad.value.start, bad.value.stop, f"{field.name}: {bad.message}.", bad.suggestion
        ) from None


def check_directives(text: str, node: Node) -> None:
    """Raise `QueryError` where `type:`, `sort:` or `deleted:` stands inside of a group, or twice."""
    seen: set[str] = set()
    for each in conjuncts(node):
        for field in fields_of(each):
            if FIELDS[field.name].takes is not Takes.DIRECTIVE:
                continue
            if field is not each:
                message = f"{field.name}: is about the whole query: it stands outside of parentheses, OR and NOT."
                raise QueryError(text, field.start, field.stop, message)
            if field.name in seen:
                raise QueryError(text, field.start, field.stop, f"{field.name}: was given before.")
            seen.add(field.name)


def fields_of(node: Node) -> list[Field]:
    """Return all fields of a tree, from left to right."""
    match node:
        case Field():
            return [node]
        case Term():
            return []
        case Not():
            return fields_of(node.node)
        case _:
            return [field for each in node.nodes for field in fields_of(each)]


def bare_repository(text: str) -> str:
    """Return the name of a repository without the address of a registry before it."""
    return text[match.end() :] if (match := _HOST.match(text)) else text


def bare_path(text: str) -> str:
    """Return a path as layers have it, from the root on and without a slash before it."""
    return text.lstrip("/")


def bare_digest(text: str) -> str:
    """Return the hexadecimal digits of a digest, or their beginning."""
    return text.rpartition(":")[2].lower()


def _check_form(qualifier: Qualifier, value: Value) -> None:
    if value.operator and qualifier.takes not in _COMPARED:
        raise BadValue(value, "is not compared")
    if value.form is Form.BEGINNING:
        if qualifier.least is None:
            raise BadValue(value, f"takes {qualifier.takes.value}, not the beginning of one")
        if len(bare_path(value.text)) < qualifier.least:
            few = "a character" if qualifier.least == 1 else f"{qualifier.least} characters"
            raise BadValue(value, f"needs {few} before *")
    elif value.form is Form.PATTERN:
        if not qualifier.patterns:
            raise BadValue(value, f"takes {qualifier.takes.value}, not a regular expression")
        _check_pattern(qualifier.takes, value)
    if value.form is not Form.WHOLE and value.operator:
        raise BadValue(value, "compares whole versions")


def _check_pattern(takes: Takes, value: Value) -> None:
    text = value.text
    if takes is Takes.PATH:
        text = text.removeprefix("^").lstrip("/")
    try:
        check(text, least=_LEAST_PREFIX.get(takes, 0))
    except InvalidPattern as invalid:
        # Between the slashes; a slash that was escaped may move it by a character.
        place = min(value.start + 1 + invalid.offset + len(value.text) - len(text), value.stop - 2)
        at = Value(value.text, value.form, "", place, value.stop - 1)
        raise BadValue(at, invalid.message) from None


def _check_values(qualifier: Qualifier, field: Field) -> None:
    takes = qualifier.takes
    if takes is Takes.DIRECTIVE and len(field.values) > 1:
        raise BadValue(field.values[1], "takes one value")
    if takes in _NUMBERS:
        read_spans(takes, field.values)
        return
    if takes in (Takes.PACKAGE, Takes.SOURCE):
        asked = read_packages(field.values)
        if takes is Takes.SOURCE and any(package.comparisons for package in asked):
            raise BadValue(field.values[0], "takes a name or name@version: versions of sources are not compared")
        return
    for value in field.values:
        _check_value(qualifier, value, keyed=field.key is not None)


def _check_value(qualifier: Qualifier, value: Value, *, keyed: bool) -> None:
    text = value.text
    if not text and not (keyed and value.form is Form.WHOLE):
        raise BadValue(value, f"takes {qualifier.takes.value}")
    match qualifier.takes:
        case Takes.CHOICE | Takes.DIRECTIVE:
            if text.lower() not in qualifier.choices:
                message = f"takes {', '.join(qualifier.choices[:-1])} or {qualifier.choices[-1]}"
                raise BadValue(value, message, nearest(text.lower(), qualifier.choices))
        case Takes.PURL:
            read_purl(value)
        case Takes.DIGEST if not _DIGEST.fullmatch(text.lower()):
            raise BadValue(value, "takes a digest, or at least 7 digits of its beginning")
        case Takes.FILE_DIGEST if not _FILE_DIGEST.fullmatch(text.lower()):
            raise BadValue(value, "takes 64 hexadecimal digits")
        case Takes.FILE if "/" in text and value.form is not Form.PATTERN:
            raise BadValue(value, "takes the last part of a path", f"path:{text}")
        case Takes.PATH if not bare_path(text):
            raise BadValue(value, "takes a path")
        case Takes.NAME if qualifier.name == "repo" and value.form is Form.WHOLE:
            name, colon, tag = bare_repository(text).partition(":")
            if colon:
                raise BadValue(value, "takes a repository without a tag", f"repo:{name} tag:{tag}" if tag else None)
        case _:
            pass
