"""What a document becomes, and that whatever was written is found by the same text."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from catalog.search.analysis import (
    MOST_BYTES,
    MOST_CHARACTERS,
    MOST_GRAM,
    MOST_NUMBER,
    MOST_TEXT,
    Values,
    analyse,
    folded_value,
    gram,
    keyword,
    name_value,
    package_field,
    package_value,
    pair_value,
    words,
    words_of,
)
from catalog.search.documents import ImageDocument, LayerDocument, PackageDocument, RepositoryDocument
from catalog.search.fields import FIELDS, Type

DIGEST = "sha256:" + "a" * 64

#: Any text at all, surrogates included: labels are bytes that somebody pushed.
ANY = st.text(st.characters(exclude_categories=()), max_size=80)
#: Text whose words need analysis.
WORDED = st.text(st.sampled_from("abcXYZ019 -_./+'é漢字ßΣİ\u0301\u2028\x00\udc80"), max_size=40)

NAMES = st.from_regex(r"[a-z0-9]{1,12}(/[a-z0-9]{1,30}([._-][a-z0-9]{1,9})?){1,3}", fullmatch=True)


def image(**changes: object) -> Values:
    """The values of an image that says *changes* of itself."""
    fields = {"repository_id": "r1", "repository": "team/app", "public": True, "digest": DIGEST, **changes}
    return analyse(ImageDocument(**fields))  # type: ignore[arg-type]


def texts(values: Values, field: str) -> list[str]:
    found = values.get(field, [])
    assert isinstance(found, list)
    return found


class TestKeywords:
    @given(ANY)
    def test_are_what_every_engine_takes_and_stay_what_they_are(self, text: str) -> None:
        value = keyword(text)
        assert len(value.encode()) <= MOST_BYTES
        assert keyword(value) == value
        assert folded_value(value.lower()) == folded_value(value)

    @given(st.text(max_size=100), st.integers(100, 2000))
    def test_long_ones_are_told_apart_to_their_last_character(self, text: str, length: int) -> None:
        assert keyword(text + "é" * length + "1") != keyword(text + "é" * length + "2")

    def test_seventy_thousand_characters_are_found_again(self) -> None:
        long = "x" * 70_000
        assert pair_value("note", long) in texts(image(labels={"note": long}), "label")
        assert len(pair_value("note", long)) < MOST_BYTES + 3

    def test_ones_of_the_greatest_length_are_kept_as_they_are(self) -> None:
        assert keyword("x" * MOST_BYTES) == "x" * MOST_BYTES
        assert keyword("é" * (MOST_BYTES // 2)) == "é" * (MOST_BYTES // 2)
        assert keyword("é" * (MOST_BYTES // 2 + 1)) != "é" * (MOST_BYTES // 2 + 1)


class TestWords:
    @given(st.one_of(ANY, WORDED))
    @example("İSTANBUL ΑΣ ΑΣ-β")
    @example("myPython3-Thing")
    @example("a__b..c")
    def test_whatever_was_written_is_found_by_asking_for_it(self, text: str) -> None:
        held = set(words_of([text]))
        for alternatives in words(text):
            assert not held.isdisjoint(alternatives), alternatives

    @given(st.one_of(ANY, WORDED))
    def test_hold_nothing_that_would_end_them(self, text: str) -> None:
        for word in [*words_of([text]), *(word for alternatives in words(text) for word in alternatives)]:
            assert word
            assert len(word) <= MOST_CHARACTERS
            assert word.split() == [word]
            word.encode()

    @pytest.mark.parametrize(
        ("text", "held"),
        [
            ("nginx-Ingress2", ["nginx-ingress2", "nginx", "ingress2", "ingress", "2"]),
            ("HTTPServer", ["httpserver", "http", "server"]),
            ("library/redis", ["library", "redis"]),
            ("k8s", ["k8s", "k", "8", "s"]),
            ("C++ and C", ["c++", "c", "and", "c"]),
            ("über-Maß", ["über-mass", "über", "mass"]),
            ("容器镜像", ["容器镜像", "容", "器", "镜", "像"]),
            ("ｆｕｌｌ", ["full"]),
            (" ... -- \x00 ", []),
        ],
    )
    def test_are_segments_pieces_and_parts(self, text: str, held: list[str]) -> None:
        assert words_of([text]) == held

    @pytest.mark.parametrize(
        ("text", "asked"),
        [
            ("nginx", [("nginx",)]),
            ("NGINX nginx", [("nginx",)]),
            ("postgres", [("postgres", "postgresql")]),
            ("kubernetes", [("kubernetes", "k8s")]),
            ("k8s", [("k8s", "kubernetes")]),
            ("Node.js", [("node.js", "node", "nodejs")]),
            ("go-toolset", [("go", "golang", "go-toolset"), ("toolset", "go-toolset")]),
            ("redis7", [("redis", "redis7"), ("7", "redis7")]),
            ("log4j", [("log4j",)]),
            ("容器", [("容", "容器"), ("器", "容器")]),
            ("", []),
        ],
    )
    def test_asked_for_have_what_will_do_as_well(self, text: str, asked: list[tuple[str, ...]]) -> None:
        assert words(text) == asked

    def test_asked_for_find_what_was_written_otherwise(self) -> None:
        for written, typed in [
            ("postgresql-client", "postgres client"),
            ("redis-7", "redis7"),
            ("redis7", "redis 7"),
            ("myApp", "my app"),
            ("myApp", "MYAPP"),
            ("node_exporter", "node-exporter"),
        ]:
            held = set(words_of([written]))
            assert all(not held.isdisjoint(alternatives) for alternatives in words(typed)), (written, typed)

    def test_are_read_up_to_a_limit_over_all_texts(self) -> None:
        texts = ["word " * 1000] * 100
        assert len(words_of(texts)) <= MOST_TEXT // 5 + 1

    def test_a_long_word_is_cut_where_it_is_asked_for_as_well(self) -> None:
        long = "x" * 5000
        assert words_of([long]) == [long[:MOST_CHARACTERS]]
        assert words(long) == [(long[:MOST_CHARACTERS],)]


class TestNames:
    def test_of_the_common_namespace_may_go_without_it(self) -> None:
        values = image(repository="library/Nginx-Ingress")
        assert values["name"] == ["library/nginx-ingress", "nginx-ingress"]
        assert values["last"] == ["nginx-ingress"]
        assert values["namespace"] == ["library"]
        assert values["repository"] == ["library/Nginx-Ingress"]

    def test_of_other_namespaces_stand_whole(self) -> None:
        values = image(repository="team/sub/app")
        assert values["name"] == ["team/sub/app"]
        assert values["last"] == ["app"]

    @given(NAMES, st.data())
    def test_are_suggested_by_every_beginning_of_them_and_of_their_segments(
        self, name: str, chosen: st.DataObject
    ) -> None:
        start = chosen.draw(st.sampled_from([name, *name.split("/")]))
        typed = start[: chosen.draw(st.integers(0, len(start)))]
        grams = texts(image(repository=name), "grams")
        if gram(typed):
            assert gram(typed) in grams
        else:
            assert len(name_value(typed)) < 2
        assert all(2 <= len(value) <= MOST_GRAM for value in grams)


class TestDocuments:
    def test_an_image(self) -> None:
        values = image(
            tags=["latest", "1.0"],
            parents=["sha256:" + "b" * 64],
            platform="linux/arm64/v8",
            size=5,
            created=-1,
            pushed=1_700_000_000,
            layers=["sha256:l"],
            diff_ids=["sha256:d"],
            chains=["sha256:c1", "sha256:c2"],
            histories=["history:1", "history:2", "history:3"],
            packages=[("deb/OpenSSL", "3.0.11-1A"), ("deb/openssl", "3.0.11-1A"), ("npm/@babel/core", "")],
            sources=[("deb/glibc", "2.36")],
            removed=[("deb/curl", "7")],
            licenses=["MIT"],
            labels={"team": "payments", "empty": ""},
            annotations={"org.opencontainers.image.version": "1"},
            env=["PATH", "SECRET=hunter2"],
            entrypoint=["/docker-entrypoint.sh"],
            command=["nginx", "-g"],
            user="app",
            ports=["8080/tcp", "53/UDP", "9090"],
            distro=("Debian", "12"),
            bases=["docker.io/library/debian:12@" + DIGEST],
            artifact_type="Application/X",
            hidden=["abc"],
            official=True,
        )
        assert values["id"] == [f"image:r1:{DIGEST}"]
        assert values["kind"] == ["image"]
        assert values["public"] == ["yes"]
        assert values["is"] == ["official", "latest"]
        assert (values["platform"], values["os"], values["arch"]) == (["linux/arm64/v8"], ["linux"], ["arm64"])
        assert values["digest"] == [DIGEST, "sha256:" + "b" * 64]
        assert values["layer"] == ["sha256:l", "sha256:d"]
        assert values["top"] == ["sha256:c2", "history:3"]
        assert values["chain"] == ["sha256:c1", "history:1", "history:2"]
        assert values["package"] == ["deb/openssl", "npm/@babel/core"]
        assert values["package_version"] == ["deb/openssl@3.0.11-1A"]
        assert (values["source"], values["source_version"]) == (["deb/glibc"], ["deb/glibc@2.36"])
        assert (values["removed"], values["removed_version"]) == (["deb/curl"], ["deb/curl@7"])
        assert package_value("deb", "OpenSSL", "3.0.11-1A") in values[package_field("package")]
        assert values["license"] == ["mit"]
        assert values["label"] == ["team=payments", "empty="]
        assert values["label_key"] == ["team", "empty"]
        assert values["annotation_key"] == ["org.opencontainers.image.version"]
        assert values["env"] == ["PATH", "SECRET"]
        assert values["port"] == ["8080/tcp", "8080", "53/udp", "53", "9090/tcp", "9090"]
        assert values["distro"] == ["debian", "debian:12"]
        assert {"debian", "debian:12", "library/debian", DIGEST} < set(texts(values, "base"))
        assert values["artifact"] == ["application/x"]
        assert {"docker-entrypoint.sh", "nginx", "g"} < set(texts(values, "command"))
        assert {"payments", "nginx"} < set(texts(values, "text"))
        assert (values["size"], values["layers"], values["pushed"], values["pulls"]) == (5, 1, 1_700_000_000, 0)
        assert "created" not in values
        assert "hunter2" not in str(values)

    def test_an_image_that_says_nothing(self) -> None:
        values = image()
        assert set(values) == {
            *("id", "kind", "name", "last", "words", "grams", "repository_id", "repository", "namespace", "public"),
            *("digest", "pulls", "size", "layers"),
        }

    def test_a_repository(self) -> None:
        values = analyse(
            RepositoryDocument(
                id="r1",
                name="library/redis",
                public=False,
                description="Redis is a *fast* store",
                pulls=2**70,
                pulled=5,
                platforms=["linux/amd64", "linux/arm64"],
                deprecated=True,
            )
        )
        assert values["id"] == ["repository:r1"]
        assert values["repository_id"] == ["r1"]
        assert values["public"] == ["no"]
        assert values["is"] == ["deprecated"]
        assert values["text"] == ["redis", "is", "a", "fast", "store"]
        assert values["pulls"] == MOST_NUMBER
        assert values["platform"] == ["linux/amd64", "linux/arm64"]
        assert "pushed" not in values

    def test_a_layer_and_a_package(self) -> None:
        layer = analyse(LayerDocument(diff_id="sha256:d", blobs={"sha256:l": 3}, raw_size=5))
        assert (layer["id"], layer["layer"]) == (["layer:sha256:d"], ["sha256:d", "sha256:l"])
        assert layer["size"] == 5
        package = analyse(PackageDocument(ecosystem="go", name="github.com/BurntSushi/toml", versions=["v1"]))
        assert package["id"] == ["package:go/github.com/BurntSushi/toml"]
        assert package["package"] == ["go/github.com/burntsushi/toml"]
        assert package["last"] == ["toml"]
        assert "repository_id" not in package

    @given(
        st.builds(
            ImageDocument,
            repository_id=ANY,
            repository=ANY,
            public=st.booleans(),
            digest=ANY,
            platform=ANY,
            size=st.integers(),
            created=st.integers(),
            labels=st.dictionaries(ANY, ANY, max_size=4),
            annotations=st.dictionaries(ANY, ANY, max_size=4),
            packages=st.lists(st.tuples(ANY, ANY), max_size=4),
            env=st.lists(ANY, max_size=3),
            ports=st.lists(ANY, max_size=3),
            bases=st.lists(ANY, max_size=3),
            history=st.lists(ANY, max_size=3),
            distro=st.none() | st.tuples(ANY, ANY),
        )
    )
    def test_hostile_ones_become_values_that_every_engine_takes(self, document: ImageDocument) -> None:
        for field, values in analyse(document).items():
            if FIELDS[field] is Type.NUMBER:
                assert isinstance(values, int)
                assert 0 <= values <= MOST_NUMBER
            else:
                assert isinstance(values, list)
                assert values
                assert all(value and len(value.encode()) <= MOST_BYTES for value in values)
