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

#: Seconds between two attempts at a lock that another process holds: at first, and at most.
_FIRST_WAIT = 0.05
_LONGEST_WAIT = 1.0
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

        async def lock() -> bool:
            return _locked(file)

        await _until_ours(lock)

        async def still_held() -> None:
            """A file's lock ends with its process, not before."""

        yield still_held


async def _until_ours(lock: Callable[[], Awaitable[bool]]) -> None:
    wait = _FIRST_WAIT
    while not await lock():
        await asyncio.sleep(wait)
        wait = min(wait * 1.5, _LONGEST_WAIT)


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

    asking = asyncio.Lock()  # one statement at a time: the driver refuses a second one

    async def lock() -> bool:
        # Asked again and again: a statement that waits in the server for days would keep vacuum from cleaning up.
        return bool(await session.fetchval("SELECT pg_try_advisory_lock($1)", number, timeout=_TIMEOUT))

    async def still_held() -> None:
        try:
            async with asking:
                await session.fetchval("SELECT 1", timeout=_TIMEOUT)
        except Exception as error:  # the driver's own errors included, when the connection breaks off in between
            raise DatabaseUnavailable(f"{server}: {error or type(error).__name__}") from error

    try:
        try:
            await _until_ours(lock)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise DatabaseUnavailable(f"{server}: {error or type(error).__name__}") from error
        yield still_held
    finally:
        session.terminate()  # the lock goes with the session, at once even where the server hangs
