"""What search answers: by example."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cas.errors import LayerIndexUnavailable
from cas.layer_index.protocol import By, FileQuery
from catalog.browse.answers import FileHit, ImageHit, PackageHit, Piece, RepositoryHit, SearchAnswer
from catalog.search import look_ups
from catalog.search.conditions import Term
from catalog.search.engine import WINDOW
from catalog.search.errors import OutOfWindow, QueryError, SearchError, TooBroad
from catalog.search.files import MOST_FILES
from catalog.search.language import FIELDS, SORTS, parse
from tests.catalog.search import queries
from tests.catalog.search.searched import Searched, caller, opened
from tests.catalog.search.world import (
    DAY,
    FIRST,
    LAYERS,
    Content,
    Image,
    Layer,
    Person,
    Repository,
    World,
    image_digest,
    sha256,
)

BASE, USERS, WITHOUT_USERS, CONFIGURED = LAYERS[:4]
NOBODY = Person("nobody")
ALICE = Person("alice", frozenset({"alice"}))
ROOT = Person("root", administrator=True)

NGINX = Repository(
    "library/nginx", True, True, "A web server and reverse proxy.", official=True, pulls=900, pushed=FIRST
)
PROXY = Repository("alice/nginx-proxy", True, True, "Payments behind nginx", pulls=5, pushed=FIRST + DAY)
SECRET = Repository("alice/vault", False, False, "Where the keys are", pushed=FIRST + 2 * DAY)

PLAIN = Content(1, (BASE,), packages=(("deb/openssl", "1.0-1"), ("deb/curl", "1.0-1")), labels=(("team", "payments"),))
HIDING = Content(2, (BASE, WITHOUT_USERS), packages=(("deb/openssl", "2.0-1"),), distro=("debian", "12"))
KEYS = Content(
    3, (BASE, CONFIGURED), packages=(("deb/vault", "1.1-1"),), labels=(("team", "treasure"),), distro=("nixos", "1")
)

IMAGES = [Image(NGINX, PLAIN, ("1.25", "latest")), Image(PROXY, HIDING, ("v1",)), Image(SECRET, KEYS, ("v2",))]
WORLD = World([NGINX, PROXY, SECRET], IMAGES)


def tightened(now: bool | None) -> World:
    """The world in which alice's proxy was made private, or (None) deleted, and search was not told yet."""
    proxy = replace(PROXY, now=now)
    images = [replace(image, repository=proxy) if image.repository == PROXY else image for image in IMAGES]
    return World([NGINX, proxy, SECRET], images)


async def ask(searched: Searched, text: str, person: Person = NOBODY, **options: object) -> SearchAnswer:
    return await searched.service.search(caller(person), text, **options)  # type: ignore[arg-type]


def names(answer: SearchAnswer) -> list[str]:
    return [
        hit.name if isinstance(hit, RepositoryHit | PackageHit) else hit.repository
        for hit in answer.hits
        if isinstance(hit, RepositoryHit | PackageHit | ImageHit)
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("path:/etc/passwd", ["nginx"]),
        ("-path:/etc/passwd type:image", ["alice/nginx-proxy"]),
        ("path:/etc/passwd deleted:yes", ["alice/nginx-proxy"]),
        ("-path:/etc/passwd deleted:yes", ["nginx"]),
        ("path:/etc/passwd deleted:include", ["alice/nginx-proxy", "nginx"]),
        ("file:passwd OR file:libssl.so", ["alice/nginx-proxy", "nginx"]),
        ("-(file:passwd file:sh)", ["alice/nginx-proxy"]),
        (f"sha256:{sha256('root')}", ["nginx"]),
        ("path:/app/config.yml", ["alice/nginx-proxy", "nginx"]),
    ],
)
async def test_a_file_hidden_in_one_image_is_visible_in_another(
    searched: Searched, text: str, found: list[str]
) -> None:
    await searched.show(WORLD)

    answer = await ask(searched, text)

    assert sorted(names(answer)) == found
    assert answer.total == len(found)
    (owner,) = [facet for facet in answer.facets if facet.name == "org"]
    assert sum(value.count for value in owner.values) == len(found)


