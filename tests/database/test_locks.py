"""Locks between processes, as those who hold them use them."""

from __future__ import annotations

import asyncio

from database.locks import held


async def test_whether_a_lock_is_still_held_is_asked_by_many_at_once(postgresql_url: str) -> None:
    """Chores ask before they begin, and several begin together."""
    async with held(postgresql_url, "test") as still_held:
        await asyncio.gather(*(still_held() for _ in range(5)))
