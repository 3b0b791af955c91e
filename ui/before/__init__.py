"""The pages that there are so far: the first one, and the form that makes the first administrator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from auth.errors import InvalidPassword, InvalidPersonName, NameTaken, SetUpLinkInvalid, Throttled
from auth.passwords import SHORTEST
from auth.set_up import SetUp

_HERE = Path(__file__).parent

#: Nothing is loaded from elsewhere, no script runs, nobody frames a page, and a form is sent nowhere else.
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

#: Bytes of the form, at most: three fields.
_MOST_FORM = 16 * 1024

_CLIENTS = ("docker", "podman", "skopeo")

Address = Callable[[MutableMapping[str, Any]], str]
Commands = Callable[[str, str, str], Sequence[str]]


class Pages:
    """Renders pages. What they need to know of the service is given once."""

    def __init__(self, set_up: SetUp, address: Address, commands: Commands) -> None:
        """*address* tells a request's service as the client reaches it (``https://host``).

        *commands* lists the three that push a first image, for an address, a namespace and a client.
        """
        self._set_up = set_up
        self._address = address
        self._commands = commands
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def routes(self) -> list[BaseRoute]:
        """Return the routes of the pages and of what they are made of."""
        return [
            Route("/", self.home, methods=["GET"]),
            Route("/set-up", self.set_up_form, methods=["GET"]),
            Route("/set-up", self.set_up, methods=["POST"]),
            Mount("/static", _Static(directory=_HERE / "static")),
        ]

    async def home(self, request: Request) -> Response:
        """`GET /`: what this is, and how to begin."""
        address = self._address(request.scope)
        clients = [(client, self._commands(address, "NAME", client)) for client in _CLIENTS]
        return self._page(request, "home.html", clients=clients)

    async def set_up_form(self, request: Request) -> Response:
        """`GET /set-up?link=…`: the form, while the link is open."""
        link = request.query_params.get("link", "")
        if not await self._set_up.is_open(link):
            return self._closed(request)
        return self._form(request, link)

    async def set_up(self, request: Request) -> Response:
        """`POST /set-up`: make the first administrator."""
        form = await _form(request)
        link, name, password = (form.get(field, "") for field in ("link", "name", "password"))
        try:
            person = await self._set_up.redeem(link, name, password)
        except SetUpLinkInvalid:
            return self._closed(request)
        except InvalidPersonName as error:
            told = "That name is reserved: choose another." if "reserved" in error.rule else f"A name: {error.rule}."
            return self._form(request, link, name, {"name": told})
        except NameTaken:
            return self._form(request, link, name, {"name": "That name is taken: choose another."})
        except InvalidPassword as error:
            return self._form(request, link, name, {"password": f"{error.rule[:1].upper()}{error.rule[1:]}."})
        except Throttled as error:
            return self._form(request, link, name, {"": "Too much is going on: try again in a moment."}, 503, error)
        commands = self._commands(self._address(request.scope), person.name, "docker")
        return self._page(request, "set_up_done.html", name=person.name, commands=commands)

    def _form(
        self,
        request: Request,
        link: str,
        name: str = "",
        errors: Mapping[str, str] | None = None,
        status: int = 422,
        throttled: Throttled | None = None,
    ) -> Response:
        response = self._page(
            request,
            "set_up.html",
            status if errors else 200,
            link=link,
            name=name,
            failed=bool(errors),
            errors={"name": "", "password": "", **(errors or {})},
            shortest=SHORTEST,
        )
        if throttled is not None:
            response.headers["Retry-After"] = str(throttled.retry_after)
        return response

    def _closed(self, request: Request) -> Response:
        """Answer for every link that is not open: used, expired, replaced, made up, or no longer needed."""
        return self.message(
            request,
            404,
            "This link is not open",
            "A set-up link works once, for a day, until there is an administrator. Start the service again to get a new"
            " one on its terminal; or add a person there with “portolan user add NAME --admin”.",
        )

    def message(self, request: Request, status: int, heading: str, text: str) -> Response:
        """Return a page with a heading and a sentence."""
        return self._page(request, "message.html", status, heading=heading, text=text)

    def _page(self, request: Request, template: str, status: int = 200, **values: object) -> Response:
        host = urlsplit(self._address(request.scope)).netloc
        text = self._templates.get_template(template).render(host=host, **values)
        return HTMLResponse(text, status, HEADERS)


class _Static(StaticFiles):
    """The stylesheet and pictures: fetched again after an hour, and never sniffed."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        response = super().file_response(*arguments, **options)
        response.headers.update({**HEADERS, "Cache-Control": "public, max-age=3600"})
        return response


async def _form(request: Request) -> dict[str, str]:
    """Read a form of a few short fields.

    Raises:
        HTTPException: it is something else, or too long.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise HTTPException(415, "a form is expected, as a browser sends it")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_FORM:
            raise HTTPException(413, "the form is too long")
    try:
        return dict(parse_qsl(body.decode("ascii", "replace"), keep_blank_values=True, max_num_fields=10))
    except ValueError:
        raise HTTPException(400, "the form has too many fields") from None
