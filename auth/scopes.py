"""Scopes: what a client asks a token for (distribution specification, "Token Scope Documentation").

    type[(class)]:name:action[,action]

A name may hold the colon of ``host:port``, so the type is taken from the left and the actions from the right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from auth.errors import InvalidScope

#: What can be done to a repository. ``*`` is its owner's: everything, its settings and its end included.
ACTIONS = frozenset(("pull", "push", "delete", "*"))

_TYPE = re.compile(r"([a-z0-9]+)(?:\([a-z0-9]+\))?")
_NAME = re.compile(r"[!-~]+")
_ACTIONS = re.compile(r"(?:\*|[a-z]+)(?:,(?:\*|[a-z]+))*")
_LONGEST = 1024
_RULE = "expected type:name:action[,action]"


@dataclass(frozen=True, slots=True)
class Scope:
    """Actions on one named resource. The class of ``repository(plugin)`` is not kept: it counts as ``repository``."""

    type: str
    name: str
    actions: frozenset[str]

    @classmethod
    def parse(cls, text: str) -> Scope:
        """Read one scope.

        Raises:
            InvalidScope: *text* is none.
        """
        type_, _, rest = text.partition(":")
        name, _, actions = rest.rpartition(":")
        found = _TYPE.fullmatch(type_)
        if len(text) > _LONGEST or found is None or not _NAME.fullmatch(name) or not _ACTIONS.fullmatch(actions):
            raise InvalidScope(text, _RULE)
        return cls(found[1], name, frozenset(actions.split(",")))

    def __str__(self) -> str:
        return f"{self.type}:{self.name}:{','.join(sorted(self.actions))}"


def requested_scopes(texts: Iterable[str]) -> list[Scope]:
    """Read what a client asks for: each text holds scopes separated by spaces.

    A resource that is named twice appears once, with all the actions. What is no scope is left out: nothing is granted
    for it, and that is no error.
    """
    found: dict[tuple[str, str], Scope] = {}
    for text in texts:
        for word in text.split():
            try:
                scope = Scope.parse(word)
            except InvalidScope:
                continue
            key = (scope.type, scope.name)
            if key in found:
                scope = Scope(scope.type, scope.name, scope.actions | found[key].actions)
            found[key] = scope
    return list(found.values())
