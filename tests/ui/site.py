"""A site of pages alone: real people and sessions in a database, and a catalog of canned answers."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import sqlalchemy
from starlette.applications import Starlette

from auth import Access, Fingerprints, LastUse, Passwords, People, PublicKeys, SetUp, SignIn, Tokens, Verifier
from auth.sessions import Sessions
from catalog.repositories import Repositories
from database import Database, connect, metadata
from portolan import banner
from portolan.origin import Origin
from tests.auth.hub import CountingHasher
from tests.ui.canned import CannedBrowse
from ui import Pages

PASSWORD = "correct horse battery staple"
URL = "http://registry.test:5000"


@dataclass
class Site:
    """The pages as an application, and what they stand on."""

    application: Starlette
    browse: CannedBrowse
    database: Database
    people: People
    sessions: Sessions
    set_up: SetUp
    tokens: Tokens
    sign_in: SignIn

    @asynccontextmanager
    async def visitor(
        self, name: str = "", url: str = URL, address: str = "192.0.2.1"
    ) -> AsyncIterator[httpx.AsyncClient]:
        """Give a browser without a window; with *name*, one that signed in by the form."""
        transport = httpx.ASGITransport(self.application, client=(address, 12345))
        async with httpx.AsyncClient(transport=transport, base_url=url) as client:
            if name:
                done = await submit(client, "/sign-in", name=name, password=PASSWORD)
                assert done.status_code == 303, done.text
            yield client


async def submit(client: httpx.AsyncClient, path: str, /, page: str = "", **fields: str) -> httpx.Response:
    """Open the page that has a form, and send the form with its token to *path*."""
    shown = await client.get(page or path)
    token = form_token(shown.text)
    return await client.post(path, data={"form-token": token, **fields})


def form_token(page: str) -> str:
    """Read the token out of a page's forms: all carry the same."""
    tokens = set(re.findall(r'name="form-token" value="([^"]*)"', page))
    assert len(tokens) == 1, tokens
    return str(tokens.pop())


@asynccontextmanager
async def site(directory: Path, *, empty: bool = False, public_url: str | None = None) -> AsyncIterator[Site]:
    """Open a site with `ada`, who administers it, and `bob`."""
    url = f"sqlite:///{directory}/portolan.db"
    engine = sqlalchemy.create_engine(url)
    metadata.create_all(engine)
    engine.dispose()
    database = await connect(url)
    passwords = Passwords(CountingHasher(), threads=2)
    fingerprints = await Fingerprints.open(database)
    repositories = Repositories(database)
    access = Access(database, repositories)
    tokens = Tokens(database, fingerprints, LastUse(database))
    sign_in = SignIn(database, passwords, tokens, Verifier(PublicKeys(database), "portolan", "portolan"), access)
    made = Site(
        application=Starlette(),
        browse=CannedBrowse(empty=empty),
        database=database,
        people=People(database, passwords),
        sessions=Sessions(database, fingerprints),
        set_up=SetUp(database, fingerprints, passwords),
        tokens=tokens,
        sign_in=sign_in,
    )
    pages = Pages(
        browse=made.browse,
        repositories=repositories,
        access=access,
        set_up=made.set_up,
        sign_in=sign_in,
        sessions=made.sessions,
        people=made.people,
        tokens=tokens,
        address=Origin(public_url).address,
        commands=banner.first_push,
    )
    made.application.router.routes.extend(pages.routes())
    yield made
    await passwords.close()
    await database.close()