async def test_hits_name_what_they_matched(searched: Searched) -> None:
    await searched.show(WORLD)

    for text, matched in [
        ("package:openssl<2.0-1", ["deb/openssl@1.0-1"]),
        ("package:deb/* label:team", ["deb/openssl@1.0-1", "deb/curl@1.0-1", "team=payments"]),
        ("path:/etc/*", ["/etc/passwd"]),
        ("path:/etc/passwd deleted:include tag:v1", ["/etc/passwd (deleted)"]),
        (f"layer:{BASE.digest} tag:latest", [BASE.digest]),
        ("-package:openssl=2.0-1 label.team:/pay.*/", ["team=payments"]),
    ]:
        (hit,) = [hit for hit in (await ask(searched, text)).hits if isinstance(hit, ImageHit)]
        assert hit.matched == matched, text


async def test_files_are_found_where_they_stand_and_nowhere_else(searched: Searched) -> None:
    """`/bin` is a link to `/usr/bin` in the base; a layer has entries below it, and a hard link to a file there."""
    merged, through, last = LAYERS[6:9]
    images = [
        Image(NGINX, Content(1, (merged, through)), ("v1",)),
        Image(NGINX, Content(2, (through,)), ("v2",)),
        Image(NGINX, Content(3, (merged, through, last)), ("v3",)),
    ]
    await searched.show(World([NGINX], images))
    program = sha256("program")
    for text, tags, matched in [
        ("path:/usr/bin/app", ["v1"], ["/usr/bin/app"]),
        ("-path:/usr/bin/app", ["v2", "v3"], []),
        ("path:/bin/app", ["v2"], ["/bin/app"]),
        ("path:/usr/bin/app deleted:yes", ["v3"], ["/usr/bin/app (deleted)"]),
        ("path:/bin/app deleted:include", ["v2"], []),
        ("path:/usr/bin/dash2", ["v1", "v3"], ["/usr/bin/dash2"]),
        ("file:dash2 -path:/usr/bin/dash", ["v3"], ["/usr/bin/dash2"]),
        ("path:/bin", ["v1", "v3"], ["/bin"]),
        ("path:/usr/bin/[as][a-z]+/", ["v1", "v3"], ["/usr/bin/sh"]),
        (f"sha256:{program}", ["v1", "v2"], ["/usr/bin/app"]),
        (f"sha256:{sha256('dash')}", ["v1", "v3"], ["/usr/bin/dash2"]),
    ]:
        hits = [hit for hit in (await ask(searched, f"type:image {text}")).hits if isinstance(hit, ImageHit)]
        assert sorted(tag for hit in hits for tag in hit.tags) == tags, text
        assert set(matched) <= {each for hit in hits for each in hit.matched}, text
        if matched:
            files = [hit for hit in (await ask(searched, f"type:file {text}")).hits if isinstance(hit, FileHit)]
            assert {f"/{hit.path}" for hit in files} >= {each.split()[0] for each in matched}, text
    view = await searched.service.view(caller(NOBODY))
    rows, more = await look_ups.files(view, FileQuery(By.PATH, "usr/bin/app"))
    ((hit, held),) = rows
    assert (hit.path, hit.diff_id, hit.sha256, hit.images, more) == ("usr/bin/app", through.diff_id, program, 1, False)
    assert [image.tags for image in (await look_ups.images_with(view, held))[1]] == [["v1"]]
    link = await look_ups.files(view, FileQuery(By.PATH, "bin"))
    assert [(hit.path, hit.sha256, hit.images) for hit, _ in link[0]] == [("bin", "", 2)]


