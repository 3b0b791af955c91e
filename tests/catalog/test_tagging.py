"""What owners do with tags beside pushing: the same manifest under another one, and taking one away."""

from __future__ import annotations

import pytest

from cas import Digest, RepositoryName, Tag
from catalog.errors import ManifestUnknown, RepositoryUnknown, TagUnknown
from catalog.metadata import repositories, tags
from catalog.repositories import Repositories
from database import Database
from database.events import Position, read_after
from tests.catalog import images
from tests.catalog.in_process import EVERYTHING, InProcess, push_blob

NAME = RepositoryName("ada/app")
OTHER = RepositoryName("bob/app")


@pytest.fixture
async def pushed(running: InProcess) -> Digest:
    """An image in ada/app under the tag 1, and the same one in bob/app."""
    content = images.image(b"{}")
    for name in (NAME, OTHER):
        async with running.client({name.text: EVERYTHING}, subject="ada") as client:
            await push_blob(client, name.text, b"{}")
            done = await client.put(
                f"/v2/{name}/manifests/1", content=content, headers={"content-type": images.OCI_MANIFEST}
            )
            assert done.status_code == 201, done.text
    return Digest.of(content)


async def history(database: Database, tag: str) -> list[tuple[str | None, str]]:
    found = await repositories.find(database, NAME)
    return [(move.digest, move.subject) for move in await tags.history(database, found.id, Tag(tag))]


async def test_a_manifest_gets_another_tag_with_a_history_and_an_event(running: InProcess, pushed: Digest) -> None:
    shelf = Repositories(running.database)

    await shelf.tag(NAME, pushed, Tag("stable"), "somebody")

    assert await tags.names_after(running.database, NAME, "", 10) == ["1", "stable"]
    assert await tags.names_after(running.database, OTHER, "", 10) == ["1"]
    assert await history(running.database, "stable") == [(pushed.text, "somebody")]
    [*_, last] = await read_after(running.database, Position())
    assert last.kind == "tag.moved"
    assert last.body["tag"] == "stable"


async def test_a_tag_that_is_there_is_moved(running: InProcess, pushed: Digest) -> None:
    shelf = Repositories(running.database)
    second = images.image(b"{}", annotations={"n": "2"})
    async with running.client({NAME.text: EVERYTHING}, subject="ada") as client:
        await client.put(f"/v2/{NAME}/manifests/2", content=second, headers={"content-type": images.OCI_MANIFEST})

    await shelf.tag(NAME, pushed, Tag("2"), "somebody")
    await shelf.tag(NAME, pushed, Tag("2"), "somebody")  # it points there already

    assert await history(running.database, "2") == [
        (pushed.text, "somebody"),
        (Digest.of(second).text, "ada"),
    ]


async def test_only_what_the_repository_itself_has_can_be_tagged(running: InProcess, pushed: Digest) -> None:
    """A manifest of another repository, however public, is not brought in by naming it."""
    shelf = Repositories(running.database)
    theirs = images.image(b"{}", annotations={"whose": "bob's"})
    async with running.client({OTHER.text: EVERYTHING}) as client:
        await client.put(f"/v2/{OTHER}/manifests/2", content=theirs, headers={"content-type": images.OCI_MANIFEST})

    for name, digest in ((NAME, Digest.of(theirs)), (RepositoryName("ada/none"), pushed)):
        with pytest.raises(ManifestUnknown):
            await shelf.tag(name, digest, Tag("x"), "somebody")
    assert await tags.names_after(running.database, NAME, "", 10) == ["1"]


async def test_a_tag_goes_and_what_it_points_to_stays(running: InProcess, pushed: Digest) -> None:
    shelf = Repositories(running.database)

    await shelf.untag(NAME, Tag("1"), "somebody")

    assert await history(running.database, "1") == [(None, "somebody"), (pushed.text, "ada")]
    async with running.client({NAME.text: ("pull",)}) as client:
        assert (await client.get(f"/v2/{NAME}/manifests/{pushed}")).status_code == 200
        assert (await client.get(f"/v2/{NAME}/manifests/1")).status_code == 404
    with pytest.raises(TagUnknown):
        await shelf.untag(NAME, Tag("1"), "somebody")
    with pytest.raises(RepositoryUnknown):
        await shelf.untag(RepositoryName("ada/none"), Tag("1"), "somebody")
