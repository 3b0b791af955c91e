"""One's own account: the password, the browsers that are signed in, and tokens for clients."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from starlette.responses import RedirectResponse, Response

from auth.errors import (
    BadCredentials,
    InvalidPassword,
    InvalidScope,
    Throttled,
    TooManyTokens,
)
from auth.forms import address_of
from auth.limits import Limits
from auth.passwords import SHORTEST
from auth.people import People
from auth.sessions import Sessions
from auth.sign_in import SignIn
from auth.tokens import LONGEST_NAME, Tokens
from ui.headers import HEADERS
from ui.rendering import Rendering
from ui.visits import Visit, Visits

_DAY = 24 * 3600
#: How long a token may be made for: days, and their name. No days: until it is revoked.
LIFETIMES = ((7, "7 days"), (30, "30 days"), (90, "90 days"), (365, "a year"), (0, "until it is revoked"))


class AccountPages:
    """`/account` and `/account/tokens`. Each asks who is signed in before anything else."""

    def __init__(
        self,
        rendering: Rendering,
        visits: Visits,
        sessions: Sessions,
        sign_in: SignIn,
        people: People,
        tokens: Tokens,
        default_namespace: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rendering = rendering
        self._visits = visits
        self._sessions = sessions
        self._sign_in = sign_in
        self._people = people
        self._tokens = tokens
        self._default_namespace = default_namespace
        self._clock = clock

    async def show(self, visit: Visit) -> Response:
        """`GET /account`."""
        visit.require()
        return await self._account(visit)

    async def change_password(self, visit: Visit) -> Response:
        """`POST /account/password`: every other browser is signed out; this one gets a new session."""
        caller = visit.require()
        current, new, again = (visit.form.get(field, "") for field in ("current", "new", "again"))
        if new != again:
            return await self._account(visit, {"again": "The two new passwords differ."})
        try:
            proved = await self._sign_in.by_password(caller.name, current, address_of(visit.request))
        except BadCredentials:
            return await self._account(visit, {"current": "This is not your password."})
        except Throttled as error:
            told = f"There were too many wrong passwords. Try again in {error.retry_after} seconds."
            return await self._account(visit, {"current": told}, 429, {"Retry-After": str(error.retry_after)})
        if proved.token_id is not None:
            return await self._account(visit, {"current": "This is a token. Your password is needed."})
        try:
            await self._people.set_password(caller.name, new, generation=proved.generation)
        except InvalidPassword as error:
            return await self._account(visit, {"new": f"{error.rule[:1].upper()}{error.rule[1:]}."})
        response = RedirectResponse("/account?changed=password", 303, HEADERS)
        await self._visits.begin(visit, await self._sign_in.by_password(caller.name, new), response)
        return response

    async def end_others(self, visit: Visit) -> Response:
        """`POST /account/sessions`: sign out every other browser."""
        caller = visit.require()
        await self._sessions.end_others(caller.person_id, visit.secret)
        return RedirectResponse("/account?changed=sessions", 303, HEADERS)

    async def tokens(self, visit: Visit) -> Response:
        """`GET /account/tokens`."""
        visit.require()
        return await self._tokens_page(visit)

    async def create_token(self, visit: Visit) -> Response:
        """`POST /account/tokens`: make one, and show its secret this once."""
        caller = visit.require()
        sent = visit.form
        name, scopes, narrowed = sent.get("name", "").strip(), sent.get("scopes", "").strip(), sent.get("rights")
        errors: dict[str, str] = {}
        if not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
            errors["name"] = f"Give it a name of 1 to {LONGEST_NAME} characters, to know it by."
        limits = None
        if narrowed == "narrowed":
            try:
                limits = Limits.parse(scopes, self._default_namespace)
            except InvalidScope as error:
                errors["scopes"] = f"{error.rule[:1].upper()}{error.rule[1:]}."
        days = next((days for days, _ in LIFETIMES if str(days) == sent.get("lifetime")), None)
        if days is None:
            errors["lifetime"] = "Choose how long it is to live."
        if errors:
            return await self._tokens_page(visit, errors, sent)
        expires = int(self._clock()) + days * _DAY if days else None
        try:
            made = await self._tokens.add_personal(caller, name, limits, expires)
        except TooManyTokens as error:
            return await self._tokens_page(visit, {"": f"You hold {error.most} tokens: revoke one first."}, sent, 409)
        return self._rendering.page(visit, "token_made.html", 201, made=made)

    async def revoke_form(self, visit: Visit) -> Response:
        """`GET /account/tokens/ID/revoke`: a question."""
        caller = visit.require()
        wanted = visit.request.path_params["id"]
        token = next((each for each in await self._tokens.of_person(caller.person_id) if each.id == wanted), None)
        if token is None:
            return RedirectResponse("/account/tokens", 303, HEADERS)
        return self._rendering.page(visit, "token_revoke.html", token=token)

    async def revoke_token(self, visit: Visit) -> Response:
        """`POST /account/tokens/ID/revoke`: it and what was made with it are refused from now on."""
        caller = visit.require()
        await self._tokens.revoke(caller.person_id, visit.request.path_params["id"])
        return RedirectResponse("/account/tokens?changed=revoked", 303, HEADERS)

    async def _account(
        self,
        visit: Visit,
        errors: Mapping[str, str] | None = None,
        status: int = 422,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        sessions = await self._sessions.of_person(visit.caller.person_id, visit.secret)
        return self._rendering.page(
            visit,
            "account.html",
            status if errors else 200,
            headers,
            sessions=sessions,
            errors={"current": "", "new": "", "again": "", **(errors or {})},
            failed=bool(errors),
            changed=visit.parameter("changed", 20),
            shortest=SHORTEST,
        )

    async def _tokens_page(
        self,
        visit: Visit,
        errors: Mapping[str, str] | None = None,
        sent: Mapping[str, str] | None = None,
        status: int = 422,
    ) -> Response:
        found = await self._tokens.of_person(visit.caller.person_id)
        return self._rendering.page(
            visit,
            "tokens.html",
            status if errors else 200,
            personal=[token for token in reversed(found) if token.kind == "personal"],
            refresh=[token for token in reversed(found) if token.kind == "refresh"],
            errors={"name": "", "scopes": "", "lifetime": "", "": "", **(errors or {})},
            failed=bool(errors),
            sent={"name": "", "scopes": "", "rights": "narrowed", "lifetime": "90", **(sent or {})},
            lifetimes=LIFETIMES,
            changed=visit.parameter("changed", 20),
            longest=LONGEST_NAME,
        )
