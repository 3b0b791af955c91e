"""How often repositories are pulled from: counted in memory, written now and then, so that no GET writes."""

from __future__ import annotations

import time
from collections import Counter

from sqlalchemy import bindparam, select, text

from catalog.metadata.tables import pulls, repositories
from database import Database, Query, Transaction, insert_or

_DAY = 86_400

_EXISTS = Query(select(repositories.c.id).where(repositories.c.id == bindparam("repository")))
_ADD = Query(
    insert_or(pulls).on_conflict_do_update(
        index_elements=["repository_id", "day"], set_={"pulls": text("pulls.pulls + excluded.pulls")}
    ),
    "repository_id",
    "day",
    "pulls",
)


class PullCounter:
    """Counts pulls by repository and day. A count that was not written when the process died is lost: it is a hint."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: Counter[tuple[str, int]] = Counter()

    def count(self, repository_id: str) -> None:
        """Note one pull."""
        self._waiting[repository_id, int(time.time()) // _DAY] += 1

    async def flush(self) -> None:
        """Write what was counted since the last time. What cannot be written is kept for the next."""
        if not self._waiting:
            return
        counted, self._waiting = self._waiting, Counter()

        async def write(tx: Transaction) -> None:
            for (repository_id, day), number in sorted(counted.items()):
                if await tx.one(_EXISTS, repository=repository_id) is not None:
                    await tx.run(_ADD, repository_id=repository_id, day=day, pulls=number)

        try:
            await self._database.write(write)
        except BaseException:
            self._waiting.update(counted)
            raise
