"""The query language: what texts say, how trees are written, what errors point at."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from catalog.search.errors import QueryError
from catalog.search.language import (
    COMING,
    FIELDS,
    And,
    Field,
    Form,
    Node,
    Not,
    Or,
    Takes,
    Term,
    Value,
    both,
    either,
    negated,
    parse,
    write,
)
from catalog.search.language.check import fields_of
from catalog.search.language.parser import DEEPEST, LONGEST, MOST_LEAVES, MOST_PATTERNS

HEX = "0123456789abcdef" * 4


def field(name: str, *values: str | Value, key: str | None = None) -> Field:
    return Field(name, tuple(value if isinstance(value, Value) else Value(value) for value in values), key)


EXAMPLES: list[tuple[str, Node]] = [
    ("", And(())),
    ("  \t\n", And(())),
    ("nginx", Term("nginx")),
    ("nginx*", Term("nginx", Form.BEGINNING)),
    ('"two words"', Term("two words", quoted=True)),
    (r'"say \"hi\" \\ "', Term(r'say "hi" \ ', quoted=True)),
    ('a "not closed', both([Term("a"), Term("not closed", quoted=True)])),
    ('a "', both([Term("a"), Term("", quoted=True)])),
    ("a b", And((Term("a"), Term("b")))),
    ("a AND b", And((Term("a"), Term("b")))),
    ("a OR b c OR d", Or((Term("a"), And((Term("b"), Term("c"))), Term("d")))),
    ("(a OR b) c", And((Or((Term("a"), Term("b"))), Term("c")))),
    ("((a b)) c", And((Term("a"), Term("b"), Term("c")))),
    ("-a", Not(Term("a"))),
    ("NOT a", Not(Term("a"))),
    ("NOT -a", Term("a")),
    ("-(a b)", Not(And((Term("a"), Term("b"))))),
    ("a - b", And((Term("a"), Term("-"), Term("b")))),
    ("not and or", And((Term("not"), Term("and"), Term("or")))),
    # A colon makes a field of known names alone, and the first one alone splits.
    ("base:debian:12", field("base", "debian:12")),
    (f"layer:sha256:{HEX}", field("layer", f"sha256:{HEX}")),
    (f"sha256:{HEX}", field("sha256", HEX)),
    ("repo:host:5000/x", field("repo", "host:5000/x")),
    ("port:8080/tcp", field("port", "8080/tcp")),
    ("http://x", Term("http://x")),
    ("pkg:deb/openssl@3", Term("pkg:deb/openssl@3")),
    (f"sha512:{HEX}{HEX}", Term(f"sha512:{HEX}{HEX}")),
    ("localhost:5000/team/app", Term("localhost:5000/team/app")),
    ("registry.example:5000/x", Term("registry.example:5000/x")),
    ("std::string", Term("std::string")),
    ("12:30", Term("12:30")),
    ("library/nginx:1.25", Term("library/nginx:1.25")),
    ("Tag:x", field("tag", "x")),
    # Values
    ("tag:1,2", field("tag", "1", "2")),
    ("tag:1,,2,", field("tag", "1", "2")),
    ('tag:"1,2"', field("tag", "1,2")),
    ("tag:v*", field("tag", Value("v", Form.BEGINNING))),
    ('tag:"v*"', field("tag", "v*")),
    ("tag:/v[0-9]+/", field("tag", Value("v[0-9]+", Form.PATTERN))),
    ("(tag:/v(1|2)/)", field("tag", Value("v(1|2)", Form.PATTERN))),
    ("tag:/a/,/b{1,2}/", field("tag", Value("a", Form.PATTERN), Value("b{1,2}", Form.PATTERN))),
    ("path:/etc/passwd", field("path", "/etc/passwd")),
    ("path:/etc/ssl/", field("path", Value("/etc/ssl/", Form.BEGINNING))),
    ("path:/etc/ssl/*", field("path", Value("/etc/ssl/", Form.BEGINNING))),
    (r"path:/etc/.*\.pem/", field("path", Value(r"etc/.*\.pem", Form.PATTERN))),
    ("label:team=payments", field("label", "team=payments")),
    ("label.team:payments", field("label", "payments", key="team")),
    ("label.com.docker/x:1", field("label", "1", key="com.docker/x")),
    ('label:team="a b",c', field("label", "team=a b", "c")),
    ('label.team:""', field("label", "", key="team")),
    ("package:openssl<3.0.7", field("package", "openssl<3.0.7")),
    ("package:deb/openssl>=1,<2", field("package", "deb/openssl>=1", Value("2", operator="<"))),
    ("package:npm/@babel/core@7.1.0", field("package", "npm/@babel/core@7.1.0")),
    ("size:>=10MB", field("size", Value("10MB", operator=">="))),
    ("size:1.5GiB..2GiB", field("size", "1.5GiB..2GiB")),
    ("pushed:-30d", field("pushed", "-30d")),
    ("pushed:>-30d", field("pushed", Value("-30d", operator=">"))),
    ("created:2026-05-01T10:30Z", field("created", "2026-05-01T10:30Z")),
    ("layers:!=3", field("layers", Value("3", operator="!="))),
    ("sort:size type:image", And((field("sort", "size"), field("type", "image")))),
]


@pytest.mark.parametrize(("text", "tree"), EXAMPLES)
def test_a_text_says(text: str, tree: Node) -> None:
    assert parse(text) == tree
    assert parse(write(tree)) == tree


#: A text, what the carets stand under, a part of the message, the suggestion.
ERRORS = [
    ("nginx is:publik", "publik", "public, private", "public"),
    ("packege:x", "packege", "no field packege", "package:"),
    ("  image:x", "image", "no field image", "repo:"),
    ("nginx:1.25", "nginx", "no field nginx", "repo:nginx tag:1.25"),
    ("qqqqqq:", "qqqqqq", "no field", None),
    ("tag:", "tag:", "as in tag:1.25", None),
    ("tag: 1", "tag:", "needs a value", None),
    ("size:>", ">", "needs a value", None),
    ("stars:>3", "stars", "yet", None),
    ("signed:yes", "signed", "yet", None),
    ("has:sbom", "has", "yet", None),
    ("(a", "(", "not closed", None),
    ("a )", ")", "closes nothing", None),
    ("a ()", "(", "nothing stands", None),
    ("a OR", "OR", "must follow OR", None),
    ("OR a", "OR", "before OR", None),
    ("a NOT", "NOT", "must follow NOT", None),
    ("a (OR b)", "OR", "before OR", None),
    ("size:12XB", "12XB", "a size", None),
    ("layers:many", "many", "whole number", None),
    ("pushed:yesterday", "yesterday", "a date", None),
    ("pushed:2026-02-30", "2026-02-30", "a date", None),
    ("pushed:..", "..", "one end", None),
    ("tag:>1", ">1", "not compared", None),
    ("package:<3", "<3", "before it", None),
    ("package:a@1<3", "a@1<3", "not both", None),
    ("package:/libssl.*/", "/libssl.*/", "ecosystem", None),
    ("package:openssl@3*", "openssl@3*", "whole or compared", None),
    ("src:glibc<2", "glibc<2", "not compared", None),
    ("purl:deb/openssl", "deb/openssl", "package URL", None),
    ("digest:sha256:12345", "sha256:12345", "7 digits", None),
    ("sha256:abc", "abc", "64", None),
    ("file:lib/x", "lib/x", "last part", "path:lib/x"),
    ("file:a*", "a*", "3 characters", None),
    ("cmd:/a+/", "/a+/", "not a regular expression", None),
    ("size:1*", "1*", "not the beginning", None),
    ("tag:/x(/", "(", "not closed", None),
    ("tag:/(a{99}){99}/", "(a{99}){99}", "come to more", None),
    ("path:/.*/", ".*", "plain characters", None),
    ("repo:nginx:1.25", "nginx:1.25", "without a tag", "repo:nginx tag:1.25"),
    ("(type:image OR a)", "type:image", "whole query", None),
    ("-sort:size", "sort:size", "whole query", None),
    ("type:image type:file", "type:file", "given before", None),
    ("type:image,file", "file", "one value", None),
    ("tag.x:1", "tag.x:", "no parts", None),
    ("a\ud800", "?", "no character", None),
]


@pytest.mark.parametrize(("text", "under", "message", "suggestion"), ERRORS)
def test_an_error_points_at(text: str, under: str, message: str, suggestion: str | None) -> None:
    with pytest.raises(QueryError) as raised:
        parse(text)

    error = raised.value
    assert error.text[error.start : error.stop] == under or under == "?"
    assert message in error.message
    assert error.suggestion == suggestion
    carets = str(error).splitlines()[-1]
    assert carets == " " * error.start + "^" * (error.stop - error.start)


@pytest.mark.parametrize(
    "text",
    [
        "a" * (LONGEST + 1),
        "a " * (MOST_LEAVES + 1),
        "tag:" + ",".join("a" * (MOST_LEAVES + 1)),
        " ".join(["tag:/a+/"] * (MOST_PATTERNS + 1)),
        "tag:" + ",".join(["/a+/"] * (MOST_PATTERNS + 1)),
        "(" * (DEEPEST + 2) + "a" + ")" * (DEEPEST + 2),
        "-" * 1000 + "a",
        "NOT " * 400 + "a",
        "(" * LONGEST,
    ],
)
def test_what_is_too_large_is_refused(text: str) -> None:
    with pytest.raises(QueryError, match=r"at most|more than|not closed"):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "a " * MOST_LEAVES,
        "(" * DEEPEST + "a" + ")" * DEEPEST,
        "a OR " * 99 + "a",
        " ".join(["tag:/a+/,b"] * MOST_PATTERNS),
    ],
)
def test_what_is_just_small_enough_is_read(text: str) -> None:
    assert parse(write(parse(text))) == parse(text)


ANYTHING = st.text(max_size=60) | st.text(alphabet='abc :"()-*/\\,<>=.!ORNT[]{}1', max_size=60)


@given(ANYTHING | st.builds("{}:{}".format, st.sampled_from(sorted(FIELDS)), ANYTHING))
@example('tag:"\\')
@example("label.a:/\\//")
@example('"\\')
def test_any_text_is_a_query_or_an_error_within_it(text: str) -> None:
    """Whatever is typed: a tree that can be written and read again, or an error that points into the text."""
    try:
        tree = parse(text)
    except QueryError as error:
        assert 0 <= error.start < max(error.stop, 1) <= max(len(error.text), 1) + 1
        assert error.message
        str(error).encode()
    else:
        written = write(tree)
        assert parse(written) == tree
        assert write(parse(written)) == written


TEXTS = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12) | st.sampled_from(
    ["OR", "-a", "a*", "a,b", "a b", '"', "/a/", ">1", "tag:x", "(", "\\", "/etc/x/", "*"]
)
PLAIN = st.from_regex(r"[a-z0-9._/+~]{1,12}", fullmatch=True)


def named(name: str, values: st.SearchStrategy[Value]) -> st.SearchStrategy[Node]:
    return st.builds(field, st.just(name), values).map(lambda each: each)


def patterns(tree: Node) -> int:
    return sum(value.form is Form.PATTERN for field in fields_of(tree) for value in field.values)


LEAVES: st.SearchStrategy[Node] = st.one_of(
    PLAIN.map(Term),
    TEXTS.map(lambda text: Term(text, quoted=True)),
    TEXTS.map(lambda text: Term(text, Form.BEGINNING)),
    *(named(name, TEXTS.map(Value)) for name in ("tag", "user", "env", "label", "base")),
    *(named(name, TEXTS.map(lambda text: Value(text, Form.BEGINNING))) for name in ("tag", "label")),
    named(
        "tag",
        st.from_regex(r"[a-z]{1,3}(\[0-9\]\+|/|\\/|\(b\|c\)|\\\.)?[a-z/]{0,3}", fullmatch=True).map(
            lambda text: Value(text.replace("\\/", "/"), Form.PATTERN)
        ),
    ),
    st.builds(lambda key, text: field("label", text, key=key), st.from_regex(r"[a-z./-]{1,9}", fullmatch=True), TEXTS),
    st.builds(lambda *values: field("tag", *values), TEXTS, TEXTS),
    st.builds(
        lambda sign, number: field("size", Value(f"{number}KB", operator=sign)),
        st.sampled_from(["<", "<=", ">", ">=", "!=", "=", ""]),
        st.integers(0, 10**9),
    ),
    st.builds(lambda version: field("package", f"deb/x>={version}", Value("2", operator="<")), PLAIN),
    st.sampled_from(["official", "public"]).map(lambda text: field("is", text)),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map(both),
        st.lists(inner, min_size=1, max_size=4).map(either),
        inner.map(negated),
    ),
    max_leaves=12,
).filter(lambda tree: patterns(tree) <= MOST_PATTERNS)


@given(TREES)
def test_a_tree_that_is_written_is_read_as_itself(tree: Node) -> None:
    written = write(tree)

    assert parse(written) == tree
    assert write(parse(written)) == written


def test_positions_are_those_of_the_text() -> None:
    text = 'a  tag:"b c",d (x OR -y)'
    tree = parse(text)

    assert isinstance(tree, And)
    spans = [text[node.start : node.stop] for node in tree.nodes]
    assert spans == ["a", 'tag:"b c",d', "x OR -y"]
    second = tree.nodes[1]
    assert isinstance(second, Field)
    assert [text[value.start : value.stop] for value in second.values] == ['"b c"', "d"]


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_every_field_has_an_example_that_can_be_read(name: str) -> None:
    qualifier = FIELDS[name]
    example = qualifier.example.replace("0b5c4f…", HEX).replace("4abcf2…", HEX).replace("e3b0c4…", HEX)

    (found,) = [parse(example)]
    assert isinstance(found, Field)
    assert found.name == name
    assert qualifier.help.endswith(".")
    assert (qualifier.takes in (Takes.CHOICE, Takes.DIRECTIVE)) == bool(qualifier.choices)
    assert not COMING.keys() & FIELDS.keys()
