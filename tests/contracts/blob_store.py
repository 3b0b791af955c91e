"""What every driver of the content store keeps: the executable form of `cas.store.BlobStore`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress

import pytest

from cas.digest import Digest
from cas.errors import BlobUnknown, DigestMismatch, OffsetMismatch, UploadBusy
from cas.store import PIECE, BlobStore, UploadId

HELLO = b"hello, harbour"
HELLO_DIGEST = Digest.of(HELLO)

#: Opens a store over the bytes that the other stores of the same test have: as another process, or the next one.
OpenStore = Callable[[], BlobStore]

#: Puts other bytes where a blob stands, behind the store's back.
Damage = Callable[[Digest, bytes], Awaitable[None]]


async def chunks(*pieces: bytes) -> AsyncIterator[bytes]:
    """A client that sends *pieces*."""
    for piece in pieces:
        await asyncio.sleep(0)
        yield piece


async def vanishing_client(*pieces: bytes) -> AsyncIterator[bytes]:
    """A client that sends *pieces* and is gone."""
    for piece in pieces:
        yield piece
    raise ConnectionResetError


class SlowClient:
    """A client that sends some bytes, and then nothing until it is told to end."""

    def __init__(self, *pieces: bytes) -> None:
        self.sent = asyncio.Event()
        self.ending = asyncio.Event()
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece
        self.sent.set()
        await self.ending.wait()


async def push(store: BlobStore, content: bytes, algorithm: str = "sha256") -> Digest:
    """Append, publish and discard *content* in one go."""
    upload, digest = UploadId.new(), Digest.of(content, algorithm)
    await store.append(upload, 0, chunks(content))
    assert await store.publish(upload, digest) == len(content)
    await store.discard(upload)
    return digest


async def content_of(store: BlobStore, digest: Digest, start: int = 0, stop: int | None = None) -> bytes:
    """Read a blob, or a range of it."""
    async with await store.open(digest) as blob:
        return b"".join([piece async for piece in blob.pieces(start, blob.size if stop is None else stop)])


class BlobStoreContract:
    """Subclass me, provide the fixtures `open_store` and `damage`, add nothing else."""

    @pytest.fixture
    def store(self, open_store: OpenStore) -> BlobStore:
        return open_store()

    # Publishing and reading

    async def test_what_was_published_is_read_back(self, store: BlobStore) -> None:
        upload = UploadId.new()

        assert await store.append(upload, 0, chunks(HELLO[:5], b"", HELLO[5:])) == len(HELLO)
        assert await store.publish(upload, HELLO_DIGEST) == len(HELLO)

        assert await store.stat(HELLO_DIGEST) == len(HELLO)
        assert await content_of(store, HELLO_DIGEST) == HELLO

    @pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
    async def test_a_blob_is_kept_under_the_digest_that_it_was_published_as(
        self, store: BlobStore, algorithm: str
    ) -> None:
        digest = await push(store, HELLO, algorithm)

        assert digest.algorithm == algorithm
        assert await content_of(store, digest) == HELLO
        with pytest.raises(BlobUnknown):
            await store.stat(Digest.of(HELLO, "sha512" if algorithm == "sha256" else "sha256"))

    @pytest.mark.parametrize("appended", [False, True])
    async def test_an_upload_without_bytes_is_the_empty_blob(self, store: BlobStore, appended: bool) -> None:
        upload = UploadId.new()
        if appended:
            assert await store.append(upload, 0, chunks()) == 0

        with pytest.raises(DigestMismatch):
            await store.publish(upload, HELLO_DIGEST)
        assert await store.publish(upload, Digest.of(b"")) == 0

        assert await store.stat(Digest.of(b"")) == 0
        assert await content_of(store, Digest.of(b"")) == b""

    @pytest.mark.parametrize("size", [1, 65536, 65537, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 17])
    async def test_bytes_of_every_size_come_back_in_pieces(self, store: BlobStore, size: int) -> None:
        content = (b"0123456789abcdef-" * (size // 17 + 1))[:size]
        upload = UploadId.new()
        await store.append(upload, 0, chunks(*(content[at : at + 40_000] for at in range(0, size, 40_000))))
        await store.publish(upload, Digest.of(content))

        async with await store.open(Digest.of(content)) as blob:
            pieces = [piece async for piece in blob.pieces(0, blob.size)]

        assert b"".join(pieces) == content
        assert all(0 < len(piece) <= PIECE for piece in pieces)

    @pytest.mark.parametrize(
        ("start", "stop"),
        [(0, 1), (5, 5), (7, 300_000), (PIECE - 1, PIECE + 1), (1, 2 * PIECE + 5), (2 * PIECE + 4, 2 * PIECE + 5)],
    )
    async def test_a_range_is_those_bytes_and_no_others(self, store: BlobStore, start: int, stop: int) -> None:
        content = bytes(range(251)) * (2 * PIECE // 251 + 1)
        content = content[: 2 * PIECE + 5]
        digest = await push(store, content)

        assert await content_of(store, digest, start, stop) == content[start:stop]

    async def test_many_tiny_chunks_make_one_upload(self, store: BlobStore) -> None:
        content = HELLO * 300
        upload = UploadId.new()

        await store.append(upload, 0, chunks(*(content[at : at + 1] for at in range(len(content)))))

        assert await store.publish(upload, Digest.of(content)) == len(content)

    async def test_an_absent_blob_is_unknown(self, store: BlobStore) -> None:
        with pytest.raises(BlobUnknown) as stat:
            await store.stat(HELLO_DIGEST)
        with pytest.raises(BlobUnknown):
            await store.open(HELLO_DIGEST)

        assert stat.value.digest == HELLO_DIGEST

    async def test_a_wrong_digest_publishes_nothing_and_tells_the_computed_one(self, store: BlobStore) -> None:
        upload, wrong = UploadId.new(), Digest.of(b"something else")
        await store.append(upload, 0, chunks(HELLO))

        with pytest.raises(DigestMismatch) as mismatch:
            await store.publish(upload, wrong)

        assert (mismatch.value.expected, mismatch.value.computed) == (wrong, HELLO_DIGEST)
        assert [digest async for digest in store.digests()] == []
        assert await store.size(upload) == len(HELLO)
        assert await store.publish(upload, HELLO_DIGEST) == len(HELLO)

    async def test_published_bytes_are_staged_until_they_are_discarded(self, open_store: OpenStore) -> None:
        """Whoever was cut off after publishing publishes again, in another process as well."""
        upload = UploadId.new()
        await open_store().append(upload, 0, chunks(HELLO))

        for store in (open_store(), open_store()):
            assert await store.publish(upload, HELLO_DIGEST) == len(HELLO)
            assert await store.size(upload) == len(HELLO)
            assert [staged.upload async for staged in store.uploads()] == [upload]
        await store.discard(upload)

        assert await store.size(upload) == 0
        assert [staged async for staged in store.uploads()] == []
        with pytest.raises(DigestMismatch):
            await store.publish(upload, HELLO_DIGEST)
        assert await content_of(store, HELLO_DIGEST) == HELLO

    async def test_what_is_appended_to_a_published_upload_never_reaches_the_blob(self, open_store: OpenStore) -> None:
        upload = UploadId.new()
        await open_store().append(upload, 0, chunks(HELLO))
        await open_store().publish(upload, HELLO_DIGEST)

        with suppress(UploadBusy):
            await open_store().append(upload, len(HELLO), chunks(b" and more"))

        assert await content_of(open_store(), HELLO_DIGEST) == HELLO

    async def test_two_pushes_of_one_blob_both_succeed(self, open_store: OpenStore) -> None:
        stores = [open_store() for _ in range(6)]

        assert await asyncio.gather(*(push(store, HELLO) for store in stores)) == [HELLO_DIGEST] * 6

        assert [digest async for digest in stores[0].digests()] == [HELLO_DIGEST]
        assert await content_of(stores[0], HELLO_DIGEST) == HELLO

    @pytest.mark.parametrize("damaged", [b"", HELLO[:-1], b"HELLO, HARBOUR", HELLO * 2])
    async def test_a_push_heals_a_damaged_blob(self, store: BlobStore, damage: Damage, damaged: bytes) -> None:
        await push(store, HELLO)
        await damage(HELLO_DIGEST, damaged)
        assert await store.stat(HELLO_DIGEST) == len(damaged)

        await push(store, HELLO)

        assert await store.stat(HELLO_DIGEST) == len(HELLO)
        assert await content_of(store, HELLO_DIGEST) == HELLO

    # Uploads

    async def test_an_interrupted_upload_resumes_where_it_stopped(self, store: BlobStore) -> None:
        """Bytes received before a client vanished are kept, and only those."""
        upload = UploadId.new()
        with pytest.raises(ConnectionResetError):
            await store.append(upload, 0, vanishing_client(HELLO[:2], HELLO[2:5]))

        assert await store.size(upload) == 5
        assert await store.append(upload, 5, chunks(HELLO[5:])) == len(HELLO)
        assert await store.publish(upload, HELLO_DIGEST) == len(HELLO)

    async def test_a_large_interrupted_upload_resumes_where_it_stopped(self, store: BlobStore) -> None:
        content = bytes(range(256)) * 16 * 1024  # 4 MiB
        upload = UploadId.new()
        with pytest.raises(ConnectionResetError):
            await store.append(
                upload, 0, vanishing_client(*(content[at : at + 9_973] for at in range(0, 3_000_000, 9_973)))
            )

        size = await store.size(upload)
        assert 3_000_000 <= size < 3_010_000
        await store.append(upload, size, chunks(content[size:]))
        assert await store.publish(upload, Digest.of(content)) == len(content)

    @pytest.mark.parametrize("received", [5, 2 * PIECE + 5])
    async def test_a_cancelled_append_keeps_what_it_received(self, store: BlobStore, received: int) -> None:
        content, upload = bytes(received), UploadId.new()
        client = SlowClient(*(content[at : at + 100_000] for at in range(0, received, 100_000)))
        append = asyncio.ensure_future(store.append(upload, 0, client))
        await client.sent.wait()

        append.cancel()
        with pytest.raises(asyncio.CancelledError):
            await append

        assert await store.size(upload) == received
        assert await store.publish(upload, Digest.of(content)) == received

    async def test_cancelling_again_and_again_breaks_no_upload(self, store: BlobStore) -> None:
        """Wherever the cancellation falls, the upload holds the beginning of what was sent and can be completed."""
        content = bytes(range(256)) * 10 * 1024
        for patience in range(40):
            upload = UploadId.new()
            append = asyncio.ensure_future(
                store.append(upload, 0, chunks(*(content[at : at + 200_000] for at in range(0, len(content), 200_000))))
            )
            for _ in range(patience):
                await asyncio.sleep(0)
            append.cancel()
            with suppress(asyncio.CancelledError):
                await append

            size = await store.size(upload)
            await store.append(upload, size, chunks(content[size:]))
            assert await store.publish(upload, Digest.of(content)) == len(content)

    async def test_a_restarted_service_resumes_and_publishes(self, open_store: OpenStore) -> None:
        upload = UploadId.new()
        await open_store().append(upload, 0, chunks(HELLO[:5]))

        assert await open_store().size(upload) == 5
        assert await open_store().append(upload, 5, chunks(HELLO[5:])) == len(HELLO)
        assert await open_store().publish(upload, HELLO_DIGEST) == len(HELLO)

        assert await content_of(open_store(), HELLO_DIGEST) == HELLO

    async def test_appends_of_one_upload_may_alternate_between_processes(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        upload = UploadId.new()
        for at in range(len(HELLO)):
            store = (here, there)[at % 2]
            assert await store.append(upload, at, chunks(HELLO[at : at + 1])) == at + 1

        with pytest.raises(DigestMismatch) as mismatch:
            await here.publish(upload, Digest.of(b"other"))
        assert mismatch.value.computed == HELLO_DIGEST
        assert await there.publish(upload, HELLO_DIGEST) == len(HELLO)

    async def test_an_upload_begun_anew_elsewhere_is_not_taken_for_the_old_one(self, open_store: OpenStore) -> None:
        """What a process remembers of an upload must not vouch for bytes that another one has put in its place."""
        here, there = open_store(), open_store()
        upload = UploadId.new()
        await here.append(upload, 0, chunks(HELLO))
        await there.discard(upload)
        await there.append(upload, 0, chunks(HELLO.upper()))

        with pytest.raises(DigestMismatch):
            await here.publish(upload, HELLO_DIGEST)
        assert await here.publish(upload, Digest.of(HELLO.upper())) == len(HELLO)

    @pytest.mark.parametrize("offset", [0, 4, 6])
    async def test_a_chunk_that_does_not_begin_where_the_upload_ends_is_refused(
        self, store: BlobStore, offset: int
    ) -> None:
        upload = UploadId.new()
        await store.append(upload, 0, chunks(HELLO[:5]))
        unread = vanishing_client(b"not to be asked for")

        with pytest.raises(OffsetMismatch) as mismatch:
            await store.append(upload, offset, unread)

        assert (mismatch.value.offset, mismatch.value.size) == (offset, 5)
        assert await store.size(upload) == 5
        assert await store.append(upload, 5, chunks(HELLO[5:])) == len(HELLO)
        assert await store.publish(upload, HELLO_DIGEST) == len(HELLO)

    async def test_an_upload_does_not_begin_in_its_middle(self, store: BlobStore) -> None:
        upload = UploadId.new()

        with pytest.raises(OffsetMismatch):
            await store.append(upload, 1, chunks(HELLO))

        assert await store.size(upload) == 0
        assert [staged async for staged in store.uploads()] == []

    async def test_only_one_at_a_time_has_an_upload(self, open_store: OpenStore) -> None:
        here, there = open_store(), open_store()
        upload, client = UploadId.new(), SlowClient(HELLO)
        append = asyncio.ensure_future(here.append(upload, 0, client))
        await client.sent.wait()

        for store in (here, there):
            with pytest.raises(UploadBusy) as busy:
                await store.append(upload, 0, vanishing_client(b"not to be asked for"))
            assert busy.value.upload == upload
            with pytest.raises(UploadBusy):
                await store.publish(upload, HELLO_DIGEST)
            with pytest.raises(UploadBusy):
                await store.discard(upload)
            assert await push(store, b"another upload") == Digest.of(b"another upload")

        client.ending.set()
        assert await append == len(HELLO)
        assert await there.publish(upload, HELLO_DIGEST) == len(HELLO)

    async def test_a_discarded_upload_is_gone(self, store: BlobStore) -> None:
        upload = UploadId.new()
        await store.append(upload, 0, chunks(HELLO))

        await store.discard(upload)
        await store.discard(upload)

        assert await store.size(upload) == 0
        assert [staged async for staged in store.uploads()] == []

    # Deleting and listing

    async def test_a_deleted_blob_is_unknown(self, store: BlobStore) -> None:
        await push(store, HELLO)

        await store.delete(HELLO_DIGEST)
        await store.delete(HELLO_DIGEST)

        with pytest.raises(BlobUnknown):
            await store.stat(HELLO_DIGEST)
        with pytest.raises(BlobUnknown):
            await store.open(HELLO_DIGEST)
        assert [digest async for digest in store.digests()] == []
        assert await push(store, HELLO) == HELLO_DIGEST

    @pytest.mark.parametrize("size", [14, 3 * PIECE])
    async def test_an_open_blob_stays_readable_after_its_deletion(self, store: BlobStore, size: int) -> None:
        content = bytes(size)
        digest = await push(store, content)

        async with await store.open(digest) as blob:
            await store.delete(digest)
            assert b"".join([piece async for piece in blob.pieces(0, blob.size)]) == content

    async def test_a_reader_may_stop_anywhere(self, store: BlobStore) -> None:
        content = bytes(5 * PIECE)
        digest = await push(store, content)

        for wanted in range(4):
            async with await store.open(digest) as blob:
                pieces = blob.pieces(0, blob.size)
                for _ in range(wanted):
                    assert len(await anext(pieces)) == PIECE
            await blob.aclose()

        assert await content_of(store, digest) == content

    async def test_blobs_are_listed_in_the_order_of_their_digests(self, store: BlobStore) -> None:
        pushed = [await push(store, b"%d" % number, ("sha256", "sha512")[number % 3 // 2]) for number in range(40)]

        assert [digest async for digest in store.digests()] == sorted(pushed)

    async def test_uploads_are_listed_with_their_sizes_in_the_order_of_their_ids(self, store: BlobStore) -> None:
        uploads = [UploadId.new() for _ in range(20)]
        for number, upload in enumerate(uploads, 1):
            await store.append(upload, 0, chunks(bytes(number)))
            await store.append(upload, number, chunks(b"and more"))

        listed = [staged async for staged in store.uploads()]

        assert [staged.upload for staged in listed] == sorted(uploads)
        assert {staged.upload: staged.size for staged in listed} == {u: n + 8 for n, u in enumerate(uploads, 1)}
        assert all(staged.modified > 1_700_000_000 for staged in listed)

    async def test_a_listing_goes_on_while_blobs_come_and_go(self, store: BlobStore) -> None:
        staying = {await push(store, b"%d" % number) for number in range(20)}
        leaving = [await push(store, b"leaving %d" % number) for number in range(20)]

        seen = set()
        async for digest in store.digests():
            seen.add(digest)
            if leaving:
                await store.delete(leaving.pop())

        assert staying <= seen

    async def test_a_new_store_is_empty(self, store: BlobStore) -> None:
        assert [digest async for digest in store.digests()] == []
        assert [staged async for staged in store.uploads()] == []
        assert await store.size(UploadId.new()) == 0
        await store.discard(UploadId.new())
        await store.delete(HELLO_DIGEST)
        free = await store.free()
        assert free is None or free > 0