@pytest.mark.parametrize("now", [False, None])
async def test_forbids_finding_what_was_just_made_private_or_deleted(searched: Searched, now: bool | None) -> None:
    """Search was not told yet: its documents say that everybody may read it."""
    await searched.show(tightened(now))
    service = searched.service

    for person in (NOBODY, Person("bob", frozenset({"team", "bob"}))):
        who = caller(person)
        assert names(await ask(searched, "", person)) == ["nginx"]
        images = await ask(searched, "type:image", person)
        assert (images.total, names(images)) == (1, ["nginx"])
        assert not [
            value
            for facet in images.facets
            for value in facet.values
            if value.value.startswith(("debian", "alice")) or value.count != 1
        ]
        assert (await ask(searched, "type:file deleted:yes passwd", person)).total == 0
        versions = [
            hit.versions
            for hit in (await ask(searched, "type:package openssl", person)).hits
            if isinstance(hit, PackageHit)
        ]
        assert versions == [["1.0-1"]]
        view = await service.view(who)
        assert await look_ups.package_versions(view, "deb", "openssl") == [("1.0-1", 1)]
        assert await look_ups.count_images(view, [Term("package", "deb/openssl")]) == [1]
        assert (await look_ups.images_with(view, Term("package_version", "deb/openssl@2.0-1")))[0] == 0
        assert await look_ups.files(view, FileQuery(By.NAME, "libssl.so")) == ([], False)
        for typed in ("ngin", "repo:alice/", "distro:deb", "org:al", "tag:v", "libss"):
            assert not [
                each for each in await service.suggest(who, typed) if "alice" in each.text or "debian" in each.text
            ]
        # An image that may not be read is nobody's base.
        assert (await ask(searched, "base:alice/nginx-proxy:v1", person)).total == 0


async def test_a_declared_digest_means_an_image_that_the_caller_may_read(searched: Searched) -> None:
    """Under the names that it has here, whatever was declared beside it; an index's digest stands for its images."""
    secret, plain = replace(KEYS, indexed=True), replace(PLAIN, indexed=True)
    declared = [plain.digest, *plain.parents, secret.digest, f"mirror/nginx:1@{plain.digest}", image_digest(99)]
    built = [Content(10 + number, (USERS,), base=base) for number, base in enumerate(declared)]
    images = [Image(NGINX, plain, ("1.25",)), Image(SECRET, secret, ("v2",))]
    images += [Image(PROXY, content, (f"b{number}",)) for number, content in enumerate(built)]
    await searched.show(World([NGINX, PROXY, SECRET], images))

    for text, person, tags in [
        ("base:nginx:1.25", NOBODY, ["b0", "b1", "b3"]),
        ("base:nginx", NOBODY, ["b0", "b1", "b3"]),
        (f"base:nginx@{plain.parents[0]}", NOBODY, ["b0", "b1", "b3"]),
        ("base:mirror/nginx:1", NOBODY, ["b3"]),
        ("-base:nginx tag:b*", NOBODY, ["b2", "b4"]),
        ("base:alice/vault:v2", NOBODY, []),
        ("base:alice/vault:v2", ALICE, ["b2"]),
        ("base:alice/none:v2", ALICE, []),
    ]:
        found = await ask(searched, f"type:image {text}", person)
        assert sorted(tag for hit in found.hits if isinstance(hit, ImageHit) for tag in hit.tags) == tags, text


async def test_whoever_may_still_read_what_was_made_private_finds_it(searched: Searched) -> None:
    await searched.show(tightened(False))
    assert sorted(names(await ask(searched, "type:image", ALICE))) == ["alice/nginx-proxy", "alice/vault", "nginx"]
    assert (await ask(searched, "type:image", ROOT)).total == 3

    await searched.show(tightened(None))
    assert sorted(names(await ask(searched, "type:image", ALICE))) == ["alice/vault", "nginx"]
    assert (await ask(searched, "type:image", ROOT)).total == 2


async def test_forbids_telling_what_is_private_by_any_other_way(searched: Searched) -> None:
    """Counts, facets, suggestions, corrections, versions and files are over what the caller may read."""
    await searched.show(WORLD)

    for text in (
        "vault",
        "vautl",
        "treasure",
        "label:team=treasure",
        "distro:nixos",
        "type:package vault",
        "package:vault",
        "repo:alice/vault",
        "type:file cert.pem",
        f"type:layer layer:{CONFIGURED.digest}",
        f"layer:{CONFIGURED.diff_id}",
        "type:repository package:vault",
    ):
        answer = await ask(searched, text)
        assert (answer.total, answer.hits, answer.elsewhere, answer.corrected) == (0, [], [], None), text
        shown = {value.value: value.count for facet in answer.facets for value in facet.values}
        assert all(shown.get(value, 0) == 0 for value in ("team=treasure", "nixos", "nixos:1")), text
        assert shown.get("alice", 0) <= 1
    for typed in ("vau", "repo:alice/v", "label:team=t", "distro:n", "package:va", "tag:v2"):
        assert not [each for each in await searched.service.suggest(caller(NOBODY), typed) if each.kind != "field"]
    assert (await ask(searched, "vault", ALICE)).total == 1


