"""PostgreSQL through asyncpg: a pool of connections, each statement prepared once a connection."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import asyncpg

from database.errors import Conflict, DatabaseError, DatabaseFull, DatabaseUnavailable
from database.protocol import Row, Transaction
from database.statements import Query

_log = logging.getLogger(__name__)

T = TypeVar("T")

#: How often a transaction is begun again when the server chose it to break a deadlock.
ATTEMPTS = 4
#: Seconds that a statement, or the wait for a free connection, may take.
TIMEOUT = 30

_TRY_AGAIN = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)


class PostgresqlDatabase:
    """A database on a server."""

    dialect = "postgresql"

    def __init__(self, pool: asyncpg.Pool, server: str) -> None:
        self._pool = pool
        self._server = server

    @classmethod
    async def open(cls, url: str, connections: int = 10) -> PostgresqlDatabase:
        """Connect to *url* (``postgresql://…``) with at most *connections* connections.

        Raises:
            DatabaseUnavailable: the server does not answer, or refuses.
        """
        async with _phrased(url):
            pool = await asyncpg.create_pool(
                url, min_size=1, max_size=connections, command_timeout=TIMEOUT, timeout=TIMEOUT
            )
        return cls(pool, _without_password(url))

    async def one(self, query: Query, **values: object) -> Row | None:
        """See `Reader.one`."""
        async with _phrased(self._server), self._pool.acquire(timeout=TIMEOUT) as connection:
            return await _PostgresqlTransaction(connection).one(query, **values)

    async def all(self, query: Query, **values: object) -> list[Row]:
        """See `Reader.all`."""
        async with _phrased(self._server), self._pool.acquire(timeout=TIMEOUT) as connection:
            return await _PostgresqlTransaction(connection).all(query, **values)

    async def write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """See `Database.write`."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with (
                    _phrased(self._server),
                    self._pool.acquire(timeout=TIMEOUT) as connection,
                    connection.transaction(),
                ):
                    return await work(_PostgresqlTransaction(connection))
            except DatabaseUnavailable as error:
                if attempt == ATTEMPTS or not isinstance(error.__cause__, _TRY_AGAIN):
                    raise
        raise AssertionError("the loop above returns or raises")

    async def close(self) -> None:
        """See `Database.close`."""
        await self._pool.close()


class _PostgresqlTransaction:
    """`Transaction` on one connection. A statement that fails ends the work: the server has given it up."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def one(self, query: Query, **values: object) -> Row | None:
        sql, arguments = query.compiled("postgresql")
        record = await self._connection.fetchrow(sql, *arguments(values))
        return None if record is None else tuple(record)

    async def all(self, query: Query, **values: object) -> list[Row]:
        sql, arguments = query.compiled("postgresql")
        return [tuple(record) for record in await self._connection.fetch(sql, *arguments(values))]

    async def run(self, query: Query, **values: object) -> int:
        sql, arguments = query.compiled("postgresql")
        status: str = await self._connection.execute(sql, *arguments(values))
        return int(status.rpartition(" ")[2])


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


@asynccontextmanager
async def _phrased(server: str) -> AsyncIterator[None]:
    try:
        yield
    except (asyncpg.UniqueViolationError, asyncpg.ForeignKeyViolationError) as error:
        raise Conflict(str(error)) from error
    except asyncpg.DiskFullError as error:
        _log.warning("no room is left in the database, %s: %s", _without_password(server), error)
        raise DatabaseFull(_without_password(server)) from error
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        if isinstance(error, DatabaseError):
            raise
        raise DatabaseUnavailable(f"{_without_password(server)}: {error or type(error).__name__}") from error
