"""Jobs: what of search is to be written anew. `catalog.metadata.tables` tells what a row says.

    asked for ──► waiting ──claim──► claimed ──finish──► gone
                     ▲                  │ ├─(asked for again meanwhile)──► waiting
                     ├──── postpone ────┤ │
                     └─ fail, attempts left ─┴─ fail, none left ──► parked ──(asked for, or by hand)──► waiting

A claim ends by itself: what a worker died over is taken up by the next. Times are in milliseconds since 1970.

What a worker died over may kill the next one too. So claims that a worker finds when it starts are those of one that
died, and tell whose fault it was. Jobs that did nothing but wait for their turn (`queue`, until `begin`) had no part in
it and are given back; of the others there are few (`held`), however many were in hand:

    several     nobody knows: each is to be done *alone* from now on (`suspect`), with nothing else in hand; the others
                wait meanwhile
    one         that job's: it failed, which counts as an attempt, and is tried again alone, or parked

A job that just was among others is done alone once, and is none the worse for it; one that kills whoever does it is
alone in hand the next time, and is parked when its attempts are over. That a worker ends in order is nobody's fault
(`release`), and a job that fails and leaves its worker alive need no longer be alone.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Integer,
    Text,
    and_,
    bindparam,
    case,
    delete,
    func,
    literal,
    or_,
    select,
    text,
    true,
    tuple_,
    update,
)

from cas import Role
from catalog.metadata.tables import jobs, manifest_references, manifests, repositories
from database import Query, Transaction, insert_or, json_items
from database.protocol import Reader

#: In place of a digest: the repository's own document; and that with those of all that it holds.
REPOSITORY = ""
EVERYTHING = "*"

#: What the column *alone* says of a job: nothing; that nothing else is to be in hand while it is done; that whoever
#: claimed it has not begun, and it waits in a queue of theirs.
_AMONG_OTHERS, _ALONE, _QUEUED = 0, 1, 2

#: Characters of an error that are kept.
_LONGEST_ERROR = 2000

_COLUMNS = ["repository_id", "digest", "version", "created", "due", "claimed", "attempts", "parked", "error"]
#: What was asked for at an earlier version saw all that the later one tells of.
_IS_NEWER = jobs.c.version < text("excluded.version")
#: A job that is asked for again is due at once. Its attempts stay counted, so that one that was parked gets a single
#: one: somebody who moves a tag to and fro does not keep the readers busy with a layer that cannot be read.
_AGAIN: dict[str, Any] = {
    "version": text("excluded.version"),
    "due": case((jobs.c.due < text("excluded.due"), jobs.c.due), else_=text("excluded.due")),
    "parked": 0,
}
_NEW: tuple[Any, ...] = (
    bindparam("version", type_=BigInteger),
    bindparam("now", type_=BigInteger),
    bindparam("now", type_=BigInteger),
    literal(0, BigInteger),
    literal(0, Integer),
    literal(0, Integer),
    literal("", Text),
)
_ASK = Query(
    insert_or(jobs)
    .from_select(
        _COLUMNS,
        select(
            bindparam("repository", type_=Text),
            json_items(bindparam("digests", type_=Text)).table_valued("value").c.value,
            *_NEW,
        ).where(true()),  # SQLite takes ON CONFLICT for a join's ON where the SELECT ends without a WHERE
    )
    .on_conflict_do_update(index_elements=["repository_id", "digest"], set_=_AGAIN, where=_IS_NEWER)
)
_ASK_CHILDREN = Query(
    insert_or(jobs)
    .from_select(
        _COLUMNS,
        select(manifests.c.repository_id, manifests.c.digest, *_NEW)
        .join(
            manifest_references,
            and_(
                manifest_references.c.repository_id == manifests.c.repository_id,
                manifest_references.c.child == manifests.c.digest,
                manifest_references.c.role == Role.MANIFEST.value,
            ),
        )
        .where(
            manifest_references.c.repository_id == bindparam("repository"),
            manifest_references.c.parent == bindparam("manifest"),
        ),
    )
    .on_conflict_do_update(index_elements=["repository_id", "digest"], set_=_AGAIN, where=_IS_NEWER)
)
_IS_WAITING = and_(jobs.c.parked == 0, jobs.c.due <= bindparam("now"), jobs.c.claimed <= bindparam("now"))
#: Both values of *alone* that a job without a claim has are named, so that the index is of use up to *due*.
_WAITING = Query(
    select(jobs.c.digest).where(_IS_WAITING, or_(jobs.c.alone == _AMONG_OTHERS, jobs.c.alone == _ALONE)).limit(1)
)
_WAITING_ALONE = Query(select(jobs.c.digest).where(_IS_WAITING, jobs.c.alone == _ALONE).limit(1))
_KEY = tuple_(jobs.c.repository_id, jobs.c.digest)
_CLAIM = Query(
    update(jobs)
    .where(
        _KEY.in_(
            select(jobs.c.repository_id, jobs.c.digest)
            .where(_IS_WAITING, jobs.c.alone == bindparam("alone", type_=Integer))
            .order_by(jobs.c.due)
            .limit(bindparam("most", type_=Integer))
            .with_for_update(skip_locked=True)
        )
    )
    .values(claimed=bindparam("until"))
    .returning(jobs.c.repository_id, jobs.c.digest, jobs.c.version, jobs.c.attempts, jobs.c.alone)
)
_THIS = (jobs.c.repository_id == bindparam("repository"), jobs.c.digest == bindparam("manifest"))
_KEEP = Query(update(jobs).where(*_THIS, jobs.c.claimed > 0).values(claimed=bindparam("until")))
#: As it was before it was queued.
_NOT_QUEUED = case((jobs.c.alone == _QUEUED, _AMONG_OTHERS), else_=jobs.c.alone)
_QUEUE = Query(update(jobs).where(*_THIS, jobs.c.claimed > 0, jobs.c.alone == _AMONG_OTHERS).values(alone=_QUEUED))
_BEGIN = Query(update(jobs).where(*_THIS, jobs.c.alone == _QUEUED).values(alone=_AMONG_OTHERS))
_HELD = Query(
    select(jobs.c.repository_id, jobs.c.digest, jobs.c.version, jobs.c.attempts, jobs.c.alone)
    .where(jobs.c.claimed > 0, jobs.c.alone != _QUEUED)
    .limit(bindparam("most", type_=Integer))
)
_SUSPECT = Query(update(jobs).where(jobs.c.claimed > 0).values(claimed=0, alone=_ALONE))
_RELEASE_QUEUED = Query(update(jobs).where(jobs.c.alone == _QUEUED).values(claimed=0, alone=_AMONG_OTHERS))
_RELEASE = Query(update(jobs).where(*_THIS).values(claimed=0, alone=_NOT_QUEUED))
_FINISH = Query(delete(jobs).where(*_THIS, jobs.c.version == bindparam("seen")))
_AGAIN_AT_ONCE = Query(
    update(jobs).where(*_THIS).values(claimed=0, alone=_AMONG_OTHERS, attempts=0, error="", waits_for="")
)
_POSTPONE = Query(
    update(jobs)
    .where(*_THIS)
    .values(claimed=0, alone=_NOT_QUEUED, due=bindparam("until"), waits_for=bindparam("reason"))
)
_FAIL = Query(
    update(jobs)
    .where(*_THIS)
    .values(
        claimed=0,
        alone=bindparam("alone", type_=Integer),
        attempts=jobs.c.attempts + 1,
        error=bindparam("reason"),
        waits_for="",
        due=case((jobs.c.version == bindparam("seen"), bindparam("until", type_=BigInteger)), else_=jobs.c.due),
        parked=case((jobs.c.version == bindparam("seen"), bindparam("park", type_=Integer)), else_=0),
    )
)
_COUNTS = Query(
    select(
        func.count(),
        func.coalesce(func.sum(case((jobs.c.parked == 1, 1), else_=0)), 0),
        func.coalesce(func.sum(case((and_(jobs.c.parked == 0, jobs.c.claimed > bindparam("now")), 1), else_=0)), 0),
        func.coalesce(func.sum(case((jobs.c.error != "", 1), else_=0)), 0),
        func.min(case((jobs.c.parked == 0, jobs.c.created))),
    )
)
_FAILURES = Query(
    select(
        jobs.c.repository_id,
        repositories.c.name,
        jobs.c.digest,
        jobs.c.error,
        jobs.c.attempts,
        jobs.c.parked,
        jobs.c.due,
        jobs.c.created,
    )
    .select_from(jobs.outerjoin(repositories, repositories.c.id == jobs.c.repository_id))
    .where(jobs.c.error != "")
    .order_by(jobs.c.parked.desc(), jobs.c.due, jobs.c.repository_id, jobs.c.digest)
    .limit(bindparam("most", type_=Integer))
)
_RETRY = Query(
    update(jobs)
    .where(
        or_(jobs.c.error != "", jobs.c.parked == 1),
        or_(bindparam("of_all", type_=Integer) == 1, jobs.c.repository_id == bindparam("repository", type_=Text)),
        or_(bindparam("whole", type_=Integer) == 1, jobs.c.digest == bindparam("manifest", type_=Text)),
    )
    .values(parked=0, attempts=0, due=bindparam("now"))
)
_ATTEMPTS = Query(select(jobs.c.attempts).where(*_THIS))
_MISSING = Query(
    select(jobs.c.waits_for, func.count())
    .where(jobs.c.waits_for != "")
    .group_by(jobs.c.waits_for)
    .order_by(func.count().desc(), jobs.c.waits_for)
)


class Job(NamedTuple):
    """What is to be done: *digest* is a manifest's, `REPOSITORY` or `EVERYTHING`; *alone* where nothing else is to be
    in hand meanwhile."""

    repository_id: str
    digest: str
    version: int
    attempts: int
    alone: bool = False


class Counts(NamedTuple):
    """How many jobs there are: *waiting* for their turn or for another attempt, *running*, *parked*; how many of all
    have *failed* at least once; and since when the *oldest* that is not parked waits (None: there is none)."""

    waiting: int
    running: int
    parked: int
    failed: int
    oldest: int | None


class Missing(NamedTuple):
    """What was not there when *jobs* were last tried: they failed at nothing, and are tried again."""

    reason: str
    jobs: int


class Failure(NamedTuple):
    """A job that failed; *repository* is None where that was deleted meanwhile."""

    repository_id: str
    repository: str | None
    digest: str
    error: str
    attempts: int
    parked: bool
    due: int
    created: int


def now() -> int:
    """Return the time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


