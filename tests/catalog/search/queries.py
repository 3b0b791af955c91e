"""Random worlds, people and queries for `tests.catalog.search.world`: few values, so that they meet."""

from __future__ import annotations

from hypothesis import strategies as st

from catalog.search.language.parser import MOST_PATTERNS
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
    index_digest,
    sha256,
)

NAMES = ["library/nginx", "library/nginx-proxy", "team/app", "team/deep/api", "alice/app", "alice/notes"]

PEOPLE = [
    Person("nobody"),
    Person("alice", frozenset({"alice"})),
    Person("bob", frozenset({"team", "bob"})),
    Person("root", administrator=True),
    Person("alice", frozenset({"alice"}), limits=("alice/app", "team/*")),
    Person("root", administrator=True, limits=("team/*",)),
    Person("root", administrator=True, limits=("*",)),
    Person("bob", frozenset({"team", "bob"}), limits=()),
]

#: What a repository's documents say of it, and what its row says.
VISIBILITIES = [
    *[(True, True)] * 4,
    *[(False, False)] * 2,
    (True, False),
    (True, None),
    (False, True),
    (False, None),
]

PACKAGES = [
    ("deb/openssl", "1.0-1"),
    ("deb/openssl", "1.1-1"),
    ("deb/openssl", "2.0-1"),
    ("deb/curl", "1.0-1"),
    ("deb/libssl", "1.1-1"),
    ("rpm/openssl", "2.0-1"),
]


def some(values: list[tuple[str, str]]) -> st.SearchStrategy[tuple[tuple[str, str], ...]]:
    return st.tuples(st.permutations(values), st.integers(0, 4)).map(lambda drawn: tuple(drawn[0][: drawn[1]]))


#: What images say that they are built on: names, digests of images and of indexes, both, and what is nowhere.
BASES = [
    *("", "", "nginx:latest", "debian:12"),
    *(image_digest(0), image_digest(1), index_digest(0), index_digest(1), image_digest(99)),
    *(f"mirror/nginx:1@{image_digest(0)}", f"debian:12@{index_digest(1)}", f"debian:12@{image_digest(99)}"),
]


STEPS = st.sampled_from([None, (), (), ("ENV",), ("ENV", "CMD"), ("LABEL",), ("LABEL", "CMD")])


