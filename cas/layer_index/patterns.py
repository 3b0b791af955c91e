"""Regular expressions whose matching takes time in proportion to the text, whatever the expression.

`re` backtracks: ``(a*)*b`` on thirty letters would hold the one process that owns the index for minutes, and all its
threads with it. Here an expression becomes an automaton, whose states are made when a text first leads to them. What
may be written is what such an automaton can do, and what every search engine understands:

    literals   .   [a-z_]   [^/]   \\d \\w \\s \\D \\W \\S   \\. (any sign)  ( )  (?: )   |   * + ? {2} {2,} {,5} {2,5}

It means what `re.fullmatch` says with ``re.ASCII | re.DOTALL``: classes are of ASCII, and a dot is any character.
Anchors, references and looking around are refused, and so is what would become more than `MOST_STATES` states
(``(a{1,100}){1,100}``).
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

#: States of the automaton that an expression becomes, at most.
MOST_STATES = 1_000

#: How deep groups may be in each other.
_DEEPEST = 50

#: Sets of states, and ways between them, that are remembered; then all are forgotten and made again.
_MOST_REMEMBERED = 20_000

_DIGITS = frozenset(string.digits)
_WORD = frozenset(string.ascii_letters + string.digits + "_")
_SPACE = frozenset(" \t\n\r\f\v")
_CLASSES = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v"}

Test = Callable[[str], bool]


class TooMuchWork(Exception):
    """Matching was given up: it took more steps than it was to take."""


# What an expression is made of. A tuple is a sequence, a list are alternatives.


@dataclass(frozen=True)
class _One:
    """One character for which *test* holds."""

    test: Test


@dataclass(frozen=True)
class _Repeat:
    """*part*, at least *least* times and at most *most*; None: any number of times."""

    part: _Node
    least: int
    most: int | None


_Node = _One | _Repeat | tuple["_Node", ...] | list["_Node"]


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def parse(self) -> _Node:
        node = self._alternatives()
        if self._at < len(self._text):
            raise self._wrong("an unmatched )")
        return node

    def _wrong(self, what: str) -> ValueError:
        return ValueError(f"{what} at {self._at} in the regular expression {self._text[:200]!r}")

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        taken = self._peek()
        if not taken:
            raise self._wrong("an unexpected end")
        self._at += 1
        return taken

    def _alternatives(self) -> _Node:
        found = [self._sequence()]
        while self._peek() == "|":
            self._at += 1
            found.append(self._sequence())
        return found[0] if len(found) == 1 else found

    def _sequence(self) -> _Node:
        parts: list[_Node] = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._repeated(self._atom()))
        return tuple(parts)

    def _repeated(self, part: _Node) -> _Node:
        match self._peek():
            case "*":
                least, most = 0, None
            case "+":
                least, most = 1, None
            case "?":
                least, most = 0, 1
            case "{":
                least, most = self._bounds()
            case _:
                return part
        self._at += 1
        if self._peek() and self._peek() in "*+?{":
            raise self._wrong("a repeated repetition")
        return _Repeat(part, least, most)

    def _bounds(self) -> tuple[int, int | None]:
        """Read ``{2}``, ``{2,}``, ``{,5}`` or ``{2,5}``, up to the closing brace."""
        end = self._text.find("}", self._at)
        first, comma, second = self._text[self._at + 1 : end].partition(",")
        numbers = [number for number in (first, second) if number]
        if end < 0 or not numbers or not all(number.isascii() and number.isdigit() for number in numbers):
            raise self._wrong("no number of times")
        if any(len(number) > 4 for number in numbers):
            raise self._wrong("too large a number of times")
        self._at = end
        least = int(first or 0)
        most = (int(second) if second else None) if comma else least
        if most is not None and most < least:
            raise self._wrong("a number of times that is less than none")
        return least, most

    def _atom(self) -> _Node:
        match self._take():
            case "(":
                return self._group()
            case "[":
                return _One(self._class())
            case ".":
                return _One(lambda _: True)
            case "\\":
                return _One(self._escaped())
            case ("*" | "+" | "?" | "{" | "}" | "]" | "^" | "$") as sign:
                self._at -= 1
                raise self._wrong(f"a {sign} that is not escaped")
            case literal:
                return _One(literal.__eq__)

    def _group(self) -> _Node:
        if self._peek() == "?":
            self._at += 1
            if self._take() != ":":
                raise self._wrong("an extension")
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._wrong("too deep a group")
        node = self._alternatives()
        self._depth -= 1
        if self._peek() != ")":
            raise self._wrong("a group without an end")
        self._at += 1
        return node

    def _escaped(self) -> Test:
        letter = self._take()
        if letter in _CLASSES:
            return _CLASSES[letter].__contains__
        if letter.lower() in _CLASSES:
            outside = _CLASSES[letter.lower()]
            return lambda character: character not in outside
        return self._escaped_sign(letter).__eq__

    def _escaped_sign(self, letter: str) -> str:
        if letter in _CONTROLS:
            return _CONTROLS[letter]
        if letter.isalnum():
            self._at -= 1
            raise self._wrong(f"\\{letter}, which is not known,")
        return letter

    def _class(self) -> Test:
        negated = self._peek() == "^"
        if negated:
            self._at += 1
        characters: set[str] = set()
        ranges: list[tuple[str, str]] = []
        outside: list[frozenset[str]] = []
        first = True
        while self._peek() != "]" or first:
            first = False
            begin = self._class_member(characters, outside)
            if begin is None:
                continue
            if self._peek() != "-" or self._text[self._at + 1 : self._at + 2] in ("]", ""):
                characters.add(begin)
                continue
            self._at += 1
            end = self._class_member(characters, outside)
            if end is None or end < begin:
                raise self._wrong("a range that ends before it begins")
            ranges.append((begin, end))
        self._at += 1
        return _class_test(frozenset(characters), ranges, outside, negated)

    def _class_member(self, characters: set[str], outside: list[frozenset[str]]) -> str | None:
        """Read one character; or add a whole class to those given, and return None."""
        taken = self._take()
        if taken != "\\":
            return taken
        letter = self._take()
        if letter in _CLASSES:
            characters |= _CLASSES[letter]
            return None
        if letter.lower() in _CLASSES:
            outside.append(_CLASSES[letter.lower()])
            return None
        return self._escaped_sign(letter)


def _class_test(
    characters: frozenset[str], ranges: list[tuple[str, str]], outside: list[frozenset[str]], negated: bool
) -> Test:
    def test(character: str) -> bool:
        inside = (
            character in characters
            or any(begin <= character <= end for begin, end in ranges)
            or any(character not in each for each in outside)
        )
        return inside != negated

    return test


@dataclass(eq=False, slots=True)
class _Set:
    """Where the automaton may be: the states that wait for a character, and whether what was read is a match."""

    waiting: tuple[int, ...]
    matches: bool
    onward: dict[str, _Set] = field(default_factory=dict)


_END = 0


class Pattern:
    """A regular expression, to be matched with many texts by one thread."""

    def __init__(self, text: str, work: int = 20_000_000) -> None:
        """Read an expression; *work* is how many steps its matching may take in all (some 50 ns each).

        Raises:
            ValueError: it cannot be read, or would become too large.
        """
        self._left = work
        #: Of each state: the test of the character that it waits for, and the states that follow. `_END` is the first.
        self._tests: list[Test | None] = [None]
        self._follow: list[list[int]] = [[]]
        self._sets: dict[tuple[tuple[int, ...], bool], _Set] = {}
        self._remembered = 0
        self._first = self._add(_Parser(text).parse(), _END)
        #: The directory that the last text was in, or where it failed; and where that leads to.
        self._directory = ""
        self._within = self._set([self._first])

    @property
    def states(self) -> int:
        """How many states it has: `MOST_STATES` at most."""
        return len(self._tests)

    def matches(self, text: str) -> bool:
        """Tell whether the whole of *text* matches.

        Raises:
            TooMuchWork: the steps are used up.
        """
        return self.match(text) is None

    def match(self, text: str) -> int | None:
        """Return None where the whole of *text* matches, else after how many characters that was certain: no text that
        begins with these matches. Where it is not certain before the end, that is one more than *text* has.

        Paths of one directory, one after the other, cost no more than their names.

        Raises:
            TooMuchWork: the steps are used up.
        """
        start = text.rfind("/") + 1
        if start and text[:start] == self._directory:
            place = self._within
        else:
            start, place = 0, self._set([self._first])
        self._left -= len(text) - start + 1
        if self._left < 0:
            raise TooMuchWork
        for at, character in enumerate(text[start:] if start else text, start + 1):
            onward = place.onward.get(character)
            if onward is None:
                onward = self._step(place, character)
            place = onward
            if not place.waiting and not place.matches:
                return at
            if character == "/":
                self._directory, self._within = text[:at], place
        return None if place.matches else len(text) + 1

    def _step(self, place: _Set, character: str) -> _Set:
        self._left -= len(place.waiting)
        reached: list[int] = []
        for state in place.waiting:
            test = self._tests[state]
            if test is not None and test(character):
                reached += self._follow[state]
        onward = self._set(reached)
        self._remembered += 1
        place.onward[character] = onward
        return onward

    def _set(self, states: Iterable[int]) -> _Set:
        """Return the set of *states* and of all that are reached from them without a character."""
        left = list(states)
        seen = set(left)
        while left:
            state = left.pop()
            self._left -= 1
            if self._tests[state] is None:
                for following in self._follow[state]:
                    if following not in seen:
                        seen.add(following)
                        left.append(following)
        waiting = tuple(sorted(state for state in seen if self._tests[state] is not None))
        key = (waiting, _END in seen)
        if self._remembered > _MOST_REMEMBERED:
            self._sets.clear()
            self._remembered = 0
        found = self._sets.get(key)
        if found is None:
            self._remembered += 1
            found = self._sets[key] = _Set(*key)
        return found

    def _state(self, test: Test | None, follow: list[int]) -> int:
        if len(self._tests) >= MOST_STATES:
            raise ValueError(f"the regular expression is too large: it needs more than {MOST_STATES} states")
        self._tests.append(test)
        self._follow.append(follow)
        return len(self._tests) - 1

    def _add(self, node: _Node, then: int) -> int:
        """Add the states of *node*, after which *then* is reached; return its first one."""
        match node:
            case _One(test):
                return self._state(test, [then])
            case tuple():
                for part in reversed(node):
                    then = self._add(part, then)
                return then
            case list():
                return self._state(None, [self._add(part, then) for part in node])
            case _Repeat(part, least, most):
                return self._add_repeat(part, least, most, then)

    def _add_repeat(self, part: _Node, least: int, most: int | None, then: int) -> int:
        if most is None:
            again = self._state(None, [])
            first = self._add(part, again)
            self._follow[again] += [first, then]
            # What `+` has to have once is what it repeats: written twice, `+` in `+` would double with each.
            then, least = (first, 0) if least == 1 else (again, least)
        else:
            end = then
            for _ in range(most - least):
                then = self._state(None, [self._add(part, then), end])
        for _ in range(least):
            end, then = then, self._add(part, then)
            if then == end:
                break  # of nothing, so many times
        return then
