"""The whole catalog in the test's own process: the hub, ingest, the registry's application and the JSON API over them.

async with opened(database, store, directory) as site:
    await site.ingest.push("alice/app", image(layer({...})), "v1", public=False)
    await site.ingest.settled()
    await site.get("/api/v1/search?q=app", "alice", PASSWORD)
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.routing import Mount

from cas import BlobStore
from cas.layer_index.protocol import LayerIndex
from catalog.api import ApiServices, api_application
from catalog.browse.service import BrowseService
from catalog.content import Content
from catalog.registry import RegistryApplication
from catalog.repositories import Repositories
from catalog.search.engine import SearchEngine
from database import Database
from tests.auth.hub import PASSWORD, Hub, open_hub
from tests.catalog.in_process import start
from tests.ingest import in_process
from tests.ingest.in_process import Ingest


@dataclass
class Site:
    """A registry and an API in front of one hub, with alice, bob and an administrator; and ingest behind them."""

    hub: Hub
    ingest: Ingest
    repositories: Repositories
    registry: RegistryApplication
    api: Starlette

    async def get(self, path: str, *credentials: str, method: str = "GET", **options: Any) -> httpx.Response:
        """Ask: with a name and a password, with a token as Bearer, with an ``Authorization``, or as nobody."""
        app: Any = self.registry if path.startswith(("/v1/", "/v2/")) else self.api
        headers: dict[str, str] = {}
        if len(credentials) == 2:
            headers["authorization"] = "Basic " + base64.b64encode(":".join(credentials).encode()).decode()
        elif credentials:
            (shown,) = credentials
            headers["authorization"] = shown if " " in shown else f"Bearer {shown}"
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://hub.test") as client:
            return await client.request(method, path, headers=headers, **options)

    async def token(self, scope: str, *credentials: str) -> str:
        """Return an access token of the hub."""
        async with self.hub.client(*credentials) as client:
            answer = await client.get("/token", params={"service": "portolan", "scope": scope})
            return str(answer.json()["token"])

    def over(self, *, index: LayerIndex | None = None, engine: SearchEngine | None = None) -> Starlette:
        """Make the API over another layer index or engine."""
        ingest, access = self.ingest, self.hub.access
        content = Content(ingest.database, ingest.store)
        browse = BrowseService(
            ingest.database, content, ingest.derived, index or ingest.index, engine or ingest.engine, access
        )
        services = ApiServices(browse, self.repositories, access, self.hub.sign_in)
        return Starlette(routes=[Mount("/api", api_application(services, "0"))])


@asynccontextmanager
async def opened(database: Database, store: BlobStore, directory: Path) -> AsyncIterator[Site]:
    """Open everything, and start nothing: `Ingest.running` does."""
    async with in_process.opened(database, store, directory, processes=1) as ingest:
        hub, passwords = await open_hub(database)
        repositories = Repositories(database)
        hub.access._repositories = repositories
        for name in ("alice", "bob"):
            await hub.people.add(name, PASSWORD)
        await hub.people.add("root-person", PASSWORD, administrator=True)
        content = Content(database, store)
        browse = BrowseService(database, content, ingest.derived, ingest.index, ingest.engine, hub.access)
        running = await start(database, store, hub.sign_in, browse.repositories_with)
        registry = RegistryApplication(replace(running.registry, verifier=hub.verifier, access=hub.access))
        site = Site(hub, ingest, repositories, registry, Starlette())
        site.api = site.over()
        try:
            yield site
        finally:
            await passwords.close()


@asynccontextmanager
async def going(database: Database, store: BlobStore, directory: Path) -> AsyncIterator[Site]:
    """Open everything, and keep ingest going."""
    async with opened(database, store, directory) as site, site.ingest.running():
        yield site
