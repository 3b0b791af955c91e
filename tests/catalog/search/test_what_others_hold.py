"""What others hold in private changes no answer: no hit and no count, nor whether there is more or too much."""

from __future__ import annotations

from pathlib import Path

import pytest

from cas.layer_index.protocol import By, FileQuery
from catalog.browse.answers import SearchAnswer, Suggestion
from catalog.search import look_ups
from catalog.search.candidates import MOST_CANDIDATES
from catalog.search.errors import TooBroad
from catalog.search.files import MOST_FILES
from tests.catalog.search.searched import ENGINES, Searched, caller, opened
from tests.catalog.search.world import LAYERS, Content, Image, Layer, Person, Repository, World

OPEN = Repository("library/open", True, True)
CLOSED = Repository("library/closed", False, False)
NOBODY = Person("nobody")

OWN = Content(0, LAYERS[:2], packages=(("deb/zlib1g", "1.0-1"), ("deb/zlib-dev", "1.0-1")))


async def answers(searched: Searched, *texts: str) -> list[SearchAnswer]:
    return [await searched.service.search(caller(NOBODY), text) for text in texts]


async def files_found(searched: Searched, asked: FileQuery) -> object:
    return await look_ups.files(await searched.service.view(caller(NOBODY)), asked)


async def suggested(searched: Searched) -> list[Suggestion]:
    return [each for text in ("zlib", "package:zl") for each in await searched.service.suggest(caller(NOBODY), text)]


@pytest.mark.parametrize("more", [60, 250, 2 * MOST_CANDIDATES + 300])
async def test_packages(searched: Searched, more: int) -> None:
    """Sixty fill the suggestions, 250 what is counted elsewhere, and so on."""
    texts = (
        "type:package zlib",
        "type:package zlib*",
        "type:package package:zlib* sort:name",
        "zlib",
        "zlib type:image",
    )
    mine = [Image(OPEN, OWN, ("latest",))]
    await searched.show(World([OPEN, CLOSED], mine))
    before = await answers(searched, *texts), await suggested(searched)

    theirs = Content(1, LAYERS[:1], packages=tuple((f"deb/zlib-{number}", "1.0-1") for number in range(more)))
    await searched.show(World([OPEN, CLOSED], [*mine, Image(CLOSED, theirs)]))

    assert (await answers(searched, *texts), await suggested(searched)) == before
    assert [hit.type for hit in before[0][0].hits] == ["package", "package"]
    assert [each.kind for each in before[1]].count("package") >= 2


@pytest.mark.parametrize("kind", ENGINES)
async def test_layers(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    own = LAYERS[0]
    others = [Layer(str(number), {f"etc/{number}": ""}, size=own.size) for number in range(MOST_CANDIDATES * 2 + 10)]
    texts = (
        f"type:layer size:{own.raw_size} repo:open",
        f"type:layer size:>={own.raw_size}",
        "type:layer sort:size-asc size:>0",
    )
    mine = [Image(OPEN, OWN, ("latest",))]
    async with opened(kind, request, tmp_path) as searched:
        await searched.show(World([OPEN, CLOSED], mine))
        before = await answers(searched, *texts)

        world = World(
            [OPEN, CLOSED],
            [*mine, *(Image(CLOSED, Content(1, (layer,))) for layer in others)],
            NOBODY,
            layers=[*LAYERS, *others],
        )
        await searched.show(world)

        assert await answers(searched, *texts) == before
        assert all(answer.hits and not answer.more for answer in before)


@pytest.mark.parametrize("kind", ENGINES)
async def test_files(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """So many private layers hold a file of that name that no page of files has one's own. In half of the images it is
    hidden, in as many ways."""
    name = Layer("own", {"etc/app.conf": "own"})
    theirs = [Layer(str(number), {"etc/app.conf": str(number)}) for number in range(MOST_FILES + 100)]
    without = Layer("without", {"x": ""}, whiteouts=("etc/app.conf",))
    mine = [Image(OPEN, Content(0, (name,)), ("latest",))]
    stacks = [(layer, without) if number % 2 else (layer,) for number, layer in enumerate(theirs)]
    texts = ("path:/etc/app.conf", "-path:/etc/app.conf type:image", "type:file path:/etc/app*", "type:file app.conf")
    texts += ("app.conf", "type:layer file:app.conf", "path:/etc/app.conf deleted:yes", "file:app* deleted:include")
    asked = FileQuery(By.NAME, "app.conf")
    async with opened(kind, request, tmp_path, [*theirs, name, without]) as searched:
        layers = [name, *theirs, without]
        await searched.show(World([OPEN, CLOSED], mine, layers=layers))
        before = await answers(searched, *texts), await files_found(searched, asked)

        images = [Image(CLOSED, Content(number, stack)) for number, stack in enumerate(stacks, 1)]
        await searched.show(World([OPEN, CLOSED], [*mine, *images], layers=layers))

        assert (await answers(searched, *texts), await files_found(searched, asked)) == before
        assert [answer.total for answer in before[0]] == [1, 0, 1, 1, 0, 1, 0, 1]
        with pytest.raises(TooBroad, match="too many files"):
            await searched.service.search(caller(Person("root", administrator=True)), "path:/etc/app.conf")


async def test_a_layer_is_as_large_as_the_blob_that_one_may_see(searched: Searched) -> None:
    """The other compression, which is smaller, stands in a private image."""
    mine = [Image(OPEN, OWN, ("latest",))]
    world = World([OPEN, CLOSED], [*mine, Image(CLOSED, Content(1, LAYERS[:1], smaller=True))])
    await searched.show(world)
    base = LAYERS[0]

    (hit,) = (await answers(searched, f"type:layer layer:{base.digest}"))[0].hits

    assert hit.type == "layer"
    assert (hit.digest, hit.size, hit.raw_size) == (base.digest, base.size, base.raw_size)
    for text in (f"layer:{base.smaller}", f"layer:{base.smaller[:15]}", f"sha256:{base.smaller[7:]}"):
        assert [answer.total for answer in await answers(searched, f"type:layer {text}")] == [0]
        everyone = await searched.service.search(caller(Person("root", administrator=True)), f"type:layer {text}")
        assert everyone.total == 1
