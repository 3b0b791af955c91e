r"""Regular expressions: a small language that every engine reads the same way, and that none can be hurt with.

    a b \. \/ .                 characters; any character
    [a-z0-9_] [^a] \d \w        classes of ASCII characters; `\d` and `\w` may stand alone and in brackets
    ( ) |                       groups, alternatives
    * + ? {3} {2,} {2,5}        repetitions

They match whole values: `^` at the beginning and `$` at the end say nothing. What is checked is written anew, so that
no engine sees a form that means something of its own there. Repetitions with numbers multiply: what they come to,
written out, is bounded, because engines write them out; and so is what the automaton costs that an engine makes of it
(`catalog.search.pattern_cost`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from cas.layer_index.patterns import Pattern as Expression
from catalog.search.pattern_cost import TooCostly, cost
from catalog.search.pattern_tree import ANY, Characters, Choice, Node, Repeat, Sequence

#: Characters of a pattern.
LONGEST = 200
#: Characters and classes of a pattern, its repetitions written out.
MOST_POSITIONS = 300

#: States of the automaton that the layer index makes; it makes some more for what is put before a pattern.
MOST_STATES = 900

#: Patterns whose reading is remembered: an answer reads each a few times.
_REMEMBERED = 256

_DIGITS = frozenset(range(48, 58))
_WORD = _DIGITS | frozenset(range(65, 91)) | frozenset(range(97, 123)) | {95}
_SHORTHAND = {"d": _DIGITS, "w": _WORD}
#: What every engine takes a backslash before.
_ESCAPED = frozenset(r"\.+*?()|[]{}^$-&~#")
#: What means something to one engine or another, and is left alone in brackets.
_BRACKETED = frozenset('"@<>')


class InvalidPattern(Exception):
    """At the character *offset* of the pattern, *message* says what is wrong."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(offset, message)
        self.offset = offset
        self.message = message


class Checked(NamedTuple):
    """A pattern that was let through: all that it matches begins with *prefix*."""

    prefix: str
    pattern: str


@lru_cache(_REMEMBERED)
def check(text: str, *, least: int = 0, fold: bool = False) -> Checked:
    """Read a pattern and write it anew; its first *least* characters must be plain ones. With *fold* capitals are
    small letters, as they are in what it is held against.

    Raises:
        InvalidPattern: it is not of the language above, or it is too large.
    """
    if len(text) > LONGEST:
        raise InvalidPattern(LONGEST, f"a regular expression has at most {LONGEST} characters")
    node = _Parser(text, fold).read()
    if _positions(node) > MOST_POSITIONS:
        raise InvalidPattern(0, f"its repetitions come to more than {MOST_POSITIONS} characters")
    prefix = _prefix(node)
    if len(prefix) < least:
        raise InvalidPattern(0, f"it must begin with {least} plain characters at least")
    written = _written(node)
    try:
        cost(node)
        # The layer index reads it too, and so does whoever tells why a hit is one.
        costly = Expression(written).states > MOST_STATES
    except TooCostly:
        costly = True
    except ValueError as error:
        raise InvalidPattern(0, "its groups are too deep in each other, or it repeats too much") from error
    if costly:
        raise InvalidPattern(0, "it has too many ways to match: repeat less, and less of . and [^ ]")
    return Checked(prefix, written)


