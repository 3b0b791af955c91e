"""Statements: written once in SQLAlchemy Core, compiled once a dialect, run on the bare driver.

Columns hold only what both drivers take and give unchanged: integers, text and bytes. Times are whole seconds since
1970, flags are 0 and 1, ids are text. So no value passes through a converter on the way.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from sqlalchemy import Dialect, FunctionElement, Insert, MetaData, Table, Text, TextClause
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.compiler import SQLCompiler

#: Every package adds its tables to this one, so that keys can point from one package's tables to another's.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

DialectName = Literal["sqlite", "postgresql"]

_DIALECTS: dict[str, Callable[[], Dialect]] = {"sqlite": SQLiteDialect_pysqlite, "postgresql": PGDialect_asyncpg}


class Compiled(NamedTuple):
    """A statement as a driver takes it: its text, and how to put named values in its order."""

    sql: str
    arguments: Callable[[Mapping[str, object]], tuple[object, ...]]


class Query:
    """A statement of SQLAlchemy Core with named parameters (``bindparam("name")``).

    For an INSERT the names of the columns to fill are given too; they are the parameters.
    """

    __slots__ = ("_columns", "_compiled", "statement")

    def __init__(self, statement: ClauseElement | TextClause, *columns: str) -> None:
        self.statement = statement
        self._columns = list(columns) or None
        self._compiled: dict[str, Compiled] = {}

    def compiled(self, dialect: str) -> Compiled:
        """Return the statement for *dialect*, compiling it at the first call."""
        found = self._compiled.get(dialect)
        if found is None:
            found = self._compiled[dialect] = self._compile(dialect)
        return found

    def _compile(self, dialect: str) -> Compiled:
        compiled = self.statement.compile(dialect=_DIALECTS[dialect](), column_keys=self._columns)
        assert isinstance(compiled, SQLCompiler)
        order = tuple(compiled.positiontup or ())
        constants = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        if self._columns is not None:
            constants = {name: value for name, value in constants.items() if name not in self._columns}

        def arguments(values: Mapping[str, object]) -> tuple[object, ...]:
            return tuple([values[name] if name in values else constants[name] for name in order])

        return Compiled(str(compiled), arguments)


def insert_or(table: Table) -> Any:
    """Begin an INSERT that may say ``on_conflict_do_nothing`` or ``on_conflict_do_update``.

    SQLite took the clause over from PostgreSQL, and SQLAlchemy's compilers for both read the same construct.
    """
    statement: Insert = postgresql_insert(table)
    return statement


class json_items(FunctionElement[str]):
    """The strings of a JSON array as rows of one column, ``value``: a list of any length as one parameter."""

    type = Text()
    name = "json_items"
    inherit_cache = True


@compiles(json_items, "sqlite")
def _json_items_sqlite(element: json_items, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_each({compiler.process(element.clauses, **options)})"


@compiles(json_items, "postgresql")
def _json_items_postgresql(element: json_items, compiler: SQLCompiler, **options: Any) -> str:
    return f"jsonb_array_elements_text(CAST({compiler.process(element.clauses, **options)} AS jsonb))"


def new_id() -> str:
    """Make a UUIDv7 (RFC 9562, 5.7) as text: ids that sort by the time at which they were made."""
    value = (time.time_ns() // 1_000_000 & (1 << 48) - 1) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
