"""The hub in this process: its services on a real database, a clock that tests move, and argon2 at its cheapest."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
from argon2 import PasswordHasher
from starlette.applications import Starlette

import auth.api
import auth.token_endpoint
from auth import (
    Access,
    Caller,
    Fingerprints,
    Grant,
    LastUse,
    Limits,
    Passwords,
    People,
    Person,
    PublicKeys,
    Sessions,
    SetUp,
    SignIn,
    SigningKeys,
    Tokens,
    Verifier,
)
from auth.attempts import Attempts
from auth.remembered import RememberedPasswords
from cas.names import RepositoryName
from database import Database

AUDIENCE = "portolan"
ISSUER = "https://registry.test"
PASSWORD = "correct horse battery"


class Clock:
    """The time, and a bit more where a test says so."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class CountingHasher(PasswordHasher):
    """argon2 with the least that it can do, and a count of how often it was asked."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.checked = 0

    def verify(self, hash: str | bytes, password: str | bytes) -> bool:  # type: ignore[override]
        self.checked += str(hash).startswith("$argon2id$")  # what is no hash costs no time
        return super().verify(hash, password)


@dataclass
class Shelf:
    """`Repositories` of which only the names and whether they are public is known."""

    public: dict[str, bool] = field(default_factory=dict)

    async def is_public(self, name: RepositoryName) -> bool | None:
        return self.public.get(name.text)


@dataclass
class Hub:
    """All services, wired as the program wires them."""

    database: Database
    clock: Clock
    hasher: CountingHasher
    shelf: Shelf
    people: People
    tokens: Tokens
    last_use: LastUse
    signing_keys: SigningKeys
    public_keys: PublicKeys
    verifier: Verifier
    access: Access
    sign_in: SignIn
    set_up: SetUp
    sessions: Sessions
    site: Starlette

    @asynccontextmanager
    async def client(self, *credentials: str, address: str = "192.0.2.1") -> AsyncIterator[httpx.AsyncClient]:
        """Give a client at *address*: with a name and a password, with a token as Bearer, or with nothing."""
        transport = httpx.ASGITransport(self.site, client=(address, 12345))
        headers = {"authorization": f"Bearer {credentials[0]}"} if len(credentials) == 1 else {}
        basic = httpx.BasicAuth(*credentials) if len(credentials) == 2 else None
        async with httpx.AsyncClient(transport=transport, base_url=ISSUER, headers=headers, auth=basic) as client:
            yield client

    async def caller(self, name: str, limits: str | None = None) -> Caller:
        """Return somebody who signed in, within *limits*."""
        person = await self.people.find(name)
        narrowed = None if limits is None else Limits.parse(limits)
        return Caller(person.id, person.name, person.administrator, person.generation, narrowed)

    async def personal(self, name: str, limits: str | None = None, expires: int | None = None) -> str:
        """Make a personal token and return its secret."""
        narrowed = None if limits is None else Limits.parse(limits)
        return (await self.tokens.add_personal(await self.caller(name), "a token", narrowed, expires)).secret

    async def granted(self, client: httpx.AsyncClient, *scopes: str) -> Grant:
        """Ask for *scopes*, and return what the registry reads out of the token."""
        answer = await client.get("/token", params={"service": AUDIENCE, "scope": scopes})
        assert answer.status_code == 200, answer.text
        return await self.verifier.verify(answer.json()["token"])


async def open_hub(database: Database) -> tuple[Hub, Passwords]:
    """Wire the services; the threads of the second are the caller's to end."""
    clock = Clock()
    hasher = CountingHasher()
    shelf = Shelf()
    passwords = Passwords(hasher, threads=2)
    fingerprints = await Fingerprints.open(database)
    last_use = LastUse(database)
    tokens = Tokens(database, fingerprints, last_use, clock)
    people = People(database, passwords)
    access = Access(database, shelf)
    public_keys = PublicKeys(database, clock)
    signing_keys = await SigningKeys.open(database, clock)
    verifier = Verifier(public_keys, AUDIENCE, ISSUER)
    attempts, remembered = Attempts(clock=clock), RememberedPasswords(clock=clock)
    sign_in = SignIn(database, passwords, tokens, verifier, access, attempts, remembered)
    endpoint = auth.token_endpoint.TokenEndpoint(
        sign_in, access, tokens, signing_keys, public_keys, audience=AUDIENCE, issuer=ISSUER, clock=clock
    )
    api = auth.api.AccountApi(sign_in, people, tokens, clock=clock)
    return Hub(
        database=database,
        clock=clock,
        hasher=hasher,
        shelf=shelf,
        people=people,
        tokens=tokens,
        last_use=last_use,
        signing_keys=signing_keys,
        public_keys=public_keys,
        verifier=verifier,
        access=access,
        sign_in=sign_in,
        set_up=SetUp(database, fingerprints, passwords, clock=clock),
        sessions=Sessions(database, fingerprints, clock),
        site=Starlette(routes=[*auth.token_endpoint.routes(endpoint), *auth.api.routes(api)]),
    ), passwords


def allowed(grant: Grant) -> dict[str, frozenset[str]]:
    """Return what a token allows, without what it was asked for in vain."""
    return {name: actions for name, actions in grant.access.items() if actions}


@dataclass(frozen=True)
class Cast:
    """Who is there in most tests: an administrator, and two people with a namespace each."""

    root: Person
    alice: Person
    bob: Person
