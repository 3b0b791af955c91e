"""Jobs, done: claimed, prepared side by side, written in turns, and gone.

    due ──claim──► prepare: a manifest's layers are read ─┐
                            a repository's are not        ├──► write: as many as are ready ──► finish
                            an index asks for its children┘                                └──► fail, postpone

Whatever a worker dies over is claimed again by the next one, and done again: all that it had done is found there. What
kills its worker again and again is parked in the end: `catalog.metadata.jobs` tells how it is found among the others.
Those that waited for their turn when the end came are none of these. As most wait for a moment, it is not noted at once
that they do; where it is, it is noted too that they begin, before they do.

However many jobs are in hand, and whatever was pushed, they take little memory: what was found is in the store, and is
read again when its turn comes; manifests are in memory up to a number of bytes, but for small ones, which wait for none
that is larger.

A job that failed is written too: its image is found by name, tags and labels, with its problem. It is tried again after
waits that grow, then it is parked. Where something that it needs is not there (no room, no index, no answer) that is no
fault of its own, and it just waits.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from cas import Digest, StorageFull
from cas.errors import LayerIndexUnavailable
from catalog.images.manifests import IndexManifest
from catalog.metadata import documented, jobs, repositories, tightened
from catalog.metadata.jobs import EVERYTHING, REPOSITORY, Job
from catalog.search.errors import SearchUnavailable
from database import Database, DatabaseError, Transaction
from ingest.documents import explained
from ingest.errors import ConfigUnreadable, DiffIdMismatch, IngestError, LayerUnread, NotStarted, WorkerDied
from ingest.images import StoredManifest, find
from ingest.layers import Layers
from ingest.room import Room
from ingest.writing import Wanted, Writing

T = TypeVar("T")

_log = logging.getLogger(__name__)

#: Jobs in hand at once. Most wait: for a process that reads, or for the turn that writes them.
MOST_IN_HAND = 200
#: Documents of one turn.
_MOST_AT_ONCE = 200
#: Bytes of the manifests of jobs in hand. A hostile one may take twenty times as many while it is read.
_MANIFESTS = 8 << 20
#: Bytes up to which a manifest is not among these. Nearly all that people push have fewer, and those that are in hand
#: take 13 MB at most. So two of the largest, over layers that take long, hold up nobody else's.
_SMALL_MANIFEST = 64 << 10
#: Seconds that a claim holds; it is kept up for as long as the worker lives.
_CLAIM = 60.0
#: Seconds between two looks for jobs that wait for their turn, so that it is noted.
_NOTE_EVERY = 0.25
#: Seconds between two looks for jobs whose time has come. Those of events are told of at once.
_LOOK_EVERY = 0.25
#: Seconds before a job is tried again: the first time, by what it is multiplied each time, and at most.
_FIRST_RETRY = 10.0
_GROWTH = 4.0
_LONGEST_RETRY = 3600.0
#: Seconds before a job is tried again that something was missing for.
_POSTPONED = 5.0
#: Seconds before the database is asked again after it did not answer.
_AFTER_FAILURE = 1.0
#: Seconds that what is in hand is tried to be given back for at the end: less than a service has to end.
_GIVE_BACK = 15.0

#: What is missing for a moment, and for all jobs alike.
_UNAVAILABLE = (StorageFull, LayerIndexUnavailable, SearchUnavailable, DatabaseError, NotStarted)


@dataclass(frozen=True, slots=True)
class _Failure:
    """Why a job could not be done, and after how many seconds it is tried again; it is parked where that is None. (An
    exception would hold on to all that was in memory when it was raised.)"""

    reason: str
    wait: float | None


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A job that is ready to be written: *failure* is why a manifest's layers could not be read."""

    job: Job
    failure: _Failure | None = None


