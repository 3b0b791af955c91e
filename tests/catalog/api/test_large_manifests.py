"""Lists over manifests of megabytes: each is read once, and few of them are in memory at once."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from cas import Digest
from cas.directory import DirectoryStore
from cas.manifest import OCI_MANIFEST
from database import Database, Query
from tests.catalog.images import descriptor, index
from tests.catalog.whole import Site, opened
from tests.database.engines import fresh_database
from tests.ingest.in_process import image, small

MIB = 1 << 20


@dataclass
class Counted:
    """A database, and the bytes of all contents that were read from it."""

    database: Database
    contents: list[int] = field(default_factory=list)

    @property
    def dialect(self) -> str:
        return self.database.dialect

    async def one(self, query: Query, **values: object) -> Any:
        row = await self.database.one(query, **values)
        return None if row is None else self._counted([row])[0]

    async def all(self, query: Query, **values: object) -> Any:
        return self._counted(await self.database.all(query, **values))

    async def write(self, work: Any) -> Any:
        return await self.database.write(work)

    async def close(self) -> None:
        await self.database.close()

    def _counted(self, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        self.contents += [len(cell) for row in rows for cell in row if isinstance(cell, bytes)]
        return rows


@dataclass
class Asked:
    """A site whose API reads from a database that counts."""

    site: Site
    read: Counted

    async def get(self, path: str, **parameters: Any) -> Any:
        answer: httpx.Response = await self.site.get(f"/api/v1/{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
async def asked(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Asked]:
    async with (
        fresh_database("sqlite", request, tmp_path) as database,
        opened(database, DirectoryStore(tmp_path / "store"), tmp_path) as site,
    ):
        read = Counted(database)
        api = replace(site, ingest=replace(site.ingest, database=read)).over()
        yield Asked(replace(site, api=api), read)


@contextmanager
def most_allocated() -> Iterator[list[int]]:
    """Give how many bytes were allocated at most meanwhile."""
    found: list[int] = []
    tracemalloc.start()
    try:
        yield found
        found.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


def large(number: int, children: int = 3_000) -> bytes:
    """An index of about 1 MiB whose images nobody has."""
    platforms = ({"os": "linux", "architecture": f"machine{child % 50}"} for child in range(children))
    return index(
        *(
            descriptor(
                Digest.of(f"{number} {child}".encode()), OCI_MANIFEST, platform=platform, annotations={"a": "b" * 99}
            )
            for child, platform in enumerate(platforms)
        )
    )


async def test_a_manifest_is_read_once_however_many_tags_it_has(asked: Asked) -> None:
    content = large(0)
    tags = [f"v{number:02}" for number in range(40)]
    await asked.site.ingest.push_manifest("alice/one", content, "v0", sparse=True)
    await asked.site.ingest.push_manifest("alice/many", content + b" ", *tags, sparse=True)

    with most_allocated() as for_one:
        await asked.get("tags", repository="alice/one", most=1000)
    with most_allocated() as for_many:
        rows = (await asked.get("tags", repository="alice/many", most=1000))["tags"]
    whole = await asked.get("repositories/alice/many")

    assert asked.read.contents == [len(content), len(content) + 1]
    assert for_many[0] < for_one[0] + MIB
    assert [row["name"] for row in rows] == tags
    assert {len(row["platforms"]) for row in rows} == {32}
    assert whole["tag_count"] == len(whole["tags"]) == 40


async def test_different_manifests_are_in_memory_one_after_the_other(asked: Asked) -> None:
    contents = [large(number) for number in range(6)]
    for number, content in enumerate(contents):
        await asked.site.ingest.push_manifest("alice/app", content, f"v{number}", sparse=True)
    await asked.site.ingest.push_manifest("alice/one", contents[0] + b" ", "v0", sparse=True)

    with most_allocated() as for_one:
        await asked.get("tags", repository="alice/one")
    with most_allocated() as for_all:
        await asked.get("repositories/alice/app")

    assert sorted(asked.read.contents[1:]) == sorted(len(content) for content in contents)
    assert for_all[0] < for_one[0] + 2 * MIB
    await asked.get("tags", repository="alice/app")
    assert len(asked.read.contents) == 7


async def test_of_an_index_the_first_images_are_looked_into_one_after_the_other(asked: Asked) -> None:
    """Both the sizes of its images, and what its page takes, have a bound."""
    layer = small("bottom")
    ingest = asked.site.ingest
    first = image(layer)
    await ingest.push("alice/app", first)
    annotations = {"padding": "x" * 20_000}
    others = [image(layer, annotations=annotations, config={"author": str(number)}) for number in range(149)]
    for each in others:
        await ingest.push_blob("alice/app", each.config)
        await ingest.push_manifest("alice/app", each.manifest)
    children = [descriptor(each.manifest, OCI_MANIFEST) for each in (first, *others)]
    digest = await ingest.push_manifest("alice/app", index(*children), "v1")

    told = await asked.get(f"images/{digest}")
    read = list(asked.read.contents)
    again = await asked.get(f"images/{digest}")

    assert told["platforms"] == again["platforms"]
    assert [row["digest"] for row in told["platforms"]] == [each["digest"] for each in children[:100]]
    assert told["platforms"][0]["size"] == told["size"] > 0
    assert {row["size"] > told["size"] for row in told["platforms"][1:]} == {True}
    assert told["limits_reached"] == ["the index lists 150 manifests, of which the first 100 are shown"]
    assert len([size for size in read if size > 20_000]) <= 101
    assert len(asked.read.contents) - len(read) == 2  # the index, and the image that is shown


async def test_a_tag_tells_the_platform_of_its_own_config_alone(asked: Asked) -> None:
    """A config that another repository has tells nothing here, though it was read there."""
    built = image(small("bottom"), config={"architecture": "riscv64"})
    await asked.site.ingest.push("alice/app", built, "v1", "v2")
    await asked.site.ingest.push_manifest("bob/app", built.manifest, "v1", sparse=True)

    there = (await asked.get("tags", repository="alice/app"))["tags"]
    here = (await asked.get("tags", repository="bob/app"))["tags"]

    assert [row["platforms"] for row in there] == [["linux/riscv64"]] * 2
    assert [row["platforms"] for row in here] == [[]]
    assert len({row["size"] for row in there + here}) == 1
