"""The first tables: the outbox of events, the hub's, and the catalog's.

Revision: 0001
"""

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Text,
    UniqueConstraint,
)

revision = "0001"
down_revision = None

#: Names compare by their bytes on both engines.
NAME = Text().with_variant(Text(collation="C"), "postgresql")
COUNTED = BigInteger().with_variant(Integer, "sqlite")


def upgrade() -> None:
    """Make them."""
    op.create_table(
        "blobs",
        Column("digest", NAME, nullable=False),
        Column("size", BigInteger, nullable=False),
        Column("state", Text, nullable=False),
        Column("changed", BigInteger, nullable=False),
        PrimaryKeyConstraint("digest", name=op.f("pk_blobs")),
    )
    op.create_index("ix_blobs_state_changed", "blobs", ["state", "changed"])
    op.create_table(
        "events",
        Column("sequence", COUNTED, autoincrement=True, nullable=False),
        Column("transaction_id", BigInteger, nullable=False),
        Column("at", BigInteger, nullable=False),
        Column("kind", Text, nullable=False),
        Column("repository_id", Text),
        Column("body", Text, nullable=False),
        PrimaryKeyConstraint("sequence", name=op.f("pk_events")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_events_transaction_id_sequence", "events", ["transaction_id", "sequence"])
    op.create_table(
        "people",
        Column("id", Text, nullable=False),
        Column("name", NAME, nullable=False),
        Column("password", Text),
        Column("generation", Integer, nullable=False),
        Column("administrator", Integer, nullable=False),
        Column("disabled", Integer, nullable=False),
        Column("created", BigInteger, nullable=False),
        PrimaryKeyConstraint("id", name=op.f("pk_people")),
        UniqueConstraint("name", name=op.f("uq_people_name")),
    )
    op.create_table(
        "secrets",
        Column("name", Text, nullable=False),
        Column("value", Text, nullable=False),
        Column("created", BigInteger, nullable=False),
        PrimaryKeyConstraint("name", name=op.f("pk_secrets")),
    )
    op.create_table(
        "setup_links",
        Column("id", Integer, autoincrement=False, nullable=False),
        Column("fingerprint", Text, nullable=False),
        Column("created", BigInteger, nullable=False),
        Column("expires", BigInteger, nullable=False),
        Column("used", BigInteger),
        PrimaryKeyConstraint("id", name=op.f("pk_setup_links")),
    )
    op.create_table(
        "signing_keys",
        Column("kid", Text, nullable=False),
        Column("generation", Integer, nullable=False),
        Column("public", Text, nullable=False),
        Column("private", Text),
        Column("created", BigInteger, nullable=False),
        Column("retired", BigInteger),
        PrimaryKeyConstraint("kid", name=op.f("pk_signing_keys")),
        UniqueConstraint("generation", name=op.f("uq_signing_keys_generation")),
    )
    op.create_table(
        "uploads",
        Column("id", Text, nullable=False),
        Column("repository", NAME, nullable=False),
        Column("subject", Text, nullable=False),
        Column("started", BigInteger, nullable=False),
        PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_index("ix_uploads_started", "uploads", ["started"])
    op.create_table(
        "namespaces",
        Column("name", NAME, nullable=False),
        Column("owner_id", Text),
        Column("created", BigInteger, nullable=False),
        ForeignKeyConstraint(["owner_id"], ["people.id"], name=op.f("fk_namespaces_owner_id")),
        PrimaryKeyConstraint("name", name=op.f("pk_namespaces")),
    )
    op.create_index("ix_namespaces_owner_id", "namespaces", ["owner_id"])
    op.create_table(
        "tokens",
        Column("id", Text, nullable=False),
        Column("kind", Text, nullable=False),
        Column("person_id", Text, nullable=False),
        Column("parent_id", Text),
        Column("name", Text, nullable=False),
        Column("fingerprint", Text, nullable=False),
        Column("scopes", Text),
        Column("service", Text),
        Column("generation", Integer),
        Column("created", BigInteger, nullable=False),
        Column("expires", BigInteger),
        Column("last_used", BigInteger),
        Column("revoked", BigInteger),
        ForeignKeyConstraint(["parent_id"], ["tokens.id"], name=op.f("fk_tokens_parent_id"), ondelete="CASCADE"),
        ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_tokens_person_id")),
        PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        UniqueConstraint("fingerprint", name=op.f("uq_tokens_fingerprint")),
    )
    op.create_index("ix_tokens_parent_id", "tokens", ["parent_id"])
    op.create_index("ix_tokens_person_id_kind", "tokens", ["person_id", "kind"])
    op.create_table(
        "repositories",
        Column("id", Text, nullable=False),
        Column("name", NAME, nullable=False),
        Column("namespace", NAME, nullable=False),
        Column("public", Integer, nullable=False),
        Column("description", Text, server_default="", nullable=False),
        Column("created", BigInteger, nullable=False),
        ForeignKeyConstraint(["namespace"], ["namespaces.name"], name=op.f("fk_repositories_namespace")),
        PrimaryKeyConstraint("id", name=op.f("pk_repositories")),
        UniqueConstraint("name", name=op.f("uq_repositories_name")),
    )
    op.create_index("ix_repositories_namespace", "repositories", ["namespace"])
    op.create_table(
        "links",
        Column("repository_id", Text, nullable=False),
        Column("digest", NAME, nullable=False),
        Column("created", BigInteger, nullable=False),
        ForeignKeyConstraint(["digest"], ["blobs.digest"], name=op.f("fk_links_digest")),
        ForeignKeyConstraint(
            ["repository_id"], ["repositories.id"], name=op.f("fk_links_repository_id"), ondelete="CASCADE"
        ),
        PrimaryKeyConstraint("repository_id", "digest", name=op.f("pk_links")),
    )
    op.create_index("ix_links_digest", "links", ["digest"])
    op.create_table(
        "manifests",
        Column("repository_id", Text, nullable=False),
        Column("digest", NAME, nullable=False),
        Column("media_type", Text, nullable=False),
        Column("size", BigInteger, nullable=False),
        Column("artifact_type", Text),
        Column("subject", NAME),
        Column("annotations", Text),
        Column("pushed", BigInteger, nullable=False),
        Column("content", LargeBinary, nullable=False),
        ForeignKeyConstraint(
            ["repository_id"], ["repositories.id"], name=op.f("fk_manifests_repository_id"), ondelete="CASCADE"
        ),
        PrimaryKeyConstraint("repository_id", "digest", name=op.f("pk_manifests")),
    )
    op.create_index("ix_manifests_repository_id_subject", "manifests", ["repository_id", "subject"])
    op.create_table(
        "pulls",
        Column("repository_id", Text, nullable=False),
        Column("day", Integer, nullable=False),
        Column("pulls", BigInteger, nullable=False),
        ForeignKeyConstraint(
            ["repository_id"], ["repositories.id"], name=op.f("fk_pulls_repository_id"), ondelete="CASCADE"
        ),
        PrimaryKeyConstraint("repository_id", "day", name=op.f("pk_pulls")),
    )
    op.create_table(
        "tag_history",
        Column("sequence", COUNTED, autoincrement=True, nullable=False),
        Column("repository_id", Text, nullable=False),
        Column("name", NAME, nullable=False),
        Column("digest", NAME),
        Column("at", BigInteger, nullable=False),
        Column("subject", Text, nullable=False),
        ForeignKeyConstraint(
            ["repository_id"], ["repositories.id"], name=op.f("fk_tag_history_repository_id"), ondelete="CASCADE"
        ),
        PrimaryKeyConstraint("sequence", name=op.f("pk_tag_history")),
    )
    op.create_index("ix_tag_history_repository_id_name_sequence", "tag_history", ["repository_id", "name", "sequence"])
    op.create_table(
        "manifest_references",
        Column("repository_id", Text, nullable=False),
        Column("parent", NAME, nullable=False),
        Column("role", Text, nullable=False),
        Column("child", NAME, nullable=False),
        ForeignKeyConstraint(
            ["repository_id", "parent"],
            ["manifests.repository_id", "manifests.digest"],
            name=op.f("fk_manifest_references_repository_id_parent"),
            ondelete="CASCADE",
        ),
        PrimaryKeyConstraint("repository_id", "parent", "role", "child", name=op.f("pk_manifest_references")),
    )
    op.create_index("ix_manifest_references_repository_id_child", "manifest_references", ["repository_id", "child"])
    op.create_table(
        "tags",
        Column("repository_id", Text, nullable=False),
        Column("name", NAME, nullable=False),
        Column("digest", NAME, nullable=False),
        Column("moved", BigInteger, nullable=False),
        ForeignKeyConstraint(
            ["repository_id", "digest"],
            ["manifests.repository_id", "manifests.digest"],
            name=op.f("fk_tags_repository_id_digest"),
            ondelete="CASCADE",
        ),
        PrimaryKeyConstraint("repository_id", "name", name=op.f("pk_tags")),
    )
    op.create_index("ix_tags_repository_id_digest", "tags", ["repository_id", "digest"])
