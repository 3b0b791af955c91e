"""SQLite: reads on the event loop, writes by one thread that commits many of them with one sync.

A look-up costs 10 to 15 µs, less than any way of handing it to another thread, so it runs where it was asked for. All
writes of the process go through one thread: while it syncs one commit, others gather, and the next commit takes them
all. Several processes share a file; BEGIN IMMEDIATE takes their turns.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from database.errors import Conflict, DatabaseError, DatabaseFull, DatabaseUnavailable
from database.protocol import Row, Transaction
from database.statements import Query

_log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds that a write waits for another process's transaction.
BUSY_TIMEOUT = 30
#: Transactions that share one commit, at most.
MOST_IN_ONE_COMMIT = 256

#: What a piece of work came to: its result, or the error it ended with.
_Outcome = tuple[Any, BaseException | None]

_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_FSYNC}


class _Write(NamedTuple):
    """A piece of work that waits for its turn, and who waits for it."""

    work: Callable[[Transaction], Awaitable[Any]]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]


class SqliteDatabase:
    """A database in a file of this machine."""

    dialect = "sqlite"

    def __init__(self, path: Path, committed: Callable[[], None] = lambda: None) -> None:
        """Open *path*, making the file when there is none.

        *committed* is called in the writer's thread after each commit: the moment from which the changes survive a
        power cut.
        """
        self._path = path
        self._committed = committed
        with _phrased(path):
            self._reads = open_connection(path)
            self._writes = open_connection(path)
        self._waiting: deque[_Write] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="sqlite-writer", daemon=True)
        self._thread.start()

    async def one(self, query: Query, **values: object) -> Row | None:
        """See `Reader.one`."""
        sql, arguments = query.compiled("sqlite")
        try:
            row: Row | None = self._reads.execute(sql, arguments(values)).fetchone()
        except sqlite3.Error as error:
            raise _translated(error, self._path) from error
        return row

    async def all(self, query: Query, **values: object) -> list[Row]:
        """See `Reader.all`."""
        sql, arguments = query.compiled("sqlite")
        try:
            return self._reads.execute(sql, arguments(values)).fetchall()
        except sqlite3.Error as error:
            raise _translated(error, self._path) from error

    async def write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """See `Database.write`."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        with self._wake:
            if self._closing:
                raise DatabaseUnavailable("the database is being closed")
            self._waiting.append(_Write(work, loop, done))
            self._wake.notify()
        return await done

    async def close(self) -> None:
        """See `Database.close`."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
        self._reads.close()
        self._writes.close()

    def _serve(self) -> None:
        while True:
            with self._wake:
                while not self._waiting and not self._closing:
                    self._wake.wait()
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_IN_ONE_COMMIT))]
            if not batch:
                return
            try:
                outcomes = self._commit(batch)
            except Exception as fault:  # noqa: BLE001 - this thread must outlive it: whoever waits is told
                outcomes = [(None, fault)] * len(batch)
                self._begin_anew()
            by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any, BaseException | None]]] = {}
            for write, (result, error) in zip(batch, outcomes, strict=True):
                by_loop.setdefault(write.loop, []).append((write.done, result, error))
            for loop, settled in by_loop.items():
                if not loop.is_closed():
                    loop.call_soon_threadsafe(_settle, settled)

    def _begin_anew(self) -> None:
        """Leave whatever state the connection is in. Where it cannot be opened again, the next write says so."""
        with suppress(sqlite3.Error, DatabaseError):
            self._writes.close()
            self._writes = open_connection(self._path)

    def _commit(self, batch: list[_Write]) -> list[_Outcome]:
        """Run *batch* in one transaction; a work that fails takes back its own changes alone."""
        connection = self._writes
        transaction = _SqliteTransaction(connection, self._path)
        outcomes: list[_Outcome] = []
        try:
            with _phrased(self._path):
                connection.execute("BEGIN IMMEDIATE")
                for write in batch:
                    outcomes.append(self._attempt(connection, transaction, write))  # noqa: PERF401 - kept if one raises
                connection.execute("COMMIT")
        except DatabaseError as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            failures: list[_Outcome] = [(None, failed or error) for _, failed in outcomes]
            return failures + [(None, error)] * (len(batch) - len(outcomes))
        self._committed()
        return outcomes

    @staticmethod
    def _attempt(connection: sqlite3.Connection, transaction: _SqliteTransaction, write: _Write) -> _Outcome:
        connection.execute("SAVEPOINT work")
        try:
            result = _finish_at_once(write.work(transaction))
        except Exception as error:
            if not connection.in_transaction:  # SQLite itself gave the whole transaction up: full, or out of memory
                raise error if isinstance(error, DatabaseError) else DatabaseUnavailable(str(error)) from error
            connection.execute("ROLLBACK TO work")
            connection.execute("RELEASE work")
            return None, error
        connection.execute("RELEASE work")
        return result, None


class _SqliteTransaction:
    """`Transaction` on the writer's connection. Its methods never suspend."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def _execute(self, query: Query, values: dict[str, object]) -> sqlite3.Cursor:
        sql, arguments = query.compiled("sqlite")
        try:
            return self._connection.execute(sql, arguments(values))
        except sqlite3.Error as error:
            raise _translated(error, self._path) from error

    async def one(self, query: Query, **values: object) -> Row | None:
        row: Row | None = self._execute(query, values).fetchone()
        return row

    async def all(self, query: Query, **values: object) -> list[Row]:
        return self._execute(query, values).fetchall()

    async def run(self, query: Query, **values: object) -> int:
        return self._execute(query, values).rowcount


def open_connection(path: Path) -> sqlite3.Connection:
    """Open *path* as every connection of the program does: WAL, each commit synced, foreign keys kept."""
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False, cached_statements=512
    )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA cache_size = -16384")
    connection.execute("PRAGMA temp_store = MEMORY")
    settled = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")}
    if settled != {"journal_mode": "wal", "synchronous": 2}:
        connection.close()
        raise DatabaseUnavailable(f"SQLite did not accept WAL and synchronous=FULL on {path}: {settled}")
    return connection


def _finish_at_once(work: Awaitable[T]) -> T:
    """Run a coroutine that never suspends; one that does awaited something other than the database."""
    assert isinstance(work, Coroutine)
    try:
        work.send(None)
    except StopIteration as finished:
        result: T = finished.value
        return result
    work.close()
    raise RuntimeError("a transaction awaited something other than its own statements")


def _settle(settled: list[tuple[asyncio.Future[Any], Any, BaseException | None]]) -> None:
    for future, result, error in settled:
        if future.cancelled():
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


def _translated(error: sqlite3.Error, path: Path) -> DatabaseError:
    code = getattr(error, "sqlite_errorcode", None)
    if isinstance(error, sqlite3.IntegrityError):
        return Conflict(str(error))
    if code in _FULL:
        _log.warning("no room is left in the database, %s", path)
        return DatabaseFull(str(path))
    return DatabaseUnavailable(str(error))


@contextmanager
def _phrased(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise _translated(error, path) from error
