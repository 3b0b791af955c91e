"""Repositories that their owners advise against: none of those that are there.

Revision: 0003
"""

from alembic import op
from sqlalchemy import Column, Integer

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column."""
    op.add_column("repositories", Column("deprecated", Integer, nullable=False, server_default="0"))