async def ask(tx: Transaction, repository_id: str, digests: Collection[str], version: int) -> None:
    """Have the documents of *digests* written anew. *version* is greater than it was the last time."""
    if digests:
        await tx.run(_ASK, repository=repository_id, digests=json.dumps(sorted(digests)), version=version, now=now())


async def ask_children(tx: Transaction, repository_id: str, index: str, version: int) -> None:
    """Have the documents of those manifests written anew that *index* lists and that are in its repository."""
    await tx.run(_ASK_CHILDREN, repository=repository_id, manifest=index, version=version, now=now())


async def are_waiting(reader: Reader) -> bool:
    """Tell whether some job could be claimed now."""
    return await reader.one(_WAITING, now=now()) is not None


async def claim(tx: Transaction, most: int, seconds: float, *, idle: bool = True) -> list[Job]:
    """Take jobs that are due, those that waited longest first; they are the caller's for *seconds*. One that is to be
    done alone comes first, and by itself; whoever is not *idle* gets nothing while it waits."""
    moment = now()
    until = moment + int(seconds * 1000)
    if idle:
        rows = await tx.all(_CLAIM, now=moment, until=until, most=1, alone=_ALONE)
        if rows:
            return [_job(row) for row in rows]
    elif await tx.one(_WAITING_ALONE, now=moment) is not None:
        return []
    return [_job(row) for row in await tx.all(_CLAIM, now=moment, until=until, most=most, alone=_AMONG_OTHERS)]


