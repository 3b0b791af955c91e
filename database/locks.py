"""Locks between processes: held by at most one of all that use the same database, and let go by its death.

On SQLite they are locks on a file beside the database's own; on PostgreSQL advisory locks of one session (its manual,
"Explicit Locking", 13.3.5).
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import IO

import asyncpg

from database.connect import is_sqlite, sqlite_path
from database.errors import DatabaseUnavailable

#: Seconds between two attempts at a file that another process holds.
_EVERY = 0.05
#: Seconds that the server may take to answer that the session is alive.
_TIMEOUT = 10

#: Raises `DatabaseUnavailable` when the lock may no longer be ours.
StillHeld = Callable[[], Awaitable[None]]


@asynccontextmanager
async def held(url: str, name: str) -> AsyncIterator[StillHeld]:
    """Wait until the lock *name* of the database at *url* is ours, and keep it for the time of the block.

    Long work asks the yielded function now and then: a server's session, and the lock with it, can be lost.

    Raises:
        DatabaseUnavailable: the file cannot be made, or the server does not answer.
    """
    async with _held_by_file(url, name) if is_sqlite(url) else _held_by_session(url, name) as still_held:
        yield still_held


@asynccontextmanager
async def _held_by_file(url: str, name: str) -> AsyncIterator[StillHeld]:
    path = sqlite_path(url)
    path = path.with_name(f"{path.name}.{name}.lock")
    try:
        file = await asyncio.to_thread(path.open, "ab")
    except OSError as error:
        raise DatabaseUnavailable(f"{path}: {error.strerror}") from error
    with file:
        while not _locked(file):  # noqa: ASYNC110 - another process lets go of it: no event tells of that
            await asyncio.sleep(_EVERY)

        async def still_held() -> None:
            """A file's lock ends with its process, not before."""

        yield still_held


def _locked(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@asynccontextmanager
async def _held_by_session(url: str, name: str) -> AsyncIterator[StillHeld]:
    number = int.from_bytes(hashlib.sha256(f"portolan {name}".encode()).digest()[:8], signed=True)
    server = url.rpartition("@")[2]
    try:
        session = await asyncpg.connect(url, timeout=_TIMEOUT)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise DatabaseUnavailable(f"{server}: {error or type(error).__name__}") from error

    async def still_held() -> None:
        try:
            await session.fetchval("SELECT 1", timeout=_TIMEOUT)
        except Exception as error:  # the driver's own errors included, when the connection breaks off in between
            raise DatabaseUnavailable(f"{server}: {error or type(error).__name__}") from error

    try:
        try:
            await session.execute("SELECT pg_advisory_lock($1)", number)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            raise DatabaseUnavailable(f"{server}: {error or type(error).__name__}") from error
        yield still_held
    finally:
        session.terminate()  # the lock goes with the session, at once even where the server hangs
