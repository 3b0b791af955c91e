"""Jobs that are to be done with nothing else in hand: none of those that are there.

Revision: 0005
"""

from alembic import op
from sqlalchemy import Column, Integer

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column, and have it in the index by which jobs are claimed."""
    op.add_column("jobs", Column("alone", Integer, nullable=False, server_default="0"))
    op.drop_index("ix_jobs_parked_due", "jobs")
    op.create_index("ix_jobs_parked_alone_due", "jobs", ["parked", "alone", "due"])