async def test_the_exact_name_is_first(searched: Searched) -> None:
    await searched.show(WORLD)

    answer = await ask(searched, "nginx")

    assert names(answer) == ["nginx", "alice/nginx-proxy"]
    first = answer.hits[0]
    assert isinstance(first, RepositoryHit)
    assert first.marked_name == [Piece("nginx", marked=True)]
    second = answer.hits[1]
    assert isinstance(second, RepositoryHit)
    assert second.marked_name == [Piece("alice/"), Piece("nginx", marked=True), Piece("-proxy")]
    assert second.marked_description == [Piece("Payments behind "), Piece("nginx", marked=True)]


async def test_typing_errors_are_corrected_where_little_is_found(searched: Searched) -> None:
    await searched.show(WORLD)

    answer = await ask(searched, "ngnix -tag:v1")

    assert (answer.type, answer.total, answer.corrected) == ("image", 0, "nginx -tag:v1")
    assert (await ask(searched, answer.corrected or "")).total == 1
    for text in ("nginx", '"ngnix"', "xyzzy", "nixg"):
        assert (await ask(searched, text)).corrected is None


@pytest.mark.parametrize(
    ("text", "sort", "found"),
    [
        ("", "pushed", ["alice/nginx-proxy", "nginx"]),
        ("", "pushed-asc", ["nginx", "alice/nginx-proxy"]),
        ("sort:pulls", None, ["nginx", "alice/nginx-proxy"]),
        ("sort:pulls", "pushed", ["alice/nginx-proxy", "nginx"]),
        ("type:image sort:size", None, ["alice/nginx-proxy", "nginx"]),
        ("type:image", "size-asc", ["nginx", "alice/nginx-proxy"]),
        ("type:package", "name", ["curl", "openssl"]),
        ("type:package", "images", ["openssl", "curl"]),
    ],
)
async def test_hits_are_sorted(searched: Searched, text: str, sort: str | None, found: list[str]) -> None:
    await searched.show(WORLD)

    answer = await ask(searched, text, sort=sort)

    assert names(answer) == found
    assert answer.sort == (sort or answer.sort)


async def test_type_and_sort_beside_the_text_win(searched: Searched) -> None:
    await searched.show(WORLD)

    answer = await ask(searched, "nginx type:package sort:name", type="repository", sort="pulls")

    assert (answer.type, answer.sort, answer.query) == ("repository", "pulls", "type:repository sort:pulls nginx")
    for options, under in (({"sort": "size"}, "size"), ({"type": "imgae"}, "imgae"), ({"sort": "sizes"}, "sizes")):
        with pytest.raises(QueryError) as raised:
            await ask(searched, "nginx", **options)
        assert raised.value.text[raised.value.start : raised.value.stop] == under
    with pytest.raises(QueryError, match="where repository hits are listed"):
        await ask(searched, "nginx sort:size")


@pytest.mark.parametrize("type", SORTS)
async def test_every_sort_that_is_offered_is_there(searched: Searched, type: str) -> None:
    await searched.show(WORLD)

    for sort in SORTS[type]:
        answer = await ask(searched, "passwd" if type == "file" else "", type=type, sort=sort)
        assert (answer.sort, answer.total > 0) == (sort, True)


async def test_choosing_a_facet_leads_to_what_it_counted(searched: Searched) -> None:
    await searched.show(WORLD)
    answer = await ask(searched, "type:image nginx")

    for facet in answer.facets:
        for value in facet.values:
            there = await ask(searched, value.query)
            assert there.total == value.count
            (chosen,) = [each for each in there.facets if each.name == facet.name]
            (back,) = [each for each in chosen.values if each.value == value.value]
            assert back.chosen
            assert parse(back.query) == parse("type:image nginx")
            assert [each.count for each in chosen.values] == [each.count for each in facet.values]
    (chip,) = (await ask(searched, "nginx tag:v1")).chips
    assert (chip.text, chip.without) == ("tag:v1", "type:image nginx")


async def test_pages_end_where_they_may(searched: Searched) -> None:
    await searched.show(WORLD)

    assert (await ask(searched, "", size=100, page=100)).hits == []
    for page, size in ((101, 100), (WINDOW, 25), (0, 25), (1, 0), (-1, 25)):
        with pytest.raises(OutOfWindow):
            await ask(searched, "", page=page, size=size)


