"""Visits: who asks for a page, by the cookie of their browser, and the forms that they send back.

    __Host-portolan          the session's secret (`portolan` where nothing is encrypted: the prefix is refused there)
    __Host-portolan-form     before anybody signed in: a random text that the form of signing in is tied to

Both are out of reach of scripts, and not sent along with forms of other sites. Each form carries a token that only
whoever has the cookie could be given, and only a browser that this site itself sent it to.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from auth.callers import ANONYMOUS, Caller
from auth.fingerprints import new_secret, well_formed
from auth.sessions import LIFETIME, Sessions
from ui.errors import FormRefused, SignInNeeded
from ui.forms import from_this_site, read_form

#: What a form's token is sent as.
FORM_TOKEN = "form-token"  # noqa: S105 - a field's name

_SESSION = "portolan"
_BEFORE = "portolan-form"
_BEFORE_PREFIX = "ptf_"

Address = Callable[[MutableMapping[str, Any]], str]


@dataclass(slots=True)
class Visit:
    """One request for a page: by whom, and what they sent.

    *address* is the service's, as the browser reaches it; *secret* the session's, empty where nobody is signed in;
    *key* what this browser's forms are tied to, *new_key* whether the browser does not have it yet. *form* is what was
    sent and found to be in order.
    """

    request: Request
    address: str
    caller: Caller = ANONYMOUS
    secret: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    new_key: bool = False
    form_token: str = field(default="", repr=False)
    form: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def host(self) -> str:
        """``host:port``, as image names begin."""
        return urlsplit(self.address).netloc

    @property
    def here(self) -> str:
        """The path and query that were asked for, to come back to."""
        url = self.request.url
        return f"{url.path}?{url.query}" if url.query else url.path

    def parameter(self, name: str, longest: int = 2000) -> str:
        """Return a parameter of the query, empty where it was left out, and never longer than *longest*."""
        return self.request.query_params.get(name, "")[:longest].replace("\0", "")

    def page(self, name: str = "page") -> int:
        """Return the number of the page that was asked for, from 1; *name* is what the list is paged by."""
        text = self.parameter(name, 6)
        return max(1, int(text)) if text.isascii() and text.isdigit() else 1

    def require(self) -> Caller:
        """Return who is signed in.

        Raises:
            SignInNeeded: nobody is.
        """
        if self.caller.anonymous:
            raise SignInNeeded
        return self.caller


class Visits:
    """Opens visits, checks their forms, begins and ends their sessions."""

    def __init__(self, sessions: Sessions, address: Address) -> None:
        self._sessions = sessions
        self._address = address

    def stranger(self, request: Request) -> Visit:
        """Return a visit by nobody in particular, without asking who it is."""
        return Visit(request, self._address(request.scope))

    async def open(self, request: Request) -> Visit:
        """Find out who visits.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        visit = self.stranger(request)
        secret = request.cookies.get(self._name(visit, _SESSION), "")
        caller = await self._sessions.caller(secret) if secret else None
        if caller is not None:
            visit.caller, visit.secret, visit.key = caller, secret, secret
        else:
            visit.key = request.cookies.get(self._name(visit, _BEFORE), "")
            if not well_formed(visit.key, _BEFORE_PREFIX):
                visit.key, visit.new_key = new_secret(_BEFORE_PREFIX), True
        visit.form_token = self._sessions.form_token(visit.key)
        return visit

    async def read_form(self, visit: Visit, *, tied: bool = True) -> None:
        """Read the form that was sent. One that is not *tied* carries a secret of its own.

        Raises:
            FormRefused: it was not sent by a page of ours, or came with another session.
            HTTPException: it is no form, or too long.
        """
        if tied and not from_this_site(visit.request.headers, visit.host):
            raise FormRefused("another site sent it")
        form = await read_form(visit.request)
        if tied and not hmac.compare_digest(
            form.get(FORM_TOKEN, "").encode("utf-8", "replace"), visit.form_token.encode()
        ):
            raise FormRefused("its token is not this session's")
        visit.form = form

    def give_key(self, visit: Visit, response: Response) -> None:
        """Let the browser keep what the form of signing in is tied to."""
        if visit.new_key:
            self._set(visit, response, _BEFORE, visit.key, None)

    async def begin(self, visit: Visit, caller: Caller, response: Response) -> None:
        """Begin a session for *caller*, and end the one that the browser had before.

        Raises:
            BadCredentials: their password was changed, or they were disabled, meanwhile.
        """
        made = await self._sessions.begin(caller, visit.request.headers.get("user-agent", ""))
        if visit.secret:
            await self._sessions.end(visit.secret)
        self._set(visit, response, _SESSION, made.secret, LIFETIME)
        self._set(visit, response, _BEFORE, "", 0)

    async def end(self, visit: Visit, response: Response) -> None:
        """End the session, and have the browser forget what it kept of this site."""
        if visit.secret:
            await self._sessions.end(visit.secret)
        self._set(visit, response, _SESSION, "", 0)

    def _set(self, visit: Visit, response: Response, name: str, value: str, seconds: int | None) -> None:
        same_site: Literal["lax"] = "lax"  # a link from elsewhere finds one signed in, a form does not
        response.set_cookie(
            self._name(visit, name),
            value,
            max_age=seconds,
            path="/",
            secure=_encrypted(visit),
            httponly=True,
            samesite=same_site,
        )

    @staticmethod
    def _name(visit: Visit, name: str) -> str:
        return f"__Host-{name}" if _encrypted(visit) else name


def _encrypted(visit: Visit) -> bool:
    return visit.address.startswith("https://")
