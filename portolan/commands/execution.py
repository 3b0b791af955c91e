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
from portolan import app, first_steps, logs
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
    hub: app.Hub
    repositories: Repositories

    @property
    def tokens(self) -> Tokens:
        """The tokens of everybody."""
        return self.hub.tokens


@asynccontextmanager
async def installation() -> AsyncIterator[Installation]:
    """Open the installation that the settings name, bringing its database up to date first."""
    settings = read_settings()
    logs.configure(settings.log_format, "warning", "command")
    await first_steps.take(settings, with_link=False)
    async with app.foundations(settings) as opened:
        repositories = Repositories(opened.database)
        hub = await app.hub(settings, opened.database, repositories)
        try:
            yield Installation(settings, hub, repositories)
        finally:
            await hub.passwords.close()
