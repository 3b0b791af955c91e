"""What a verified access token allows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from auth.limits import Limits, Pattern
from cas.names import RepositoryName

_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Grant:
    """The answer to the registry's one question: may this caller do that to this repository?

    *subject* is the person's id, empty for nobody in particular. *expires* is in seconds since 1970. *access* has the
    granted actions by a repository's whole name, none for one that was asked for in vain. *limits* are those of the
    personal token behind it, None where there are none.
    """

    subject: str
    expires: int
    access: Mapping[str, frozenset[str]] = field(default_factory=dict)
    may_list: bool = False
    limits: Limits | None = None

    def may(self, action: str, repository: RepositoryName) -> bool:
        """Tell whether *action* (``pull``, ``push``, ``delete`` or ``*``) on *repository* was granted."""
        actions = self.access.get(repository.text, _NOTHING)
        return action in actions or "*" in actions

    def mentions(self, repository: RepositoryName) -> bool:
        """Tell whether the token was asked for with *repository*, whatever came of it."""
        return repository.text in self.access

    def as_limits(self) -> Limits:
        """Return limits that leave what was granted here and no more, for where the token stands for its person."""
        granted = ((Pattern(name), actions) for name, actions in self.access.items() if actions)
        return Limits(tuple(granted), self.may_list)
