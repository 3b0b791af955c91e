"""Sites of pages, and a service with a fleet, for the tests of the pages."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser

from tests.services.portolan import Portolan
from tests.services.processes import wait_until
from tests.ui.browsing import chromium
from tests.ui.harbour import Fleet, Harbour
from tests.ui.site import PASSWORD, Site
from tests.ui.site import site as open_site


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """Pages with `ada`, who administers, and `bob`."""
    async with open_site(tmp_path) as opened:
        await opened.people.add("ada", PASSWORD, administrator=True)
        await opened.people.add("bob", PASSWORD)
        yield opened


@pytest.fixture
async def fresh_site(tmp_path: Path) -> AsyncIterator[Site]:
    """Pages of a service in which there is nobody and nothing yet."""
    async with open_site(tmp_path, empty=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, started once a module: Playwright keeps an event loop in this thread until it ends, and no test of
    another module could have one of its own beside it."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def canned_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of pages over canned answers, with `ada`, who administers."""
    with _served(tmp_path_factory.mktemp("pages"), _add_ada) as url:
        yield url


@pytest.fixture(scope="module")
def fresh_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of pages in which there is nobody and nothing yet, and the secret that makes somebody."""
    links: list[str] = []

    async def issue(opened: Site) -> None:
        links.append(await opened.set_up.issue() or "")

    with _served(tmp_path_factory.mktemp("fresh"), issue, empty=True) as url:
        yield url, links[0]


async def _add_ada(opened: Site) -> None:
    await opened.people.add("ada", PASSWORD, administrator=True)


@contextmanager
def _served(directory: Path, prepare: Callable[[Site], Awaitable[None]], *, empty: bool = False) -> Iterator[str]:
    """Serve a site by a thread; give its address."""
    servers: list[uvicorn.Server] = []

    async def serve() -> None:
        async with open_site(directory, empty=empty) as opened:
            await prepare(opened)
            server = uvicorn.Server(
                uvicorn.Config(opened.application, host="127.0.0.1", port=0, log_level="error", ws="none")
            )
            servers.append(server)
            await server.serve()

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    wait_until(lambda: bool(servers) and servers[0].started, 30, "the pages to be served")
    yield f"http://127.0.0.1:{servers[0].servers[0].sockets[0].getsockname()[1]}"
    servers[0].should_exit = True
    thread.join()


@pytest.fixture(scope="session")
def fleet() -> Fleet:
    """The images that are pushed, made once."""
    return Fleet()


@pytest.fixture(scope="module")
def harbour(tmp_path_factory: pytest.TempPathFactory, fleet: Fleet) -> Iterator[Harbour]:
    """A running service with the whole fleet, all of it read."""
    with Portolan(tmp_path_factory.mktemp("harbour")) as service:
        harbour = Harbour(service)
        harbour.fill(fleet)
        yield harbour
