"""Answers, held against what the world in `tests.catalog.search.world` says: each hit, total and facet on every page,
for whoever asks, also where a repository was made private or deleted and search was not told yet."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.browse.answers import (
    Facet,
    FileHit,
    Hit,
    ImageHit,
    LayerHit,
    PackageHit,
    RepositoryHit,
    SearchAnswer,
)
from catalog.search import look_ups
from catalog.search.language import And, Field, Form, Node, Not, Or, conjuncts, parse, write
from catalog.search.language import Term as Word
from catalog.search.question import Question, infer
from catalog.search.service import SearchService
from tests.catalog.search import queries
from tests.catalog.search.searched import Searched, caller
from tests.catalog.search.world import (
    LAYERS,
    VERSIONS,
    File,
    Image,
    Layer,
    Repository,
    World,
    digest_of,
    in_spans,
    is_digest,
    is_file,
    is_package,
)

#: Each example writes the whole world anew into the same directories.
EXAMPLES = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


async def every_page(service: SearchService, world: World, text: str, size: int = 3) -> list[SearchAnswer]:
    """Return all pages; what each says of the whole is the same."""
    pages = [await service.search(caller(world.person), text, page=1, size=size)]
    first = pages[0]
    while len(pages) * size < first.total:
        page = await service.search(caller(world.person), text, page=len(pages) + 1, size=size)
        assert (page.total, page.facets, page.elsewhere, page.chips) == (
            first.total,
            first.facets,
            first.elsewhere,
            first.chips,
        )
        pages.append(page)
    assert all(len(page.hits) == size for page in pages[:-1])
    beyond = await service.search(caller(world.person), text, page=len(pages) + 1, size=size)
    assert (beyond.hits, beyond.total) == ([], first.total)
    return pages


def names_of(pages: list[SearchAnswer]) -> list[tuple[str, ...]]:
    return [_name(hit) for page in pages for hit in page.hits]


def _name(hit: Hit) -> tuple[str, ...]:
    match hit:
        case RepositoryHit():
            return (hit.name,)
        case ImageHit():
            return (hit.repository, hit.digest)
        case PackageHit():
            return (hit.ecosystem, hit.name)
        case LayerHit():
            return (hit.diff_id,)
        case FileHit():
            return (hit.diff_id, hit.path, hit.sha256)


def expected_hits(world: World, question: Question) -> list[Image] | list[Repository]:
    """Return what *question* finds, of repositories or images."""
    if question.type == "image":
        return world.images_for(question.nodes, question.deleted, question.completing)
    of_images = tuple(node for node in question.nodes if infer((node,)) == "image")
    found = world.repositories_for(tuple(node for node in question.nodes if node not in of_images), question.completing)
    if not of_images:
        return found
    having = {image.repository for image in world.images_for(of_images, question.deleted, question.completing)}
    return [repository for repository in found if repository in having]


def check_facets(world: World, question: Question, facets: list[Facet]) -> None:
    """Each facet is counted without what was chosen in it."""
    for name in (
        "arch",
        "os",
        "org",
        "is",
        *(("distro", "license", "label", "base") if question.type == "image" else ()),
    ):
        kept = tuple(node for node in question.nodes if not (isinstance(node, Field) and node.name == name))
        narrowed = Question(
            question.type, question.sort, question.deleted, kept, question.directives, question.completing
        )
        hits = expected_hits(world, narrowed)
        found = Counter(value for hit in hits for value in set(facet_values(world, name, hit)))
        if name == "base":
            # What images name; whoever is built on that without naming it is counted with them.
            images = [hit for hit in hits if isinstance(hit, Image)]
            named = chosen(question) | {said for image in images if (said := image.content.declared[0])}
            found = Counter(value for image in images for value in named if world.is_built_on(value, image))
        expected = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:10]
        (facet,) = [each for each in facets if each.name == name] or [None]
        shown = [(value.value, value.count) for value in facet.values] if facet is not None else []
        assert [each for each in shown if each[1]] == expected, name
        for value in facet.values if facet is not None else ():
            assert write(parse(value.query)) == value.query
            then = Question.read(value.query)
            assert then.type == question.type
            if not value.chosen and kept == question.nodes:
                assert len(expected_hits(world, then)) == value.count, value.query


def chosen(question: Question) -> set[str]:
    return {
        value.text
        for node in question.nodes
        if isinstance(node, Field) and node.name == "base"
        for value in node.values
    }


def facet_values(world: World, name: str, hit: Image | Repository) -> list[str]:
    repository = hit if isinstance(hit, Repository) else hit.repository
    platforms = (
        {hit.content.platform}
        if isinstance(hit, Image)
        else {image.content.platform for image in world.images if image.repository == hit}
    )
    match name:
        case "arch":
            return [platform.split("/")[1] for platform in platforms]
        case "os":
            return [platform.split("/")[0] for platform in platforms]
        case "org":
            return [repository.namespace]
        case "is":
            states = [word for word in ("official", "deprecated") if getattr(repository, word)]
            latest = ["latest"] if isinstance(hit, Image) and "latest" in hit.tags else []
            return [*states, *latest, "public" if repository.public else "private"]
    assert isinstance(hit, Image)
    content = hit.content
    match name:
        case "distro":
            return [content.distro[0], ":".join(content.distro)] if content.distro else []
        case "license":
            return [content.license] if content.license else []
        case "label":
            return [f"{key}={value}" for key, value in content.labels]
        case _:
            return []


def key_of(hit: Image | Repository) -> tuple[str, ...]:
    return (hit.short,) if isinstance(hit, Repository) else (hit.repository.short, hit.content.digest)


async def check(service: SearchService, world: World, text: str) -> None:
    question = Question.read(text)
    expected = expected_hits(world, question)

    pages = await every_page(service, world, text)

    first = pages[0]
    found = names_of(pages)
    assert (first.type, first.total, first.more) == (question.type, len(expected), False)
    assert Counter(found) == Counter(map(key_of, expected))
    check_facets(world, question, first.facets)
    assert Counter(conjuncts(parse(first.query))) == Counter(conjuncts(parse(text)))
    for chip in first.chips:
        without = Counter(conjuncts(parse(text))) - Counter([parse(chip.text)])
        assert without - Counter(conjuncts(parse(chip.without))) == Counter()
        assert Question.read(chip.without).type == question.type or "deleted:" in chip.text
    for other in first.elsewhere:
        there = await service.search(caller(world.person), other.query, facets=False)
        assert (there.type, there.total > 0, there.total) == (other.type, True, max(other.count, 1))


@EXAMPLES
@given(world=queries.worlds(), texts=queries.REPOSITORY_QUERIES)
async def test_repositories(searched: Searched, world: World, texts: list[str]) -> None:
    service = await searched.show(world)
    for text in texts:
        await check(service, world, text)


@EXAMPLES
@given(world=queries.worlds(), texts=queries.IMAGE_QUERIES)
async def test_images(searched: Searched, world: World, texts: list[str]) -> None:
    service = await searched.show(world)
    for text in texts:
        await check(service, world, text)


@EXAMPLES
@given(world=queries.layered_worlds(), texts=queries.LAYER_QUERIES)
async def test_images_by_their_layers(searched: Searched, world: World, texts: list[str]) -> None:
    """What upper layers hide, and what images are built on, also where the caller may not read that."""
    service = await searched.show(world)
    for text in texts:
        await check(service, world, text)


# Packages, layers and files: candidates, counted over the images that the caller may read


async def counted(service: SearchService, world: World, text: str) -> dict[tuple[str, ...], int]:
    """Return what is found on all pages, and in how many images."""
    pages = await every_page(service, world, text)
    hits = [hit for page in pages for hit in page.hits]
    assert not pages[0].more
    assert pages[0].total == len(hits)
    found = {_name(hit): hit.images for hit in hits if not isinstance(hit, RepositoryHit | ImageHit)}
    assert len(found) == len(hits)
    return found


def within(world: World, nodes: list[Node], deleted: str) -> list[Image]:
    return world.images_for(tuple(nodes), deleted)


PACKAGE_WORDS = st.sampled_from(["openssl", "curl", "lib*", "libssl", "forgotten", "op*", "(curl OR openssl)"])
ON_IMAGES = st.sampled_from([each for each in queries.OF_IMAGES if not each.startswith(("package:", "layer:"))])
ONE = st.one_of(ON_IMAGES, st.sampled_from(queries.OF_BOTH), ON_IMAGES.map("-{}".format))
NARROWED = st.one_of(st.just(""), ONE, ONE, st.tuples(ONE, ONE).map(" ".join))


PACKAGE_QUERIES = st.builds(
    "type:package {}{} {} repo:/.*/".format,
    queries.DELETED,
    st.lists(st.one_of(PACKAGE_WORDS, st.sampled_from(queries.OF_PACKAGES)), max_size=2).map(" ".join),
    NARROWED,
)


@EXAMPLES
@given(world=queries.worlds(), texts=queries.several(PACKAGE_QUERIES))
async def test_packages(searched: Searched, world: World, texts: list[str]) -> None:
    service = await searched.show(world)
    for text in texts:
        await check_packages(service, world, text)


async def check_packages(service: SearchService, world: World, text: str) -> None:
    question = Question.read(text)
    selecting = [node for node in question.nodes if _selects(node)]
    images = within(world, [node for node in question.nodes if not _only_words(node)], question.deleted)
    having = Counter(name for image in images for name in {name for name, _ in _packages(image, question.deleted)})
    expected = {
        tuple(name.split("/", 1)): count
        for name, count in having.items()
        if all(_is_selected(node, name) for node in selecting)
    }
    assert await counted(service, world, text) == expected
    answer = await service.search(caller(world.person), text)
    for hit in answer.hits:
        assert isinstance(hit, PackageHit)
        versions = {
            version
            for image in images
            for name, version in _packages(image, question.deleted)
            if name == f"{hit.ecosystem}/{hit.name}"
        }
        assert hit.versions == sorted(versions, reverse=True)
        view = await service.view(caller(world.person))
        known = await look_ups.package_versions(view, hit.ecosystem, hit.name)
        readable = [image.content.packages for image in world.readable_images()]
        assert dict(known) == Counter(
            version for packages in readable for name, version in set(packages) if name == f"{hit.ecosystem}/{hit.name}"
        )


def _packages(image: Image, deleted: str) -> tuple[tuple[str, str], ...]:
    content = image.content
    return {"": content.packages, "yes": content.removed, "include": content.packages + content.removed}[deleted]


def _only_words(node: Node) -> bool:
    return isinstance(node, Word) or (isinstance(node, Or) and all(map(_only_words, node.nodes)))


def _selects(node: Node) -> bool:
    return _only_words(node) or (isinstance(node, Field) and node.name == "package")


def _is_selected(node: Node, name: str) -> bool:
    ecosystem, _, rest = name.partition("/")
    match node:
        case Or(nodes):
            return any(_is_selected(each, name) for each in nodes)
        case Word():
            return rest.startswith(node.text) if node.form is Form.BEGINNING else rest == node.text
        case Field():
            return any(is_package(_unversioned(node), name, version) for version in VERSIONS)
    raise AssertionError(ecosystem, node)


def _unversioned(node: Field) -> Field:
    values = [
        value if value.form is Form.PATTERN else replace(value, text=re.split(r"[@<>=!]", value.text)[0])
        for value in node.values
        if not value.operator
    ]
    return replace(node, values=tuple(values))


FILE_QUERIES = st.builds(
    "type:file {}{} {} repo:/.*/".format,
    queries.DELETED,
    st.lists(st.sampled_from([*queries.OF_FILES, "passwd", "(sh OR file:passwd)"]), min_size=1, max_size=2).map(
        " ".join
    ),
    NARROWED.filter(lambda text: not re.search("file:|path:|sha256:[^ ]{64}", text)),
)


@EXAMPLES
@given(world=queries.worlds(), texts=queries.several(FILE_QUERIES))
async def test_files(searched: Searched, world: World, texts: list[str]) -> None:
    service = await searched.show(world)
    for text in texts:
        await check_files(service, world, text)


async def check_files(service: SearchService, world: World, text: str) -> None:
    question = Question.read(text)
    asking = [node for node in question.nodes if _asks_for_files(node)]
    images = within(world, [node for node in question.nodes if not _asks_for_files(node)], question.deleted)
    held = Counter(file for image in images for file in image.content.files(question.deleted))
    asked = {file: count for file, count in held.items() if all(_is_asked(node, file) for node in asking)}
    expected = {(file.diff_id, file.path, digest_of(file)): count for file, count in asked.items()}
    assert len(expected) == len(asked)
    assert await counted(service, world, text) == expected


def _asks_for_files(node: Node) -> bool:
    if isinstance(node, Or):
        return all(map(_asks_for_files, node.nodes))
    return isinstance(node, Word) or (isinstance(node, Field) and node.name in ("file", "path", "sha256"))


def _is_asked(node: Node, file: File) -> bool:
    match node:
        case Or(nodes):
            return any(_is_asked(each, file) for each in nodes)
        case Word():
            return file.path.rpartition("/")[2] == node.text
        case Field():
            return any(is_file(node.name, value, file) for value in node.values)
    raise AssertionError(node)


OF_A_LAYER = [*queries.OF_LAYERS, "size:>200", "size:200,1000", "path:/etc/*", "file:sh", "-size:>400"]
OF_A_LAYER += [f"-layer:{LAYERS[0].digest}", f"(size:1000 OR layer:{LAYERS[1].diff_id})", "(size:>200 file:passwd)"]
OF_A_LAYER += [f"sha256:{LAYERS[2].smaller[7:]}", f"-layer:{LAYERS[4].smaller}"]


LAYER_QUERIES = st.builds(
    "type:layer sort:{} {} {} repo:/.*/".format,
    st.sampled_from(["images", "size", "size-asc"]),
    st.lists(st.sampled_from(OF_A_LAYER), max_size=2).map(" ".join),
    st.one_of(st.just(""), queries.WORD, st.sampled_from(queries.OF_BOTH), st.sampled_from(["tag:v1", "license:mit"])),
)


@EXAMPLES
@given(world=queries.worlds(), texts=queries.several(LAYER_QUERIES))
async def test_layers(searched: Searched, world: World, texts: list[str]) -> None:
    service = await searched.show(world)
    for text in texts:
        await check_layers(service, world, text)


async def check_layers(service: SearchService, world: World, text: str) -> None:
    question = Question.read(text)
    of_layers = [node for node in question.nodes if _is_of_layers(node)]
    images = within(world, [node for node in question.nodes if not _is_of_layers(node)], "")
    held = Counter(diff_id for image in images for diff_id in {layer.diff_id for layer in image.content.layers})
    expected = {
        (layer.diff_id,): held[layer.diff_id]
        for layer in LAYERS
        if held[layer.diff_id] and all(_layer_is(node, layer, world) for node in of_layers)
    }
    assert await counted(service, world, text) == expected
    answer = await service.search(caller(world.person), text)
    key = {
        "images": lambda hit: -hit.images,
        "size": lambda hit: -hit.raw_size,
        "size-asc": lambda hit: hit.raw_size,
    }[question.sort]
    assert [key(hit) for hit in answer.hits] == sorted(key(hit) for hit in answer.hits)
    for hit in answer.hits:
        assert isinstance(hit, LayerHit)
        (layer,) = [layer for layer in LAYERS if layer.diff_id == hit.diff_id]
        seen = {blob: size for blob, size in layer.blobs.items() if blob in _seen(layer, world)}
        assert (hit.size, hit.raw_size) == (min(seen.values()), layer.raw_size)
        assert seen[hit.digest] == hit.size


def _is_of_layers(node: Node) -> bool:
    match node:
        case Not(inner):
            return _is_of_layers(inner)
        case And(nodes) | Or(nodes):
            return all(map(_is_of_layers, nodes))
        case _:
            return isinstance(node, Field) and node.name in ("layer", "size", "path", "file", "sha256")


def _seen(layer: Layer, world: World) -> set[str]:
    """What the layer is called in images that the person may read: not all of its blobs stand in these."""
    return {layer.diff_id, *layer.blobs} & {name for image in world.readable_images() for name in image.content.named}


def _layer_is(node: Node, layer: Layer, world: World) -> bool:
    match node:
        case Not(inner):
            return not _layer_is(inner, layer, world)
        case And(nodes):
            return all(_layer_is(each, layer, world) for each in nodes)
        case Or(nodes):
            return any(_layer_is(each, layer, world) for each in nodes)
        case Field(name="size"):
            return in_spans(node, layer.raw_size, world.now)
        case Field(name="layer" | "sha256") if any(
            is_digest(value, name) for value in node.values for name in _seen(layer, world)
        ):
            return True
        case Field(name="path" | "file" | "sha256"):
            own = [File(layer.diff_id, path, path) for path in (*layer.files, *layer.links)]
            return any(is_file(node.name, value, file) for value in node.values for file in own)
    return False
