"""What answers are searched in."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.catalog.search.searched import ENGINES, Searched, opened


@pytest.fixture(params=ENGINES)
async def searched(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Searched]:
    """Search over an engine that looks at every document, and over the engine and the layer index that ship."""
    async with opened(request.param, request, tmp_path) as made:
        yield made
