"""Who may do what to which repository.

    an administrator                    everything, to what does not exist yet as well
    the owner of the namespace          the same, within it
    everybody                           pull, from a public repository
    whoever else                        nothing, and is not told whether it exists

A token's limits are cut out of that (`auth.limits`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from auth import access_tokens, namespaces, people
from auth.callers import ANONYMOUS, Caller
from auth.grants import Grant
from auth.limits import Limits
from auth.scopes import ACTIONS, Scope
from cas.errors import InvalidRepositoryName
from cas.names import RepositoryName
from database import Database

_NOTHING: frozenset[str] = frozenset()
_PULL = frozenset(("pull",))


class Repositories(Protocol):
    """What must be known of repositories here; the catalog knows it."""

    async def is_public(self, name: RepositoryName) -> bool | None:
        """Tell whether everybody may pull from *name*; None when there is no such repository."""


@dataclass(frozen=True, slots=True)
class Visible:
    """Which repositories a caller may read: *everything*, or the public ones and those in *namespaces*; and of these,
    where there are *limits*, those that the limits let be pulled."""

    everything: bool = False
    namespaces: frozenset[str] = frozenset()
    limits: Limits | None = None

    def admits(self, name: RepositoryName, public: bool) -> bool:
        """Tell whether the repository *name* is one of them; *public* is what its row says."""
        if not (self.everything or public or name.namespace in self.namespaces):
            return False
        return self.limits is None or "pull" in self.limits.actions(name)


class Access:
    """Answers from the rows as they are at this moment; nothing is remembered."""

    def __init__(self, database: Database, repositories: Repositories, default_namespace: str = "library") -> None:
        self._database = database
        self._repositories = repositories
        self._default_namespace = default_namespace

    async def caller_of(self, grant: Grant) -> Caller:
        """Return the person behind an access token, for questions that the token does not answer (lists, search).

        Who was disabled since the token was made is nobody. The caller's limits are those of the personal token
        behind it; the account cannot be managed with it.
        """
        person = await people.by_id(self._database, grant.subject) if grant.subject else None
        if person is None or person.disabled:
            return ANONYMOUS
        return Caller(
            person.id,
            person.name,
            person.administrator,
            person.generation,
            limits=grant.limits,
            expires=grant.expires,
            account=False,
        )

    async def actions(self, caller: Caller, name: RepositoryName) -> frozenset[str]:
        """Return what *caller* may do to *name*. Forbidden and absent give the same answer: nothing."""
        allowed = await self._rights(caller, name)
        return allowed if caller.limits is None or not allowed else allowed & caller.limits.actions(name)

    async def visible(self, caller: Caller) -> Visible:
        """Return which repositories *caller* may read."""
        if caller.administrator:
            return Visible(everything=True, limits=caller.limits)
        owned = _NOTHING if caller.anonymous else await namespaces.owned_by(self._database, caller.person_id)
        return Visible(namespaces=owned, limits=caller.limits)

    async def granted(self, caller: Caller, scopes: Iterable[Scope]) -> list[access_tokens.Access]:
        """Return what *caller* gets of *scopes*: entries of an access claim, with the names as they were asked for.

        ``*`` stands for all that the caller may do. A repository that was asked for and refused has an entry without
        actions: so the registry can tell who must be challenged to ask from whom that would be pointless. Everybody
        may ask for lists; each sees their own.
        """
        entries: list[access_tokens.Access] = []
        for scope in scopes:
            if scope.type == "repository":
                try:
                    name = RepositoryName.parse(scope.name, self._default_namespace)
                except InvalidRepositoryName:
                    continue
                allowed = await self.actions(caller, name)
                actions = allowed if "*" in scope.actions else allowed & scope.actions
            elif (scope.type, scope.name) == ("registry", "catalog") and caller.may_list:
                actions = scope.actions & {"*", "search"}
            else:
                continue
            if actions or scope.type == "repository":
                entries.append({"type": scope.type, "name": scope.name, "actions": sorted(actions)})
        return entries

    async def _rights(self, caller: Caller, name: RepositoryName) -> frozenset[str]:
        if caller.administrator:
            return ACTIONS
        if not caller.anonymous and await namespaces.owner(self._database, name.namespace) == caller.person_id:
            return ACTIONS
        return _PULL if await self._repositories.is_public(name) else _NOTHING