async def keep(tx: Transaction, claimed: Iterable[Job], seconds: float) -> None:
    """Keep what was claimed for *seconds* from now."""
    until = now() + int(seconds * 1000)
    for job in claimed:
        await tx.run(_KEEP, repository=job.repository_id, manifest=job.digest, until=until)


async def release(tx: Transaction, claimed: Iterable[Job]) -> None:
    """Give back what was claimed, undone."""
    for job in claimed:
        await tx.run(_RELEASE, repository=job.repository_id, manifest=job.digest)


async def queue(tx: Transaction, claimed: Iterable[Job]) -> None:
    """Note that jobs wait for their turn with whoever claimed them: until they are begun they can be nobody's end."""
    for job in claimed:
        await tx.run(_QUEUE, repository=job.repository_id, manifest=job.digest)


async def begin(tx: Transaction, queued: Iterable[Job]) -> None:
    """Note that jobs are no longer queued: before anything is done for them."""
    for job in queued:
        await tx.run(_BEGIN, repository=job.repository_id, manifest=job.digest)


async def held(reader: Reader, most: int) -> list[Job]:
    """List claims but for those that are queued, *most* at most: for the only one who claims, at its start. Who held
    them has died."""
    return [_job(row) for row in await reader.all(_HELD, most=most)]


