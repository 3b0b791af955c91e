"""A client of a running registry for tests that care about single requests and what becomes of them.

It does what clients do (asks for a token, follows `Location` verbatim) and no more: it repeats nothing by itself, so a
test sees every answer that there was, and `NoAnswer` where there was none.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any, Self

import httpx

from tests.services.portolan import Person

#: Seconds that a request may take. Nothing here is so slow: it is there so that nothing waits for ever.
PATIENCE = 60.0
#: Seconds after which another token is asked for; they are good for 300.
_TOKEN_KEPT = 200.0


class NoAnswer(Exception):
    """The connection broke off, or there was none: what was asked for may have been done or not."""


class RegistryClient:
    """One person at one registry."""

    def __init__(self, url: str, person: Person | None = None) -> None:
        self._person = person
        self._tokens: dict[tuple[str, ...], tuple[str, float]] = {}
        # Whatever proxy the machine has is not asked for its own loopback.
        # And a connection is kept until the server ends it, however long a busy machine leaves it idle.
        kept = httpx.Limits(keepalive_expiry=None)
        self.http = httpx.AsyncClient(base_url=url, timeout=PATIENCE, trust_env=False, limits=kept)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def raw(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request without a token.

        Raises:
            NoAnswer: none came.
        """
        try:
            return await self.http.request(method, path, **options)
        except httpx.TransportError as error:
            raise NoAnswer(f"{method} {path}: {error!r}") from error

    async def token(self, *names: str) -> str:
        """Return an access token for all that the person may do in the repositories *names*.

        Raises:
            NoAnswer: none came.
        """
        kept, until = self._tokens.get(names, ("", 0.0))
        if time.monotonic() < until:
            return kept
        headers = {} if self._person is None else {"authorization": self._person.basic}
        scope = " ".join(f"repository:{name}:*" for name in names)
        answer = await self.raw("GET", "/token", params={"service": "portolan", "scope": scope}, headers=headers)
        assert answer.status_code == 200, answer.text
        token: str = answer.json()["token"]
        self._tokens[names] = token, time.monotonic() + _TOKEN_KEPT
        return token

    async def request(
        self, method: str, name: str, rest: str, *, also: str | None = None, **options: Any
    ) -> httpx.Response:
        """Send a request with a token for the repository *name*, and for *also*, to mount from.

        *rest* is what follows ``/v2/<name>/``, or a whole path, such as an upload's location.

        Raises:
            NoAnswer: none came.
        """
        token = await self.token(name) if also is None else await self.token(name, also)
        headers = {"authorization": f"Bearer {token}"} | options.pop("headers", {})
        path = rest if rest.startswith("/") else f"/v2/{name}/{rest}"
        return await self.raw(method, path, headers=headers, **options)

    async def push_blob(self, name: str, digest: str, content: bytes) -> httpx.Response:
        """Push a blob in one request."""
        return await self.request("POST", name, "blobs/uploads/", params={"digest": digest}, content=content)

    async def begin(self, name: str) -> str:
        """Open an upload session; return its location."""
        answer = await self.request("POST", name, "blobs/uploads/")
        assert answer.status_code == 202, answer.text
        return str(answer.headers["location"])

    async def finish(self, name: str, location: str, digest: str, content: bytes = b"") -> httpx.Response:
        """Publish an upload."""
        return await self.request("PUT", name, location, params={"digest": digest}, content=content)

    async def offset(self, name: str, location: str) -> int | None:
        """Tell how many bytes an upload holds, None where there is no such upload; a single one counts as none.

        (``0-0`` is what the specification has for both.)
        """
        answer = await self.request("GET", name, location)
        if answer.status_code == 404:
            return None
        assert answer.status_code == 204, answer.text
        last = int(answer.headers["range"].removeprefix("0-"))
        return last + 1 if last else 0
