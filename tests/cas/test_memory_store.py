from __future__ import annotations

import pytest

from cas.digest import Digest
from cas.memory import Bucket, MemoryStore
from cas.store import BlobStore, UploadId
from tests.contracts.blob_store import BlobStoreContract, Damage, OpenStore, chunks


class TestMemoryStore(BlobStoreContract):
    @pytest.fixture
    def bucket(self) -> Bucket:
        return Bucket()

    @pytest.fixture
    def open_store(self, bucket: Bucket) -> OpenStore:
        def open_store() -> BlobStore:
            return MemoryStore(bucket, part=1_000_000)

        return open_store

    @pytest.fixture
    def damage(self, bucket: Bucket) -> Damage:
        async def damage(digest: Digest, content: bytes) -> None:
            (key,) = [found.key async for found in bucket.under("blobs/") if found.key.endswith(digest.hex)]
            await bucket.put(key, content)

        return damage


async def test_an_upload_is_made_of_parts_named_by_their_offsets() -> None:
    """No object grows: each append leaves new ones, which stay beside the blob until they are discarded."""
    bucket, upload = Bucket(), UploadId.parse("0123456789abcdef" * 2)
    store = MemoryStore(bucket, part=4)

    await store.append(upload, 0, chunks(b"abc", b"def", b"g"))
    await store.append(upload, 7, chunks(b"hi"))

    keys = [found.key async for found in bucket.under("")]
    assert keys == [f"uploads/{upload}/{offset:020}" for offset in (0, 6, 7)]
    await store.publish(upload, Digest.of(b"abcdefghi"))
    await store.discard(upload)
    assert len([found.key async for found in bucket.under("")]) == 1


async def test_a_listing_spans_pages() -> None:
    bucket = Bucket()
    for number in range(2_345):
        await bucket.put(f"a/{number:05}", b"")
    await bucket.put("b", b"")

    keys = [found.key async for found in bucket.under("a/")]

    assert keys == [f"a/{number:05}" for number in range(2_345)]