async def release_queued(tx: Transaction) -> None:
    """End the claims of jobs that are queued: for the only one who claims, at its start."""
    await tx.run(_RELEASE_QUEUED)


async def suspect(tx: Transaction) -> None:
    """End all claims, and have each of the jobs done alone: one of them may have killed whoever held them."""
    await tx.run(_RELEASE_QUEUED)
    await tx.run(_SUSPECT)


async def finish(tx: Transaction, job: Job) -> None:
    """Remove the job, which is done; if it was asked for again since it was claimed, it waits again instead."""
    if not await tx.run(_FINISH, repository=job.repository_id, manifest=job.digest, seen=job.version):
        await tx.run(_AGAIN_AT_ONCE, repository=job.repository_id, manifest=job.digest)


async def postpone(tx: Transaction, job: Job, reason: str, seconds: float) -> None:
    """Try the job again after *seconds*: what it needs was not there, which is no fault of its own."""
    until = now() + int(seconds * 1000)
    await tx.run(
        _POSTPONE,
        repository=job.repository_id,
        manifest=job.digest,
        until=until,
        reason=reason[:_LONGEST_ERROR],
    )


async def fail(tx: Transaction, job: Job, reason: str, seconds: float | None, *, alone: bool = False) -> None:
    """Note that the job failed: it is tried again after *seconds* (*alone*, where it killed its worker), or parked
    (None). One that was asked for again since it was claimed is tried at once."""
    await tx.run(
        _FAIL,
        repository=job.repository_id,
        manifest=job.digest,
        seen=job.version,
        until=now() + int((seconds or 0) * 1000),
        park=int(seconds is None),
        reason=reason[:_LONGEST_ERROR],
        alone=int(alone),
    )


async def attempts(reader: Reader, repository_id: str, digest: str) -> int | None:
    """Tell how often a job has failed; None where there is none."""
    row = await reader.one(_ATTEMPTS, repository=repository_id, manifest=digest)
    return None if row is None else int(row[0])


async def counts(reader: Reader) -> Counts:
    """Count the jobs."""
    row = await reader.one(_COUNTS, now=now())
    assert row is not None
    total, parked, running, failed, oldest = row
    return Counts(total - parked - running, running, parked, failed, oldest)


async def missing(reader: Reader) -> list[Missing]:
    """Tell what jobs were postponed for, what most of them wait for first."""
    return [Missing(*row) for row in await reader.all(_MISSING)]


async def failures(reader: Reader, most: int = 1000) -> list[Failure]:
    """List jobs that failed: first what is parked, then by when they are tried next."""
    return [
        Failure(repository_id, repository, digest, reason, attempts, bool(parked), due, created)
        for repository_id, repository, digest, reason, attempts, parked, due, created in await reader.all(
            _FAILURES, most=most
        )
    ]


async def retry(tx: Transaction, repository_id: str | None = None, digest: str | None = None) -> int:
    """Try failed jobs at once, as if they had never been tried; return how many. None stands for any."""
    return await tx.run(
        _RETRY,
        of_all=int(repository_id is None),
        repository=repository_id or "",
        whole=int(digest is None),
        manifest=digest or "",
        now=now(),
    )


def _job(row: Sequence[Any]) -> Job:
    repository_id, digest, version, attempts, alone = row
    return Job(repository_id, digest, version, attempts, alone == _ALONE)
