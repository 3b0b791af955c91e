"""Upload sessions: whose they are. Their bytes, and how many, are the store's to tell."""

from __future__ import annotations

import time

from sqlalchemy import Integer, bindparam, delete, insert, select

from cas import RepositoryName, UploadId
from catalog.errors import UploadUnknown
from catalog.metadata.tables import uploads
from database import Query, Transaction
from database.protocol import Reader

_BEGIN = Query(insert(uploads), "id", "repository", "subject", "started")
_OWNER = Query(select(uploads.c.repository, uploads.c.subject).where(uploads.c.id == bindparam("upload")))
_END = Query(delete(uploads).where(uploads.c.id == bindparam("upload")))
_STARTED_BEFORE = Query(
    select(uploads.c.id)
    .where(uploads.c.started < bindparam("moment"))
    .order_by(uploads.c.started)
    .limit(bindparam("most", type_=Integer))
)


async def begin(tx: Transaction, upload: UploadId, name: RepositoryName, subject: str) -> None:
    """Open a session that belongs to *subject* and to the repository."""
    await tx.run(_BEGIN, id=upload.text, repository=name.text, subject=subject, started=int(time.time()))


async def require(reader: Reader, upload: UploadId, name: RepositoryName, subject: str) -> None:
    """Let only its owner go on with a session, and only in its repository.

    Raises:
        UploadUnknown: there is no such session, or it is another's: the same answer for both.
    """
    if await reader.one(_OWNER, upload=upload.text) != (name.text, subject):
        raise UploadUnknown(upload.text)


async def end(tx: Transaction, upload: UploadId) -> bool:
    """Close a session; tell whether it was open."""
    return await tx.run(_END, upload=upload.text) > 0


async def exists(reader: Reader, upload: UploadId) -> bool:
    """Tell whether the session is open."""
    return await reader.one(_OWNER, upload=upload.text) is not None


async def started_before(reader: Reader, moment: int, most: int = 1000) -> list[UploadId]:
    """List sessions that were begun before *moment* (seconds since 1970), the oldest first."""
    return [UploadId(row_id) for (row_id,) in await reader.all(_STARTED_BEFORE, moment=moment, most=most)]
