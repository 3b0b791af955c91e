"""What it costs an engine to make the automaton of a regular expression.

tantivy makes all of it before it looks at a value, with the interpreter's lock held: the deterministic automaton over
the bytes of UTF-8, with all 256 ways out of each state. The same is done here, but by sets of characters: the states
are the same, and what each costs is added up, in steps of some 3 ns.

    a state                               it is kept and looked up for each of the 256 bytes
      × 256 × the ranges it waits for     a class waits for one byte of each of its ranges
      + bytes that lead on × what follows the set that is reached, its splits and jumps included
    `.` and `[^a]`                        wait for the first bytes of 9 forms of characters; where they stand, the rest
                                          of these forms are 18 states more, 560 bytes of which lead on

What follows is kept in order, as tantivy keeps it: there, two orders of the same set are two states.
"""

from __future__ import annotations

from collections import defaultdict

from catalog.search.pattern_tree import Characters, Choice, Node, Repeat, Sequence

#: States of an automaton, at most: tantivy refuses more.
MOST_STATES = 1_000
#: Steps that making one may take, at most.
MOST_STEPS = 5_000_000

#: Steps for each byte of a state, for each thing that follows, and for each turn that is taken here, in Python.
_STATE, _FOLLOWING, _TURN = 20, 2, 100

#: States of an expression that is written out, before any is joined with another.
_MOST_WRITTEN_OUT = 4 * MOST_STATES

#: Forms that characters beyond ASCII have in UTF-8 with that of ASCII, the states inside of them, the bytes that end
#: one.
_FORMS, _INSIDE, _ENDING = 9, 18, 560

_ASCII = 128


class TooCostly(Exception):
    """The automaton has more than `MOST_STATES` states, or takes more than `MOST_STEPS` steps to be made."""


def cost(node: Node) -> int:
    """Return how many steps it takes to make the automaton of *node*.

    Raises:
        TooCostly: it takes too many; writing it out, or counting, ends there.
    """
    return _Counting(_Automaton(node)).count()


class _Automaton:
    """States, each of which waits for a character, or leads on at once (*characters* None)."""

    def __init__(self, node: Node) -> None:
        self.characters: list[Characters | None] = []
        self.follow: list[list[int]] = []
        self.end = self._state(None, [])
        self.first = self._add(node, self.end)

    def _state(self, characters: Characters | None, follow: list[int]) -> int:
        if len(self.follow) >= _MOST_WRITTEN_OUT:
            raise TooCostly
        self.characters.append(characters)
        self.follow.append(follow)
        return len(self.follow) - 1

    def _add(self, node: Node, then: int) -> int:
        """Add the states of *node*, after which *then* is reached; return its first one."""
        match node:
            case Characters():
                return self._state(node, [then])
            case Sequence(nodes):
                for each in reversed(nodes):
                    then = self._add(each, then)
                return then
            case Choice(nodes):
                return self._state(None, [self._add(each, then) for each in nodes])
            case Repeat(inner, least, most):
                return self._add_repeat(inner, least, most, then)

    def _add_repeat(self, node: Node, least: int, most: int | None, then: int) -> int:
        if most is None:
            again = self._state(None, [])
            first = self._add(node, again)
            self.follow[again] += [first, then]
            # What `+` has to have once is what it repeats: written twice, `+` in `+` would double with each.
            then, least = (first, 0) if least == 1 else (again, least)
        else:
            end = then
            for _ in range(most - least):
                then = self._state(None, [self._add(node, then), end])
        for _ in range(least):
            then = self._add(node, then)
        return then


