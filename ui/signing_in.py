"""Signing in and out."""

from __future__ import annotations

from starlette.responses import RedirectResponse, Response

from auth.callers import Caller
from auth.errors import BadCredentials, Throttled
from auth.fingerprints import well_formed
from auth.forms import address_of
from auth.sign_in import SignIn
from auth.tokens import PERSONAL, REFRESH
from ui.forms import safe_return
from ui.headers import HEADERS
from ui.rendering import Rendering
from ui.visits import Visit, Visits

_LONGEST_NAME = 200
_LONGEST_PASSWORD = 2000


class SigningIn:
    """`/sign-in` and `/sign-out`."""

    def __init__(self, rendering: Rendering, visits: Visits, sign_in: SignIn) -> None:
        self._rendering = rendering
        self._visits = visits
        self._sign_in = sign_in

    async def form(self, visit: Visit) -> Response:
        """`GET /sign-in?next=…`."""
        onward = safe_return(visit.parameter("next"))
        if not visit.caller.anonymous:
            return RedirectResponse(onward, 303, HEADERS)
        return self._form(visit, onward)

    async def sign_in(self, visit: Visit) -> Response:
        """`POST /sign-in`: begin a session, and go back to where one was."""
        onward = safe_return(visit.form.get("next", ""))
        name, password = visit.form.get("name", "").strip(), visit.form.get("password", "")
        try:
            caller = await self._proved(visit, name, password)
        except BadCredentials:
            told = "This name and password do not go together."
            if any(well_formed(password, prefix) for prefix in (PERSONAL, REFRESH)):
                told = "Tokens are for clients. Here your password is needed."
            return self._form(visit, onward, name, told, 401)
        except Throttled as error:
            told = f"There were too many wrong passwords. Try again in {error.retry_after} seconds."
            return self._form(visit, onward, name, told, 429, {"Retry-After": str(error.retry_after)})
        response = RedirectResponse(onward, 303, HEADERS)
        await self._visits.begin(visit, caller, response)
        return response

    async def sign_out(self, visit: Visit) -> Response:
        """`POST /sign-out`: end this browser's session."""
        response = RedirectResponse("/", 303, HEADERS)
        await self._visits.end(visit, response)
        return response

    async def sign_out_form(self, visit: Visit) -> Response:
        """`GET /sign-out`: a question; an address that signs out by itself could stand in any page's pictures."""
        if visit.caller.anonymous:
            return RedirectResponse("/", 303, HEADERS)
        return self._rendering.page(visit, "sign_out.html")

    async def _proved(self, visit: Visit, name: str, password: str) -> Caller:
        if not name or not password or len(name) > _LONGEST_NAME or len(password) > _LONGEST_PASSWORD:
            raise BadCredentials
        caller = await self._sign_in.by_password(name, password, address_of(visit.request))
        if caller.token_id is not None:  # a session would be wider than a token, and outlive it
            raise BadCredentials
        return caller

    def _form(
        self,
        visit: Visit,
        onward: str,
        name: str = "",
        error: str = "",
        status: int = 200,
        headers: dict[str, str] | None = None,
    ) -> Response:
        response = self._rendering.page(
            visit, "sign_in.html", status, headers, onward=onward, name=name[:_LONGEST_NAME], error=error
        )
        self._visits.give_key(visit, response)
        return response
