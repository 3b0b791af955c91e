"""Where there are more packages or layers than are shown, those that most images have come first."""

from __future__ import annotations

import pytest

from cas import Digest
from cas.layer_index.protocol import FileQuery, FoundFile, FoundFiles
from catalog.search import candidates, files
from catalog.search.errors import TooBroad
from catalog.search.language import Field
from catalog.search.question import Question
from tests.catalog.search.memory_layers import MemoryLayers
from tests.catalog.search.searched import Searched, caller
from tests.catalog.search.world import LAYERS, Content, Image, Layer, Person, Repository, World

OPEN = Repository("library/open", True, True)
NOBODY = Person("nobody")


@pytest.mark.parametrize("text", ["repo:open type:package", "repo:open type:package deleted:include"])
async def test_packages(searched: Searched, text: str) -> None:
    many = Content(0, tuple(LAYERS[:1]), packages=tuple((f"deb/a{number:03}", "1.0-1") for number in range(60)))
    others = [Content(number, tuple(LAYERS[:1]), packages=(("deb/zzz", "1.0-1"),)) for number in range(1, 12)]
    await searched.show(World([OPEN], [Image(OPEN, content) for content in (many, *others)]))

    found = await candidates.packages(await searched.service.view(caller(NOBODY)), Question.read(text), 20)

    assert [(package.name, images) for package, images in found.rows[:2]] == [("zzz", 11), ("a000", 1)]
    assert (len(found.rows), found.more) == (20, True)


async def test_layers(searched: Searched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "MOST_CANDIDATES", 20)
    shared = Layer("shared", {"x": ""}, size=1)
    own = [Layer(f"own {number}", {"y": ""}, size=100 + number) for number in range(30)]
    images = [Image(OPEN, Content(number, (shared, layer))) for number, layer in enumerate(own)]
    await searched.show(World([OPEN], images, layers=[shared, *own]))

    view = await searched.service.view(caller(NOBODY))
    text = "type:layer repo:open sort:images"
    found = await candidates.layers(view, Question.read(text), text)

    assert (found.rows[0][0].diff_id, found.rows[0][1]) == (shared.diff_id, 30)
    assert found.more


class Endless(MemoryLayers):
    """Everything that is asked for is found, in layers that nobody has, and there is always more."""

    def __init__(self) -> None:
        super().__init__({})
        self.looked_at = 0

    async def find_files(self, query: FileQuery, most: int, after: bytes = b"") -> FoundFiles:
        self.looked_at += most
        return FoundFiles(
            [FoundFile(Digest.parse(LAYERS[0].diff_id), f"{query.text}{n}") for n in range(most)], True, b"next"
        )


async def test_one_query_looks_at_so_many_files_whatever_it_asks_for(searched: Searched) -> None:
    await searched.show(World([OPEN], []))
    view = await searched.service.view(caller(NOBODY))
    endless = Endless()
    asked = files.Files(view.engine, endless, view.readable)
    for text in ("file:" + ",".join(f"a{number:02}*" for number in range(90)), "file:another*"):
        (node,) = Question.read(text).nodes
        assert isinstance(node, Field)
        with pytest.raises(TooBroad, match="too many files"):
            await asked.of_field(node)
    assert endless.looked_at <= files.MOST_LOOKED_AT + files.MOST_FILES
