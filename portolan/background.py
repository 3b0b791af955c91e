"""The ingest process: the chores that are due again and again, done by one process of the installation at a time."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from auth.fingerprints import Fingerprints
from auth.last_use import LastUse
from auth.tokens import Tokens
from catalog import garbage
from catalog.expiry import expire_uploads
from database import locks
from ingest import Chore, run_chores
from portolan import app, logs
from portolan.settings import Settings
from portolan.tether import Tether

log = logs.get_logger()

#: Seconds between two signs of life.
HEARTBEAT = 5.0

_HOUR = 3600.0


async def run(settings: Settings, tether: Tether | None = None) -> None:
    """Do chores, or stand by while another process does them, until SIGTERM or SIGINT comes.

    Raises:
        DatabaseError: the database cannot be used; or the lock on the chores was lost.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    settings.run.mkdir(parents=True, exist_ok=True)
    async with app.foundations(settings) as foundations, asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_beat(settings.heartbeat)),
            group.create_task(_work(settings, foundations)),
        ]
        if tether is not None:
            tether.ready()
        await stop.wait()
        for task in tasks:
            task.cancel()
    log.info("stopped")


async def chores(settings: Settings, foundations: app.Foundations) -> list[Chore]:
    """List what is due, and how often."""
    database, store = foundations.database, foundations.store
    tokens = Tokens(database, await Fingerprints.open(database), LastUse(database))

    async def uploads() -> None:
        expired = await expire_uploads(database, store, settings.upload_expiry)
        if expired:
            log.info("uploads expired", uploads=expired)

    async def collect() -> None:
        removed = await garbage.collect(database, store)
        if removed:
            log.info("unreferenced blobs removed", blobs=removed)

    async def prune() -> None:
        pruned = await tokens.prune()
        if pruned:
            log.info("ended tokens removed", tokens=pruned)

    return [
        Chore("expire uploads", min(_HOUR, settings.upload_expiry / 2), uploads),
        Chore("remove unreferenced blobs", _HOUR / 6, collect),
        Chore("remove ended tokens", 24 * _HOUR, prune),
    ]


async def _work(settings: Settings, foundations: app.Foundations) -> None:
    async with locks.held(settings.database, "ingest") as still_held:
        await run_chores(await chores(settings, foundations), still_held)


async def _beat(file: Path) -> None:
    while True:
        try:
            file.touch()  # noqa: ASYNC240 - no more than a look-up in a directory
        except OSError as error:  # a full disk, or one that is gone: what reads the file sees it by its age
            log.warning("no sign of life can be given", file=str(file), reason=error.strerror)
        await asyncio.sleep(HEARTBEAT)
