"""Parameters that several operations have."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

PageNumber = Annotated[int, Query(ge=1, le=10_000, description="Which page, from 1")]
PageSize = Annotated[int, Query(ge=1, le=100, description="Hits of a page")]
