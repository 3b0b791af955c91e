"""The catalog's rows: tables, and the statements over them, for SQLite and PostgreSQL alike.

Functions take a `Reader` or a `Transaction` first, so that several of them make one transaction. Nothing here touches
the store or knows of HTTP.
"""

from catalog.metadata import blobs, cursors, jobs, manifests, pulls, repositories, tags, tightened, uploads

__all__ = ["blobs", "cursors", "jobs", "manifests", "pulls", "repositories", "tags", "tightened", "uploads"]
