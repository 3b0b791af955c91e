"""From an access token's text to what it allows, with public keys alone."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from functools import lru_cache
from heapq import heappop, heappush
from itertools import count
from typing import Any, NoReturn

from joserfc import jwt
from joserfc.errors import JoseError

from auth.errors import InvalidScope, InvalidToken
from auth.grants import Grant
from auth.keys import ALGORITHM, Keys
from auth.limits import Limits, stored_limits
from auth.scopes import ACTIONS
from cas.errors import InvalidRepositoryName
from cas.names import RepositoryName

#: Seconds by which the clocks of who signs and who verifies may differ.
LEEWAY = 60
#: No token of ours is longer.
LONGEST = 16 * 1024

#: Characters that the remembered tokens may have together: what a token grants takes up to twice as much memory as its
#: text, and somebody may ask for many long ones.
_MOST_TEXT = 16 * 1024 * 1024

#: What a header may say. A key in it (``jwk``, ``jku``, ``x5c``, ``x5u``) is a key that an attacker chose, and nothing
#: that a header calls critical is understood here.
_HEADER = {"alg", "kid", "typ"}


class Verifier:
    """Verifies tokens, and remembers those that it has verified until they expire.

    A token that was verified is believed to its end, 300 seconds at most, even when its key is gone by then.
    """

    def __init__(
        self,
        keys: Keys,
        audience: str,
        issuer: str,
        default_namespace: str = "library",
        most: int = 10_000,
        most_text: int = _MOST_TEXT,
    ) -> None:
        self._keys = keys
        self._audience = audience
        self._issuer = issuer
        self._default_namespace = default_namespace
        self._most = most
        self._most_text = most_text
        self._verified: dict[str, Grant] = {}
        self._ends: list[tuple[int, int, str]] = []  # a heap of what is in `_verified`: when it expires, its number
        self._numbers = count()
        self._text = 0

    async def verify(self, text: str, now: float | None = None) -> Grant:
        """Return what the token *text* allows at *now* (seconds since 1970; None is this moment).

        Raises:
            InvalidToken: it is not ours, not for this service, or not of this time.
        """
        now = time.time() if now is None else now
        grant = self._verified.get(text)
        if grant is not None and now < grant.expires + LEEWAY:
            return grant
        self._forget(now)
        grant = self._grant(await self._claims(text), now)
        self._remember(text, grant, now)
        return grant

    def _remember(self, text: str, grant: Grant, now: float) -> None:
        self._forget(now, room_for=len(text))
        if text in self._verified:  # another request brought it at the same time
            return
        self._verified[text] = grant
        self._text += len(text)
        heappush(self._ends, (grant.expires, next(self._numbers), text))

    def _forget(self, now: float, room_for: int = 0) -> None:
        """Drop what has expired, then what expires next, until a text of *room_for* characters finds room."""
        while self._ends and (
            self._ends[0][0] + LEEWAY <= now
            or (room_for and (len(self._verified) >= self._most or self._text + room_for > self._most_text))
        ):
            text = heappop(self._ends)[2]
            self._text -= len(text)
            del self._verified[text]

    async def _claims(self, text: str) -> Mapping[str, Any]:
        header = _header(text)
        if header.get("alg") != ALGORITHM:
            _refuse(f"it is not signed with {ALGORITHM}")
        if not header.keys() <= _HEADER:
            _refuse("its header says more than the algorithm, the type and the key's name")
        kid = header.get("kid")
        key = await self._keys.find(kid) if isinstance(kid, str) else None
        if key is None:
            _refuse("it is signed with no key of this service")
        try:
            token = jwt.decode(text, key, algorithms=[ALGORITHM])
        except (JoseError, ValueError, RecursionError):
            raise InvalidToken("its signature is not right") from None
        if token.header != header:
            _refuse("its header can be read in two ways")
        return token.claims

    def _grant(self, claims: Mapping[str, Any], now: float) -> Grant:
        audience = claims.get("aud")
        if self._audience not in (audience if isinstance(audience, list) else [audience]):
            _refuse("it is for another service")
        if claims.get("iss") != self._issuer:
            _refuse("it is from another issuer")
        expires, not_before, issued = (_seconds(claims, name) for name in ("exp", "nbf", "iat"))
        if now >= expires + LEEWAY:
            _refuse("it has expired")
        if now < not_before - LEEWAY or now < issued - LEEWAY:
            _refuse("it is not valid yet")
        subject = claims.get("sub")
        if not isinstance(subject, str):
            _refuse("it has no subject")
        access, may_list = self._access(claims.get("access"))
        return Grant(subject, int(expires), access, may_list, _limits(claims.get("limits")))

    def _access(self, entries: object) -> tuple[Mapping[str, frozenset[str]], bool]:
        if not isinstance(entries, list):
            _refuse("its access claim is no list")
        access: dict[str, frozenset[str]] = {}
        may_list = False
        for entry in entries:
            match entry:
                case {"type": "repository", "name": str(name), "actions": list(actions)}:
                    try:
                        repository = RepositoryName.parse(name, self._default_namespace).text
                    except InvalidRepositoryName:
                        continue
                    known = ACTIONS.intersection(action for action in actions if isinstance(action, str))
                    access[repository] = _shared(access.get(repository, frozenset()) | known)
                case {"type": "registry", "name": "catalog", "actions": list(actions)}:
                    may_list = may_list or "*" in actions or "search" in actions
        return access, may_list


@lru_cache(maxsize=1 << len(ACTIONS))
def _shared(actions: frozenset[str]) -> frozenset[str]:
    """Return the one object that stands for *actions*: a token may grant the same on hundreds of repositories."""
    return actions


def _header(text: str) -> dict[str, Any]:
    encoded = text.partition(".")[0]
    if len(text) > LONGEST:
        _refuse("it is too long")
    try:
        header = json.loads(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (ValueError, RecursionError):
        raise InvalidToken("it is no JSON Web Token") from None
    if not isinstance(header, dict):
        _refuse("it is no JSON Web Token")
    return header


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    # json reads NaN and Infinity, which compare as false with everything: a time is a finite number
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1 << 53:
        _refuse(f"its {name} is no time")
    return value


def _limits(text: object) -> Limits | None:
    if text is None:
        return None
    try:
        return stored_limits(text) if isinstance(text, str) else _refuse("its limits are no scopes")
    except InvalidScope:
        raise InvalidToken("its limits are no scopes") from None


def _refuse(reason: str) -> NoReturn:
    raise InvalidToken(reason)
