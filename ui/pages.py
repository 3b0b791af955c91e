"""The pages: which there are, and what all of them pass."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from auth.access import Access
from auth.people import People
from auth.sessions import Sessions
from auth.set_up import SetUp
from auth.sign_in import SignIn
from auth.tokens import Tokens
from catalog.browse import Browse
from catalog.browse.errors import DatabaseUnavailable
from ui.account import AccountPages
from ui.content import ContentPages
from ui.errors import SignInNeeded
from ui.first_page import Commands, FirstPage
from ui.formats import link
from ui.headers import HEADERS
from ui.image import ImagePages
from ui.phrases import Phrase, phrase
from ui.rendering import Rendering
from ui.repository import RepositoryPages
from ui.repository_changes import Owned, RepositoryChanges
from ui.search import Search
from ui.signing_in import SigningIn
from ui.visits import Address, Visit, Visits

_STATIC = Path(__file__).parent / "static"

Handler = Callable[[Visit], Awaitable[Response]]


class Pages:
    """Makes the pages and their routes. What they need to know of the service is given once."""

    def __init__(
        self,
        *,
        browse: Browse,
        repositories: Owned,
        access: Access,
        set_up: SetUp,
        sign_in: SignIn,
        sessions: Sessions,
        people: People,
        tokens: Tokens,
        address: Address,
        commands: Commands,
        default_namespace: str = "library",
    ) -> None:
        """*address* tells a request's service as the client reaches it (``https://host``).

        *commands* lists the three that push a first image, for an address, a namespace and a client.
        """
        rendering = Rendering()
        self._rendering = rendering
        self._visits = Visits(sessions, address)
        self._first = FirstPage(rendering, self._visits, browse, set_up, sign_in, commands)
        self._search = Search(rendering, browse)
        self._images = ImagePages(rendering, browse, default_namespace)
        self._repositories = RepositoryPages(rendering, browse, self._images, default_namespace)
        self._changes = RepositoryChanges(rendering, browse, repositories, access, default_namespace)
        self._content = ContentPages(rendering, browse, default_namespace)
        self._signing_in = SigningIn(rendering, self._visits, sign_in)
        self._account = AccountPages(rendering, self._visits, sessions, sign_in, people, tokens, default_namespace)

    def routes(self) -> list[BaseRoute]:
        """Return the routes of the pages and of what they are made of."""
        image, repository, changes, account = self._images, self._repositories, self._changes, self._account
        return [
            *self._both("/set-up", self._first.set_up_form, self._first.set_up, tied=False),
            *self._both("/sign-in", self._signing_in.form, self._signing_in.sign_in),
            *self._both("/sign-out", self._signing_in.sign_out_form, self._signing_in.sign_out),
            *self._both("/account/tokens/{id}/revoke", account.revoke_form, account.revoke_token),
            *self._both("/account/tokens", account.tokens, account.create_token),
            *self._both("/account/password", account.show, account.change_password),
            *self._both("/account/sessions", account.show, account.end_others),
            *self._both("/r/{name:path}/-/settings", changes.settings, changes.change),
            *self._both("/r/{name:path}/-/delete", changes.delete_form, changes.delete),
            *self._both("/r/{name:path}/-/tag", changes.tag_form, changes.tag),
            *self._both("/r/{name:path}/-/untag", changes.untag_form, changes.untag),
            self._get("/", self._first.show),
            self._get("/first-image", self._first.arrival),
            self._get("/search", self._search.show),
            self._get("/search/suggestions", self._search.suggestions),
            self._get("/account", account.show),
            self._get("/r/{name:path}/-/tags", repository.tags),
            self._get("/r/{name:path}/-/history", repository.history),
            self._get("/r/{name:path}", repository.show),
            self._get("/i/{digest}", image.show),
            self._get("/i/{digest}/state", image.state),
            self._get("/i/{digest}/packages", image.packages),
            self._get("/i/{digest}/files", image.files),
            self._get("/i/{digest}/configuration", image.configuration),
            self._get("/i/{digest}/related", image.related),
            self._get("/i/{digest}/manifest", image.raw_manifest),
            self._get("/i/{digest}/config", image.raw_config),
            self._get("/l/{digest}", self._content.layer),
            self._get("/p/{ecosystem}/{name:path}", self._content.package),
            self._get("/files", self._content.files),
            self._get("/compare", self._content.compare),
            Mount("/static", _Static(directory=_STATIC)),
        ]

    async def message(self, request: Request, status: int, heading: str, text: str) -> Response:
        """Return a page with a heading and a sentence, for what is answered outside of the pages."""
        try:
            visit = await self._visits.open(request)
        except DatabaseUnavailable:
            visit = self._visits.stranger(request)
        return self._said(visit, Phrase(status, heading, text, sign_in=status in (401, 404)))

    def _get(self, path: str, handler: Handler) -> Route:
        return Route(path, self._answering(handler), methods=["GET"])

    def _both(self, path: str, get: Handler, post: Handler, *, tied: bool = True) -> list[Route]:
        """A form's routes. A form that is not *tied* to a session carries a secret of its own."""
        return [self._get(path, get), Route(path, self._answering(post, tied=tied), methods=["POST"])]

    def _answering(self, handler: Handler, *, tied: bool = True) -> Callable[[Request], Awaitable[Response]]:
        """Wrap *handler*: who visits, is their form in order, and the words where it ends in no answer."""

        async def answer(request: Request) -> Response:
            visit = self._visits.stranger(request)
            try:
                visit = await self._visits.open(request)
                if request.method == "POST":
                    await self._visits.read_form(visit, tied=tied)
                return await handler(visit)
            except Exception as error:
                if isinstance(error, SignInNeeded) and request.method == "GET":
                    return RedirectResponse(link("/sign-in", next=visit.here), 303, HEADERS)
                said = phrase(error)
                if said is None:
                    raise
                return self._said(visit, said)

        return answer

    def _said(self, visit: Visit, said: Phrase) -> Response:
        headers = {} if said.retry_after is None else {"Retry-After": str(said.retry_after)}
        if said.status == 401:
            # RFC 9110, section 11.6.1, asks for a challenge; browsers ask people about none that they do not know.
            headers["WWW-Authenticate"] = 'Session realm="pages"'
        return self._rendering.page(
            visit,
            "message.html",
            said.status,
            headers,
            heading=said.heading,
            text=said.text,
            sign_in=said.sign_in and visit.caller.anonymous,
            again=said.retry_after is not None,
        )


class _Static(StaticFiles):
    """The stylesheet, scripts and pictures: fetched again after an hour, and never sniffed."""

    def file_response(self, *arguments: Any, **options: Any) -> Response:
        response = super().file_response(*arguments, **options)
        response.headers.update({**HEADERS, "Cache-Control": "public, max-age=3600"})
        return response