class _Parser:
    """Recursive descent; a pattern is short, so it cannot be deep."""

    def __init__(self, text: str, fold: bool) -> None:
        self._text = text
        self._fold = fold
        self._at = 1 if text.startswith("^") else 0
        self._end = len(text)
        if text.endswith("$") and not text.endswith("\\$"):
            self._end -= 1

    def read(self) -> Node:
        node = self._choice()
        if self._at < self._end:
            raise InvalidPattern(self._at, "this parenthesis closes nothing")
        return node

    def _choice(self) -> Node:
        nodes = [self._sequence()]
        while self._take("|"):
            nodes.append(self._sequence())
        return nodes[0] if len(nodes) == 1 else Choice(tuple(nodes))

    def _sequence(self) -> Node:
        nodes: list[Node] = []
        while self._at < self._end and self._text[self._at] not in "|)":
            nodes.append(self._repeated(self._atom()))
        return nodes[0] if len(nodes) == 1 else Sequence(tuple(nodes))

    def _atom(self) -> Node:
        start, character = self._at, self._text[self._at]
        self._at += 1
        if character == "(":
            if self._text.startswith("?:", self._at):
                self._at += 2
            node = self._choice()
            if not self._take(")"):
                raise InvalidPattern(start, "this parenthesis is not closed")
            return node
        if character == "[":
            return self._brackets(start)
        if character == ".":
            return ANY
        if character == "\\":
            return self._escape(start)
        if character in "*+?{":
            raise InvalidPattern(start, f"{character} repeats nothing")
        if character in "^$":
            raise InvalidPattern(start, f"{character} may stand at the end alone: the whole value is matched anyway")
        return self._literal(character)

    def _repeated(self, node: Node) -> Node:
        start = self._at
        if self._at >= self._end:
            return node
        character = self._text[self._at]
        if character in "*+?":
            self._at += 1
            node = Repeat(node, int(character == "+"), 1 if character == "?" else None)
        elif character == "{":
            self._at += 1
            node = self._counted(node, start)
        else:
            return node
        if self._at < self._end and self._text[self._at] in "*+?{":
            raise InvalidPattern(self._at, "a repetition is not repeated without a group")
        return node

    def _counted(self, node: Node, start: int) -> Node:
        least = self._number()
        most: int | None = least
        if self._take(","):
            most = self._number()
        if least is None or not self._take("}"):
            raise InvalidPattern(start, "expected {3}, {2,} or {2,5}")
        if most is not None and most < least:
            raise InvalidPattern(start, "the second number is less than the first")
        return Repeat(node, least, most)

    def _number(self) -> int | None:
        start = self._at
        while self._at < self._end and self._text[self._at] in "0123456789":
            self._at += 1
        if self._at - start > 3:
            raise InvalidPattern(start, "a repetition of thousands")
        return int(self._text[start : self._at]) if self._at > start else None

    def _escape(self, start: int) -> Characters:
        if self._at >= self._end:
            raise InvalidPattern(start, "nothing follows the backslash")
        character = self._text[self._at]
        self._at += 1
        if codes := _SHORTHAND.get(character):
            return self._class(codes, False)
        if character.isalnum():
            raise InvalidPattern(start, f"\\{character} is not known: there are \\d and \\w")
        return self._literal(character)

    def _brackets(self, start: int) -> Characters:
        negated = self._take("^")
        codes: set[int] = set()
        while not self._take("]"):
            if self._at >= self._end:
                raise InvalidPattern(start, "this bracket is not closed")
            first = self._bracketed()
            if (
                len(first) == 1
                and self._text.startswith("-", self._at)
                and self._text[self._at + 1 :][:1] not in ("", "]")
            ):
                self._at += 1
                last = self._bracketed()
                if len(last) != 1 or min(last) < min(first):
                    raise InvalidPattern(self._at - 1, "this range ends before it begins")
                first = frozenset(range(min(first), min(last) + 1))
            codes |= first
        if not codes:
            raise InvalidPattern(start, "nothing stands in the brackets")
        return self._class(frozenset(codes), negated)

    def _bracketed(self) -> frozenset[int]:
        start, character = self._at, self._text[self._at]
        self._at += 1
        if character == "\\" and self._at < self._end:
            character = self._text[self._at]
            self._at += 1
            if codes := _SHORTHAND.get(character):
                return codes
            if character.isalnum():
                raise InvalidPattern(start, f"\\{character} is not known: there are \\d and \\w")
        elif character == "[":
            raise InvalidPattern(start, "a bracket in brackets needs a backslash")
        if not character.isascii():
            raise InvalidPattern(start, "brackets hold ASCII characters")
        return frozenset((ord(character),))

    def _literal(self, character: str) -> Characters:
        return Characters(frozenset(map(ord, character.lower() if self._fold else character)))

    def _class(self, codes: frozenset[int], negated: bool) -> Characters:
        if self._fold:
            codes = frozenset(ord(chr(code).lower()) for code in codes)
        return Characters(codes, negated)

    def _take(self, character: str) -> bool:
        if self._at < self._end and self._text[self._at] == character:
            self._at += 1
            return True
        return False


def _positions(node: Node) -> int:
    match node:
        case Characters():
            return 1
        case Sequence(nodes) | Choice(nodes):
            return sum(map(_positions, nodes)) + 1
        case Repeat(inner, least, most):
            return _positions(inner) * max(least, most or 1, 1)


def _prefix(node: Node) -> str:
    found = ""
    for each in node.nodes if isinstance(node, Sequence) else (node,):
        if not isinstance(each, Characters) or each.negated or len(each.codes) != 1:
            break
        found += chr(min(each.codes))
    return found


def _written(node: Node) -> str:
    match node:
        case Characters(codes, negated):
            return _written_class(codes, negated)
        case Sequence(()):
            return "()"
        case Sequence(nodes):
            return "".join(f"({_written(each)})" if isinstance(each, Choice) else _written(each) for each in nodes)
        case Choice(nodes):
            return "|".join(_written(each) for each in nodes)
        case Repeat(inner, least, most):
            body = _written(inner) if isinstance(inner, Characters) else f"({_written(inner)})"
            return body + _repetition(least, most)


def _repetition(least: int, most: int | None) -> str:
    match least, most:
        case 0, None:
            return "*"
        case 1, None:
            return "+"
        case 0, 1:
            return "?"
        case _, None:
            return f"{{{least},}}"
        case _:
            return f"{{{least}}}" if least == most else f"{{{least},{most}}}"


def _written_class(codes: frozenset[int], negated: bool) -> str:
    if negated and not codes:
        return "."
    if len(codes) == 1 and not negated:
        character = chr(min(codes))
        if character in _BRACKETED:
            return f"[{character}]"
        return f"\\{character}" if character in _ESCAPED else character
    ranges: list[list[int]] = []
    for code in sorted(codes):
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    body = "".join(
        _bracketed(first) if first == last else f"{_bracketed(first)}-{_bracketed(last)}" for first, last in ranges
    )
    return f"[{'^' if negated else ''}{body}]"


def _bracketed(code: int) -> str:
    character = chr(code)
    return f"\\{character}" if character in _ESCAPED else character
