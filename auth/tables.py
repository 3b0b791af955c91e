"""The hub's tables.

    people ─┬─ namespaces          whose repositories; without an owner they are the administrators'
            ├─ tokens ─ tokens     personal and refresh tokens, and those that were made with another one
            └─ sessions            signed in on the pages
    signing_keys                   public halves for whoever verifies, the private half of the one that signs
    secrets                        what the installation keeps to itself: the key of the fingerprints
    setup_links                    one row: the way to the first administrator

Of random secrets only the fingerprint is kept (`auth.fingerprints`), of passwords only their argon2 hash. Times are
seconds since 1970.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table, Text

from database import metadata

#: Names compare by their bytes on both engines, as those of repositories do.
_Name = Text().with_variant(Text(collation="C"), "postgresql")

#: *password* is an argon2 hash, null for somebody who cannot sign in with one. *generation* counts the passwords that
#: were set: what was proved with an earlier one proves nothing any more.
people = Table(
    "people",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", _Name, nullable=False, unique=True),
    Column("password", Text),
    Column("generation", Integer, nullable=False),
    Column("administrator", Integer, nullable=False),
    Column("disabled", Integer, nullable=False),
    Column("created", BigInteger, nullable=False),
)

#: *owner_id* is null where the administrators own it.
namespaces = Table(
    "namespaces",
    metadata,
    Column("name", _Name, primary_key=True),
    Column("owner_id", Text, ForeignKey("people.id")),
    Column("created", BigInteger, nullable=False),
    Index("ix_namespaces_owner_id", "owner_id"),
)

#: *kind* is ``personal`` or ``refresh``. *scopes* is null where nothing is narrowed (`auth.limits`). *service* and
#: *generation* (the person's, when it was given out) are a refresh token's alone. *parent_id* is the token that this
#: one was made with: it allows no more, lives no longer, and goes with it.
tokens = Table(
    "tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("person_id", Text, ForeignKey("people.id"), nullable=False),
    Column("parent_id", Text, ForeignKey("tokens.id", ondelete="CASCADE")),
    Column("name", Text, nullable=False),
    Column("fingerprint", Text, nullable=False, unique=True),
    Column("scopes", Text),
    Column("service", Text),
    Column("generation", Integer),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("last_used", BigInteger),
    Column("revoked", BigInteger),
    Index("ix_tokens_person_id_kind", "person_id", "kind"),
    Index("ix_tokens_parent_id", "parent_id"),
)

#: A browser that somebody signed in with. *fingerprint* is of the random text in its cookie; *generation* is the
#: person's when they signed in. *used* is kept to about a minute.
sessions = Table(
    "sessions",
    metadata,
    Column("fingerprint", Text, primary_key=True),
    Column("person_id", Text, ForeignKey("people.id"), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("agent", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Index("ix_sessions_person_id", "person_id"),
    Index("ix_sessions_expires", "expires"),
)

#: *generation* counts the keys: it is unique, so of processes that make the next one at the same time one succeeds.
#: *private* is null once the key has been *retired*.
signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", Text, primary_key=True),
    Column("generation", Integer, nullable=False, unique=True),
    Column("public", Text, nullable=False),
    Column("private", Text),
    Column("created", BigInteger, nullable=False),
    Column("retired", BigInteger),
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
)

#: One row, whose *id* is 1: a new link takes the place of the one before.
setup_links = Table(
    "setup_links",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("fingerprint", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("expires", BigInteger, nullable=False),
    Column("used", BigInteger),
)
