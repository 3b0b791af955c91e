"""What has to be there before anything is served, made once, however many processes start together.

Tables at their newest revision, the keys of the installation, and, where nobody is an administrator yet, a link to the
form that makes the first one.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from catalog.repositories import Repositories
from database import locks, migrations
from portolan import app, logs
from portolan.settings import Settings

log = logs.get_logger()


class FirstSteps(NamedTuple):
    """How things stand when they are taken.

    *link* is the secret of a set-up link that was made just now; None where somebody is an administrator, or where a
    process that started at the same moment was given one (*administered* tells which).
    """

    administered: bool
    link: str | None


async def take(settings: Settings, *, with_link: bool = True) -> FirstSteps:
    """Take the first steps.

    Raises:
        DatabaseError: the database cannot be used.
        OSError: the data directory cannot be made.
    """
    await asyncio.to_thread(_make_directories, settings)
    async with locks.held(settings.database, "first-steps"):
        before, after = await migrations.upgrade(settings.database, app.MIGRATIONS)
        if before != after:
            log.info("database upgraded", revision=after, before=before)
        async with app.foundations(settings) as opened:
            hub = await app.hub(settings, opened.database, Repositories(opened.database))
            needed = await hub.set_up.needed()
            return FirstSteps(not needed, await hub.set_up.issue() if needed and with_link else None)


def _make_directories(settings: Settings) -> None:
    settings.data.mkdir(mode=0o750, parents=True, exist_ok=True)
    settings.run.mkdir(exist_ok=True)
