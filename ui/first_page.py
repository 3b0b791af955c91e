"""The first page: a box to search with; before anything was pushed, the commands that do that; and the set-up form."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from starlette.responses import RedirectResponse, Response

from auth.errors import BadCredentials, InvalidPassword, InvalidPersonName, NameTaken, SetUpLinkInvalid, Throttled
from auth.passwords import SHORTEST
from auth.set_up import SetUp
from auth.sign_in import SignIn
from catalog.browse import Browse
from catalog.browse.answers import ImageHit, RepositoryHit, SearchAnswer
from catalog.browse.errors import LayerIndexUnavailable, SearchUnavailable
from ui.headers import HEADERS
from ui.rendering import Rendering
from ui.visits import Visit, Visits

_CLIENTS = ("docker", "podman", "skopeo")
_SHOWN = 12

Commands = Callable[[str, str, str], Sequence[str]]

#: The link's secret stands in the form's address, and is sent nowhere.
_SECRET = {"Referrer-Policy": "no-referrer"}


class FirstPage:
    """What people see who come for the first time, and whoever comes back to search."""

    def __init__(
        self,
        rendering: Rendering,
        visits: Visits,
        browse: Browse,
        set_up: SetUp,
        sign_in: SignIn,
        commands: Commands,
    ) -> None:
        """*commands* lists the three that push a first image, for an address, a namespace and a client."""
        self._rendering = rendering
        self._visits = visits
        self._browse = browse
        self._set_up = set_up
        self._sign_in = sign_in
        self._commands = commands

    async def show(self, visit: Visit) -> Response:
        """`GET /`: the newest repositories, or how to push the first image."""
        found, problem = await self._newest(visit, "repository")
        if found is not None and found.hits:
            return self._rendering.page(visit, "home.html", found=found, problem="")
        if problem:
            return self._rendering.page(visit, "home.html", found=None, problem=problem)
        return self._rendering.page(
            visit, "first_run.html", clients=self._clients(visit), set_up_needed=await self._set_up.needed()
        )

    async def arrival(self, visit: Visit) -> Response:
        """`GET /first-image`: the image that has just arrived, as soon as there is one."""
        found, _ = await self._newest(visit, "image")
        if found is None or not found.hits:
            repositories, _ = await self._newest(visit, "repository")
            if repositories is None or not repositories.hits:
                return Response(status_code=204, headers=HEADERS)
            return self._rendering.page(visit, "_arrival.html", hit=repositories.hits[0])
        return self._rendering.page(visit, "_arrival.html", hit=found.hits[0])

    async def set_up_form(self, visit: Visit) -> Response:
        """`GET /set-up?link=…`: the form, while the link is open."""
        link = visit.parameter("link")
        if not await self._set_up.is_open(link):
            return self._closed(visit)
        return self._form(visit, link)

    async def set_up(self, visit: Visit) -> Response:
        """`POST /set-up`: make the first administrator, and sign them in."""
        link, name, password = (visit.form.get(field, "") for field in ("link", "name", "password"))
        try:
            person = await self._set_up.redeem(link, name, password)
        except SetUpLinkInvalid:
            return self._closed(visit)
        except InvalidPersonName as error:
            told = "That name is reserved: choose another." if "reserved" in error.rule else f"A name: {error.rule}."
            return self._form(visit, link, name, {"name": told})
        except NameTaken:
            return self._form(visit, link, name, {"name": "That name is taken: choose another."})
        except InvalidPassword as error:
            return self._form(visit, link, name, {"password": f"{error.rule[:1].upper()}{error.rule[1:]}."})
        except Throttled as error:
            return self._form(visit, link, name, {"": "Too much is going on: try again in a moment."}, 503, error)
        response = RedirectResponse("/", 303, HEADERS)
        try:
            caller = await self._sign_in.by_password(person.name, password)
            await self._visits.begin(visit, caller, response)
        except (BadCredentials, Throttled):  # the account is there: they sign in by themselves
            return RedirectResponse("/sign-in", 303, HEADERS)
        return response

    async def _newest(self, visit: Visit, kind: str) -> tuple[SearchAnswer | None, str]:
        try:
            answer = await self._browse.search(
                visit.caller,
                "",
                type="image" if kind == "image" else "repository",
                sort="pushed",
                size=_SHOWN,
                facets=False,
            )
        except (SearchUnavailable, LayerIndexUnavailable) as error:
            return None, error.reason
        assert all(isinstance(hit, RepositoryHit | ImageHit) for hit in answer.hits)
        return answer, ""

    def _clients(self, visit: Visit) -> list[tuple[str, Sequence[str]]]:
        name = visit.caller.name or "NAME"
        return [(client, self._commands(visit.address, name, client)) for client in _CLIENTS]

    def _form(
        self,
        visit: Visit,
        link: str,
        name: str = "",
        errors: Mapping[str, str] | None = None,
        status: int = 422,
        throttled: Throttled | None = None,
    ) -> Response:
        headers = _SECRET if throttled is None else {**_SECRET, "Retry-After": str(throttled.retry_after)}
        return self._rendering.page(
            visit,
            "set_up.html",
            status if errors else 200,
            headers,
            link=link,
            name=name,
            failed=bool(errors),
            errors={"name": "", "password": "", **(errors or {})},
            shortest=SHORTEST,
        )

    def _closed(self, visit: Visit) -> Response:
        """Answer for every link that is not open: used, expired, replaced, made up, or no longer needed."""
        return self._rendering.page(
            visit,
            "message.html",
            404,
            _SECRET,
            heading="This link is not open",
            text="A set-up link works once, for a day, until there is an administrator. Start the service again to get"
            " a new one on its terminal; or add a person there with “portolan user add NAME --admin”.",
            sign_in=False,
            again=False,
        )
