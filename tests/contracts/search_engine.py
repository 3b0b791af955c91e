"""What every search engine keeps: the executable form of `catalog.search.engine`."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.search.analysis import MOST_BYTES, MOST_NUMBER, Values, analyse, keyword, words
from catalog.search.conditions import (
    MOST_TERMS,
    All,
    Between,
    Condition,
    Every,
    Near,
    Nothing,
    Pattern,
    Prefix,
    Some,
    Term,
    Terms,
    Without,
    Words,
)
from catalog.search.documents import (
    Document,
    ImageDocument,
    LayerDocument,
    PackageDocument,
    Placed,
    RepositoryDocument,
    document_id,
    shown,
)
from catalog.search.engine import (
    WINDOW,
    Change,
    Count,
    FacetRequest,
    Remove,
    RemoveAll,
    SearchEngine,
    SearchRequest,
    SearchWriter,
    Sort,
    Write,
)
from catalog.search.errors import OutOfWindow
from catalog.search.fields import COUNTED, FIELDS, Type
from catalog.search.weights import weight
from tests.catalog.search.evaluation import evaluate

#: Opens one more reader of the index that the writer of the same test writes: as another process has one.
OpenEngine = Callable[[], SearchEngine]

KINDS = ("repository", "image", "layer", "package")
EVERYTHING = 200
NAMES = (("name", 4.0), ("words", 2.0), ("text", 1.0))

#: The same directory serves all examples of a test: each begins with everything removed.
EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def image(number: int = 0, **changes: Any) -> ImageDocument:
    """An image that differs from all others in its digest."""
    fields = {"repository_id": "r1", "repository": "team/app", "public": True, "digest": f"sha256:{number:064x}"}
    return ImageDocument(**{**fields, **changes})


def repository(name: str, **changes: Any) -> RepositoryDocument:
    """A repository whose id is made of its name."""
    return RepositoryDocument(**{"id": f"id-{name}", "name": name, "public": True, **changes})


def rank(document: Document) -> tuple[str, str, str]:
    """What ties are broken by."""
    match document:
        case ImageDocument():
            return document.repository, document.digest, document.repository_id
        case RepositoryDocument():
            return document.name, "", document.id
        case _:
            return "", "", document_id(document)


async def write(writer: SearchWriter, *documents: Document, version: int = 1) -> None:
    """Write *documents* as one batch."""
    await writer.apply([Write(document, version) for document in documents])


async def clear(writer: SearchWriter) -> None:
    """Remove every document."""
    await writer.apply([RemoveAll("kind", kind) for kind in KINDS])


async def ids(engine: SearchEngine, condition: Condition = All(), **request: Any) -> list[str]:  # noqa: B008
    """Return the ids of what is found, in its order."""
    found = await engine.search(SearchRequest(condition, most=EVERYTHING, **request))
    assert found.total == len(found.hits)
    return [hit.id for hit in found.hits]


async def matches(engine: SearchEngine, condition: Condition) -> set[str]:
    """Return the ids of what *condition* holds for, by all ways to ask for it."""
    found = await ids(engine, condition)
    assert await engine.count([condition]) == [len(found)]
    assert len(set(found)) == len(found)
    return set(found)


# Random documents and conditions: few values, so that they meet.

NAME = st.sampled_from(["team/app", "team/api", "library/nginx", "library/nginx-proxy", "org/postgres2"])
SMALL = st.lists(st.sampled_from(["a", "b", "ab", "a b", "ba", "b\nc", "é", "日本", "z" * 20]), max_size=4)
PACKAGE = st.sampled_from(["deb/openssl", "deb/curl", "npm/@babel/core", "pypi/two words"])
PACKAGES = st.lists(st.tuples(PACKAGE, st.sampled_from(["1", "2", "1.0-1"])), max_size=4)
NUMBER = st.sampled_from([0, 1, 2, 10, 2**31, 2**53 - 1, 2**60])
SIZES = st.dictionaries(st.sampled_from(["a", "b", "é"]), NUMBER)
TEXT = st.lists(st.sampled_from(["fast", "proxy", "Web-Server", "nginx", "the", "cache2"]), max_size=6).map(" ".join)

DOCUMENTS: st.SearchStrategy[Document] = st.one_of(
    st.builds(
        ImageDocument,
        repository_id=st.sampled_from(["r1", "r2", "r3"]),
        repository=NAME,
        public=st.booleans(),
        digest=st.sampled_from(["sha256:a", "sha256:b", "sha256:c"]),
        tags=SMALL,
        platform=st.sampled_from(["", "linux/amd64", "linux/arm64/v8"]),
        size=NUMBER,
        pushed=NUMBER,
        pulls=st.sampled_from([0, 3, 1000]),
        layers=SMALL,
        packages=PACKAGES,
        labels=st.dictionaries(st.sampled_from(["team", "a b"]), st.sampled_from(["x", "y z"]), max_size=2),
        history=st.lists(TEXT, max_size=2),
        hidden=SMALL,
        moved=SMALL,
        placed=st.lists(st.builds(Placed, *[st.sampled_from(["a", "a b", "é"])] * 3, st.booleans()), max_size=3),
        official=st.booleans(),
    ),
    st.builds(
        RepositoryDocument,
        id=st.sampled_from(["r1", "r2", "r3"]),
        name=NAME,
        public=st.booleans(),
        description=TEXT,
        pulls=st.sampled_from([0, 3, 1000]),
        pushed=NUMBER,
        platforms=st.lists(st.sampled_from(["linux/amd64", "linux/arm64"]), max_size=2, unique=True),
        deprecated=st.booleans(),
    ),
    st.builds(LayerDocument, diff_id=st.sampled_from(["a", "b"]), blobs=SIZES, raw_size=NUMBER),
    st.builds(PackageDocument, ecosystem=st.just("deb"), name=st.sampled_from(["openssl", "curl"])),
)

KEYWORDS = sorted(field for field, kind in FIELDS.items() if kind is not Type.NUMBER)
NUMBERS = sorted(field for field, kind in FIELDS.items() if kind is Type.NUMBER)
VALUES = st.sampled_from(
    [
        *("a", "b", "ab", "a b", "b\nc", "é", "日本", "image", "layer", "r1", "yes", "no", "official"),
        *("nginx", "library/nginx", "app", "proxy", "deb/openssl", "deb/openssl@1", "pypi/two words@1.0-1"),
        *("team=x", "a b=y z", "linux/amd64", "linux", "ng", "fast", "absent", "\udc80"),
    ]
)
LEAVES: st.SearchStrategy[Condition] = st.one_of(
    st.just(All()),
    st.just(Nothing()),
    st.builds(Term, st.sampled_from(KEYWORDS), VALUES),
    st.builds(Terms, st.sampled_from(KEYWORDS), st.lists(VALUES, max_size=4).map(tuple)),
    st.builds(
        Between,
        st.sampled_from(NUMBERS),
        st.none() | st.sampled_from([-5, 0, 1, 3, 2**53 - 1, 2**70]),
        st.none() | st.sampled_from([-5, 0, 1, 10, 2**53 - 1, 2**70]),
    ),
    st.builds(
        Prefix, st.sampled_from(KEYWORDS), st.sampled_from(["", "a", "ng", "deb/", "a b", "l", "日", "zz", ".*"])
    ),
    st.builds(
        Pattern, st.sampled_from(KEYWORDS), st.sampled_from(["a.*", "[ab]+", "deb/.*@1", "(a|b).c", "nginx.{0,3}"])
    ),
    st.builds(
        Near,
        st.sampled_from(["name", "last", "words"]),
        st.sampled_from(["nginx", "ngimx", "gninx", "mginx", "ngi", "postrges2", "app", "pap", "ap", "team/ap", ""]),
        st.sampled_from([1, 2]),
    ),
    st.builds(
        Words,
        st.lists(st.sampled_from([("nginx",), ("fast", "cache"), ("proxy",), ("2", "absent")]), max_size=2).map(tuple),
        st.just(NAMES),
    ),
)
CONDITIONS: st.SearchStrategy[Condition] = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(Every, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Some, st.lists(inner, max_size=3).map(tuple)),
        st.builds(Without, inner),
    ),
    max_leaves=6,
)


class Model:
    """What an index holds after a number of changes, told in plain Python."""

    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}
        self.versions: dict[str, int] = {}

    def apply(self, changes: Sequence[Change]) -> None:
        for change in changes:
            match change:
                case Write(document, version):
                    identity = keyword(document_id(document))
                    if self.versions.get(identity, 0) <= version:
                        self.documents[identity], self.versions[identity] = document, version
                case Remove(identity, version):
                    if self.versions.get(identity, 0) <= version:
                        self.documents.pop(identity, None)
                        self.versions[identity] = version
                case RemoveAll(field, value):
                    for identity, values in self.values().items():
                        if evaluate(Term(field, value), values):
                            del self.documents[identity], self.versions[identity]

    def values(self) -> dict[str, Values]:
        return {identity: analyse(document) for identity, document in self.documents.items()}

    def found(self, condition: Condition) -> set[str]:
        return {identity for identity, values in self.values().items() if evaluate(condition, values)}

    def facet(self, field: str, condition: Condition) -> list[Count]:
        counted: Counter[str] = Counter()
        for identity in self.found(condition):
            values = analyse(self.documents[identity]).get(field, [])
            assert isinstance(values, list)
            counted.update(set(values))
        return sorted((Count(value, count) for value, count in counted.items()), key=lambda c: (-c.count, c.value))

    def by_number(self, condition: Condition, field: str, descending: bool) -> list[str]:
        values = self.values()
        found = sorted(self.found(condition), key=lambda identity: rank(self.documents[identity]))
        without = [identity for identity in found if field not in values[identity]]
        having = [identity for identity in found if field in values[identity]]
        return sorted(having, key=lambda identity: values[identity][field], reverse=descending) + without

    def by_weight(self, condition: Condition) -> list[str]:
        found = sorted(self.found(condition), key=lambda identity: rank(self.documents[identity]))
        return sorted(found, key=lambda identity: weight(self.documents[identity]), reverse=True)


CHANGES: st.SearchStrategy[Change] = st.one_of(
    st.builds(Write, DOCUMENTS, st.integers(1, 5)),
    st.builds(Write, DOCUMENTS, st.integers(1, 5)),
    st.builds(Remove, DOCUMENTS.map(document_id), st.integers(1, 5)),
    st.builds(
        RemoveAll,
        st.sampled_from(["repository_id", "kind", "tag", "package"]),
        st.sampled_from(["r1", "r2", "image", "a b", "ab", "deb/curl", "pypi/two words@1"]),
    ),
)


class SearchEngineContract:
    """Subclass me, provide the fixtures `writer` and `open_engine`, add nothing else."""

    @pytest.fixture
    def engine(self, open_engine: OpenEngine, writer: SearchWriter) -> SearchEngine:
        return open_engine()

    # Finding

    async def test_a_new_index_holds_nothing(self, engine: SearchEngine) -> None:
        found = await engine.search(SearchRequest(All(), facets=(FacetRequest("kind", All()),)))
        assert (found.total, found.hits, found.facets) == (0, [], [[]])
        assert await engine.count([All()]) == [0]
        assert await engine.counts("layer", ["a"], All()) == [0]
        assert await engine.documents(["image:a:b"]) == [None]

    async def test_documents_are_given_back_as_they_were_written(
        self, engine: SearchEngine, writer: SearchWriter
    ) -> None:
        written = [
            image(
                1,
                labels={"\ud800": "lone\udc80", "long": "x" * 100_000},
                size=2**70,
                packages=[("deb/a b", "1")],
                distro=("debian", "12"),
                history=["RUN \x00\n"],
            ),
            repository("team/app", description="# Title\n\n*text*", platforms=["linux/amd64"]),
            LayerDocument(diff_id="sha256:1", blobs={"sha256:2": 5}, raw_size=7, entries=6),
            PackageDocument(ecosystem="npm", name="@babel/core", versions=["1", "2"]),
        ]
        await write(writer, *written)
        names = [document_id(document) for document in written]
        assert await engine.documents([*names, "image:none", names[0]]) == [*written, None, written[0]]
        found = await engine.search(SearchRequest(All()))
        assert {hit.id: hit.document for hit in found.hits} == dict(zip(names, written, strict=True))
        assert all(hit.shown == shown(hit.document) for hit in found.hits)

    @EXAMPLES
    @given(st.lists(DOCUMENTS, max_size=12), st.lists(CONDITIONS, min_size=1, max_size=8))
    async def test_conditions_mean_what_they_say(
        self, engine: SearchEngine, writer: SearchWriter, documents: list[Document], conditions: list[Condition]
    ) -> None:
        """Every kind of condition, in trees, over documents of all kinds: exactly what plain Python finds."""
        await clear(writer)
        model = Model()
        changes = [Write(document, 1) for document in documents]
        model.apply(changes)
        await writer.apply(changes)
        expected = [model.found(condition) for condition in conditions]
        assert await engine.count(conditions) == [len(each) for each in expected]
        for condition, each in zip(conditions, expected, strict=True):
            assert set(await ids(engine, condition)) == each, condition

    @EXAMPLES
    @given(
        st.lists(DOCUMENTS, max_size=12),
        CONDITIONS,
        st.sampled_from(sorted(COUNTED)),
        st.integers(1, 4),
        st.lists(st.sampled_from(["a", "b", "ab", "a b", "absent"]), max_size=4),
    )
    async def test_facets_and_counts_are_exact(
        self,
        engine: SearchEngine,
        writer: SearchWriter,
        documents: list[Document],
        condition: Condition,
        field: str,
        most: int,
        values: list[str],
    ) -> None:
        await clear(writer)
        model = Model()
        model.apply([Write(document, 1) for document in documents])
        for start in range(0, len(documents), 4):
            await write(writer, *documents[start : start + 4])
        asked = (
            FacetRequest(field, condition, most),
            FacetRequest("kind", All()),
            FacetRequest("tag", condition, most),
        )
        found = await engine.search(SearchRequest(condition, facets=asked))
        assert await engine.facets(asked) == found.facets
        assert found.facets == [
            model.facet(field, condition)[:most],
            model.facet("kind", All()),
            model.facet("tag", condition)[:most],
        ]
        counted = {count.value: count.count for count in model.facet("layer", condition)}
        assert await engine.counts("layer", values, condition) == [counted.get(value, 0) for value in values]

    async def test_a_facet_has_its_own_condition(self, engine: SearchEngine, writer: SearchWriter) -> None:
        await write(
            writer, *(image(n, platform=f"linux/{'amd64' if n % 3 else 'arm64'}", tags=["x"]) for n in range(9))
        )
        arm = Term("arch", "arm64")
        asked = (FacetRequest("arch", All()), FacetRequest("arch", arm), FacetRequest("tag", arm))
        found = await engine.search(SearchRequest(arm, most=1, facets=asked))
        assert (found.total, len(found.hits)) == (3, 1)
        assert found.facets == [[Count("amd64", 6), Count("arm64", 3)], [Count("arm64", 3)], [Count("x", 3)]]

    async def test_facets_of_many_values_and_ties_are_exact(self, engine: SearchEngine, writer: SearchWriter) -> None:
        """More values than anybody guesses, most of them once, spread over batches in an order of their own."""
        model = Model()
        for batch in range(4):
            tags = [f"v{number * 7919 % 2003:04d}" for number in range(batch, 2003, 4)]
            documents = [image(batch, tags=[*tags, "w", *(["y", "x"] if batch % 2 else [])])]
            documents += [image(100 + batch * 10 + each, tags=tags[each * 40 : each * 40 + 60]) for each in range(10)]
            model.apply([Write(document, 1) for document in documents])
            await write(writer, *documents)
        expected = model.facet("tag", All())
        sizes = (1, 3, 5, 60, 800, 2500)
        found = await engine.search(SearchRequest(All(), facets=tuple(FacetRequest("tag", All(), n) for n in sizes)))
        assert found.facets == [expected[:size] for size in sizes]

    async def test_many_are_counted_at_once(self, engine: SearchEngine, writer: SearchWriter) -> None:
        layers = [f"sha256:{number}" for number in range(3000)]
        await write(
            writer, image(1, layers=layers), image(2, layers=layers[:1000]), image(3, public=False, layers=layers)
        )
        assert await engine.counts("layer", layers, Term("public", "yes")) == [2] * 1000 + [1] * 2000
        conditions = [Every((Term("layer", layer), Without(Term("public", "no")))) for layer in layers[990:1010]]
        assert await engine.count(conditions) == [2] * 10 + [1] * 10

    async def test_as_many_values_as_are_allowed_may_be_asked_for(
        self, engine: SearchEngine, writer: SearchWriter
    ) -> None:
        await write(writer, image(1, layers=["sha256:7"]), image(2, layers=["sha256:8"]))
        values = tuple(f"sha256:{number}" for number in range(8, 8 + MOST_TERMS))
        assert await matches(engine, Terms("layer", values)) == {document_id(image(2))}
        with pytest.raises(ValueError):
            await engine.count([Terms("layer", (*values, "one more"))])

    async def test_long_values_are_found(self, engine: SearchEngine, writer: SearchWriter) -> None:
        """A label of 70 kB is not silently left out."""
        long = "x" * 70_000
        await write(writer, image(1, labels={"note": f"{long}1"}), image(2, labels={"note": f"{long}2"}))
        assert await matches(engine, Term("label", keyword(f"note={long}2"))) == {document_id(image(2))}
        assert await matches(engine, Prefix("label", "note=xxx")) == {document_id(image(1)), document_id(image(2))}
        exactly = "y" * (MOST_BYTES - len("note="))
        await write(writer, image(3, labels={"note": exactly}))
        assert await matches(engine, Term("label", f"note={exactly}")) == {document_id(image(3))}

    async def test_spaces_and_line_ends_are_characters_like_others(
        self, engine: SearchEngine, writer: SearchWriter
    ) -> None:
        others = [f"deb/a{space}b" for space in "\t\n\v\f\r\x1f\x85\u2028"]
        spaced = ["deb/a b", *others, "deb/ab", "deb/a"]
        await write(writer, *(image(number, packages=[(name, "")]) for number, name in enumerate(spaced)))
        for number, name in enumerate(spaced):
            assert await matches(engine, Term("package", name)) == {document_id(image(number))}, name
        names = [document_id(image(number)) for number in range(len(spaced))]
        assert await matches(engine, Pattern("package", "deb/a.b")) == set(names[:-2])
        assert await matches(engine, Pattern("package", "deb/a|deb/ab")) == set(names[-2:])
        assert await matches(engine, Prefix("package", "deb/a ")) == {names[0]}
        assert await matches(engine, Prefix("package", "deb/a")) == set(names)
        found = await engine.search(SearchRequest(All(), facets=(FacetRequest("package", All(), len(spaced)),)))
        assert found.facets == [[Count(name, 1) for name in sorted(spaced)]]

    async def test_numbers_are_clamped_and_compared_exactly(self, engine: SearchEngine, writer: SearchWriter) -> None:
        sizes = [0, 1, 2**53 - 2, 2**53 - 1, 2**64]
        await write(writer, *(image(number, size=size) for number, size in enumerate(sizes)))
        for least, most, expected in [
            (None, None, {0, 1, 2, 3, 4}),
            (-1, 0, {0}),
            (None, -1, set()),
            (2**53 - 2, 2**53 - 2, {2}),
            (MOST_NUMBER, 2**64, {3, 4}),
            (2**53, None, set()),
            (5, 3, set()),
        ]:
            found = await matches(engine, Between("size", least, most))
            assert found == {document_id(image(number)) for number in expected}, (least, most)

    @EXAMPLES
    @given(
        st.lists(st.text("abc", min_size=1, max_size=6), min_size=1, max_size=8, unique=True),
        st.lists(st.text("abc", min_size=1, max_size=6), min_size=1, max_size=4),
        st.sampled_from([1, 2]),
    )
    async def test_near_keeps_the_first_character(
        self, engine: SearchEngine, writer: SearchWriter, names: list[str], asked: list[str], distance: int
    ) -> None:
        await clear(writer)
        model = Model()
        changes = [Write(repository(f"team/{name}"), 1) for name in names]
        model.apply(changes)
        await writer.apply(changes)
        for value in asked:
            condition = Near("last", value, distance)
            assert set(await ids(engine, condition)) == model.found(condition), value

    # Ranking

    async def test_words_in_a_name_count_for_more_than_in_a_text(
        self, engine: SearchEngine, writer: SearchWriter
    ) -> None:
        await write(
            writer,
            repository("team/other", description="a proxy before nginx"),
            repository("team/nginx-proxy", description="a proxy"),
            repository("team/apache", description="another server"),
        )
        found = await ids(engine, Words(tuple(words("nginx")), NAMES))
        assert found == ["repository:id-team/nginx-proxy", "repository:id-team/other"]

    async def test_all_words_must_be_there_and_any_synonym_will_do(
        self, engine: SearchEngine, writer: SearchWriter
    ) -> None:
        await write(
            writer,
            repository("team/postgresql-client"),
            repository("team/postgres"),
            repository("team/client"),
        )
        assert await matches(engine, Words(tuple(words("postgres client")), NAMES)) == {
            "repository:id-team/postgresql-client"
        }
        assert await matches(engine, Words(tuple(words("postgresql")), NAMES)) == {
            "repository:id-team/postgresql-client",
            "repository:id-team/postgres",
        }

    async def test_exact_ones_come_first_then_weight_counts(self, engine: SearchEngine, writer: SearchWriter) -> None:
        await write(
            writer,
            repository("team/nginx"),
            repository(
                "library/nginx-proxy", pulls=10**9, official=True, pushed=2_000_000_000, description="nginx " * 50
            ),
            repository("team/nginx-proxy", pulls=5),
            repository("old/nginx-proxy", pulls=5, deprecated=True),
        )
        asked = Words(tuple(words("nginx")), NAMES)
        exact = Some((Term("name", "nginx"), Term("last", "nginx")))
        expected = ["team/nginx", "library/nginx-proxy", "team/nginx-proxy", "old/nginx-proxy"]
        assert await ids(engine, asked, exact=exact) == [f"repository:id-{name}" for name in expected]
        assert await ids(engine, asked) != [f"repository:id-{name}" for name in expected]
        found = await engine.search(SearchRequest(asked, exact=exact))
        scores = [hit.score for hit in found.hits]
        assert scores == sorted(scores, reverse=True)
        assert len(set(scores)) == len(scores)

    async def test_filters_do_not_change_the_order_of_words(self, engine: SearchEngine, writer: SearchWriter) -> None:
        """A keyword that few have is no reason to rank higher."""
        await write(
            writer,
            *(image(number, repository="team/proxy", tags=["common"]) for number in range(20)),
            image(50, repository="team/proxy", tags=["rare"]),
        )
        asked = Words((("proxy",),), NAMES)
        narrowed = Every((asked, Some((Term("tag", "rare"), Term("tag", "common")))))
        assert await ids(engine, narrowed) == await ids(engine, asked)
        plain = await engine.search(SearchRequest(asked, most=EVERYTHING))
        filtered = await engine.search(SearchRequest(narrowed, most=EVERYTHING))
        assert [hit.score for hit in plain.hits] == pytest.approx([hit.score for hit in filtered.hits])

    @EXAMPLES
    @given(st.lists(DOCUMENTS, max_size=12), CONDITIONS, st.sampled_from(NUMBERS), st.booleans())
    async def test_orders_are_exact(
        self,
        engine: SearchEngine,
        writer: SearchWriter,
        documents: list[Document],
        condition: Condition,
        field: str,
        descending: bool,
    ) -> None:
        await clear(writer)
        model = Model()
        model.apply([Write(document, 1) for document in documents])
        await write(writer, *documents)
        expected = model.by_number(condition, field, descending)
        assert await ids(engine, condition, sort=Sort(field, descending)) == expected
        without_words = Every((Term("kind", "image"), Between("pulls", 0)))
        assert await ids(engine, without_words) == model.by_weight(without_words)

    @pytest.mark.parametrize("size", [1, 3, 7])
    @pytest.mark.parametrize(
        "request_",
        [
            SearchRequest(All()),
            SearchRequest(All(), sort=Sort("size")),
            SearchRequest(All(), sort=Sort("size", descending=False)),
            SearchRequest(All(), sort=Sort("pulled")),
            SearchRequest(Words((("app",),), NAMES)),
            SearchRequest(Words((("app",),), NAMES), exact=Term("tag", "t1")),
            SearchRequest(All(), exact=Term("tag", "t1")),
            SearchRequest(Some((Words((("rare",),), NAMES), Term("kind", "image")))),
        ],
        ids=["all", "size", "smallest", "missing", "words", "exact words", "exact", "mixed"],
    )
    async def test_pages_neither_overlap_nor_leave_out(
        self, engine: SearchEngine, writer: SearchWriter, request_: SearchRequest, size: int
    ) -> None:
        """Long runs of ties, which began in another order than they are shown in, over several batches."""
        documents = [
            *(
                image(number, size=number % 3, tags=[f"t{number % 4}"])
                for number in (*range(30, 0, -2), *range(31, 0, -2))
            ),
            *(image(number, repository="team/app-b", labels={"x": "rare"}) for number in range(100, 105)),
            *(repository(f"org/app-{number}") for number in range(9)),
        ]
        for start in range(0, len(documents), 10):
            await write(writer, *documents[start : start + 10])
        whole = await engine.search(_page(request_, 0, EVERYTHING))
        paged: list[str] = []
        for offset in range(0, whole.total + size, size):
            found = await engine.search(_page(request_, offset, size))
            assert found.total == whole.total
            assert len(found.hits) == min(size, max(whole.total - offset, 0))
            paged += [hit.id for hit in found.hits]
        assert paged == [hit.id for hit in whole.hits]
        assert len(set(paged)) == whole.total
        runs = {hit.score for hit in whole.hits}
        for score in runs if request_.sort.field is None else ():
            tied = [rank(hit.document) for hit in whole.hits if hit.score == score]
            assert tied == sorted(tied)

    async def test_the_window_has_an_end(self, engine: SearchEngine, writer: SearchWriter) -> None:
        await write(writer, image(1))
        found = await engine.search(SearchRequest(All(), offset=WINDOW - 25))
        assert (found.total, found.hits) == (1, [])
        with pytest.raises(OutOfWindow):
            await engine.search(SearchRequest(All(), offset=WINDOW - 24))
        nothing = await engine.search(SearchRequest(Words((("app",),), NAMES), most=0))
        assert (nothing.total, nothing.hits) == (1, [])

    # What is refused

    @pytest.mark.parametrize(
        "condition",
        [
            Term("nothing", "x"),
            Term("size", "x"),
            Terms("nothing", ("x",)),
            Between("nothing", 1),
            Between("tag", 1),
            Prefix("nothing", "x"),
            Prefix("size", "x"),
            Pattern("nothing", "x"),
            Near("nothing", "x", 1),
            Near("package", "x", 1),
            Near("name", "x", 3),
            Words((("x",),), (("nothing", 1.0),)),
            Every((All(), Term("nothing", "x"))),
            Some((All(), Without(Term("nothing", "x")))),
            Term("_gone", "x"),
            Term("_key", "x"),
        ],
    )
    async def test_fields_that_there_are_not_are_refused(self, engine: SearchEngine, condition: Condition) -> None:
        with pytest.raises(ValueError):
            await engine.search(SearchRequest(condition))
        with pytest.raises(ValueError):
            await engine.count([condition])
        with pytest.raises(ValueError):
            await engine.search(SearchRequest(All(), facets=(FacetRequest("tag", condition),)))

    async def test_other_sorts_facets_and_removals_are_refused(
        self, engine: SearchEngine, writer: SearchWriter
    ) -> None:
        for request in [
            SearchRequest(All(), sort=Sort("nothing")),
            SearchRequest(All(), sort=Sort("name")),
            SearchRequest(All(), sort=Sort("_version")),
            SearchRequest(All(), facets=(FacetRequest("hidden", All()),)),
            SearchRequest(All(), facets=(FacetRequest("_key", All()),)),
            SearchRequest(All(), facets=(FacetRequest("tag", All(), 0),)),
            SearchRequest(All(), offset=-1),
        ]:
            with pytest.raises(ValueError):
                await engine.search(request)
        for change in (RemoveAll("size", "1"), RemoveAll("text", "x"), RemoveAll("_state", "gone")):
            with pytest.raises(ValueError):
                await writer.apply([change])

    # Writing

    async def test_what_was_written_is_in_the_next_answer_of_every_reader(
        self, open_engine: OpenEngine, writer: SearchWriter
    ) -> None:
        readers = [open_engine(), open_engine()]
        for number in range(1, 6):
            await write(writer, image(number))
            for reader in readers:
                assert await reader.count([All()]) == [number]

    async def test_an_older_write_changes_nothing(self, engine: SearchEngine, writer: SearchWriter) -> None:
        await write(writer, image(1, tags=["new"]), version=5)
        await write(writer, image(1, tags=["old"]), version=4)
        assert await ids(engine, Term("tag", "new")) == [document_id(image(1))]
        assert await ids(engine, Term("tag", "old")) == []
        await write(writer, image(1, tags=["same"]), version=5)
        assert await ids(engine, Term("tag", "same")) == [document_id(image(1))]
        assert await ids(engine) == [document_id(image(1))]

    async def test_a_removed_document_is_not_brought_back_by_an_older_write(
        self, engine: SearchEngine, writer: SearchWriter
    ) -> None:
        name = document_id(image(1))
        await write(writer, image(1), version=3)
        await writer.apply([Remove(name, 2)])
        assert await ids(engine) == [name]
        await writer.apply([Remove(name, 5), Remove("image:never:seen", 5)])
        await write(writer, image(1), version=4)
        assert await ids(engine, All()) == []
        assert await ids(engine, Without(Term("kind", "layer"))) == []
        assert await engine.documents([name]) == [None]
        assert await engine.count([Without(Nothing()), Every(()), Between("pulls")]) == [0, 0, 0]
        await write(writer, image(1), version=6)
        assert await ids(engine) == [name]

    async def test_all_of_a_repository_go_at_once(self, engine: SearchEngine, writer: SearchWriter) -> None:
        others = [image(number, repository_id="r2") for number in range(3)]
        await write(writer, *(image(number) for number in range(3)), *others, version=9)
        await writer.apply([RemoveAll("repository_id", "r1")])
        assert set(await ids(engine)) == {document_id(other) for other in others}
        await write(writer, image(1), version=1)
        assert len(await ids(engine)) == 4

    @EXAMPLES
    @given(st.lists(st.lists(CHANGES, max_size=8), max_size=4))
    async def test_changes_are_made_in_their_order(
        self, engine: SearchEngine, writer: SearchWriter, batches: list[list[Change]]
    ) -> None:
        """Any sequence of writes and removals, in any batches, leaves what it says."""
        await clear(writer)
        # Removals are remembered from one example to the next: versions go on from there.
        self.__class__.rounds = getattr(self, "rounds", 0) + 1
        raised = self.__class__.rounds * 10
        model = Model()
        for batch in batches:
            changes = [_raised(change, raised) for change in batch]
            await writer.apply(changes)
            model.apply(changes)
            assert set(await ids(engine)) == set(model.documents)
        names = sorted(model.documents)
        assert await engine.documents(names) == [model.documents[name] for name in names]

    async def test_a_batch_that_fails_changes_nothing(self, engine: SearchEngine, writer: SearchWriter) -> None:
        await write(writer, image(1, tags=["before"]))
        unwritable = image(7, tags=[object()])
        with pytest.raises(Exception):  # noqa: B017
            await writer.apply(
                [
                    RemoveAll("repository_id", "r1"),
                    *(Write(image(number, tags=["after"]), 2) for number in range(50)),
                    Write(unwritable, 2),
                ]
            )
        assert await ids(engine, Term("tag", "before")) == [document_id(image(1))]
        await write(writer, image(99))
        assert set(await ids(engine)) == {document_id(image(1)), document_id(image(99))}

    async def test_no_reader_sees_half_a_batch(self, engine: SearchEngine, writer: SearchWriter) -> None:
        written = asyncio.Event()
        seen: set[tuple[int, ...]] = set()

        async def watch() -> None:
            while not written.is_set():
                even, odd = Term("tag", "even"), Term("tag", "odd")
                found = await engine.search(
                    SearchRequest(All(), facets=(FacetRequest("tag", All()), FacetRequest("tag", Some((even, odd)))))
                )
                seen.add((found.total, len({tuple(facet) for facet in found.facets}), len(found.facets[0])))

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(watch())
            for turn in range(8):
                await writer.apply(
                    [Write(image(number, tags=["odd" if turn % 2 else "even"]), turn) for number in range(20)]
                )
            written.set()
        assert seen <= {(0, 1, 0), (20, 1, 1)}
        assert (20, 1, 1) in seen

    async def test_nothing_to_change_is_no_error(self, engine: SearchEngine, writer: SearchWriter) -> None:
        await writer.apply([])
        assert await ids(engine) == []

    # Rebuilding

    async def test_a_rebuilt_index_takes_the_place_of_the_old_at_once(
        self, open_engine: OpenEngine, writer: SearchWriter
    ) -> None:
        """While it is made, the old one answers and is written; afterwards nothing of that is left."""
        engine = open_engine()
        await write(writer, *(image(number, tags=["old"]) for number in range(10)))
        rebuild = await writer.begin_rebuild()
        done = asyncio.Event()
        seen: set[tuple[int, int]] = set()

        async def watch() -> None:
            while not done.is_set():
                old, new = await engine.count([Term("tag", "old"), Term("tag", "new")])
                seen.add((old, new))

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(watch())
            for start in range(0, 20, 5):
                await rebuild.apply([Write(image(number, tags=["new"]), 7) for number in range(start, start + 5)])
            await rebuild.apply([Write(image(3, tags=["older"]), 6)])
            await write(writer, image(10, tags=["old"]), version=3)
            assert await engine.count([Term("tag", "old"), Term("tag", "new")]) == [11, 0]
            await rebuild.finish()
            assert await engine.count([Term("tag", "old"), Term("tag", "new")]) == [0, 20]
            done.set()
        assert seen <= {(10, 0), (11, 0), (0, 20)}
        await write(writer, image(3, tags=["older"]), version=6)
        await write(writer, image(30, tags=["new"]), version=1)
        assert await engine.count([All(), Term("tag", "older")]) == [21, 0]
        assert await open_engine().count([All()]) == [21]

    async def test_a_rebuild_is_abandoned_in_the_middle_of_writing(
        self, engine: SearchEngine, writer: SearchWriter
    ) -> None:
        await write(writer, image(1))
        rebuild = await writer.begin_rebuild()
        many = Noticed(Write(image(number, packages=[("deb/a", "1")] * 300), 1) for number in range(500))
        writing = asyncio.create_task(rebuild.apply(many))
        await asyncio.to_thread(many.begun.wait, 30)
        writing.cancel()

        await rebuild.abandon()

        assert await engine.count([All()]) == [1]

    async def test_an_abandoned_rebuild_leaves_nothing(self, engine: SearchEngine, writer: SearchWriter) -> None:
        await write(writer, image(1))
        rebuild = await writer.begin_rebuild()
        await rebuild.apply([Write(image(2), 1)])
        await rebuild.abandon()
        assert await ids(engine) == [document_id(image(1))]
        again = await writer.begin_rebuild()
        await again.finish()
        assert await ids(engine) == []
        await write(writer, image(3))
        assert await ids(engine) == [document_id(image(3))]


class Noticed(list[Change]):
    """Changes, and when somebody begins to make them."""

    def __init__(self, changes: Iterable[Change]) -> None:
        super().__init__(changes)
        self.begun = threading.Event()

    def __iter__(self) -> Iterator[Change]:
        self.begun.set()
        return super().__iter__()


def _page(request: SearchRequest, offset: int, most: int) -> SearchRequest:
    return SearchRequest(request.condition, request.exact, request.sort, offset, most)


def _raised(change: Change, by: int) -> Change:
    match change:
        case Write(document, version):
            return Write(document, version + by)
        case Remove(identity, version):
            return Remove(identity, version + by)
        case _:
            return change
