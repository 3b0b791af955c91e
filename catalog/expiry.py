"""Upload sessions that nobody comes back to: closed, and their bytes dropped."""

from __future__ import annotations

import time

from cas import BlobStore, UploadBusy, UploadId
from catalog.metadata import uploads
from database import Database


async def expire_uploads(database: Database, store: BlobStore, age: int) -> int:
    """Close sessions whose last byte came more than *age* seconds ago; return how many.

    Bytes that are staged without a session, as a request leaves them that was cut off by a crash, go as well.
    """
    before = int(time.time()) - age
    touched = {staged.upload async for staged in store.uploads() if staged.modified >= before}
    expired = 0
    for upload in await uploads.started_before(database, before):
        if upload not in touched and await _discard(store, upload):
            await _end(database, upload)
            expired += 1
    async for staged in store.uploads():
        if staged.modified < before and not await uploads.exists(database, staged.upload):
            expired += await _discard(store, staged.upload)
    return expired


async def _discard(store: BlobStore, upload: UploadId) -> bool:
    try:
        await store.discard(upload)
    except UploadBusy:  # somebody came back to it just now
        return False
    return True


async def _end(database: Database, upload: UploadId) -> None:
    await database.write(lambda tx: uploads.end(tx, upload))
