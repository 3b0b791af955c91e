"""A server that somebody signed in to with `portolan login`, spoken to over its APIs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

import httpx

from portolan.command import MISTAKE, Failure
from portolan.logins import Login, Logins, LoginsUnreadable
from portolan.origin import HOST
from portolan.terminal import pointed

_TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_LOOPBACK = ("localhost", "127.", "[::1]")


def normalised(url: str) -> str:
    """Spell a server's address: the scheme is http on this machine and https elsewhere, unless it is given.

    Raises:
        Failure: *url* is no address.
    """
    if "://" not in url:
        url = f"{'http' if url.startswith(_LOOPBACK) else 'https'}://{url}"
    parts = urlsplit(url)
    usable = parts.scheme in ("http", "https") and HOST.fullmatch(parts.netloc.encode("ascii", "replace"))
    if not usable or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise Failure(f"{url!r} is no server's address: expected http:// or https:// and a host", MISTAKE)
    return f"{parts.scheme}://{parts.netloc}"


def current(url: str | None = None) -> Login | None:
    """Return the login for *url*, or the last one; None where there is none.

    Raises:
        Failure: what was kept cannot be read.
    """
    try:
        return Logins(os.environ).find(normalised(url) if url else None)
    except LoginsUnreadable as error:
        raise Failure(str(error)) from error


class Server:
    """One server, and the credentials for it: a token, or a name and a password."""

    def __init__(self, url: str, *, token: str | None = None, password: tuple[str, str] | None = None) -> None:
        self.url = url
        self._client = httpx.Client(
            base_url=url,
            timeout=_TIMEOUT,
            auth=password,
            headers={} if token is None else {"Authorization": f"Bearer {token}"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def request(self, method: str, path: str, body: object = None, **options: Any) -> Any:
        """Ask, and return the JSON of the answer, None where it is empty.

        Raises:
            Failure: nobody answers, or the answer is a refusal; the message is the server's own.
        """
        try:
            if body is not None:
                options["json"] = body
            answer = self._client.request(method, path, **options)
        except httpx.HTTPError as error:
            raise Failure(f"{self.url} does not answer: {error or type(error).__name__}") from error
        if answer.is_success:
            return _json(answer) if answer.content else None
        raise _refused(self.url, answer)

    def is_registry(self) -> bool:
        """Tell whether a registry answers there."""
        try:
            answer = self._client.get("/v2/", auth=None)
        except httpx.HTTPError as error:
            raise Failure(f"{self.url} does not answer: {error or type(error).__name__}") from error
        return str(answer.headers.get("docker-distribution-api-version")) == "registry/2.0"

    def repositories(self) -> Iterator[str]:
        """List the names of the repositories that one may see (Docker's `_catalog`)."""
        service = self._client.get("/v2/", auth=None, headers={"Authorization": ""}).headers.get("www-authenticate", "")
        name = service.partition('service="')[2].partition('"')[0]
        granted = self.request("GET", "/token", params={"service": name, "scope": "registry:catalog:*"})
        path = "/v2/_catalog?n=1000"
        while path:
            answer = self._client.get(path, headers={"Authorization": f"Bearer {granted['token']}"}, auth=None)
            if not answer.is_success:
                raise _refused(self.url, answer)
            yield from answer.json()["repositories"]
            path = answer.links.get("next", {}).get("url", "")


def repository_path(name: str) -> str:
    """Return the path of a repository in the JSON API."""
    return f"/api/v1/repositories/{quote(name, safe='/')}"


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        raise Failure(f"{answer.url} answered with something else than JSON: is it Portolan?") from None


def _refused(url: str, answer: httpx.Response) -> Failure:
    """Return what the server said; where a query cannot be read, with the place in it, and what was probably meant."""
    message, told = f"{url}: {_refusal(answer)}", _told(answer)
    query, start, stop = told.get("query"), told.get("start"), told.get("stop")
    if not (isinstance(query, str) and isinstance(start, int) and isinstance(stop, int)):
        return Failure(message)
    if told.get("suggestion"):
        message += f" Did you mean {told['suggestion']}?"
    return Failure(message, place=pointed(query, min(max(start, 0), len(query)), min(max(stop, 0), len(query))))


def _told(answer: httpx.Response) -> dict[str, Any]:
    try:
        told = answer.json()
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _refusal(answer: httpx.Response) -> str:
    """Return what the server said, in its own words where it has some."""
    if answer.status_code == 401:
        return "the name, the password or the token is not right: sign in with `portolan login`"
    told = _told(answer)
    errors = told.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        return str(errors[0].get("message"))
    return str(told.get("detail") or told.get("title") or f"{answer.status_code} {answer.reason_phrase}")