class Worker:
    """Does jobs. One works at a time in an installation: `run` is called by whoever has the lock."""

    def __init__(self, database: Database, layers: Layers, writing: Writing, *, attempts: int) -> None:
        """Park a job that failed *attempts* times."""
        self._database = database
        self._layers = layers
        self._writing = writing
        self._attempts = attempts
        self._in_hand: set[Job] = set()
        self._last_claimed: Sequence[Job] = ()
        self._ready: asyncio.Queue[_Prepared] = asyncio.Queue()
        self._manifests = Room(_MANIFESTS, _SMALL_MANIFEST)
        #: Jobs in hand that wait for their turn; those of which that is noted; held by whoever notes something of it.
        self._waiting: set[Job] = set()
        self._queued: set[Job] = set()
        self._noting = asyncio.Lock()
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Tell that there may be jobs."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled. What is under way then is given back."""
        await self._patiently(self._take_over)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._claim(group))
                group.create_task(self._write())
                group.create_task(self._keep_claims())
                group.create_task(self._note_waiting())
        finally:
            await asyncio.shield(self._give_back())

    async def _take_over(self) -> None:
        """End the claims of one that died, and have it counted: see `catalog.metadata.jobs`."""
        left = await jobs.held(self._database, 2)
        if len(left) != 1:
            await self._database.write(jobs.suspect)
            return
        (job,) = left
        failure = self._judged(job, WorkerDied())

        async def blame(tx: Transaction) -> None:
            await jobs.fail(tx, job, failure.reason, failure.wait, alone=True)
            await jobs.release_queued(tx)

        await self._database.write(blame)
        # Only now: if it is this that kills us, it is counted all the same.
        if job.digest not in (REPOSITORY, EVERYTHING):
            try:
                await self._writing.write([_wanted(_Prepared(job, failure))])
            except Exception:  # noqa: BLE001 - what is searched does not say so, then: the page of the image does
                _log.exception("%s of %s could not be written", job.digest, job.repository_id)

    async def _claim(self, group: asyncio.TaskGroup) -> None:
        while True:
            self._wake.clear()
            room = 0 if any(job.alone for job in self._in_hand) else MOST_IN_HAND - len(self._in_hand)
            claimed = await self._patiently(partial(self._claim_some, room)) if room else []
            for job in claimed:
                self._in_hand.add(job)
                group.create_task(self._do(job))
            if not claimed:
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_EVERY):
                        await self._wake.wait()

    async def _claim_some(self, most: int) -> Sequence[Job]:
        if not await jobs.are_waiting(self._database):  # a look costs nothing, a transaction a sync to disk
            return []
        idle = not self._in_hand

        async def claim(tx: Transaction) -> Sequence[Job]:
            self._last_claimed = await jobs.claim(tx, most, _CLAIM, idle=idle)
            return self._last_claimed

        return await self._database.write(claim)

    async def _keep_claims(self) -> None:
        while True:
            await asyncio.sleep(_CLAIM / 3)
            held = list(self._in_hand)
            if held:
                await self._patiently(partial(self._keep, held))

    async def _keep(self, held: Sequence[Job]) -> None:
        await self._database.write(lambda tx: jobs.keep(tx, held, _CLAIM))

    async def _note_waiting(self) -> None:
        while True:
            await asyncio.sleep(_NOTE_EVERY)
            async with self._noting:
                waiting = self._waiting - self._queued
                if waiting:
                    await self._patiently(partial(self._queue, waiting))
                    self._queued |= waiting & self._in_hand

    async def _queue(self, waiting: Collection[Job]) -> None:
        await self._database.write(lambda tx: jobs.queue(tx, waiting))

    def _wait_turn(self, job: Job) -> None:
        if not job.alone:
            self._waiting.add(job)

    async def _begin(self, begun: Sequence[Job]) -> None:
        """Have it noted that jobs no longer wait, before anything is done for them."""
        self._waiting.difference_update(begun)
        async with self._noting:
            queued = self._queued.intersection(begun)
            if queued:
                await self._patiently(lambda: self._database.write(lambda tx: jobs.begin(tx, queued)))
                self._queued -= queued

    def _let_go(self, done: Collection[Job]) -> None:
        self._in_hand.difference_update(done)
        self._waiting.difference_update(done)
        self._queued.difference_update(done)
        self.wake()

    async def _do(self, job: Job) -> None:
        """Bring a job to its end, or as far as the queue of those that are written together."""
        try:
            if job.digest == REPOSITORY:
                self._wait_turn(job)
                self._ready.put_nowait(_Prepared(job))
            elif job.digest == EVERYTHING:
                await self._do_everything(job)
            else:
                size = await documented.size(self._database, job.repository_id, job.digest)
                self._wait_turn(job)
                async with self._manifests.hold(size):
                    await self._begin([job])
                    await self._do_manifest(job, await self._find(job))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this job's
            await self._fail(job, error)

    async def _do_everything(self, job: Job) -> None:
        """Write all of a repository, and admit it to answers again if it was kept out of them: what was written is
        newer than that."""
        seen = await tightened.version(self._database, job.repository_id)
        await self._writing.write_everything(job.repository_id)

        async def admit(tx: Transaction) -> None:
            if seen is not None:
                await tightened.remove(tx, job.repository_id, seen)

        await self._finish([job], admit)

    async def _do_manifest(self, job: Job, stored: StoredManifest | None) -> None:
        if stored is not None and isinstance(stored.read, IndexManifest):
            await self._finish([job], lambda tx: jobs.ask_children(tx, job.repository_id, job.digest, job.version))
        else:
            self._ready.put_nowait(await self._prepare(job, stored))

    async def _find(self, job: Job) -> StoredManifest | None:
        repository = await repositories.by_id(self._database, job.repository_id)
        return None if repository is None else await find(self._database, repository, Digest.parse(job.digest))

    async def _prepare(self, job: Job, stored: StoredManifest | None) -> _Prepared:
        """Learn what a manifest's layers hold, if it is there and has any."""
        if stored is None or stored.image is None:
            return _Prepared(job)
        self._wait_turn(job)
        try:
            await self._layers.read(stored, partial(self._begin, [job]))
        except _UNAVAILABLE:
            raise
        except Exception as error:  # noqa: BLE001 - its document says so
            return _Prepared(job, self._judged(job, error))
        return _Prepared(job)

    async def _write(self) -> None:
        """Write what is ready. While one turn commits, others gather for the next."""
        while True:
            batch = [await self._ready.get()]
            while len(batch) < _MOST_AT_ONCE and not self._ready.empty():
                batch.append(self._ready.get_nowait())
            await self._write_batch(batch)

    async def _write_batch(self, batch: Sequence[_Prepared]) -> None:
        await self._begin([each.job for each in batch])
        try:
            await self._writing.write([_wanted(each) for each in batch])
        except _UNAVAILABLE as error:
            for each in batch:
                await self._fail(each.job, error)
        except Exception as error:  # noqa: BLE001 - one of them is at fault: it is to be alone with it
            if len(batch) > 1:
                for each in batch:
                    await self._write_batch([each])
            else:
                await self._fail(batch[0].job, error)
        else:
            await self._finish([each.job for each in batch if each.failure is None])
            for each in batch:
                if each.failure is not None:
                    await self._note(each.job, each.failure)

    async def _finish(self, done: Sequence[Job], also: Callable[[Transaction], Awaitable[None]] | None = None) -> None:
        async def write(tx: Transaction) -> None:
            if also is not None:
                await also(tx)
            for job in done:
                await jobs.finish(tx, job)

        if done:
            await self._patiently(lambda: self._database.write(write))
            self._let_go(done)

    async def _fail(self, job: Job, error: Exception) -> None:
        if not isinstance(error, _UNAVAILABLE):
            await self._note(job, self._judged(job, error))
            return
        reason = explained(error)
        seconds = _POSTPONED * random.uniform(0.5, 1.5)  # noqa: S311 - nothing hangs on its being guessed
        _log.warning("a job waits: %s", reason)
        await self._patiently(lambda: self._database.write(lambda tx: jobs.postpone(tx, job, reason, seconds)))
        self._let_go([job])

    async def _note(self, job: Job, failure: _Failure) -> None:
        reason, wait = failure.reason, failure.wait
        await self._patiently(lambda: self._database.write(lambda tx: jobs.fail(tx, job, reason, wait)))
        self._let_go([job])

    def _judged(self, job: Job, error: Exception) -> _Failure:
        """Tell what comes of a failure, and log it."""
        failure = _Failure(explained(error), self._wait(job, error))
        told = "parked" if failure.wait is None else f"tried again in {failure.wait:.0f} s"
        if isinstance(error, IngestError):
            _log.warning("%s of %s could not be read (%s): %s", job.digest, job.repository_id, told, failure.reason)
        else:
            _log.error("%s of %s failed (%s)", job.digest, job.repository_id, told, exc_info=error)
        return failure

    def _wait(self, job: Job, error: Exception) -> float | None:
        """Tell after how many seconds a job that failed is tried again; None where it is parked."""
        if isinstance(error, DiffIdMismatch | ConfigUnreadable) or (isinstance(error, LayerUnread) and error.final):
            return None  # it follows from bytes whose digests are known: they will not change
        if job.attempts + 1 >= self._attempts:
            return None
        wait = min(_FIRST_RETRY * _GROWTH**job.attempts, _LONGEST_RETRY)
        return wait * random.uniform(0.75, 1.25)  # noqa: S311 - nothing hangs on its being guessed

    async def _give_back(self) -> None:
        """Give back all that is in hand, and what was being claimed when the end came: the next worker would take it
        for something that killed this one."""

        async def release(tx: Transaction) -> None:
            await jobs.release(tx, {*self._in_hand, *self._last_claimed})

        until = time.monotonic() + _GIVE_BACK
        while True:
            try:
                await self._database.write(release)
            except DatabaseError as error:
                if time.monotonic() < until:
                    await asyncio.sleep(_AFTER_FAILURE)
                    continue
                _log.warning(
                    "%d jobs could not be given back, and those of them that were begun are done one by one: %s",
                    len(self._in_hand),
                    error,
                )
            return

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Do what *ask* does, however often the database does not answer."""
        while True:
            try:
                return await ask()
            except DatabaseError as error:
                _log.warning("jobs wait for the database: %s", error)
                await asyncio.sleep(_AFTER_FAILURE)


def _wanted(prepared: _Prepared) -> Wanted:
    job, failure = prepared.job, prepared.failure
    digest = None if job.digest == REPOSITORY else Digest.parse(job.digest)
    return Wanted(job.repository_id, digest, "" if failure is None else failure.reason)