async def test_suggestions_complete_what_is_typed(searched: Searched) -> None:
    await searched.show(WORLD)

    async def suggest(text: str) -> list[tuple[str, str, str, int]]:
        found = await searched.service.suggest(caller(NOBODY), text)
        return [(each.kind, each.text, each.query, each.count) for each in found]

    assert await suggest("tag:v1 ngin") == [
        ("repository", "repo:nginx", "tag:v1 repo:nginx", 1),
        ("repository", "repo:alice/nginx-proxy", "tag:v1 repo:alice/nginx-proxy", 1),
    ]
    assert ("package", "package:deb/openssl", "package:deb/openssl", 2) in await suggest("opens")
    assert ("field", "package:", "package:", 0) in await suggest("pack")
    assert await suggest("is:off") == [("field", "is:official", "is:official", 0)]
    assert await suggest("-label:team=p") == [("label", "label:team=payments", "-label:team=payments", 1)]
    assert await suggest("(x OR distro:deb") == [
        ("distro", "distro:debian", "(x OR distro:debian", 1),
        ("distro", "distro:debian:12", "(x OR distro:debian:12", 1),
    ]
    assert await suggest("package:deb/cu") == [("package", "package:deb/curl", "package:deb/curl", 1)]
    for text in ("", "nothing:x", "size:", "a ", "\x00ngin"):
        assert await suggest(text) == []


ANY = st.text(max_size=30)
FIELD = st.builds("{}{}:{}".format, st.sampled_from(["", "-"]), st.sampled_from(sorted(FIELDS)), ANY)
TYPED = st.lists(st.one_of(ANY, FIELD, st.sampled_from([*queries.OF_IMAGES, *queries.WORDS, "OR"])), max_size=4).map(
    " ".join
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=st.lists(TYPED, min_size=5, max_size=5), type=st.sampled_from([None, *SORTS]))
async def test_whatever_is_typed_is_answered_or_refused(searched: Searched, texts: list[str], type: str | None) -> None:
    await searched.show(WORLD)

    for text in texts:
        try:
            answer = await ask(searched, text, type=type)
        except SearchError as error:
            assert str(error)
        else:
            assert answer.total >= len(answer.hits)
            parse(answer.query)
        await searched.service.suggest(caller(NOBODY), text)


@pytest.fixture
async def crowded(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Searched]:
    """A layer with more files than one condition looks at."""
    files = {f"usr/share/{number:05}.txt": "the same" for number in range(MOST_FILES + 1)}
    async with opened("tantivy", request, tmp_path, [Layer("crowded", files)]) as made:
        yield made


async def test_what_is_too_broad_says_what_would_narrow_it(crowded: Searched) -> None:
    repository = Repository("library/many", True, True)
    layer = Layer("crowded", {"usr/share/00001.txt": "the same"})
    await crowded.show(World([repository], [Image(repository, Content(9, (layer,)))]))

    for text in ("path:/usr/share/*", "-path:/usr/*", f"sha256:{sha256('the same')}", "path:/usr/share/[0-9]*.txt/"):
        with pytest.raises(TooBroad, match="give more of the path or name"):
            await ask(crowded, text)
    assert (await ask(crowded, "path:/usr/share/00001.txt")).total == 1
    files = await ask(crowded, "type:file path:/usr/share/*")
    assert (files.total, files.more) == (MOST_FILES, True)
    with pytest.raises(QueryError, match="too many ways to match"):
        await ask(crowded, "tag:/.*a.{40}/")


@pytest.fixture
async def unbuilt(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Searched]:
    """A layer index that is still to be built."""
    async with opened("tantivy", request, tmp_path, built=False) as made:
        yield made


async def test_without_the_layer_index_all_else_is_answered(unbuilt: Searched) -> None:
    await unbuilt.show(WORLD)

    for text in ("path:/etc/passwd", "-file:passwd type:image", "type:file passwd"):
        with pytest.raises(LayerIndexUnavailable):
            await ask(unbuilt, text)
    answer = await ask(unbuilt, "nginx")
    assert answer.total == 2
    assert [(each.type, each.count) for each in answer.elsewhere] == [("image", 2)]
