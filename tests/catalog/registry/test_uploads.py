"""Uploads as clients make them: in one request, streamed, in chunks, interrupted, cancelled, mounted."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import httpx
import pytest

from cas import BlobUnknown, Digest
from tests.catalog.in_process import EVERYTHING, InProcess, push_blob

NAME = "team/app"
CONTENT = b"a layer of no great size" * 100
DIGEST = Digest.of(CONTENT)


async def begin(client: httpx.AsyncClient, name: str = NAME) -> str:
    answer = await client.post(f"/v2/{name}/blobs/uploads/")
    assert answer.status_code == 202
    assert answer.headers["range"] == "0-0"
    assert answer.headers["docker-upload-uuid"] in answer.headers["location"]
    return str(answer.headers["location"])


async def test_a_streamed_upload_becomes_a_blob(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        await push_blob(client, NAME, CONTENT)
        answer = await client.get(f"/v2/{NAME}/blobs/{DIGEST}")

    assert answer.content == CONTENT
    assert answer.headers["docker-content-digest"] == DIGEST.text


async def test_one_post_is_enough(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        answer = await client.post(f"/v2/{NAME}/blobs/uploads/", params={"digest": DIGEST.text}, content=CONTENT)

        assert answer.status_code == 201
        assert answer.headers["location"] == f"/v2/{NAME}/blobs/{DIGEST}"
        assert (await client.get(answer.headers["location"])).content == CONTENT


async def test_a_post_and_a_put_are_enough(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        answer = await client.put(await begin(client), params={"digest": DIGEST.text}, content=CONTENT)

        assert answer.status_code == 201
        assert (await client.head(f"/v2/{NAME}/blobs/{DIGEST}")).headers["content-length"] == str(len(CONTENT))


async def test_chunks_must_follow_each_other(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        location = await begin(client)
        first = await client.patch(location, content=CONTENT[:100], headers={"content-range": "0-99"})
        skipped = await client.patch(location, content=CONTENT[200:300], headers={"content-range": "200-299"})
        status = await client.get(location)
        last = f"100-{len(CONTENT) - 1}"
        done = await client.put(
            location, params={"digest": DIGEST.text}, content=CONTENT[100:], headers={"content-range": last}
        )

    assert first.headers["range"] == "0-99"
    assert skipped.status_code == 416
    assert skipped.headers["location"] == location
    assert skipped.headers["range"] == "0-99"
    assert status.status_code == 204
    assert status.headers["range"] == "0-99"
    assert done.status_code == 201


@pytest.mark.parametrize("header", ["10-5", "abc", "0-", "0-5/x", "-5"])
async def test_a_content_range_that_means_nothing_is_said(running: InProcess, header: str) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        answer = await client.patch(await begin(client), content=b"12345", headers={"content-range": header})

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "SIZE_INVALID"


async def test_a_chunk_that_is_shorter_than_its_range_is_refused(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        answer = await client.patch(await begin(client), content=b"12345", headers={"content-range": "0-9"})

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "SIZE_INVALID"


async def test_a_streamed_chunk_that_is_shorter_than_its_range_is_refused(running: InProcess) -> None:
    async def three() -> AsyncIterator[bytes]:
        yield b"123"

    async with running.client({NAME: EVERYTHING}) as client:
        location = await begin(client)
        answer = await client.patch(location, content=three(), headers={"content-range": "0-9"})
        status = await client.get(location)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "SIZE_INVALID"
    assert status.headers["range"] == "0-2"
    assert "content-length" not in status.headers


async def test_a_wrong_digest_publishes_nothing_and_says_which_was_computed(running: InProcess) -> None:
    other = Digest.of(b"something else")
    async with running.client({NAME: EVERYTHING}) as client:
        location = await begin(client)
        answer = await client.put(location, params={"digest": other.text}, content=CONTENT)

        assert answer.status_code == 400
        error = answer.json()["errors"][0]
        assert error["code"] == "DIGEST_INVALID"
        assert error["detail"] == {"expected": other.text, "computed": DIGEST.text}
        for digest in (other, DIGEST):
            assert (await client.head(f"/v2/{NAME}/blobs/{digest}")).status_code == 404
        assert (await client.get(location)).status_code == 204

    for digest in (other, DIGEST):
        with pytest.raises(BlobUnknown):
            await running.store.stat(digest)


async def test_a_single_post_of_a_wrong_digest_keeps_nothing(running: InProcess) -> None:
    other = Digest.of(b"something else")
    async with running.client({NAME: EVERYTHING}) as client:
        answer = await client.post(f"/v2/{NAME}/blobs/uploads/", params={"digest": other.text}, content=CONTENT)

    assert answer.status_code == 400
    assert [staged async for staged in running.store.uploads()] == []


@pytest.mark.parametrize("query", [{}, {"digest": "sha256:short"}, {"digest": "md5:" + "0" * 32}])
async def test_a_put_needs_a_digest(running: InProcess, query: dict[str, str]) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        answer = await client.put(await begin(client), params=query, content=CONTENT)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "DIGEST_INVALID"


async def test_an_interrupted_chunk_is_kept_and_continued(running: InProcess) -> None:
    async def breaks_off() -> AsyncIterator[bytes]:
        yield CONTENT[:1000]
        raise ConnectionResetError

    async with running.client({NAME: EVERYTHING}) as client:
        location = await begin(client)
        with pytest.raises(ConnectionResetError):
            await client.patch(location, content=breaks_off())
        status = await client.get(location)
        done = await client.put(location, params={"digest": DIGEST.text}, content=CONTENT[1000:])

    assert status.headers["range"] == "0-999"
    assert done.status_code == 201


async def test_a_cancelled_upload_is_gone(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        location = await begin(client)
        await client.patch(location, content=CONTENT)
        cancelled = await client.delete(location)
        again = await client.delete(location)
        status = await client.get(location)

    assert cancelled.status_code == 204
    assert again.status_code == status.status_code == 404
    assert status.json()["errors"][0]["code"] == "BLOB_UPLOAD_UNKNOWN"
    assert [staged async for staged in running.store.uploads()] == []


async def test_sha512_and_the_empty_blob_are_blobs_too(running: InProcess) -> None:
    long = Digest.of(CONTENT, "sha512")
    async with running.client({NAME: EVERYTHING}) as client:
        answer = await client.put(await begin(client), params={"digest": long.text}, content=CONTENT)
        assert answer.status_code == 201
        assert (await client.get(f"/v2/{NAME}/blobs/{long}")).content == CONTENT

        empty = Digest.of(b"")
        assert (await client.put(await begin(client), params={"digest": empty.text})).status_code == 201
        assert (await client.get(f"/v2/{NAME}/blobs/{empty}")).content == b""


async def test_six_clients_push_one_new_layer_at_once(running: InProcess) -> None:
    content = os.urandom(200_000)
    async with running.client({NAME: EVERYTHING}) as client:
        digests = await asyncio.gather(*(push_blob(client, NAME, content) for _ in range(6)))

        assert set(digests) == {Digest.of(content)}
        assert (await client.get(f"/v2/{NAME}/blobs/{digests[0]}")).content == content


async def test_a_mount_takes_a_blob_from_where_the_caller_may_pull(running: InProcess) -> None:
    access = {NAME: EVERYTHING, "other/base": EVERYTHING}
    async with running.client(access) as client:
        await push_blob(client, "other/base", CONTENT)
        mounted = await client.post(f"/v2/{NAME}/blobs/uploads/", params={"mount": DIGEST.text, "from": "other/base"})

        assert mounted.status_code == 201
        assert mounted.headers["location"] == f"/v2/{NAME}/blobs/{DIGEST}"
        assert (await client.get(f"/v2/{NAME}/blobs/{DIGEST}")).content == CONTENT


async def test_what_cannot_be_mounted_becomes_an_upload(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING, "other/base": ["pull"]}) as client:
        for source in ({"from": "other/base"}, {"from": "No Name"}, {}):
            answer = await client.post(f"/v2/{NAME}/blobs/uploads/", params={"mount": DIGEST.text, **source})
            assert answer.status_code == 202
            done = await client.put(answer.headers["location"], params={"digest": Digest.of(b"x").text}, content=b"x")
            assert done.status_code == 201


async def test_an_upload_in_one_spelling_goes_on_in_the_other(running: InProcess) -> None:
    """`alpine` is `library/alpine`; links lead back in the spelling that was used."""
    async with running.client({"library/alpine": EVERYTHING}) as client:
        location = await begin(client, "alpine")
        assert location.startswith("/v2/alpine/blobs/uploads/")
        long = location.replace("/v2/alpine/", "/v2/library/alpine/")
        assert (await client.put(long, params={"digest": DIGEST.text}, content=CONTENT)).status_code == 201
        assert (await client.head(f"/v2/alpine/blobs/{DIGEST}")).status_code == 200
