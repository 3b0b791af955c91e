"""What can go wrong with the database.

DatabaseError
├── Conflict              a row with the same key exists, or one that is referred to does not
├── DatabaseFull          the disk under the database has no room left
└── DatabaseUnavailable   no answer in time: locked for too long, connection lost, server down
"""

from __future__ import annotations


class DatabaseError(Exception):
    """Root of the tree above."""


class Conflict(DatabaseError):
    """A unique or foreign key stands against the change; *constraint* is what the engine called it."""

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class DatabaseFull(DatabaseError):
    """No room is left; *what* names the file or the server, for whoever runs the service and for nobody else."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


class DatabaseUnavailable(DatabaseError):
    """The engine did not serve the statement; *reason* is its own word for it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
