"""Who somebody is, by what they show: a name and a password, a personal token, a refresh token, an access token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from auth import people
from auth.access import Access
from auth.attempts import Attempts
from auth.authorization import Basic, Bearer, parse_authorization
from auth.callers import ANONYMOUS, Caller
from auth.errors import BadCredentials, InvalidPersonName, InvalidToken
from auth.names import PersonName
from auth.passwords import Passwords
from auth.remembered import RememberedPasswords
from auth.tokens import PERSONAL, REFRESH, Tokens
from auth.verifier import Verifier
from database import Database


class SignIn:
    """Turns credentials into a `Caller`. Every person's row is read anew: who was disabled is refused at once."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        tokens: Tokens,
        verifier: Verifier,
        access: Access,
        attempts: Attempts | None = None,
        remembered: RememberedPasswords | None = None,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._tokens = tokens
        self._verifier = verifier
        self._access = access
        self._attempts = attempts or Attempts()
        self._remembered = remembered or RememberedPasswords()
        self._turns: dict[tuple[str, str], tuple[asyncio.Lock, int]] = {}

    async def caller(self, authorization: str | None, address: str = "") -> Caller:
        """Return who sent the header *authorization* from *address*; nobody where there is none, or an empty Basic.

        An access token is heard too, and stands for its person within what it was made for: no more is done with it
        here than at the registry.

        Raises:
            BadCredentials: it is not right.
            Throttled: too many wrong passwords for that name came from *address*.
        """
        shown = parse_authorization(authorization)
        if isinstance(shown, Bearer) and not shown.secret.startswith((PERSONAL, REFRESH)):
            return await self._by_access_token(shown.secret)
        return await self._by(shown, address)

    async def client(self, authorization: str | None, address: str = "") -> Caller:
        """Return who asks for an access token: as `caller`, but an access token does not make another one.

        Raises:
            BadCredentials: it is not right.
            Throttled: too many wrong passwords for that name came from *address*.
        """
        return await self._by(parse_authorization(authorization), address)

    async def by_refresh_token(self, secret: str, service: str) -> Caller:
        """Return whom a refresh token for *service* stands for.

        Raises:
            BadCredentials: it has ended, is for another service, or there never was such a token.
        """
        return await self._tokens.refresh(secret, service)

    async def by_password(self, name: str, secret: str, address: str = "") -> Caller:
        """Return the person called *name*, whose password or personal token *secret* is.

        Raises:
            BadCredentials: it is not; or there is no such person, or they were disabled.
            Throttled: too many wrong passwords for that name came from *address*.
        """
        if secret.startswith(PERSONAL):
            caller = await self._tokens.personal(secret)
            if caller.name != name:
                raise BadCredentials
            return caller
        if secret.startswith(REFRESH):  # for the token endpoint alone, and no password
            raise BadCredentials
        try:
            name = PersonName.parse(name).text
        except InvalidPersonName:
            raise BadCredentials from None
        self._attempts.check(name, address)
        person, _ = await people.with_password(self._database, name)
        if person is None or not self._remembered.has(person.id, person.generation, secret):
            # One at a time for a name from an address: many wrong passwords sent at once are counted one by one, and
            # a right one that is sent by many connections at once is hashed once.
            async with self._turn(name, address):
                person = await self._check(name, secret, address)
        if person.disabled:
            raise BadCredentials
        return Caller(person.id, person.name, person.administrator, person.generation)

    async def _check(self, name: str, secret: str, address: str) -> people.Person:
        self._attempts.check(name, address)
        person, hashed = await people.with_password(self._database, name)
        if person is not None and self._remembered.has(person.id, person.generation, secret):
            return person
        matches = await self._passwords.matches(hashed, secret)
        if person is None or not matches:
            self._attempts.failed(name, address)
            raise BadCredentials
        self._attempts.succeeded(name, address)
        self._remembered.add(person.id, person.generation, secret)
        return person

    async def _by(self, shown: Basic | Bearer | None, address: str) -> Caller:
        match shown:
            case None:
                return ANONYMOUS
            case Basic(name, secret):
                return await self.by_password(name, secret, address)
            case Bearer(secret):
                return await self._tokens.personal(secret)

    async def _by_access_token(self, text: str) -> Caller:
        try:
            grant = await self._verifier.verify(text)
        except InvalidToken:
            raise BadCredentials from None
        caller = await self._access.caller_of(grant)
        if grant.subject and caller.anonymous:  # the person was disabled since
            raise BadCredentials
        return replace(caller, limits=grant.as_limits())

    @asynccontextmanager
    async def _turn(self, name: str, address: str) -> AsyncIterator[None]:
        key = (name, address)
        lock, waiting = self._turns.get(key) or (asyncio.Lock(), 0)
        self._turns[key] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._turns[key]
            if waiting == 1:
                del self._turns[key]
            else:
                self._turns[key] = (lock, waiting - 1)
