"""From a URL to a database."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

from database.postgresql import PostgresqlDatabase
from database.protocol import Database
from database.sqlite import SqliteDatabase


def sqlite_path(url: str) -> Path:
    """Read the file's path out of ``sqlite:///relative`` or ``sqlite:////absolute``."""
    return Path(unquote(url.removeprefix("sqlite:///")))


def is_sqlite(url: str) -> bool:
    """Tell whether *url* names a file of this machine."""
    return url.startswith("sqlite:///")


async def connect(url: str, connections: int = 10) -> Database:
    """Open the database at *url*: ``sqlite:///path`` or ``postgresql://user:password@host/name``.

    Raises:
        ValueError: *url* is neither.
        DatabaseUnavailable: it cannot be opened.
    """
    if is_sqlite(url):
        return SqliteDatabase(sqlite_path(url))
    if url.startswith(("postgresql://", "postgres://")):
        return await PostgresqlDatabase.open(url, connections)
    raise ValueError("a database URL begins with sqlite:/// or postgresql://")
