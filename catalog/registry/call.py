"""One request on its way through the registry: what was asked, by whom, and the services that answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from auth.access import Access
from auth.callers import Caller
from auth.grants import Grant
from auth.sign_in import SignIn
from auth.verifier import Verifier
from cas import RepositoryName
from catalog.browse.answers import SearchAnswer
from catalog.content import Content
from catalog.metadata.pulls import PullCounter
from catalog.registry.messages import Request, Scope
from database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a single request may ask for: bytes of a manifest, ranges of a blob, entries of a page."""

    manifest: int = 4 * 1024 * 1024
    ranges: int = 1000
    tags: int = 1000
    repositories: int = 1000
    referrers: int = 1000


class RepositorySearch(Protocol):
    """Finds repositories by words, for those who ask in the first protocol."""

    async def __call__(self, caller: Caller, words: str, page: int, size: int) -> SearchAnswer:
        """Find what *caller* may read; *words* are no query language.

        Raises:
            SearchUnavailable: to be tried again.
            OutOfWindow: the page is beyond the last that can be shown.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """The services that the registry's handlers call, and what the settings say of them.

    *realm* tells the address of the token endpoint as the client of a request can reach it.
    """

    database: Database
    content: Content
    pulls: PullCounter
    verifier: Verifier
    access: Access
    sign_in: SignIn
    search: RepositorySearch
    realm: Callable[[Scope], str]
    service: str = "portolan"
    default_namespace: str = "library"
    public_by_default: bool = False
    sparse_manifests: bool = False
    limits: Limits = field(default_factory=Limits)


class ScopeMissing(Exception):
    """Nobody asked the hub yet for a token to pull from *repository* (as the client spelled it)."""

    def __init__(self, repository: str) -> None:
        super().__init__(repository)
        self.repository = repository


@dataclass(slots=True)
class Call:
    """A request that was matched, parsed and authorised: handlers get nothing else.

    *spelled* is the repository's name as the client wrote it: links lead back in the same spelling.
    """

    registry: Registry
    request: Request
    grant: Grant
    name: RepositoryName
    spelled: str
    argument: str

    def path(self, rest: str) -> bytes:
        """Return the path of something in the repository, for a Location header."""
        return f"/v2/{self.spelled}/{rest}".encode()
