"""What clients were told, and so what they may find: the bookkeeping of every test that ends something abruptly.

Between a request and its answer the thing that it changes may be in either state. Once the answer is there, only the
new one is right; where the answer never comes, both stay possible, until somebody looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Promises:
    """For each thing, by a name of the test's choosing, the states that it may be in; ``""`` stands for not there."""

    def __init__(self) -> None:
        self._possible: dict[str, frozenset[str]] = {}

    def asked(self, thing: str, state: str) -> None:
        """Note that *thing* may come to be in *state* from now on."""
        self._possible[thing] = self.possible(thing) | {state}

    def told(self, thing: str, state: str) -> None:
        """Note that a client knows *thing* to be in *state*: it was answered so, or looked."""
        self._possible[thing] = frozenset((state,))

    @contextmanager
    def change(self, thing: str, state: str) -> Iterator[None]:
        """Do something that brings *thing* to *state*, unless it raises: then nobody knows."""
        self.asked(thing, state)
        yield
        self.told(thing, state)

    def possible(self, thing: str) -> frozenset[str]:
        """Return the states that *thing* may be in."""
        return self._possible.get(thing, frozenset(("",)))

    def things(self) -> list[str]:
        """List what was ever spoken of."""
        return list(self._possible)
