"""The SQL database: connections, transactions, migrations, and the outbox of events.

It knows no table of a domain, no blob and no request. One async-shaped protocol, `Database`, stands in front of two
engines: SQLite on one machine, PostgreSQL for many.
"""

from database.connect import connect
from database.errors import Conflict, DatabaseError, DatabaseFull, DatabaseUnavailable
from database.protocol import Database, Row, Transaction
from database.statements import Query, insert_or, json_items, metadata, new_id

__all__ = [
    "Conflict",
    "Database",
    "DatabaseError",
    "DatabaseFull",
    "DatabaseUnavailable",
    "Query",
    "Row",
    "Transaction",
    "connect",
    "insert_or",
    "json_items",
    "metadata",
    "new_id",
]
