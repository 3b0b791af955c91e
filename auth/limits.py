"""What a token is narrowed to: the scopes that a person gave a personal token when making it.

    repository:team/app:pull,push     one repository
    repository:team/*:pull            all whose names begin so; `repository:*:pull` is every repository
    registry:catalog:*                listing repositories
    account                           the person's own tokens and password
    team/*:pull                       short for repository:team/*:pull
    pull,push                         short for repository:*:pull,push

Several are separated by spaces. Limits never give anything: they cut down what the person may do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from auth.errors import InvalidScope
from auth.scopes import ACTIONS, Scope
from cas.errors import InvalidRepositoryName
from cas.names import RepositoryName

#: A token's scopes, written out, are at most this long: they travel in the header of every request.
LONGEST = 2000

_OPEN = re.compile(r"(?:[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*/[a-z0-9._/-]*)?\*")
_SHORT = re.compile(r"(?:pull|push|delete|\*)(?:,(?:pull|push|delete|\*))*")


@dataclass(frozen=True, slots=True)
class Pattern:
    """Names of repositories: *text* itself, or (*open*) all that begin with it."""

    text: str
    open: bool = False

    @classmethod
    def parse(cls, text: str, default_namespace: str = "library") -> Pattern:
        """Read a name, or the beginning of one (with its namespace whole) and ``*``.

        Raises:
            InvalidScope: *text* is neither.
        """
        if text.endswith("*"):
            if len(text) > 255 or _OPEN.fullmatch(text) is None:
                raise InvalidScope(text, "expected a repository's name, NAMESPACE/BEGINNING*, or * alone")
            return cls(text[:-1], open=True)
        try:
            return cls(RepositoryName.parse(text, default_namespace).text)
        except InvalidRepositoryName as error:
            raise InvalidScope(text, error.rule) from None

    def matches(self, name: RepositoryName) -> bool:
        """Tell whether *name* is among them."""
        return name.text.startswith(self.text) if self.open else name.text == self.text

    def covers(self, other: Pattern) -> bool:
        """Tell whether every name of *other* is among them."""
        return other.text.startswith(self.text) if self.open else self == other

    def __str__(self) -> str:
        return f"{self.text}*" if self.open else self.text


@dataclass(frozen=True, slots=True)
class Limits:
    """A token's scopes, read. No limits at all are written None, never an object of this class."""

    repositories: tuple[tuple[Pattern, frozenset[str]], ...] = ()
    may_list: bool = False
    account: bool = False

    @classmethod
    def parse(cls, text: str, default_namespace: str = "library") -> Limits:
        """Read scopes separated by spaces, in the grammar above.

        Raises:
            InvalidScope: there is none, or one of them is not of that grammar.
        """
        repositories: list[tuple[Pattern, frozenset[str]]] = []
        may_list = account = False
        if len(text) > LONGEST or not text.split():
            raise InvalidScope(text, f"expected at least one scope, and at most {LONGEST} characters")
        for word in text.split():
            scope = None if word == "account" else Scope.parse(_written_out(word))
            if scope is None:
                account = True
            elif scope.type == "repository":
                if not scope.actions <= ACTIONS:
                    raise InvalidScope(word, "expected the actions pull, push, delete or *")
                if scope.actions & {"push", "pull", "*"} == {"push"}:
                    raise InvalidScope(word, "nothing can be pushed without reading: expected pull,push")
                repositories.append((Pattern.parse(scope.name, default_namespace), scope.actions))
            elif str(scope) == "registry:catalog:*":
                may_list = True
            else:
                raise InvalidScope(word, "expected repository:NAME:ACTIONS, registry:catalog:* or account")
        limits = cls(tuple(repositories), may_list, account)
        if len(str(limits)) > LONGEST:
            raise InvalidScope(text, f"expected at most {LONGEST} characters, written out")
        return limits

    def actions(self, name: RepositoryName) -> frozenset[str]:
        """Return the actions that are left for *name*."""
        found: frozenset[str] = frozenset().union(
            *(actions for pattern, actions in self.repositories if pattern.matches(name))
        )
        return ACTIONS if "*" in found else found

    def cover(self, other: Limits) -> bool:
        """Tell whether *other* allows nothing that these do not: each of its scopes lies within one of ours."""
        return (
            self.may_list >= other.may_list
            and self.account >= other.account
            and all(
                any(ours.covers(theirs) and ("*" in may or may >= asked) for ours, may in self.repositories)
                for theirs, asked in other.repositories
            )
        )

    def __str__(self) -> str:
        words = [f"repository:{pattern}:{','.join(sorted(actions))}" for pattern, actions in self.repositories]
        return " ".join(words + ["registry:catalog:*"] * self.may_list + ["account"] * self.account)


@lru_cache(maxsize=1024)
def stored_limits(text: str) -> Limits:
    """Read what ``str(limits)`` wrote, from a row or from a claim.

    Raises:
        InvalidScope: it did not write that.
    """
    return Limits.parse(text) if text else Limits()


def _written_out(word: str) -> str:
    if _SHORT.fullmatch(word):
        return f"repository:*:{word}"
    return f"repository:{word}" if word.count(":") == 1 else word