class _Alphabet:
    """The characters that an expression tells apart. Sets of them are bits of a number: a bit for each of ASCII, one
    for each other that it names, the last for all that it does not name."""

    def __init__(self, characters: set[Characters]) -> None:
        named = sorted({code for each in characters for code in each.codes if code >= _ASCII})
        self._bits = {code: _ASCII + place for place, code in enumerate(named)}
        self._all = (2 << (_ASCII + len(named))) - 1
        parts = [self._all]
        for each in characters:
            bits = self._of(each)
            parts = [some for part in parts for some in (part & bits, part & ~bits) if some]
        self.sizes = [(part & ((1 << _ASCII) - 1)).bit_count() for part in parts]
        self.beyond = [part >> _ASCII != 0 for part in parts]
        self.parts = {each: self._places(parts, self._of(each)) for each in characters}

    @staticmethod
    def _places(parts: list[int], bits: int) -> tuple[int, ...]:
        return tuple([place for place, part in enumerate(parts) if part & bits])

    def _of(self, characters: Characters) -> int:
        bits = sum(1 << self._bits.get(code, code) for code in characters.codes)
        return self._all & ~bits if characters.negated else bits


def _ranges(characters: Characters) -> int:
    """Return how many ranges of bytes begin a character."""
    ranges = sum(code - 1 not in characters.codes for code in characters.codes)
    return ranges + _FORMS if characters.negated else ranges


class _Counting:
    def __init__(self, automaton: _Automaton) -> None:
        alphabet = _Alphabet({each for each in automaton.characters if each is not None})
        self._alphabet = alphabet
        self._follow = automaton.follow
        self._first, self._end = automaton.first, automaton.end
        #: Of each state: the parts of the alphabet that it waits for, and the ranges of bytes that these begin with.
        self._parts = [() if each is None else alphabet.parts[each] for each in automaton.characters]
        self._ranges = [0 if each is None else _ranges(each) for each in automaton.characters]
        self._wide = {state for state, each in enumerate(automaton.characters) if each is not None and each.negated}
        self._states = 0
        self._steps = 0

    def count(self) -> int:
        first, _ = self._reached([self._first])
        seen = {first}
        left = [first]
        beyond: set[tuple[int, ...]] = set()
        while left:
            place = left.pop()
            self._add(1, 256 * sum([self._ranges[state] for state in place]))
            for taken, (size, is_beyond) in self._ways(place).items():
                onward, following = self._reached([self._follow[state][0] for state in taken])
                self._add(0, size * following * _FOLLOWING)
                if is_beyond and taken not in beyond:
                    beyond.add(taken)
                    self._add_forms(taken, following)
                if onward and onward not in seen:
                    seen.add(onward)
                    left.append(onward)
        return self._steps

    def _add(self, states: int, steps: int) -> None:
        self._states += states
        self._steps += 256 * _STATE * states + steps
        if self._states > MOST_STATES or self._steps > MOST_STEPS:
            raise TooCostly

    def _add_forms(self, taken: tuple[int, ...], following: int) -> None:
        """Add what lies inside of characters beyond ASCII."""
        if self._wide.isdisjoint(taken):
            self._add(1, 256 * len(taken) + following * _FOLLOWING)
        else:
            self._add(_INSIDE, _INSIDE * 256 * len(taken) + _ENDING * following * _FOLLOWING)

    def _ways(self, place: tuple[int, ...]) -> dict[tuple[int, ...], tuple[int, bool]]:
        """Return the ways out of *place*: the states that take a character, how many of ASCII they take together, and
        whether they take others."""
        self._add(0, sum([len(self._parts[state]) for state in place]) * _TURN)
        taken: dict[int, list[int]] = defaultdict(list)
        for state in place:
            for part in self._parts[state]:
                taken[part].append(state)
        ways: dict[tuple[int, ...], tuple[int, bool]] = {}
        for part, states in taken.items():
            way = tuple(states)
            size, beyond = ways.get(way, (0, False))
            ways[way] = (size + self._alphabet.sizes[part], beyond or self._alphabet.beyond[part])
        return ways

    def _reached(self, states: list[int]) -> tuple[tuple[int, ...], int]:
        """Return the states that wait, or are the end, from *states* on, in order; and how much they are in all."""
        left = states[::-1]
        ranges, follow, end = self._ranges, self._follow, self._end
        seen: set[int] = set()
        waiting: list[int] = []
        size = 0
        while left:
            state = left.pop()
            if state not in seen:
                seen.add(state)
                width = ranges[state]
                size += 1 + 2 * width
                if width or state == end:
                    waiting.append(state)
                else:
                    left += reversed(follow[state])
        self._add(0, len(seen) * _TURN)
        return tuple(waiting), size
