"""How bytes that nothing links any more come to be removed, and why a push can never lose to it.

    live ──(no link left)──► condemned ──(grace over, still no link)──► deleting ──► bytes removed ──► row removed
      ▲                          │
      └────── a push or a mount ─┘

A push that finds a condemned blob revives it before it publishes (`catalog.content`). The grace is far longer than any
publishing takes, so whoever has seen a row live, or no row, is safe from the collector. A row that says *deleting* can
be linked by nobody; it is gone within moments. A collector that died on the way is followed, after a minute, by one
that finishes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence

from sqlalchemy import BigInteger, Integer, Text, and_, bindparam, delete, exists, or_, select, update

from cas import BlobStore, Digest
from catalog.metadata.tables import blobs, links
from database import Database, Query, Transaction, json_items

#: Seconds that a condemned blob is kept.
GRACE = 3600
#: Seconds after which a collector that claimed a blob and did not finish is taken for dead.
ABANDONED = 60
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
_MAY_GO = or_(
    and_(blobs.c.state == "condemned", blobs.c.changed <= bindparam("before", type_=BigInteger)),
    and_(blobs.c.state == "deleting", blobs.c.changed <= bindparam("abandoned", type_=BigInteger)),
)
_RIPE = Query(select(blobs.c.digest).where(_MAY_GO).order_by(blobs.c.changed).limit(bindparam("most", type_=Integer)))
_CLAIM = Query(
    update(blobs)
    .where(
        blobs.c.digest.in_(select(json_items(bindparam("digests", type_=Text)).table_valued("value").c.value)),
        _MAY_GO,
        ~_LINKED,
    )
    .values(state="deleting", changed=bindparam("now"))
    .returning(blobs.c.digest)
)
_REVIVE_LINKED = Query(
    update(blobs).where(blobs.c.state == "condemned", _LINKED).values(state="live", changed=bindparam("now"))
)
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
    """Remove the bytes of what has been condemned for *grace* seconds and is so still; return how many blobs went.

    Several collectors may run at once: what one has claimed is its own until the claim is `ABANDONED`, and it stops
    removing well before that.
    """
    removed = 0
    while True:
        until = time.monotonic() + ABANDONED / 2
        claimed = await database.write(lambda tx: _claim(tx, grace))
        if not claimed:
            return removed
        gone = []
        for digest in claimed:
            if time.monotonic() < until:
                await store.delete(digest)
                gone.append(digest)
        await database.write(lambda tx, gone=gone: _forget(tx, gone))  # type: ignore[misc]
        removed += len(gone)


async def _claim(tx: Transaction, grace: int) -> list[Digest]:
    now = int(time.time())
    bounds = {"before": now - grace, "abandoned": now - ABANDONED}
    ripe = [str(digest) for (digest,) in await tx.all(_RIPE, most=_AT_ONCE, **bounds)]
    if not ripe:
        return []
    wanted = json.dumps(ripe)
    await tx.all(_LOCK, digests=wanted)
    await tx.run(_REVIVE_LINKED, now=now)
    claimed = await tx.all(_CLAIM, digests=wanted, now=now, **bounds)
    return [Digest.parse(digest) for (digest,) in claimed]


async def _forget(tx: Transaction, gone: Sequence[Digest]) -> None:
    for digest in gone:
        await tx.run(_FORGET, blob=digest.text)
