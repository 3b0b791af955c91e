"""When tokens were last used: gathered in memory, written in batches, for no pull is to wait for a disk."""

from __future__ import annotations

import asyncio

from sqlalchemy import BigInteger, Text, bindparam, update

from auth.tables import tokens
from database import Database, DatabaseError, Query, Transaction

#: Seconds between two batches.
EVERY = 10

_USED = Query(
    update(tokens)
    .where(
        tokens.c.id == bindparam("row", type_=Text),
        tokens.c.last_used.is_(None) | (tokens.c.last_used < bindparam("used", type_=BigInteger)),
    )
    .values(last_used=bindparam("used", type_=BigInteger))
)


class LastUse:
    """What one process saw since its last batch. What a crash takes with it is a few seconds of these times."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._used: dict[str, int] = {}

    def note(self, token_id: str, at: int) -> None:
        """Remember that a token was used *at* (seconds since 1970)."""
        self._used[token_id] = at

    async def write(self) -> None:
        """Write what was gathered.

        Raises:
            DatabaseError: it could not be written; the next batch has it again.
        """
        if not self._used:
            return
        used, self._used = self._used, {}

        async def work(tx: Transaction) -> None:
            for token_id in sorted(used):  # in one order everywhere, so that two processes never wait for each other
                await tx.run(_USED, row=token_id, used=used[token_id])

        try:
            await self._database.write(work)
        except DatabaseError:
            self._used = {**used, **self._used}
            raise

    async def run(self) -> None:
        """Write a batch every few seconds until cancelled, and once more then. Meant for a task group of the program.

        A batch that fails is kept for the next: this loop never ends the program.
        """
        try:
            while True:
                await asyncio.sleep(EVERY)
                await self._write_if_possible()
        finally:
            await self._write_if_possible()

    async def _write_if_possible(self) -> None:
        try:
            await self.write()
        except DatabaseError:
            return
