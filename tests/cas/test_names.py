from __future__ import annotations

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cas.digest import Digest
from cas.errors import InvalidName, InvalidRepositoryName, InvalidTag, InvalidUploadId
from cas.names import RepositoryName, Tag, parse_reference
from cas.store import UploadId

# The distribution specification's own words, "Pulling manifests".
SPECIFIED_NAME = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
SPECIFIED_TAG = r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"

words = st.text("abz019", min_size=1, max_size=4)
separators = st.sampled_from([".", "_", "__", "-", "---", "/"])
beginnings = st.lists(st.tuples(words, separators).map("".join), max_size=8).map("".join)
names = st.tuples(beginnings, words).map("".join)
tags = st.from_regex(SPECIFIED_TAG, fullmatch=True)
almost_names = st.text("a0._-/A:@\n ", max_size=12)


@given(names)
def test_every_specified_name_is_parsed_and_spelled_alike_again(text: str) -> None:
    assert re.fullmatch(SPECIFIED_NAME, text)
    name = RepositoryName.parse(text)

    assert str(name) == (text if "/" in text else f"library/{text}")
    assert RepositoryName.parse(name.short()) == name
    assert RepositoryName.parse(str(name)) == name


@given(almost_names | st.text(max_size=12))
def test_a_name_is_parsed_where_the_specification_has_it(text: str) -> None:
    """And so no name is a path that leads anywhere else."""
    try:
        name = RepositoryName.parse(text)
    except InvalidRepositoryName as error:
        assert error.text == text
        assert not re.fullmatch(SPECIFIED_NAME, text)
        return
    assert re.fullmatch(SPECIFIED_NAME, text)
    assert ".." not in str(name)
    assert not str(name).startswith("/")


@pytest.mark.parametrize(
    ("text", "whole", "namespace", "short"),
    [
        ("alpine", "library/alpine", "library", "alpine"),
        ("library/alpine", "library/alpine", "library", "alpine"),
        ("library/team/app", "library/team/app", "library", "library/team/app"),
        ("team/app", "team/app", "team", "team/app"),
        ("team/app/api", "team/app/api", "team", "team/app/api"),
    ],
)
def test_a_single_component_is_in_the_default_namespace(text: str, whole: str, namespace: str, short: str) -> None:
    name = RepositoryName.parse(text)

    assert (str(name), name.namespace, name.short()) == (whole, namespace, short)


def test_the_default_namespace_is_a_setting() -> None:
    name = RepositoryName.parse("alpine", "base")

    assert (str(name), name.short("base"), name.short()) == ("base/alpine", "alpine", "base/alpine")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        "A",
        "a.",
        ".a",
        "a..b",
        "a___b",
        "a_-b",
        "-a",
        "a-",
        "a b",
        "a\n",
        "ä",
        "a/../b",
        "٣",
    ],
)
def test_other_names_are_refused(text: str) -> None:
    with pytest.raises(InvalidRepositoryName):
        RepositoryName.parse(text)


def test_a_name_is_at_most_255_characters_with_its_namespace() -> None:
    assert len(str(RepositoryName.parse("n/" + "a" * 253))) == 255
    assert len(str(RepositoryName.parse("a" * 247))) == 255
    for text in ("n/" + "a" * 254, "a" * 248):
        with pytest.raises(InvalidRepositoryName) as error:
            RepositoryName.parse(text)
        assert len(str(error.value)) < 350


@given(tags)
def test_every_specified_tag_is_parsed(text: str) -> None:
    assert str(Tag.parse(text)) == text
    assert parse_reference(text) == Tag.parse(text)


@given(st.text("a0._-/A:@\n ", max_size=12) | st.text(max_size=12))
def test_a_tag_is_parsed_where_the_specification_has_it(text: str) -> None:
    try:
        Tag.parse(text)
    except InvalidTag:
        assert not re.fullmatch(SPECIFIED_TAG, text)
    else:
        assert re.fullmatch(SPECIFIED_TAG, text)


@pytest.mark.parametrize("text", ["", ".a", "-a", "a" * 129, "a:b", "a/b", "a\n", "ä", "a b"])
def test_other_tags_are_refused(text: str) -> None:
    with pytest.raises(InvalidTag):
        Tag.parse(text)


@given(st.binary())
def test_a_reference_with_a_colon_is_a_digest(content: bytes) -> None:
    assert parse_reference(str(Digest.of(content))) == Digest.of(content)


@given(st.text() | almost_names)
def test_a_reference_is_parsed_or_refused_as_a_name(text: str) -> None:
    with suppress(InvalidName):
        assert str(parse_reference(text)) == text


@pytest.mark.parametrize("text", ["", "0" * 31, "0" * 33, "A" * 32, "../" + "0" * 29, "0" * 32 + "\n", "g" * 32])
def test_other_upload_ids_are_refused(text: str) -> None:
    with pytest.raises(InvalidUploadId):
        UploadId.parse(text)
