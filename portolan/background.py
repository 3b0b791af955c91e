"""The ingest process: what is pushed is read, and chores are done, by one process of the installation at a time.

        the lock "ingest"
              │
    ┌─────────┴─────────────────────────────────────────────────────────────────────┐
    chores    events ─► jobs ─► worker ─► reader processes     layer index (and its socket)   search index
    └───────────────────────────────────────────────────────────────────────────────┘

Who does not have the lock opens none of it, and stands by.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from auth.fingerprints import Fingerprints
from auth.last_use import LastUse
from auth.sessions import Sessions
from auth.tokens import Tokens
from catalog import garbage
from catalog.expiry import expire_uploads
from catalog.metadata import documented
from catalog.metadata.jobs import EVERYTHING
from catalog.search.errors import SearchUnavailable, WriterBusy
from catalog.search.tantivy_engine import TantivySearch
from catalog.search.tantivy_writer import TantivyWriter
from database import locks
from ingest.consumer import Consumer, ask_again
from ingest.documents import Documents
from ingest.errors import FactsMissing
from ingest.facts import Facts
from ingest.layers import Layers
from ingest.limits import ReadLimits
from ingest.periodic import Chore, run_chores
from ingest.pool import Pool
from ingest.rebuild import Rebuilding, own_layer_index
from ingest.renewal import Renewal
from ingest.versions import made_by
from ingest.worker import Worker
from ingest.writing import Writing
from portolan import app, logs
from portolan.allocator import share_one_heap
from portolan.collector import keep_what_is_there
from portolan.metrics import Figures, Metrics
from portolan.settings import Settings
from portolan.tether import Tether

log = logs.get_logger()

#: Seconds between two signs of life.
HEARTBEAT = 5.0

_HOUR = 3600.0
_DAY = 24 * _HOUR
#: Days over which pulls count for the order of answers, and one more: what was counted then counts no longer.
_PULLS_OF = 31 * _DAY
#: Seconds between two looks at whether the search index is there.
_LOOK_EVERY = 1.0
#: Seconds between two attempts to write an index that another process is letting go of.
_TRY_EVERY = 0.1


async def run(settings: Settings, tether: Tether | None = None) -> None:
    """Do all that, or stand by while another process does it, until SIGTERM or SIGINT comes.

    Raises:
        DatabaseError: the database cannot be used; or the lock was lost.
    """
    share_one_heap()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    settings.run.mkdir(parents=True, exist_ok=True)
    metrics = Metrics(settings.figures)
    async with app.foundations(settings) as foundations, asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_beat(settings.heartbeat)),
            group.create_task(_work(settings, foundations, metrics.figures)),
            group.create_task(metrics.keep()),
        ]
        keep_what_is_there()
        if tether is not None:
            tether.ready()
        await stop.wait()
        for task in tasks:
            task.cancel()
    log.info("stopped")


async def chores(settings: Settings, foundations: app.Foundations) -> list[Chore]:
    """List what is due, and how often."""
    database, store = foundations.database, foundations.store
    fingerprints = await Fingerprints.open(database)
    tokens, sessions = Tokens(database, fingerprints, LastUse(database)), Sessions(database, fingerprints)

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
        ended = await sessions.prune()
        if ended:
            log.info("ended sessions removed", sessions=ended)

    async def weigh() -> None:
        """Have documents written anew whose place among the answers depends on how often they were pulled."""
        pulled = await documented.pulled_since(database, time.time() - _PULLS_OF)
        if pulled:
            await ask_again(database, {repository_id: [EVERYTHING] for repository_id in pulled})

    return [
        Chore("expire uploads", min(_HOUR, settings.upload_expiry / 2), uploads),
        Chore("remove unreferenced blobs", _HOUR / 6, collect),
        Chore("remove ended tokens and sessions", _DAY, prune),
        Chore("weigh repositories by their pulls", _DAY, weigh),
    ]


@dataclass(frozen=True, slots=True)
class Catalog:
    """What keeps the catalog up to date."""

    pool: Pool
    consumer: Consumer
    worker: Worker
    writer: TantivyWriter
    writing: Writing
    rebuilding: Rebuilding
    renewal: Renewal


def read_limits(settings: Settings) -> ReadLimits:
    """Return what one layer, and one stack of layers, may cost."""
    return ReadLimits(
        raw=settings.layer_size_limit,
        ratio=settings.layer_ratio_limit,
        seconds=float(settings.layer_time_limit),
        entries=settings.layer_entries_limit,
        names=settings.layer_names_limit,
        holes=settings.layer_holes_limit,
        content=settings.package_file_limit,
        contents=settings.package_files_limit,
        packages=settings.packages_limit,
        list_files=settings.package_list_files_limit,
        list_size=settings.package_list_limit,
        text=settings.layer_text_limit,
        placed=settings.placed_files_limit,
        squash_seconds=float(settings.squash_time_limit),
    )


@asynccontextmanager
async def catalog(settings: Settings, foundations: app.Foundations, figures: Figures) -> AsyncIterator[Catalog]:
    """Own the layer index and the search index for the time of the block.

    Raises:
        LayerIndexUnavailable, WriterBusy: another process owns them, though we have the lock.
    """
    database, store = foundations.database, foundations.store
    facts = Facts(foundations.derived)
    limits = read_limits(settings)

    def on_read(could: bool, seconds: float) -> None:
        (figures.layers if could else figures.failed_layers).add(seconds)

    async with own_layer_index(settings.layer_index) as index:
        pool = Pool(settings.readers, settings.reader_memory)
        writer = await _search_writer(settings, foundations)
        engine = TantivySearch(settings.search)
        try:
            layers = Layers(store, facts, index, pool, limits, made_by(), on_read)
            documents = Documents(database, store, facts, index, settings.default_namespace)
            writing = Writing(database, documents, writer, engine)
            yield Catalog(
                pool=pool,
                consumer=Consumer(database),
                worker=Worker(database, layers, writing, attempts=settings.ingest_attempts),
                writer=writer,
                writing=writing,
                rebuilding=Rebuilding(database, foundations.derived, index, layers, writing, at_once=settings.readers),
                renewal=Renewal(database, foundations.derived, facts, made_by(), at_once=settings.readers),
            )
        finally:
            await engine.aclose()
            await writer.aclose()


async def _search_writer(settings: Settings, foundations: app.Foundations) -> TantivyWriter:
    """Become the writer of the search index; an owner that is about to end is waited for."""
    is_new = (await documented.counts(foundations.database))[1] == 0
    while True:
        try:
            return await TantivyWriter.open(settings.search, create=is_new)
        except WriterBusy:
            await asyncio.sleep(_TRY_EVERY)


async def _work(settings: Settings, foundations: app.Foundations, figures: Figures) -> None:
    async with (
        locks.held(settings.database, "ingest") as still_held,
        catalog(settings, foundations, figures) as kept,
        asyncio.TaskGroup() as group,
    ):
        group.create_task(kept.pool.keep())
        group.create_task(kept.rebuilding.keep(settings.ingest_socket))
        group.create_task(_keep_search(kept))
        group.create_task(kept.worker.run())
        group.create_task(kept.renewal.run())
        group.create_task(kept.consumer.run(kept.worker.wake))
        await run_chores(await chores(settings, foundations), still_held)


async def _keep_search(kept: Catalog) -> None:
    """Make the search index anew whenever it is not there, or is one that an older program wrote."""
    while True:
        try:
            await kept.writer.apply([])
        except SearchUnavailable as error:
            log.info("the search index is made anew", reason=error.reason)
            try:
                await _make_search_anew(kept)
            except Exception as failure:  # noqa: BLE001 - it is tried again, whatever it was
                log.warning("the search index could not be made anew", reason=str(failure))
        await asyncio.sleep(_LOOK_EVERY)


async def _make_search_anew(kept: Catalog) -> None:
    """Make the search index anew: never one that finds less than before, where facts were removed with it."""
    for _ in range(2):
        try:
            await kept.writing.rebuild(whole=True)
            return
        except FactsMissing as error:
            log.info("layers are read again for the search index", reason=str(error))
        await kept.rebuilding.idle()  # a rebuild that is under way reads them, and may have made the index too
        try:
            await kept.writer.apply([])
            return
        except SearchUnavailable:
            pass
    await kept.rebuilding.run(lambda stage, done, total: None, search=True)


async def _beat(file: Path) -> None:
    while True:
        try:
            file.touch()  # noqa: ASYNC240 - no more than a look-up in a directory
        except OSError as error:  # a full disk, or one that is gone: what reads the file sees it by its age
            log.warning("no sign of life can be given", file=str(file), reason=error.strerror)
        await asyncio.sleep(HEARTBEAT)
