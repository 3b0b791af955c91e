"""Jobs that wait for something that was not there, told apart from those that failed.

Revision: 0004
"""

from alembic import op
from sqlalchemy import Column, Text

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the column."""
    op.add_column("jobs", Column("waits_for", Text, nullable=False, server_default=""))
