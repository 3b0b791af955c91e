"""Running asynchronous work for a command, and opening this machine's installation for it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from auth.tokens import Tokens
from catalog.repositories import Repositories
from database import Database
from database.connect import is_sqlite, sqlite_path
from portolan import app, logs
from portolan.command import Failure, read_settings
from portolan.errors import FORESEEN, phrased
from portolan.settings import Settings, SettingsError

T = TypeVar("T")

log = logs.get_logger()


def run(work: Coroutine[Any, Any, T], loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None) -> T:
    """Run *work* to its end; what somebody can do something about becomes one line, anything else a traceback's log.

    Raises:
        Failure: *work* ended with an error that was foreseen.
        SettingsError: a setting turned out not to be usable.
    """
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(work)
    except Exception as error:
        cause = _innermost(error)
        if isinstance(cause, SettingsError | click.ClickException):
            raise cause from error
        if isinstance(cause, FORESEEN):
            raise Failure(phrased(cause)) from error
        log.exception("ended by an unexpected error")
        sys.exit(1)


def _innermost(error: Exception) -> Exception:
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


@dataclass(frozen=True, slots=True)
class Installation:
    """This machine's installation, as whoever may read its settings and its data uses it."""

    settings: Settings
    database: Database
    hub: app.Hub
    repositories: Repositories

    @property
    def tokens(self) -> Tokens:
        """The tokens of everybody."""
        return self.hub.tokens


@asynccontextmanager
async def installation(*, make: bool = False) -> AsyncIterator[Installation]:
    """Open the installation that the settings name, bringing its database up to date first.

    Raises:
        Failure: there is none, and it is not to be made: in a wrong directory nothing is begun by accident.
    """
    settings = read_settings()
    logs.configure(settings.log_format, "warning", "command")
    if not make and is_sqlite(settings.database) and not sqlite_path(settings.database).exists():
        raise Failure(
            f"there is no installation in {settings.data}: go to its directory, name another with PORTOLAN_DATA or"
            " --config, or begin one with `portolan serve` or `portolan user add`"
        )
    from portolan import first_steps  # brings Alembic along, which the processes that serve do without

    await first_steps.take(settings, with_link=False)
    async with app.foundations(settings) as opened:
        repositories = Repositories(opened.database)
        hub = await app.hub(settings, opened.database, repositories)
        try:
            yield Installation(settings, opened.database, hub, repositories)
        finally:
            await hub.passwords.close()
