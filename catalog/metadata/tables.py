"""The catalog's tables.

    repositories ─┬─ links ────────────── blobs          what may be read in a repository, and what is stored
                  ├─ manifests ─┬─ manifest_references   a manifest's blobs and children
                  │             └─ tags ─ tag_history    names that move
                  └─ pulls                               how often, by day
    uploads                                              sessions; their bytes are in the store
    cursors                                              how far each reader of the events has come
    jobs                                                 what of search is to be written anew
    tightened                                            repositories whose documents say too much

A repository's rows go with it. A blob's row goes last, after its bytes (`catalog.garbage`). A tag's history outlives
the tag, not the repository.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, ForeignKeyConstraint, Index, Integer, LargeBinary, Table, Text

from database import metadata

#: Names compare by their bytes on both engines: the protocol asks for ASCII order in lists.
_Name = Text().with_variant(Text(collation="C"), "postgresql")
_Counted = BigInteger().with_variant(Integer, "sqlite")

repositories = Table(
    "repositories",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", _Name, nullable=False, unique=True),
    Column("namespace", _Name, ForeignKey("namespaces.name"), nullable=False),
    Column("public", Integer, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("created", BigInteger, nullable=False),
    Column("deprecated", Integer, nullable=False, server_default="0"),
    Index("ix_repositories_namespace", "namespace"),
)

#: *state* is ``live``, ``condemned`` (nothing links it; *changed* says since when) or ``deleting`` (its bytes are being
#: removed; nobody may link it).
blobs = Table(
    "blobs",
    metadata,
    Column("digest", _Name, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("changed", BigInteger, nullable=False),
    Index("ix_blobs_state_changed", "state", "changed"),
)

links = Table(
    "links",
    metadata,
    Column("repository_id", Text, ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("digest", _Name, ForeignKey("blobs.digest"), primary_key=True),
    Column("created", BigInteger, nullable=False),
    Index("ix_links_digest", "digest"),
)

#: *artifact_type* and *annotations* (a JSON object) are what the referrers list tells of the manifest.
manifests = Table(
    "manifests",
    metadata,
    Column("repository_id", Text, ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("digest", _Name, primary_key=True),
    Column("media_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("artifact_type", Text),
    Column("subject", _Name),
    Column("annotations", Text),
    Column("pushed", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Index("ix_manifests_repository_id_subject", "repository_id", "subject"),
    Index("ix_manifests_digest", "digest"),
)

manifest_references = Table(
    "manifest_references",
    metadata,
    Column("repository_id", Text, primary_key=True),
    Column("parent", _Name, primary_key=True),
    Column("role", Text, primary_key=True),
    Column("child", _Name, primary_key=True),
    ForeignKeyConstraint(
        ["repository_id", "parent"], ["manifests.repository_id", "manifests.digest"], ondelete="CASCADE"
    ),
    Index("ix_manifest_references_repository_id_child", "repository_id", "child"),
)

tags = Table(
    "tags",
    metadata,
    Column("repository_id", Text, primary_key=True),
    Column("name", _Name, primary_key=True),
    Column("digest", _Name, nullable=False),
    Column("moved", BigInteger, nullable=False),
    ForeignKeyConstraint(
        ["repository_id", "digest"], ["manifests.repository_id", "manifests.digest"], ondelete="CASCADE"
    ),
    Index("ix_tags_repository_id_digest", "repository_id", "digest"),
)

#: Each move of a tag; *digest* is empty where it was removed. *subject* is who did it, as the token named them.
tag_history = Table(
    "tag_history",
    metadata,
    Column("sequence", _Counted, primary_key=True, autoincrement=True),
    Column("repository_id", Text, ForeignKey("repositories.id", ondelete="CASCADE"), nullable=False),
    Column("name", _Name, nullable=False),
    Column("digest", _Name),
    Column("at", BigInteger, nullable=False),
    Column("subject", Text, nullable=False),
    Index("ix_tag_history_repository_id_name_sequence", "repository_id", "name", "sequence"),
)

#: An upload session. It names its repository by name: the repository may come to be only when the upload ends.
uploads = Table(
    "uploads",
    metadata,
    Column("id", Text, primary_key=True),
    Column("repository", _Name, nullable=False),
    Column("subject", Text, nullable=False),
    Column("started", BigInteger, nullable=False),
    Index("ix_uploads_started", "started"),
)

pulls = Table(
    "pulls",
    metadata,
    Column("repository_id", Text, ForeignKey("repositories.id", ondelete="CASCADE"), primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("pulls", BigInteger, nullable=False),
)

#: A reader of the events: the position (`database.events.Position`) up to which everything has become jobs, and the
#: *version* that the last of them got. It is no less than any sequence read so far, and rises with each reading: on
#: PostgreSQL sequences do not come in their order.
cursors = Table(
    "cursors",
    metadata,
    Column("name", Text, primary_key=True),
    Column("transaction_id", BigInteger, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
)

#: What is to be read and written anew: a manifest's document, or (*digest* is empty) that of a repository, or (it is
#: ``*``) that of a repository and of all in it. *version* is that of the newest reading of events that asks for it
#: (`cursors.version`); a job that it rose during stays. *due* says when it may be tried (in milliseconds), *claimed*
#: until when somebody is at it (in milliseconds; 0: nobody). One that failed keeps its *error*; after too many
#: *attempts* it is *parked*: it waits for somebody. *waits_for* says what was missing when it was last tried (room, an
#: index), which is no failure. *alone* says whether nothing else is to be in hand while it is done (1), and of one that
#: is claimed whether it only waits for its turn (2; `catalog.metadata.jobs`).
#: Neither column of the key refers to a row: the job that removes a document outlives what it told of.
jobs = Table(
    "jobs",
    metadata,
    Column("repository_id", Text, primary_key=True),
    Column("digest", _Name, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("claimed", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("parked", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("waits_for", Text, nullable=False, server_default=""),
    Column("alone", Integer, nullable=False, server_default="0"),
    Index("ix_jobs_parked_alone_due", "parked", "alone", "due"),
)

#: Repositories that were made private or deleted, and whose documents may still say otherwise: they are subtracted from
#: every answer. Written in the transaction of the change, whose event's sequence is *version*; removed, if it is still
#: that, when documents written since can be read by everybody who searches.
tightened = Table(
    "tightened",
    metadata,
    Column("repository_id", Text, primary_key=True),
    Column("version", BigInteger, nullable=False),
)
