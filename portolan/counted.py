"""A database whose transactions are counted and timed. Reads go straight to the database itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import perf_counter
from typing import TypeVar

from database import Database, Transaction
from portolan.metrics import Figures

T = TypeVar("T")


class CountedDatabase:
    """`Database` in front of another one."""

    def __init__(self, database: Database, figures: Figures) -> None:
        self._write = database.write
        self._figures = figures
        self.dialect = database.dialect
        self.one = database.one
        self.all = database.all
        self.close = database.close

    async def write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """See `Database.write`."""
        started = perf_counter()
        try:
            result = await self._write(work)
        except Exception:
            self._figures.failed_writes += 1
            raise
        self._figures.writes.add(perf_counter() - started)
        return result
