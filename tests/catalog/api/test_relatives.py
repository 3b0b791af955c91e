"""What an image is built on and what is built on it, where there is much of either."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cas.directory import DirectoryStore
from tests.catalog.whole import Site, opened
from tests.database.engines import fresh_database
from tests.ingest.in_process import image, small

BOTTOM, MIDDLE, TOP = small("bottom"), small("middle"), small("top")


@pytest.fixture
async def site(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    async with (
        fresh_database("sqlite", request, tmp_path) as database,
        opened(database, DirectoryStore(tmp_path / "store"), tmp_path) as site,
        site.ingest.running(),
    ):
        yield site


async def test_the_nearest_base_is_found_among_any_number_of_lower_ones(site: Site) -> None:
    """A base that hundreds of images stand on was pushed long before most of them."""
    await site.ingest.push("alice/nearest", image(BOTTOM, MIDDLE), "v1")
    for number in range(101):
        await site.ingest.push("alice/lower", image(BOTTOM, config={"author": str(number)}))
    built = await site.ingest.push("alice/app", image(BOTTOM, MIDDLE, TOP))
    await site.ingest.settled()

    told = (await site.get(f"/api/v1/images/{built}")).json()

    assert [base["repository"] for base in told["base"]][:2] == ["alice/nearest", "alice/lower"]
    assert [base["layers"] for base in told["base"]] == [2] + [1] * 9
