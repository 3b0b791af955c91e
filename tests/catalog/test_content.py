"""What lies between the bytes' being published and their row's being committed, when something goes wrong there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from cas import Digest
from catalog.content import Content
from database import Database, DatabaseError, DatabaseFull, DatabaseUnavailable, Transaction
from tests.catalog.in_process import EVERYTHING, InProcess

NAME = "team/app"
CONTENT = b"bytes that were acknowledged"
DIGEST = Digest.of(CONTENT)


class FailingDatabase:
    """A database whose next write fails, once it was told with what."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.dialect = database.dialect
        self.one, self.all, self.close = database.one, database.all, database.close
        self.failure: DatabaseError | None = None

    async def write(self, work: Callable[[Transaction], Awaitable[Any]]) -> Any:
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure
        return await self._database.write(work)


@pytest.fixture
def failing(running: InProcess) -> FailingDatabase:
    database = FailingDatabase(running.database)
    running.registry = replace(running.registry, content=Content(database, running.store))
    return database


async def begin(client: httpx.AsyncClient) -> str:
    begun = await client.post(f"/v2/{NAME}/blobs/uploads/")
    sent = await client.patch(begun.headers["location"], content=CONTENT)
    assert sent.status_code == 202, sent.text
    return str(sent.headers["location"])


@pytest.mark.parametrize(("failure", "status"), [(DatabaseFull("here"), 507), (DatabaseUnavailable("gone"), 503)])
async def test_an_upload_whose_row_was_not_committed_can_be_finished_again(
    running: InProcess, failing: FailingDatabase, failure: DatabaseError, status: int
) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        location = await begin(client)
        failing.failure = failure
        finish = f"{location}?digest={DIGEST}"

        assert (await client.put(finish)).status_code == status

        assert (await client.get(location)).headers["range"] == f"0-{len(CONTENT) - 1}"
        assert (await client.get(f"/v2/{NAME}/blobs/{DIGEST}")).status_code == 404
        assert (await client.put(finish)).status_code == 201
        assert (await client.get(f"/v2/{NAME}/blobs/{DIGEST}")).content == CONTENT
        assert (await client.get(location)).status_code == 404
    assert [staged async for staged in running.store.uploads()] == []


async def test_a_whole_blob_whose_row_was_not_committed_leaves_nothing_staged(
    running: InProcess, failing: FailingDatabase
) -> None:
    async with running.client({NAME: EVERYTHING}) as client:
        failing.failure = DatabaseUnavailable("gone")
        push = f"/v2/{NAME}/blobs/uploads/?digest={DIGEST}"

        assert (await client.post(push, content=CONTENT)).status_code == 503

        assert [staged async for staged in running.store.uploads()] == []
        assert (await client.post(push, content=CONTENT)).status_code == 201
        assert (await client.get(f"/v2/{NAME}/blobs/{DIGEST}")).content == CONTENT
