"""What the rest of the program sees of a database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from database.statements import Query

Row = tuple[Any, ...]
T = TypeVar("T")


class Reader(Protocol):
    """Runs statements that ask."""

    async def one(self, query: Query, **values: object) -> Row | None:
        """Return the first row, None when there is none."""

    async def all(self, query: Query, **values: object) -> list[Row]:
        """Return every row: statements are written with a LIMIT where a table can be long."""


class Transaction(Reader, Protocol):
    """Runs statements that ask and statements that change, all or none of them.

    Work in a transaction awaits nothing but this object's methods. On SQLite they never suspend, so the whole work is
    one step of the writer's thread; anything else that is awaited there is an error, on purpose.
    """

    async def run(self, query: Query, **values: object) -> int:
        """Run a statement that changes rows; return how many it changed.

        Raises:
            Conflict: a unique or a foreign key stands against it.
        """


class Database(Reader, Protocol):
    """A database: reads at once, writes in transactions.

    Every method raises `DatabaseUnavailable` where the engine does not answer.
    """

    #: ``sqlite`` or ``postgresql``.
    dialect: str

    async def write(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run *work* in a transaction and return what it returned, once that is committed and synced to disk.

        *work* may be run again from its beginning when the engine asks for it (a deadlock): it has no other effects.

        Raises:
            DatabaseFull: there is no room for it; nothing was changed.
            Exception: whatever *work* raised; nothing was changed.
        """

    async def close(self) -> None:
        """Finish the writes under way and let go of the connections."""
