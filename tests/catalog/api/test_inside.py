"""What is the installation's own business: no answer names its directories, or says what its engines say of them."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cas.directory import DirectoryStore
from cas.errors import StorageFull
from cas.layer_index.rocks import RocksLayerIndex
from catalog.api import problems
from catalog.registry import errors
from catalog.search.tantivy_engine import TantivySearch
from database import DatabaseFull, DatabaseUnavailable
from tests.catalog.api.conftest import APP, BASE
from tests.catalog.whole import Site, going
from tests.database.engines import fresh_database
from ui.phrases import phrase


@pytest.fixture
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    async with (
        fresh_database("sqlite", request, tmp_path) as database,
        going(database, DirectoryStore(tmp_path / "store"), tmp_path) as site,
    ):
        yield site


async def test_damaged_indexes_are_told_of_and_their_files_are_not(site: Site, tmp_path: Path) -> None:
    digest = await site.ingest.push("alice/app", APP, "v1")
    await site.ingest.settled()
    for name in ("index", "search"):
        shutil.copytree(tmp_path / name, tmp_path / "damaged" / name, symlinks=True)
    for path in (tmp_path / "damaged").rglob("*"):
        if path.is_file() and not path.is_symlink() and path.parent.parent.parent == tmp_path / "damaged":
            path.write_bytes(b"damaged")
    engine = TantivySearch(tmp_path / "damaged" / "search")
    paths = [
        f"images/{digest}",
        f"images/{digest}/packages",
        f"images/{digest}/files",
        f"layers/{BASE.diff_id}",
        "files?path=/etc/kept",
        "search?q=path:/etc/kept",
        "suggest?q=a",
        "packages/deb/openssl",
        f"diff?from={digest}&to={digest}",
    ]

    async with RocksLayerIndex.open(tmp_path / "damaged" / "index") as index:
        site.api = site.over(index=index)
        answers = [await site.get(f"/api/v1/{path}") for path in paths]
    site.api = site.over(engine=engine)
    answers += [await site.get(f"/api/v1/{path}") for path in paths]
    await engine.aclose()

    refused = [answer for answer in answers if answer.status_code == 503]
    assert len(refused) > 8
    assert all(answer.is_success for answer in answers if answer not in refused)
    for answer in answers:
        for word in (str(tmp_path), "Corruption", "No such file", "MANIFEST", "meta.json"):
            assert word not in answer.text, answer.text


PLACE = "/srv/portolan/data"


@pytest.mark.parametrize(
    "error", [StorageFull("the store", PLACE), DatabaseFull(f"{PLACE}/portolan.db"), DatabaseUnavailable(PLACE)]
)
def test_what_is_full_is_told_and_where_that_is_is_not(error: Exception) -> None:
    answered = errors.phrased(error)
    assert answered is not None
    assert PLACE.encode() not in answered.body
    if not isinstance(error, StorageFull):  # the API and the pages write nothing into the store
        assert PLACE.encode() not in problems.answer(error).body
        told = phrase(error)
        assert told is not None
        assert PLACE not in told.text
