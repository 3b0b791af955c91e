"""What is made private, or deleted, is hidden at once, from every answer: search hears of it later."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from cas import BlobStore, RepositoryName
from database import Database
from tests.auth.hub import PASSWORD
from tests.catalog.api.conftest import BASE, Catalog, filled
from tests.catalog.whole import Site, opened


@pytest.fixture
async def site(database: Database, store: BlobStore, tmp_path: Path) -> AsyncIterator[Site]:
    async with opened(database, store, tmp_path) as site:
        yield site


async def test_what_is_made_private_or_deleted_is_hidden_at_once(site: Site) -> None:
    """Ingest has stopped before: search knows nothing of it yet."""
    async with site.ingest.running():
        catalog = await filled(site)
    digest = catalog.debian.text
    secrets = (
        '"repository":"debian"',
        '"name":"debian"',
        '"repo:debian"',
        f'"digest":"{digest}"',
        f'"image":"{digest}"',
    )
    at_first = await _of_debian(site, catalog)
    assert all(any(secret in text for secret in secrets) for text in at_first.values()), at_first
    before = await _of_debian(site, catalog, "root-person", PASSWORD)

    debian = RepositoryName("library/debian")
    await site.repositories.change(debian, public=False)
    for credentials in ((), ("bob", PASSWORD)):
        for question, text in (await _of_debian(site, catalog, *credentials)).items():
            assert not any(secret in text for secret in secrets), (question, text)
    assert _without_visibility(await _of_debian(site, catalog, "root-person", PASSWORD)) == _without_visibility(before)
    layer = (await site.get(f"/api/v1/layers/{BASE.diff_id}")).json()
    assert (layer["image_count"], [image["digest"] for image in layer["images"]]) == (1, [catalog.app.text])
    package = (await site.get("/api/v1/packages/deb/openssl")).json()
    assert [(row["version"], row["images"]) for row in package["versions"]] == [("3.0.11-1", 1)]
    image = (await site.get(f"/api/v1/images/{catalog.app}")).json()
    assert [row["images"] for row in image["layers"]] == [1, 1]
    files = (await site.get("/api/v1/files", params={"path": "/etc/gone"})).json()
    assert files["files"] == []
    images = (await site.get("/api/v1/search", params={"q": "type:image", "size": 100})).json()
    assert images["total"] == len(images["hits"]) == 4
    assert all(value["count"] <= 4 for facet in images["facets"] for value in facet["values"])

    await site.repositories.change(debian, public=True)
    await site.repositories.delete(debian)
    for credentials in ((), ("alice", PASSWORD), ("root-person", PASSWORD)):
        for question, text in (await _of_debian(site, catalog, *credentials)).items():
            assert not any(secret in text for secret in secrets), (question, text)


async def _of_debian(site: Site, catalog: Catalog, *credentials: str) -> dict[str, str]:
    """Ask every way that leads to the base image, but by what stands in the other images too."""
    asked: list[tuple[str, dict[str, Any]]] = [
        ("search", {"q": "deb"}),
        ("search", {"q": "type:image package:openssl<3.0.7"}),
        ("search", {"q": f"digest:{catalog.debian}"}),
        ("search", {"q": "path:/etc/gone", "type": "image"}),
        ("suggest", {"q": "repo:deb"}),
        (f"images/{catalog.debian}", {}),
        (f"images/{catalog.debian}/packages", {}),
        ("repositories/debian", {}),
        ("tags", {"repository": "debian"}),
        ("resolve", {"image": "debian:12"}),
        ("packages/deb/openssl", {"version": "<3.0.7"}),
        ("files", {"path": "/etc/gone"}),
        ("diff", {"from": catalog.debian.text, "to": catalog.debian.text}),
    ]
    return {
        f"{path} {given}": (await site.get(f"/api/v1/{path}", *credentials, params=given)).text for path, given in asked
    }


def _without_visibility(answers: dict[str, str]) -> dict[str, str]:
    changed = ('"public":true', '"public":false')
    return {
        question: text.replace(changed[0], changed[1])
        for question, text in answers.items()
        if not question.startswith(("repositories", "search"))
    }
