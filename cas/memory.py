"""The memory driver: a store that behaves as one on an object store does.

    uploads/<upload id>/<offset, 20 digits>    a part: what one append brought, or a piece of that
    blobs/<algorithm>/ab/cd/abcd…              a blob

There are whole objects and nothing else: none grows, none is renamed, none is changed. So an append makes parts of its
own, named by the offset that they begin at, and their listing in key order is the upload. An upload of one part is
published by a copy, one of several by a single pass that puts them together.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from bisect import bisect_left, bisect_right, insort
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from cas.digest import Digest
from cas.errors import BlobUnknown, DigestMismatch, OffsetMismatch, UploadBusy
from cas.store import PIECE, BlobReader, StagedUpload, UploadId


@dataclass(frozen=True, slots=True)
class Listed:
    """What a listing tells of an object: its key, its size in bytes, when it was put (seconds since 1970)."""

    key: str
    size: int
    modified: float


class Bucket:
    """Objects under keys. Every operation lets other tasks run, as one over a network does.

    What changes something does so first: a request that was sent is carried out though nobody waits for its answer.
    """

    def __init__(self) -> None:
        self._objects: dict[str, tuple[bytes, float]] = {}
        self._keys: list[str] = []

    async def put(self, key: str, content: bytes) -> None:
        """Make an object, or take the place of one."""
        self._put(key, content)
        await asyncio.sleep(0)

    async def create(self, key: str, content: bytes) -> bool:
        """Make an object and return True, or do nothing where there is one (`If-None-Match: *`)."""
        await asyncio.sleep(0)  # before, here: whoever is cancelled has made nothing and need not take it back
        if key in self._objects:
            return False
        self._put(key, content)
        return True

    async def copy(self, source: str, target: str) -> None:
        """Put an object's bytes under another key too, without their passing through here."""
        self._put(target, self._objects[source][0])
        await asyncio.sleep(0)

    def _put(self, key: str, content: bytes) -> None:
        if key not in self._objects:
            insort(self._keys, key)
        self._objects[key] = (content, time.time())

    async def get(self, key: str) -> bytes:
        """Return an object's bytes.

        Raises:
            KeyError: there is no such object.
        """
        await asyncio.sleep(0)
        return self._objects[key][0]

    async def head(self, key: str) -> Listed:
        """Tell what a listing tells of one object.

        Raises:
            KeyError: there is no such object.
        """
        await asyncio.sleep(0)
        content, modified = self._objects[key]
        return Listed(key, len(content), modified)

    async def etag(self, key: str) -> str:
        """Tell an object from others of its key.

        Raises:
            KeyError: there is no such object.
        """
        await asyncio.sleep(0)
        return hashlib.sha256(self._objects[key][0]).hexdigest()

    async def delete(self, key: str) -> None:
        """Remove an object; none being there is no error."""
        if self._objects.pop(key, None) is not None:
            del self._keys[bisect_left(self._keys, key)]
        await asyncio.sleep(0)

    async def under(self, prefix: str) -> AsyncIterator[Listed]:
        """List the objects whose keys begin with *prefix*, in the order of their keys, a page at a time."""
        after = ""
        while page := await self._page(prefix, after):
            for listed in page:
                yield listed
            after = page[-1].key

    async def _page(self, prefix: str, after: str, limit: int = 1000) -> list[Listed]:
        await asyncio.sleep(0)
        first = max(bisect_left(self._keys, prefix), bisect_right(self._keys, after))
        page: list[Listed] = []
        for key in self._keys[first : first + limit]:
            if not key.startswith(prefix):
                break
            content, modified = self._objects[key]
            page.append(Listed(key, len(content), modified))
        return page


