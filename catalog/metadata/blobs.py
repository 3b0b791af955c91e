"""Blobs: which are stored, in which state, and in which repositories they may be read.

A blob is readable in a repository that has a *link* to it, and nowhere else. A blob that nothing links is condemned,
and removed after a while unless a push revives it; `catalog.garbage` tells that story.
"""

from __future__ import annotations

import time

from sqlalchemy import Text, bindparam, delete, or_, select, text, update

from cas import Digest, RepositoryName
from catalog.errors import BlobBusy, BlobInUse, BlobNotLinked
from catalog.metadata.tables import blobs, links, manifest_references, repositories
from database import Query, Transaction, insert_or, json_items
from database.protocol import Reader

_LINKED_SIZE = Query(
    select(blobs.c.size)
    .select_from(repositories)
    .join(links, links.c.repository_id == repositories.c.id)
    .join(blobs, blobs.c.digest == links.c.digest)
    .where(repositories.c.name == bindparam("name"), links.c.digest == bindparam("blob"))
)
_STATE = Query(select(blobs.c.state).where(blobs.c.digest == bindparam("blob")))
_UPSERT = Query(
    insert_or(blobs).on_conflict_do_update(
        index_elements=["digest"],
        set_={"size": text("excluded.size"), "state": text("'live'"), "changed": text("excluded.changed")},
        where=blobs.c.state != "deleting",
    ),
    "digest",
    "size",
    "state",
    "changed",
)
_REVIVE = Query(
    update(blobs)
    .where(blobs.c.digest == bindparam("blob"), blobs.c.state != "deleting")
    .values(state="live", changed=bindparam("now"))
)
_LINK = Query(insert_or(links).on_conflict_do_nothing(), "repository_id", "digest", "created")
_UNLINK = Query(
    delete(links).where(links.c.repository_id == bindparam("repository"), links.c.digest == bindparam("blob"))
)
_REFERRING = Query(
    select(manifest_references.c.parent)
    .where(
        manifest_references.c.repository_id == bindparam("repository"),
        manifest_references.c.child == bindparam("blob"),
        manifest_references.c.role != "manifest",
    )
    .limit(1)
)
_READABLE_SOMEWHERE = Query(
    select(links.c.repository_id)
    .join(repositories, repositories.c.id == links.c.repository_id)
    .where(
        links.c.digest == bindparam("blob"),
        or_(
            repositories.c.public == 1,
            repositories.c.name.in_(select(json_items(bindparam("names", type_=Text)).table_valued("value").c.value)),
        ),
    )
    .limit(1)
)
_LINKED_IN = Query(
    select(links.c.repository_id)
    .join(repositories, repositories.c.id == links.c.repository_id)
    .where(repositories.c.name == bindparam("name"), links.c.digest == bindparam("blob"))
)
_LINKED_AMONG = Query(
    select(links.c.digest)
    .where(
        links.c.repository_id == bindparam("repository"),
        links.c.digest.in_(select(json_items(bindparam("wanted", type_=Text)).table_valued("value").c.value)),
    )
    .order_by(links.c.digest)
    .with_for_update(read=True, key_share=True)
)


async def linked_size(reader: Reader, name: RepositoryName, digest: Digest) -> int:
    """Tell the size in bytes of a blob that is linked in the repository.

    Raises:
        BlobNotLinked: it is not, or there is no such repository.
    """
    row = await reader.one(_LINKED_SIZE, name=name.text, blob=digest.text)
    if row is None:
        raise BlobNotLinked(name, digest)
    return int(row[0])


async def state(reader: Reader, digest: Digest) -> str | None:
    """Tell a blob's state, None when it has no row."""
    row = await reader.one(_STATE, blob=digest.text)
    return None if row is None else str(row[0])


async def revive(tx: Transaction, digest: Digest) -> bool:
    """Make a condemned blob live again; tell whether there was one that could be."""
    return await tx.run(_REVIVE, blob=digest.text, now=int(time.time())) > 0


async def link(tx: Transaction, repository_id: str, digest: Digest, size: int) -> None:
    """Note that the blob's verified bytes are stored, and that the repository has it.

    Raises:
        BlobBusy: the blob's bytes are being removed.
    """
    now = int(time.time())
    if not await tx.run(_UPSERT, digest=digest.text, size=size, state="live", changed=now):
        raise BlobBusy(digest)
    await tx.run(_LINK, repository_id=repository_id, digest=digest.text, created=now)


async def mount(tx: Transaction, repository_id: str, digest: Digest) -> None:
    """Link a blob that another repository has at this moment.

    Raises:
        BlobBusy: the blob's bytes are being removed.
    """
    if not await revive(tx, digest):
        raise BlobBusy(digest)
    await tx.run(_LINK, repository_id=repository_id, digest=digest.text, created=int(time.time()))


async def is_linked(reader: Reader, name: RepositoryName, digest: Digest) -> bool:
    """Tell whether the repository has the blob."""
    return await reader.one(_LINKED_IN, name=name.text, blob=digest.text) is not None


async def is_readable(reader: Reader, digest: Digest, names_json: str) -> bool:
    """Tell whether a public repository, or one of those in *names_json* (a JSON array), has the blob."""
    return await reader.one(_READABLE_SOMEWHERE, blob=digest.text, names=names_json) is not None


async def unlink(tx: Transaction, repository_id: str, name: RepositoryName, digest: Digest) -> None:
    """Take the blob out of the repository.

    Raises:
        BlobInUse: a manifest of the repository refers to it.
        BlobNotLinked: it is not there.
    """
    if not await tx.run(_UNLINK, repository=repository_id, blob=digest.text):
        raise BlobNotLinked(name, digest)
    # Only now: on PostgreSQL the line above waited for a manifest's push that was counting on the link.
    row = await tx.one(_REFERRING, repository=repository_id, blob=digest.text)
    if row is not None:
        raise BlobInUse(digest, str(row[0]))


async def linked_among(tx: Transaction, repository_id: str, wanted_json: str) -> set[str]:
    """Return those of the digests in *wanted_json* (a JSON array) that the repository has, and has until *tx* ends."""
    return {str(digest) for (digest,) in await tx.all(_LINKED_AMONG, repository=repository_id, wanted=wanted_json)}
