"""The registry in this process, on a real database and a real store, with tokens signed as the hub signs them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from auth.access import Access
from auth.access_tokens import sign_access_token
from auth.keys import PublicKeys, SigningKey, SigningKeys
from auth.sign_in import SignIn
from auth.verifier import Verifier
from cas import BlobStore, Digest
from catalog.content import Content
from catalog.metadata.pulls import PullCounter
from catalog.registry import Registry, RegistryApplication
from catalog.registry.call import RepositorySearch
from catalog.repositories import Repositories
from database import Database

ISSUER = "portolan"
AUDIENCE = "portolan"
EVERYTHING = ("pull", "push", "delete")


@dataclass
class InProcess:
    """A registry to talk to, and a hub that grants whatever a test asks for."""

    registry: Registry
    store: BlobStore
    database: Database
    key: SigningKey

    def token(
        self,
        access: Mapping[str, Sequence[str]] | None = None,
        *,
        subject: str = "somebody",
        catalog: bool = False,
        **claims: Any,
    ) -> str:
        """Sign a token for *access*: actions by repository."""
        entries = [{"type": "repository", "name": n, "actions": list(a)} for n, a in (access or {}).items()]
        if catalog:
            entries.append({"type": "registry", "name": "catalog", "actions": ["*"]})
        signed = {"issuer": ISSUER, "audience": AUDIENCE, "limits": None, "now": int(time.time())} | claims
        return sign_access_token(self.key, subject=subject, access=entries, **signed)  # type: ignore[arg-type]

    @asynccontextmanager
    async def client(
        self, access: Mapping[str, Sequence[str]] | None = None, *, token: str | None = None, **options: Any
    ) -> AsyncIterator[httpx.AsyncClient]:
        """Give a client that shows a token for *access* (or *token*) with each request."""
        text = token if token is not None else self.token(access, **options)
        transport = httpx.ASGITransport(RegistryApplication(self.registry))  # type: ignore[arg-type]
        headers = {"authorization": f"Bearer {text}"} if text else {}
        async with httpx.AsyncClient(transport=transport, base_url="http://registry.test", headers=headers) as client:
            yield client


async def start(
    database: Database,
    store: BlobStore,
    sign_in: SignIn | None = None,
    search: RepositorySearch | None = None,
    **options: Any,
) -> InProcess:
    """Wire a registry as the program does."""
    repositories = Repositories(database)
    keys = await SigningKeys.open(database)
    registry = Registry(
        database=database,
        content=Content(database, store),
        pulls=PullCounter(database),
        verifier=Verifier(PublicKeys(database), audience=AUDIENCE, issuer=ISSUER),
        access=Access(database, repositories),
        sign_in=sign_in,  # type: ignore[arg-type]
        search=search,  # type: ignore[arg-type]
        realm=lambda scope: "http://registry.test/token",
        **options,
    )
    return InProcess(registry, store, database, await keys.current())


async def push_blob(client: httpx.AsyncClient, name: str, content: bytes) -> Digest:
    """Push a blob as docker does: POST, one PATCH, PUT."""
    digest = Digest.of(content)
    begun = await client.post(f"/v2/{name}/blobs/uploads/")
    assert begun.status_code == 202, begun.text
    sent = await client.patch(begun.headers["location"], content=content)
    assert sent.status_code == 202, sent.text
    done = await client.put(sent.headers["location"], params={"digest": digest.text})
    assert done.status_code == 201, done.text
    return digest
