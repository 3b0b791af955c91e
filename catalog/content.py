"""The one door through which bytes come into a repository.

The order is always the same: the bytes are hashed as they arrive, synced, put at their digest's place, that place is
synced (all of which is `BlobStore.publish`), then the row is committed, and only then the client is told. A row never
points to bytes that are not there.

A collector may be removing a blob of the same digest at that moment. So the row is looked at before publishing: a
condemned blob is revived first, and then has its whole grace before anybody may touch its bytes again; one whose bytes
are just being removed is waited for. `catalog.garbage` is the other side.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable
from contextlib import suppress

from cas import BlobReader, BlobStore, BlobUnknown, CasError, Digest, RepositoryName, UploadId
from catalog import garbage
from catalog.errors import BlobBusy, BlobNotLinked, UploadUnknown
from catalog.metadata import blobs, repositories, uploads
from database import Database, Transaction
from database.protocol import Reader

#: How long a push waits for a collector that removes the same blob, and how often it looks, in seconds.
_PATIENCE = 5.0
_LOOK_AGAIN = 0.02


class Content:
    """Blobs as repositories have them: uploads, links, mounts, reading."""

    def __init__(self, database: Database, store: BlobStore, *, public_by_default: bool = False) -> None:
        self._database = database
        self._store = store
        self._public = public_by_default

    async def begin(self, name: RepositoryName, subject: str) -> UploadId:
        """Open an upload session for *subject* in the repository (which need not exist yet)."""
        upload = UploadId.new()
        await self._database.write(lambda tx: uploads.begin(tx, upload, name, subject))
        return upload

    async def size(self, name: RepositoryName, upload: UploadId, subject: str) -> int:
        """Tell how many bytes the session has received.

        Raises:
            UploadUnknown: there is no such session of *subject* in the repository.
        """
        await uploads.require(self._database, upload, name, subject)
        return await self._store.size(upload)

    async def append(
        self, name: RepositoryName, upload: UploadId, subject: str, offset: int | None, chunks: AsyncIterable[bytes]
    ) -> int:
        """Add *chunks* at *offset* (None: at the end); return the session's size in bytes.

        Raises:
            UploadUnknown: there is no such session of *subject* in the repository.
            OffsetMismatch: the session does not end at *offset*.
            UploadBusy: another request is writing to the session.
        """
        await uploads.require(self._database, upload, name, subject)
        if offset is None:
            offset = await self._store.size(upload)
        return await self._store.append(upload, offset, chunks)

    async def finish(self, name: RepositoryName, upload: UploadId, subject: str, digest: Digest) -> None:
        """Publish the session's bytes as *digest*, link the blob in the repository, and close the session.

        Raises:
            UploadUnknown: there is no such session of *subject* in the repository.
            DigestMismatch: the bytes are something else; the session stays open.
            UploadBusy: another request is writing to the session.
        """
        await uploads.require(self._database, upload, name, subject)
        await self._publish(name, upload, digest)

    async def receive(self, name: RepositoryName, digest: Digest, chunks: AsyncIterable[bytes]) -> None:
        """Take a whole blob in one request, without a session.

        Raises:
            DigestMismatch: the bytes are something else; nothing is kept.
        """
        upload = UploadId.new()
        try:
            await self._store.append(upload, 0, chunks)
            await self._publish(name, upload, digest)
        except BaseException:
            await asyncio.shield(self._store.discard(upload))
            raise

    async def _publish(self, name: RepositoryName, upload: UploadId, digest: Digest) -> None:
        await self._keep_from_collector(digest)
        size = await self._store.publish(upload, digest)

        async def commit(tx: Transaction) -> None:
            repository_id = await repositories.ensure(tx, name, public=self._public)
            await blobs.link(tx, repository_id, digest, size)
            await uploads.end(tx, upload)

        await self._database.write(commit)
        with suppress(CasError):  # the blob is there: what is left is staged without a session, and will expire
            await self._store.discard(upload)

    async def _keep_from_collector(self, digest: Digest) -> None:
        """Return once no collector may remove the bytes that are about to be published."""
        deadline = asyncio.get_running_loop().time() + _PATIENCE
        while True:
            state = await blobs.state(self._database, digest)
            if state is None or state == "live":
                return
            if state == "condemned" and await self._database.write(lambda tx: blobs.revive(tx, digest)):
                return
            if asyncio.get_running_loop().time() > deadline:
                raise BlobBusy(digest)
            await asyncio.sleep(_LOOK_AGAIN)

    async def cancel(self, name: RepositoryName, upload: UploadId, subject: str) -> None:
        """Close the session and drop its bytes.

        Raises:
            UploadUnknown: there is no such session of *subject* in the repository.
            UploadBusy: another request is writing to the session, which stays.
        """
        await uploads.require(self._database, upload, name, subject)
        await self._store.discard(upload)
        if not await self._database.write(lambda tx: uploads.end(tx, upload)):
            raise UploadUnknown(upload.text)

    async def mount(self, name: RepositoryName, digest: Digest, source: RepositoryName) -> bool:
        """Link a blob of *source*, which the caller may pull from; tell whether it was there."""
        return await self._mount(name, digest, lambda reader: blobs.is_linked(reader, source, digest))

    async def mount_from_anywhere(self, name: RepositoryName, digest: Digest, readable_json: str) -> bool:
        """Link a blob of any public repository or of those in *readable_json*; tell whether it was there."""
        return await self._mount(name, digest, lambda reader: blobs.is_readable(reader, digest, readable_json))

    async def _mount(self, name: RepositoryName, digest: Digest, is_there: Callable[[Reader], Awaitable[bool]]) -> bool:
        """Link the blob if *is_there*. That is asked first: what the caller may not see must not cost time either."""

        async def link(tx: Transaction) -> bool:
            if not await is_there(tx):
                return False
            await blobs.mount(tx, await repositories.ensure(tx, name, public=self._public), digest)
            return True

        if not await is_there(self._database) or not await self._stored(digest):
            return False
        return await self._database.write(link)

    async def _stored(self, digest: Digest) -> bool:
        try:
            await self._store.stat(digest)
        except BlobUnknown:
            return False
        return True

    async def stat(self, name: RepositoryName, digest: Digest) -> int:
        """Tell the size in bytes of a blob of the repository.

        Raises:
            BlobNotLinked: the repository does not have it.
            BlobUnknown: its bytes are not there, or not all of them.
        """
        size = await blobs.linked_size(self._database, name, digest)
        if await self._store.stat(digest) != size:
            raise BlobUnknown(digest)
        return size

    async def open(self, name: RepositoryName, digest: Digest) -> BlobReader:
        """Open a blob of the repository.

        Raises:
            BlobNotLinked: the repository does not have it.
            BlobUnknown: its bytes are not there, or not all of them.
        """
        size = await blobs.linked_size(self._database, name, digest)
        reader = await self._store.open(digest)
        if reader.size != size:
            await reader.aclose()
            raise BlobUnknown(digest)
        return reader

    async def unlink(self, name: RepositoryName, digest: Digest) -> None:
        """Take the blob out of the repository; its bytes go when nothing links them.

        Raises:
            BlobNotLinked: the repository does not have it.
            BlobInUse: a manifest of the repository refers to it.
        """

        async def remove(tx: Transaction) -> None:
            if not await blobs.is_linked(tx, name, digest):
                raise BlobNotLinked(name, digest)
            await blobs.unlink(tx, (await repositories.find(tx, name)).id, name, digest)
            await garbage.condemn_unlinked(tx, [digest.text])

        await self._database.write(remove)