def contents(number: int) -> st.SearchStrategy[Content]:
    return st.builds(
        Content,
        st.just(number),
        st.integers(1, 4).flatmap(lambda few: st.lists(st.sampled_from(LAYERS), min_size=few, max_size=few)).map(tuple),
        packages=some(PACKAGES),
        removed=some(PACKAGES),
        labels=st.dictionaries(
            st.sampled_from(["team", "stage"]), st.sampled_from(["payments", "search", "two words"])
        ).map(lambda labels: tuple(labels.items())),
        license=st.sampled_from(["", "mit", "gpl-2.0"]),
        distro=st.sampled_from([None, ("debian", "12"), ("debian", "11"), ("alpine", "3.19")]),
        platform=st.sampled_from(["linux/amd64", "linux/arm64/v8", "windows/amd64"]),
        created=st.integers(0, 5).map(lambda day: FIRST + day * DAY + 5),
        base=st.sampled_from(BASES),
        indexed=st.booleans(),
        user=st.sampled_from(["", "root", "1000"]),
        ports=st.sampled_from([(), ("80/tcp",), ("53/udp", "80/tcp")]),
        env=st.sampled_from([(), ("PATH",), ("PATH", "JAVA_HOME")]),
        smaller=st.booleans(),
        steps=STEPS,
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    repositories = [
        Repository(
            name,
            *draw(st.sampled_from(VISIBILITIES)),
            description=draw(st.sampled_from(["", "the proxy", "payments api"])),
            official=name.startswith("library/"),
            deprecated=draw(st.booleans()),
            pushed=FIRST + draw(st.integers(0, 5)) * DAY,
            pulled=draw(st.sampled_from([0, FIRST])),
            pulls=draw(st.integers(0, 3)),
        )
        for name in draw(st.permutations(NAMES))[: draw(st.integers(2, 5))]
    ]
    built = [draw(contents(number)) for number in range(draw(st.integers(2, 5)))]
    everywhere = [(repository, content) for repository in repositories for content in built]
    places = draw(st.permutations(everywhere))[: draw(st.integers(3, 10))]
    images = [
        Image(
            repository,
            content,
            tuple(draw(st.lists(st.sampled_from(["latest", "v1", "v2", "1.25"]), max_size=2, unique=True))),
            FIRST + draw(st.integers(0, 5)) * DAY,
        )
        for repository, content in places
    ]
    return World(repositories, images, draw(st.sampled_from(PEOPLE)))


@st.composite
def layered_worlds(draw: st.DrawFn) -> World:
    """Images that differ in their layers alone, or in steps that made none, some on top of others, in a public
    repository and in a private one."""
    repositories = [
        Repository("library/nginx", True, True),
        Repository("team/app", *draw(st.sampled_from(VISIBILITIES))),
    ]
    stacks: list[tuple[Layer, ...]] = []
    for _ in range(5):
        below = draw(st.sampled_from([(), *stacks]))
        stacks.append((*below, *draw(st.permutations(LAYERS))[: draw(st.integers(0 if below else 1, 3))]))
    images = [
        Image(draw(st.sampled_from(repositories)), Content(number, layers, steps=draw(STEPS)), (f"v{number}",))
        for number, layers in enumerate(stacks)
    ]
    return World(repositories, images, draw(st.sampled_from(PEOPLE[:4])))


def short(layer: Layer) -> str:
    return layer.digest.removeprefix("sha256:")[:9]


WORDS = ["nginx", "proxy", "app", "team", "payments", "words", "ngin", "nothing", "nginx-proxy", "ng*", "ap*", "team/*"]

OF_BOTH = [
    *("repo:nginx", "repo:team/app", "repo:app", "repo:team/*", "repo:ng*", "repo:/.*app/", "repo:/nginx.*/"),
    *("org:team", "org:alice,library", "org:/a.*/", "is:official", "is:deprecated", "is:public", "is:private"),
    *("is:public,deprecated", "os:linux", "os:win*", "arch:arm64", "arch:amd64", "arch:arm64/v8", "arch:linux/arm64"),
    *("pushed:2026-01-03", "pushed:>=2026-01-03", "pushed:<2026-01-03,>2026-01-01", "pushed:2026-01-02..2026-01-04"),
    *("pushed:-27d", "pushed:<-27d", "pushed:!=2026-01-03", "created:>=2026-01-01"),
]

OF_FILES = [
    *("path:/etc/passwd", "path:etc/passwd", "path:/etc/*", "path:/etc/", "path:/etc/p.*/", "path:/app/config.yml"),
    *("file:passwd", "file:pas*", "file:sh", "file:/.*\\.pem/", "file:config.yml,cert.pem", "path:/nowhere/else"),
    *("path:/usr/bin/app", "path:/bin/app", "path:/usr/bin/sh", "path:/bin/sh", "path:/usr/bin/*", "path:/opt/*"),
    *("path:/usr/bin/.*[hp]/", "path:/opt/ssl/cert.pem", "path:/bin", "file:app", "file:dash*", "file:sh,passwd"),
    *(f"sha256:{sha256(content)}" for content in ("root", "root and me", "one", "shell", "program", "dash")),
]
OF_FILES = [each for each in OF_FILES if not each.startswith("file:/.")]

OF_LAYERS = [
    f"layer:{LAYERS[0].digest}",
    f"layer:{LAYERS[2].diff_id}",
    f"layer:{short(LAYERS[1])}",
    f"layer:{LAYERS[3].digest},{LAYERS[4].digest}",
    f"layer:{LAYERS[0].smaller}",
    f"layer:{LAYERS[1].smaller[:17]}",
]

OF_PACKAGES = [
    *("package:openssl", "package:deb/openssl", "package:deb/openssl@1.1-1", "package:openssl@2.0-1"),
    *("package:openssl<1.1-1", "package:openssl>=1.1-1", "package:deb/openssl>1.0-1,<2.0-1", "package:openssl!=2.0-1"),
    *("package:lib*", "package:deb/lib*", "package:/deb/(curl|libssl)/", "package:curl,openssl=1.0-1"),
    *(
        "package:nothing<2.0-1",
        "package:deb/openssl<=1.1-1,curl",
    ),
    "package:/deb/.*l.*/",
]

OF_IMAGES = [
    *("tag:latest", "tag:v1,1.25", "tag:v*", "tag:/v[0-9]/", "is:latest", "label:team", "label:team=payments"),
    *("label.team:payments", 'label:"team=two words"', "label:team=pay*", "label.stage:/.*s/", "label:st*"),
    *("license:mit", "license:gpl*", "distro:debian", "distro:debian:12", "distro:debian:*", "user:root", "user:1*"),
    *("port:80", "port:53/udp", "env:JAVA_HOME", "env:JAVA*", "size:>400", "size:100..600", "size:500,600", "size:<0"),
    *("layers:2", "layers:>=2,<4", "layers:!=1", "base:nginx:latest", "base:team/app", "base:nginx", "base:debian:12"),
    *(f"digest:{Content(0, ()).digest}", f"digest:{Content(1, ()).digest.removeprefix('sha256:')[:8]}"),
    f"sha256:{Content(2, ()).digest.removeprefix('sha256:')}",
    *OF_FILES,
    *OF_LAYERS,
    *OF_PACKAGES,
]

WORD = st.sampled_from(WORDS)


def joined(leaves: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Texts of one to some of *leaves*, with groups, alternatives and negations."""
    either = st.lists(leaves, min_size=2, max_size=3).map(" OR ".join).map("({})".format)
    together = st.lists(leaves, min_size=2, max_size=3).map(" ".join).map("({})".format)
    inner = st.one_of(leaves, leaves, either, st.tuples(leaves, together).map(" OR ".join).map("({})".format))
    node = st.one_of(leaves, leaves, inner, inner.map("-{}".format))
    texts = st.one_of(node, node, st.lists(node, min_size=2, max_size=3).map(" ".join))
    # Every pattern among them has `.*`; one more is added by whoever asks.
    return texts.filter(lambda text: text.count(".*") < MOST_PATTERNS)


DELETED = st.sampled_from(["", "", "", "deleted:yes ", "deleted:include "])
END = st.sampled_from(["", " "])


def several(texts: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    """Some queries of one world: to write it costs more than to ask it."""
    return st.lists(texts, min_size=8, max_size=8)


REPOSITORY_QUERIES = several(st.one_of(st.just(""), joined(st.one_of(WORD, st.sampled_from(OF_BOTH)))))
_OF_IMAGES = st.one_of(st.sampled_from(OF_IMAGES), st.sampled_from(OF_FILES), st.sampled_from(OF_BOTH), WORD)
IMAGE_QUERIES = several(
    st.one_of(
        st.builds("{}type:image {}".format, DELETED, joined(_OF_IMAGES)),
        st.builds("{}type:image {}".format, DELETED, joined(st.sampled_from(OF_FILES))),
        st.builds(
            "type:repository {} {}".format,
            st.sampled_from(["tag:latest", "-file:passwd pulled:>-60d", "package:openssl"]),
            joined(_OF_IMAGES),
        ),
    )
)

_OF_LAYERS = st.one_of(
    st.sampled_from(OF_FILES),
    st.sampled_from(OF_FILES),
    st.sampled_from([f"base:{name}:v{number}" for name in ("nginx", "team/app") for number in range(4)]),
)
LAYER_QUERIES = several(st.builds("{}type:image {}".format, DELETED, joined(_OF_LAYERS)))
