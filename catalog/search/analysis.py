"""From documents to the values of `catalog.search.fields`, and from what people type to the same values.

No engine analyses anything: what stands here is indexed as it is, and compared as it is. So whatever is asked for goes
through the same function as what was written:

    field                                       asked for by
    name, last                                  name_value
    words, text, command                        words
    grams                                       gram
    package, removed, source, each with and
    without _version                            package_field, package_value
    label, annotation                           pair_value
    license, distro, platform, os, arch, base,
    port, artifact                              folded_value
    placed, placed_path, placed_name,
    placed_source                               placed_values
    any other keyword                           keyword

Words. A text falls into *segments* at spaces, slashes and most signs; a segment into *pieces* at `_ - . +`; a piece
into *parts* where letters meet digits or capitals (and each Chinese or Japanese character is one). All three are
indexed: `nginx-Ingress2` is `nginx-ingress2`, `nginx`, `ingress2`, `ingress`, `2`. A query asks for the pieces, each
with its segment beside it, so that who typed the whole name is answered first by who has the whole name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import blake2b

from catalog.search.documents import (
    Document,
    ImageDocument,
    LayerDocument,
    PackageDocument,
    Placed,
    RepositoryDocument,
    document_id,
    file_token,
    placed_token,
)

#: To be raised whenever a document's values change, so that an index of other values is not asked, but made anew.
ANALYSIS = 5

#: Values by field: lists for keywords and texts, a number for a number. Fields without a value are left out.
Values = dict[str, list[str] | int]

#: Bytes of a keyword, at most. Engines drop longer terms without a word (tantivy above 65,530 bytes, the others above
#: 32,766), so a longer one is its beginning and its digest.
MOST_BYTES = 512

#: Characters of a word, at most; longer ones are cut.
MOST_CHARACTERS = 64

#: Characters of text that are read for words, in one document and field.
MOST_TEXT = 65_536

#: The greatest number: exact in JSON wherever it passes through a double.
MOST_NUMBER = 2**53 - 1

#: Lengths of beginnings.
LEAST_GRAM, MOST_GRAM = 2, 20

#: Words that mean the same. Looked up before a word is split, when asking only.
SYNONYMS: dict[str, tuple[str, ...]] = {
    word: (word, *(other for other in group if other != word))
    for group in (
        ("postgres", "postgresql"),
        ("k8s", "kubernetes"),
        ("node", "nodejs", "node.js"),
        ("golang", "go"),
        ("mongo", "mongodb"),
    )
    for word in group
}

_SEGMENT = re.compile(r"[^\W_](?:[\w.+-]*[\w+])?")
_PIECE = re.compile(r"[^\W_]+")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_HAN = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_FOREIGN_PART = re.compile(rf"[{_HAN}]|\d+|[^\W\d_{_HAN}]+")
_NUMBERED = re.compile(r"([^\W\d_]{3,})(\d+)")
_BOUND = re.compile(r"[/_.+@:-]+")


# Keywords


def keyword(text: str) -> str:
    """Return *text* as a keyword: as it is, but for what no engine takes (lone surrogates, more than `MOST_BYTES`)."""
    if len(text) <= MOST_BYTES and text.isascii():
        return text
    content = text.encode("utf-8", "backslashreplace")
    if len(content) > MOST_BYTES:
        digest = blake2b(content, digest_size=20).hexdigest()
        content = content[: MOST_BYTES - len(digest) - 3]
        return f"{content.decode('utf-8', 'ignore')}…{digest}"
    return content.decode()


def folded_value(text: str) -> str:
    """Return *text* as a keyword that does not tell capitals."""
    return keyword(text.lower())


def name_value(text: str) -> str:
    """Return the value of `name` and `last` that *text* asks for."""
    return folded_value(text.strip().strip("/"))


def gram(text: str) -> str:
    """Return the value of `grams` that *text*, still being typed, asks for; empty where it is too short.

    A text longer than `MOST_GRAM` asks by its beginning: `Prefix("name", name_value(text))` narrows it.
    """
    value = name_value(text)[:MOST_GRAM]
    return value if len(value) >= LEAST_GRAM else ""


def package_field(field: str) -> str:
    """Return the field that has the versions of what *field* (`package`, `removed` or `source`) has the names of."""
    return f"{field}_version"


def package_value(ecosystem: str, name: str, version: str | None = None) -> str:
    """Return the value of `package`, `removed` or `source`; with a *version*, that of their `package_field`. Names do
    not tell capitals."""
    return keyword(f"{ecosystem}/{name}".lower() if version is None else f"{ecosystem}/{name}".lower() + f"@{version}")


def pair_value(key: str, value: str) -> str:
    """Return the value of `label` or `annotation`."""
    return keyword(f"{key}={value}")


def placed_values(text: str, deleted: str = "") -> list[str]:
    """Return the values of `placed`, `placed_path`, `placed_name` or `placed_source` that *text* asks for: of what
    stands there; or (*deleted* ``yes``) what is gone from there; or (``include``) either."""
    return [letter + text for letter in {"": "s", "yes": "g", "include": "sg"}[deleted]]


def number(value: int) -> int:
    """Return *value*, clamped to what every engine keeps exactly."""
    return min(max(value, 0), MOST_NUMBER)


# Words


def words(text: str) -> list[tuple[str, ...]]:
    """Return the words that *text* asks for, each with what will do as well; for `catalog.search.conditions.Words`."""
    asked: dict[tuple[str, ...], None] = {}
    for segment in _SEGMENT.findall(_normal(text)):
        whole = _word(segment)
        if whole in SYNONYMS:
            asked[SYNONYMS[whole]] = None
            continue
        for piece in _PIECE.findall(segment):
            word = _word(piece)
            if word in SYNONYMS:
                asked[_distinct((*SYNONYMS[word], whole))] = None
                continue
            for part in _parts_asked(piece):
                asked[_distinct((_word(part), word, whole))] = None
    return list(asked)


def words_of(texts: Iterable[str]) -> list[str]:
    """Return all words of *texts*, up to `MOST_TEXT` characters, in their order."""
    found: list[str] = []
    room = MOST_TEXT
    for text in texts:
        for segment in _SEGMENT.findall(_normal(text[:room])):
            found += _split(segment) if len(segment) <= MOST_CHARACTERS else _split_long(segment)
        room -= len(text)
        if room <= 0:
            break
    return found


def _split_long(segment: str) -> tuple[str, ...]:
    """Return the segment, its pieces and their parts, each once."""
    found = {_word(segment): None}
    pattern = _PART if segment.isascii() else _FOREIGN_PART
    for piece in _PIECE.findall(segment):
        found[_word(piece)] = None
        for part in pattern.findall(piece):
            found[_word(part)] = None
    return tuple(found)


#: The same words come again and again: in histories, in descriptions, in the names of one organisation.
_split = lru_cache(16_384)(_split_long)


def _parts_asked(piece: str) -> Sequence[str]:
    """Return what *piece* asks for: `redis7` for `redis` and `7`, a Chinese word for its characters, others for
    themselves (`k8s`, `log4j` and `myApp` say little in parts)."""
    if numbered := _NUMBERED.fullmatch(piece):
        return numbered.groups()
    if piece.isascii():
        return (piece,)
    return _FOREIGN_PART.findall(piece) if re.search(f"[{_HAN}]", piece) else (piece,)


def _normal(text: str) -> str:
    return text if text.isascii() else unicodedata.normalize("NFKC", text)


def _word(text: str) -> str:
    # Casefold, for it looks at single characters alone: a word is the same whatever stood beside it.
    return text.casefold()[:MOST_CHARACTERS]


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


# Documents


def analyse(document: Document) -> Values:
    """Return the values of all fields of *document*, without those that are empty."""
    match document:
        case RepositoryDocument():
            values = _repository(document)
        case ImageDocument():
            values = _image(document)
        case LayerDocument():
            values = _layer(document)
        case PackageDocument():
            values = _package_document(document)
    values["id"] = [keyword(document_id(document))]
    return {field: value for field, value in values.items() if value != []}


def _repository(document: RepositoryDocument) -> Values:
    return {
        "kind": ["repository"],
        **_named(document.name, ("library",)),
        "text": words_of([document.description]),
        **_owned(document.id, document.name, document.public, document.official, document.deprecated, False),
        **_platforms(document.platforms),
        **_times(pushed=document.pushed, pulled=document.pulled, created=document.created),
        "pulls": number(document.pulls),
    }


def _image(document: ImageDocument) -> Values:
    distro: list[str] = []
    if document.distro is not None:
        identity, version = document.distro
        distro = [folded_value(identity)] * bool(identity)
        if identity and version:
            distro.append(folded_value(f"{identity}:{version}"))
    run = [*document.entrypoint, *document.command]
    said = [*document.labels.values(), *document.annotations.values()]
    return {
        "kind": ["image"],
        **_named(document.repository, ("library",)),
        "text": words_of((*said, document.distro_name, *run, *document.history)),
        **_owned(
            document.repository_id,
            document.repository,
            document.public,
            document.official,
            document.deprecated,
            "latest" in document.tags,
        ),
        **_platforms([document.platform] if document.platform else []),
        **_times(pushed=document.pushed, created=document.created),
        "pulls": number(document.pulls),
        "tag": _keywords(document.tags),
        "digest": _keywords([document.digest, *document.parents]),
        "layer": _keywords([*document.layers, *document.diff_ids]),
        "top": _keywords(document.chains[-1:] + document.histories[-1:]),
        "chain": _keywords(document.chains[:-1] + document.histories[:-1]),
        **_packages("package", document.packages),
        **_packages("removed", document.removed),
        **_packages("source", document.sources),
        "license": _folded(document.licenses),
        "label": [pair_value(key, value) for key, value in document.labels.items()],
        "label_key": _keywords(document.labels),
        "annotation": [pair_value(key, value) for key, value in document.annotations.items()],
        "annotation_key": _keywords(document.annotations),
        "env": _keywords(variable.partition("=")[0] for variable in document.env),
        "base": _bases(document.bases),
        "distro": distro,
        "user": _keywords([document.user] if document.user else []),
        "port": _ports(document.ports),
        "command": words_of(run),
        "artifact": _folded([document.artifact_type] if document.artifact_type else []),
        "hidden": _keywords(document.hidden),
        "moved": _keywords(document.moved),
        **_placed(document.placed),
        "size": number(document.size),
        "layers": number(len(document.layers)),
    }


def _layer(document: LayerDocument) -> Values:
    return {
        "kind": ["layer"],
        "layer": _keywords([document.diff_id, *document.blobs]),
        "size": number(document.raw_size),
    }


def _package_document(document: PackageDocument) -> Values:
    return {
        "kind": ["package"],
        **_named(document.name, ()),
        "package": [package_value(document.ecosystem, document.name)],
    }


def _placed(placed: Sequence[Placed]) -> Values:
    told: dict[str, list[str]] = {"placed": [], "placed_path": [], "placed_name": [], "placed_source": []}
    for each in placed:
        (letter,) = placed_values("", "" if each.stands else "yes")
        told["placed"].append(letter + placed_token(each.path, each.diff_id, each.source))
        told["placed_path"].append(letter + each.path)
        told["placed_name"].append(letter + each.path.rpartition("/")[2])
        told["placed_source"].append(letter + file_token(each.diff_id, each.source))
    return {field: _keywords(values) for field, values in told.items()}


def _named(name: str, implied: Sequence[str]) -> Values:
    """Return what is searched for by name; a namespace that is *implied* may be left out."""
    whole = name_value(name)
    first, _, rest = whole.partition("/")
    names = [whole, rest] if rest and first in implied else [whole]
    last = whole.rpartition("/")[2]
    beginnings: dict[str, None] = {}
    for start in _distinct((*names, *whole.split("/"), *_BOUND.split(whole))):
        for stop in range(LEAST_GRAM, min(len(start), MOST_GRAM) + 1):
            beginnings[start[:stop]] = None
    return {"name": _keywords(names), "last": _keywords([last]), "words": words_of([name]), "grams": list(beginnings)}


def _owned(repository_id: str, repository: str, public: bool, official: bool, deprecated: bool, latest: bool) -> Values:
    said = {"official": official, "deprecated": deprecated, "latest": latest}
    return {
        "repository_id": _keywords([repository_id]),
        "repository": _keywords([repository]),
        "namespace": _keywords([repository.partition("/")[0]]),
        "public": ["yes" if public else "no"],
        "is": [word for word, holds in said.items() if holds],
    }


def _platforms(platforms: Sequence[str]) -> Values:
    pieces = [platform.lower().split("/") for platform in platforms]
    return {
        "platform": _folded(platforms),
        "os": _keywords(piece[0] for piece in pieces),
        "arch": _keywords(piece[1] for piece in pieces if len(piece) > 1),
    }


def _times(**times: int) -> Values:
    """Times that are not known (0) are left out: they are neither early nor late."""
    return {field: number(value) for field, value in times.items() if value > 0}


def _bases(bases: Sequence[str]) -> list[str]:
    """`docker.io/library/debian:12@sha256:…` is found by its name with less and less of what may be left out."""
    found: dict[str, None] = {}
    for base in bases:
        name, _, digest = base.lower().partition("@")
        host, slash, rest = name.partition("/")
        names = [name]
        if slash and ("." in host or ":" in host or host == "localhost"):
            names.append(rest)
        names += [each.removeprefix("library/") for each in names if each.startswith("library/")]
        for each in [base.lower(), digest, *names, *(_untagged(each) for each in names)]:
            if each:
                found[keyword(each)] = None
    return list(found)


def _untagged(name: str) -> str:
    head, colon, tag = name.rpartition(":")
    return head if colon and "/" not in tag and head != "sha256" else name


def _ports(ports: Sequence[str]) -> list[str]:
    found: list[str] = []
    for port in ports:
        single, _, protocol = port.lower().partition("/")
        if single:
            found += (f"{single}/{protocol or 'tcp'}", single)
    return _keywords(found)


def _packages(field: str, packages: Sequence[tuple[str, str]]) -> Values:
    names, versions = zip(*packages, strict=True) if packages else ((), ())
    joined = "".join(names)
    if joined.lower() != joined:
        names = tuple(name.lower() for name in names)
        packages = list(zip(names, versions, strict=True))
    if "" in names or "" in versions:
        packages = [(name, version) for name, version in packages if name and version]
    found = _keywords(names)
    pairs = list(map("@".join, packages))
    # Where no name comes twice, no pair does.
    return {field: found, package_field(field): _bounded(pairs) if len(found) == len(names) else _keywords(pairs)}


def _keywords(values: Iterable[str]) -> list[str]:
    return _bounded([value for value in dict.fromkeys(values) if value])


def _bounded(values: list[str]) -> list[str]:
    """Return the keywords of *values*, which are distinct."""
    joined = "".join(values)
    if joined.isascii() and (len(joined) <= MOST_BYTES or max(map(len, values)) <= MOST_BYTES):
        return values  # as almost always: hundreds of them, looked at in one go
    return list(dict.fromkeys([keyword(value) for value in values]))


def _folded(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([folded_value(value) for value in values if value]))
