"""What the catalog needs: readers of events, jobs, repositories whose documents say too much, sessions on the pages.

Revision: 0002
"""

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, Integer, PrimaryKeyConstraint, Text

revision = "0002"
down_revision = "0001"

#: Names compare by their bytes on both engines.
NAME = Text().with_variant(Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "cursors",
        Column("name", Text, nullable=False),
        Column("transaction_id", BigInteger, nullable=False),
        Column("sequence", BigInteger, nullable=False),
        Column("version", BigInteger, nullable=False),
        PrimaryKeyConstraint("name", name=op.f("pk_cursors")),
    )
    op.create_table(
        "jobs",
        Column("repository_id", Text, nullable=False),
        Column("digest", NAME, nullable=False),
        Column("version", BigInteger, nullable=False),
        Column("created", BigInteger, nullable=False),
        Column("due", BigInteger, nullable=False),
        Column("claimed", BigInteger, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("parked", Integer, nullable=False),
        Column("error", Text, nullable=False),
        PrimaryKeyConstraint("repository_id", "digest", name=op.f("pk_jobs")),
    )
    op.create_index("ix_jobs_parked_due", "jobs", ["parked", "due"])
    op.create_table(
        "tightened",
        Column("repository_id", Text, nullable=False),
        Column("version", BigInteger, nullable=False),
        PrimaryKeyConstraint("repository_id", name=op.f("pk_tightened")),
    )
    op.create_table(
        "sessions",
        Column("fingerprint", Text, nullable=False),
        Column("person_id", Text, nullable=False),
        Column("generation", Integer, nullable=False),
        Column("agent", Text, nullable=False),
        Column("created", BigInteger, nullable=False),
        Column("used", BigInteger, nullable=False),
        Column("expires", BigInteger, nullable=False),
        ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_sessions_person_id")),
        PrimaryKeyConstraint("fingerprint", name=op.f("pk_sessions")),
    )
    op.create_index("ix_sessions_person_id", "sessions", ["person_id"])
    op.create_index("ix_sessions_expires", "sessions", ["expires"])
    op.create_index("ix_manifests_digest", "manifests", ["digest"])
