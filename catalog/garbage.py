"""How bytes that nothing links any more come to be removed, and why a push can never lose to it.

    live ──(no link left)──► condemned ──(grace over, still no link)──► deleting ──► bytes removed ──► row removed
      ▲                          │
      └────── a push or a mount ─┘

A push that finds a condemned blob revives it before it publishes (`catalog.content`). The grace is far longer than any
publishing takes, so whoever has seen a row live, or no row, is safe from the collector. A row that says *deleting* can
be linked by nobody; it is gone within moments, and a collector that died on the way is followed by one that finishes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from sqlalchemy import Integer, Text, bindparam, delete, exists, select, update

from cas import BlobStore, Digest
from catalog.metadata.tables import blobs, links
from database import Database, Query, Transaction, json_items

#: Seconds that a condemned blob is kept.
GRACE = 3600
_AT_ONCE = 200

_LINKED = exists().where(links.c.digest == blobs.c.digest)
_LOCK = Query(
    select(blobs.c.digest)
    .where(blobs.c.digest.in_(select(json_items(bindparam("digests", type_=Text)).table_valued("value").c.value)))
    .order_by(blobs.c.digest)
    .with_for_update()
)
_CONDEMN = Query(
    update(blobs)
    .where(
        blobs.c.digest.in_(select(json_items(bindparam("digests", type_=Text)).table_valued("value").c.value)),
        blobs.c.state == "live",
        ~_LINKED,
    )
    .values(state="condemned", changed=bindparam("now"))
)
_RIPE = Query(
    select(blobs.c.digest)
    .where(blobs.c.state == "condemned", blobs.c.changed <= bindparam("before"))
    .order_by(blobs.c.changed)
    .limit(bindparam("most", type_=Integer))
)
_CLAIM = Query(
    update(blobs)
    .where(
        blobs.c.digest.in_(select(json_items(bindparam("digests", type_=Text)).table_valued("value").c.value)),
        blobs.c.state == "condemned",
        blobs.c.changed <= bindparam("before"),
        ~_LINKED,
    )
    .values(state="deleting")
)
_REVIVE_LINKED = Query(
    update(blobs).where(blobs.c.state == "condemned", _LINKED).values(state="live", changed=bindparam("now"))
)
_DELETING = Query(select(blobs.c.digest).where(blobs.c.state == "deleting").limit(bindparam("most", type_=Integer)))
_FORGET = Query(delete(blobs).where(blobs.c.digest == bindparam("blob"), blobs.c.state == "deleting"))


async def condemn_unlinked(tx: Transaction, digests: Sequence[str]) -> None:
    """Mark those of *digests* that no repository links, in the transaction that took the links away.

    The rows are locked first and looked at by a second statement: on PostgreSQL that one sees a link which another
    transaction committed while this one waited.
    """
    wanted = json.dumps(list(digests))
    await tx.all(_LOCK, digests=wanted)
    await tx.run(_CONDEMN, digests=wanted, now=int(time.time()))


async def collect(database: Database, store: BlobStore, grace: int = GRACE) -> int:
    """Remove the bytes of what has been condemned for *grace* seconds and is so still; return how many blobs went."""
    before = int(time.time()) - grace
    removed = await _remove_claimed(database, store)
    while ripe := [str(digest) for (digest,) in await database.all(_RIPE, before=before, most=_AT_ONCE)]:
        wanted = json.dumps(ripe)

        async def claim(tx: Transaction, wanted: str = wanted) -> None:
            await tx.all(_LOCK, digests=wanted)
            await tx.run(_REVIVE_LINKED, now=int(time.time()))
            await tx.run(_CLAIM, digests=wanted, before=before)

        await database.write(claim)
        removed += await _remove_claimed(database, store)
    return removed


async def _remove_claimed(database: Database, store: BlobStore) -> int:
    removed = 0
    while claimed := [Digest.parse(digest) for (digest,) in await database.all(_DELETING, most=_AT_ONCE)]:
        for digest in claimed:
            await store.delete(digest)

        async def forget(tx: Transaction, claimed: list[Digest] = claimed) -> None:
            for digest in claimed:
                await tx.run(_FORGET, blob=digest.text)

        await database.write(forget)
        removed += len(claimed)
    return removed
