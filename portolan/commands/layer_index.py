"""``portolan index``: what is derived, made again. The ingest process does it, if one runs; else this one does."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager

import click

from cas.errors import LayerIndexUnavailable
from cas.layer_index.messages import Progress
from cas.layer_index.remote import RemoteLayerIndex
from database import locks
from ingest.rebuild import FACTS_TOO, REBUILD, SEARCH_TOO
from portolan import app, background
from portolan.command import Failure, config_option
from portolan.commands.execution import installation, run
from portolan.metrics import Figures
from portolan.settings import Settings

#: Seconds within which the lock is ours, if nobody does the work.
_OURS_WITHIN = 0.5
#: Seconds that an ingest process has until it answers: it may have been started a moment ago.
_ANSWERS_WITHIN = 20.0
#: Seconds between two lines of one stage, where nobody looks at a terminal.
_LINE_EVERY = 10.0

Show = Callable[[Progress], None]


@click.group()
def index() -> None:
    """Make again what is derived from images: the layer index, the facts of layers, the search index."""


@index.command()
@click.option("--facts", is_flag=True, help="Read all layers anew first, not only those that nothing is known of.")
@click.option("--search", is_flag=True, help="Make the search index anew as well, which goes on to answer meanwhile.")
@config_option
def rebuild(facts: bool, search: bool) -> None:
    """Make the layer index anew, while the service runs.

    Until it is done, files and layers cannot be searched; pushing and pulling go on. Ctrl-C ends it, and leaves what
    was there before; the next one goes on where it stopped.
    """
    run(_rebuild(facts, search))
    click.echo("The layer index was rebuilt, and search too." if search else "The layer index was rebuilt.")


async def _rebuild(facts: bool, search: bool) -> None:
    async with installation() as here, _ours(here.settings) as ours:
        with _shown() as show:
            if ours:
                await _do(here.settings, show, facts=facts, search=search)
            else:
                await _ask(here.settings, show, facts=facts, search=search)


@asynccontextmanager
async def _ours(settings: Settings) -> AsyncIterator[bool]:
    """Take the lock that the ingest process works under, and tell whether it was free."""
    async with AsyncExitStack() as stack:
        try:
            async with asyncio.timeout(_OURS_WITHIN):
                await stack.enter_async_context(locks.held(settings.database, "ingest"))
        except TimeoutError:
            yield False
        else:
            yield True


async def _do(settings: Settings, show: Show, *, facts: bool, search: bool) -> None:
    def tell(stage: str, done: int, total: int) -> None:
        show(Progress(stage, done, total))

    async with (
        app.foundations(settings) as foundations,
        background.catalog(settings, foundations, Figures()) as catalog,
        asyncio.TaskGroup() as group,
    ):
        keeping = group.create_task(catalog.pool.keep())
        await catalog.rebuilding.run(tell, facts=facts, search=search)
        keeping.cancel()


async def _ask(settings: Settings, show: Show, *, facts: bool, search: bool) -> None:
    remote = RemoteLayerIndex(settings.ingest_socket)
    deadline = time.monotonic() + _ANSWERS_WITHIN
    while True:
        begun = False
        try:
            async with aclosing(remote.perform(REBUILD, {FACTS_TOO: facts, SEARCH_TOO: search})) as progress:
                async for each in progress:
                    begun = True
                    show(each)
                return
        except LayerIndexUnavailable as error:
            if begun or not error.nobody:
                raise Failure(
                    f"it was not rebuilt ({error.reason}): the next time goes on where this stopped"
                ) from error
            if time.monotonic() > deadline:
                raise Failure(
                    "an ingest process works on this installation, and does not answer on this machine: run the command"
                    " where it runs"
                ) from error
        await asyncio.sleep(0.2)


# Showing


@contextmanager
def _shown() -> Iterator[Show]:
    """Yield what shows progress: a bar on a terminal, lines elsewhere."""
    if not sys.stderr.isatty():
        yield _Lines().show
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks = {}

        def show(progress: Progress) -> None:
            if progress.stage not in tasks:
                tasks[progress.stage] = bars.add_task(progress.stage.capitalize(), total=None)
            bars.update(tasks[progress.stage], completed=progress.done, total=progress.total or None)

        yield show


class _Lines:
    """Shows each stage when it begins, now and then, and when it ends."""

    def __init__(self) -> None:
        self._stage = ""
        self._shown = 0.0

    def show(self, progress: Progress) -> None:
        """Print a line, if it is time for one."""
        now = time.monotonic()
        if progress.stage == self._stage and progress.done != progress.total and now - self._shown < _LINE_EVERY:
            return
        self._stage, self._shown = progress.stage, now
        counted = (
            f": {progress.done} of {progress.total}"
            if progress.total
            else f": {progress.done}"
            if progress.done
            else ""
        )
        click.echo(f"{progress.stage}{counted}", err=True)