class MemoryStore:
    """A `BlobStore` over a `Bucket`. Stores over one bucket keep the same bytes."""

    def __init__(self, bucket: Bucket | None = None, part: int = 8 * PIECE) -> None:
        """Keep bytes in *bucket*; an append that brings more than *part* bytes makes several parts."""
        self._bucket = Bucket() if bucket is None else bucket
        self._part = part

    async def append(self, upload: UploadId, offset: int, chunks: AsyncIterable[bytes]) -> int:
        async with _Exclusive(self._bucket, upload):
            size = await self.size(upload)
            if size != offset:
                raise OffsetMismatch(upload, offset, size)
            gathered = bytearray()
            try:
                async for chunk in chunks:
                    gathered += chunk
                    if len(gathered) >= self._part:
                        size += await self._put_part(upload, size, gathered)
            finally:
                size += await self._put_part(upload, size, gathered)
            return size

    async def _put_part(self, upload: UploadId, offset: int, gathered: bytearray) -> int:
        part = bytes(gathered)
        if part:
            await self._bucket.put(f"{_parts(upload)}{offset:020}", part)
            gathered.clear()
        return len(part)

    async def size(self, upload: UploadId) -> int:
        return sum([found.size async for found in self._bucket.under(_parts(upload))])

    async def publish(self, upload: UploadId, digest: Digest) -> int:
        async with _Exclusive(self._bucket, upload):
            parts = [found async for found in self._bucket.under(_parts(upload))]
            running = hashlib.new(digest.algorithm)
            for part in parts:
                running.update(await self._bucket.get(part.key))
            computed = Digest.finish(running)
            if computed != digest:
                raise DigestMismatch(digest, computed)
            if len(parts) == 1:
                await self._bucket.copy(parts[0].key, _key(digest))
            else:
                await self._bucket.put(_key(digest), b"".join([await self._bucket.get(part.key) for part in parts]))
            return sum(part.size for part in parts)

    async def discard(self, upload: UploadId) -> None:
        async with _Exclusive(self._bucket, upload):
            for part in [found async for found in self._bucket.under(_parts(upload))]:
                await self._bucket.delete(part.key)

    async def stat(self, digest: Digest) -> int:
        try:
            return (await self._bucket.head(_key(digest))).size
        except KeyError:
            raise BlobUnknown(digest) from None

    async def open(self, digest: Digest) -> BlobReader:
        try:
            return MemoryReader(await self._bucket.get(_key(digest)))
        except KeyError:
            raise BlobUnknown(digest) from None

    async def delete(self, digest: Digest) -> None:
        await self._bucket.delete(_key(digest))

    async def digests(self) -> AsyncIterator[Digest]:
        async for found in self._bucket.under("blobs/"):
            _, algorithm, _, _, name = found.key.split("/")
            yield Digest.parse(f"{algorithm}:{name}")

    async def uploads(self) -> AsyncIterator[StagedUpload]:
        staged: StagedUpload | None = None
        async for found in self._bucket.under("uploads/"):
            upload = UploadId.parse(found.key.split("/")[1])
            if staged is not None and staged.upload == upload:
                staged = StagedUpload(upload, staged.size + found.size, max(staged.modified, found.modified))
                continue
            if staged is not None:
                yield staged
            staged = StagedUpload(upload, found.size, found.modified)
        if staged is not None:
            yield staged

    async def free(self) -> int | None:
        return None


class MemoryReader:
    """A `BlobReader` of bytes, which stay as long as somebody holds them."""

    def __init__(self, content: bytes) -> None:
        self.size = len(content)
        self._content = content

    async def pieces(self, start: int, stop: int) -> AsyncIterator[bytes]:
        for place in range(start, stop, PIECE):
            yield self._content[place : min(place + PIECE, stop)]

    def fileno(self) -> int | None:
        return None

    async def warm(self, start: int, stop: int) -> None:
        pass

    async def aclose(self) -> None:
        self._content = b""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


class _Exclusive:
    """One task's hold of an upload: an object that only one can create.

    Memory dies with whoever holds it. Where a bucket outlives its clients, such an object needs a term as well.
    """

    def __init__(self, bucket: Bucket, upload: UploadId) -> None:
        self._bucket = bucket
        self._upload = upload

    async def __aenter__(self) -> None:
        if not await self._bucket.create(f"locks/{self._upload}", b""):
            raise UploadBusy(self._upload)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._bucket.delete(f"locks/{self._upload}")


def _parts(upload: UploadId) -> str:
    return f"uploads/{upload}/"


def _key(digest: Digest) -> str:
    return f"blobs/{digest.algorithm}/{digest.hex[:2]}/{digest.hex[2:4]}/{digest.hex}"
