"""Reading and removing blobs."""

from __future__ import annotations

import os
from email.parser import BytesParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cas import Digest
from catalog.registry.ranges import Unsatisfiable, parse_ranges
from tests.catalog.images import image
from tests.catalog.in_process import EVERYTHING, InProcess, push_blob

NAME = "team/app"
CONTENT = bytes(range(256)) * 1000


async def test_one_range(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        digest = await push_blob(client, NAME, CONTENT)
        path = f"/v2/{NAME}/blobs/{digest}"
        for header, start, stop in (
            ("bytes=5-9", 5, 10),
            ("bytes=255990-", 255990, 256000),
            ("bytes=-7", 255993, 256000),
        ):
            answer = await client.get(path, headers={"range": header})
            assert answer.status_code == 206
            assert answer.content == CONTENT[start:stop]
            assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/256000"


async def test_several_ranges_come_as_parts(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        digest = await push_blob(client, NAME, CONTENT)
        answer = await client.get(f"/v2/{NAME}/blobs/{digest}", headers={"range": "bytes=0-1,100000-100099,-3"})

    assert answer.status_code == 206
    assert int(answer.headers["content-length"]) == len(answer.content)
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    parts = BytesParser().parsebytes(head + answer.content).get_payload()
    assert isinstance(parts, list)
    assert [part.get_payload(decode=True) for part in parts] == [CONTENT[:2], CONTENT[100000:100100], CONTENT[-3:]]
    assert [part["Content-Range"] for part in parts] == [
        "bytes 0-1/256000",
        "bytes 100000-100099/256000",
        "bytes 255997-255999/256000",
    ]


async def test_a_range_beyond_the_end_says_how_long_the_blob_is(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        digest = await push_blob(client, NAME, CONTENT)
        for header in ("bytes=256000-", "bytes=9-5", "bytes=-0"):
            answer = await client.get(f"/v2/{NAME}/blobs/{digest}", headers={"range": header})
            assert answer.status_code == 416
            assert answer.headers["content-range"] == "bytes */256000"


@pytest.mark.parametrize(
    "header",
    [
        "bytes=" + ",".join(f"{n}-{n}" for n in range(1001)),
        "bytes=0-255999,0-255999",
        "bytes=x-y",
        "items=0-1",
        "bytes=",
    ],
)
async def test_ranges_that_would_cost_too_much_or_mean_nothing_give_the_whole(running: InProcess, header: str) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        digest = await push_blob(client, NAME, CONTENT)
        answer = await client.get(f"/v2/{NAME}/blobs/{digest}", headers={"range": header})

    assert answer.status_code == 200
    assert answer.content == CONTENT


@given(st.text(alphabet="0123456789-, =xbytes", max_size=60), st.integers(0, 10_000))
def test_any_range_header_stays_within_the_blob(header: str, size: int) -> None:
    try:
        found = parse_ranges(header, size, most=5)
    except Unsatisfiable:
        return
    assert found is None or (len(found) <= 5 and all(0 <= start < stop <= size for start, stop in found))
    assert found is None or sum(stop - start for start, stop in found) <= size


async def test_what_a_client_has_already_is_not_sent_again(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        digest = await push_blob(client, NAME, CONTENT)
        answer = await client.get(f"/v2/{NAME}/blobs/{digest}", headers={"if-none-match": f'"{digest}"'})
        stale = await client.get(
            f"/v2/{NAME}/blobs/{digest}", headers={"range": "bytes=0-1", "if-range": '"sha256:other"'}
        )

    assert answer.status_code == 304
    assert stale.status_code == 200


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
async def test_a_blob_whose_stored_size_is_wrong_is_not_there_until_a_push_heals_it(
    running: InProcess, tmp_path: Path
) -> None:
    content = os.urandom(50_000)
    async with running.client({NAME: EVERYTHING}) as client:
        digest = await push_blob(client, NAME, content)
        stored = next((tmp_path / "store").rglob(digest.hex))
        stored.chmod(0o644)
        stored.write_bytes(content[:1234])

        for method in ("GET", "HEAD"):
            assert (await client.request(method, f"/v2/{NAME}/blobs/{digest}")).status_code == 404

        await push_blob(client, NAME, content)
        assert (await client.get(f"/v2/{NAME}/blobs/{digest}")).content == content


async def test_a_blob_of_another_repository_is_not_here(running: InProcess) -> None:
    """Whatever is stored, a repository shows only what was put into it (zot CVE-2024-39897)."""
    async with running.client({NAME: EVERYTHING, "other/app": EVERYTHING}) as client:
        digest = await push_blob(client, "other/app", CONTENT)
        here = await client.get(f"/v2/{NAME}/blobs/{digest}")
        nowhere = await client.get(f"/v2/{NAME}/blobs/{Digest.of(b'nowhere')}")

    assert here.status_code == nowhere.status_code == 404
    assert here.text.replace(digest.text, "") == nowhere.text.replace(Digest.of(b"nowhere").text, "")


async def test_a_deleted_blob_is_gone_here_and_stays_elsewhere(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING, "other/app": EVERYTHING}) as client:
        for name in (NAME, "other/app"):
            digest = await push_blob(client, name, CONTENT)
        assert (await client.delete(f"/v2/{NAME}/blobs/{digest}")).status_code == 202
        assert (await client.delete(f"/v2/{NAME}/blobs/{digest}")).status_code == 404
        assert (await client.get(f"/v2/{NAME}/blobs/{digest}")).status_code == 404
        assert (await client.get(f"/v2/other/app/blobs/{digest}")).content == CONTENT


async def test_a_blob_that_a_manifest_needs_is_not_deleted(running: InProcess) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        await push_blob(client, NAME, b"{}")
        digest = await push_blob(client, NAME, CONTENT)
        pushed = await client.put(f"/v2/{NAME}/manifests/latest", content=image(b"{}", CONTENT))
        refused = await client.delete(f"/v2/{NAME}/blobs/{digest}")

        assert refused.status_code == 405
        assert pushed.headers["docker-content-digest"] in refused.json()["errors"][0]["message"]

        await client.delete(f"/v2/{NAME}/manifests/{pushed.headers['docker-content-digest']}")
        assert (await client.delete(f"/v2/{NAME}/blobs/{digest}")).status_code == 202
