"""What tantivy is told of the fields, and how a document is given to it.

tantivy analyses by programs of its own, which Python cannot add to; so the values are made before
(`catalog.search.analysis`), joined with spaces, and all it does is to split them there. One text of 600 packages costs
a third of what 600 values do. A value that holds a space goes in as it is, its ends told one by one.

Beside `catalog.search.fields`, a document has:

    _key        NAME NUL DIGEST NUL REPOSITORY-ID, or NUL NUL ID: in its order ties are broken; it says the `id` too
    _version    of the write
    _weight     `catalog.search.weights.stored`
    _document   the whole of it, as it was written
    _near_F     values of the field F, for `Near`: the first character four times

and a tombstone, which no condition finds:

    _gone       the id of what was removed
    _state      `gone`
    _version    of the removal
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import TypeVar

import msgspec
import tantivy

from catalog.decoding import decoder
from catalog.search import analysis, weights
from catalog.search.documents import (
    Document,
    ImageDocument,
    LayerDocument,
    PackageDocument,
    RepositoryDocument,
    Shown,
    ShownImage,
    document_id,
    shown,
)
from catalog.search.fields import COUNTED, FIELDS, TYPED, Type

T = TypeVar("T")

KEY, VERSION, WEIGHT, DOCUMENT, GONE, STATE = "_key", "_version", "_weight", "_document", "_gone", "_state"

#: The tokenizer that splits at spaces.
SPACES = "spaces"
#: Where else it does.
_OTHER_SPACES = "\t\n\x0b\x0c\r"

#: Keywords of which a document has many: given to tantivy as one text.
JOINED = frozenset(
    {
        *("grams", "package", "package_version", "removed", "removed_version", "source", "source_version"),
        *("hidden", "moved", "placed", "placed_source"),
        *("layer", "chain", "digest", "tag", "license", "env", "label_key", "annotation_key", "base", "port"),
    }
)

_KINDS: dict[bytes, type[Document]] = {
    b"r": RepositoryDocument,
    b"i": ImageDocument,
    b"l": LayerDocument,
    b"p": PackageDocument,
}
_LETTERS = {kind: letter for letter, kind in _KINDS.items()}
_DECODERS = {letter: msgspec.msgpack.Decoder(kind) for letter, kind in _KINDS.items()}
_ENCODER = msgspec.msgpack.Encoder()


class _StoredImage(msgspec.Struct):
    """What is read of an image's document to be shown: the members of `ShownImage`, others being passed over."""

    repository_id: str
    repository: str
    public: bool
    digest: str
    parents: list[str] = []
    tags: list[str] = []
    platform: str = ""
    size: int = 0
    pushed: int = 0
    layers: list[str] = []
    chains: list[str] = []
    histories: list[str] = []
    packages: list[msgspec.Raw] = []
    distro: tuple[str, str] | None = None
    distro_name: str = ""
    deprecated: bool = False


_STORED_IMAGE = msgspec.msgpack.Decoder(_StoredImage)


def near_field(field: str) -> str:
    """Return the field that holds the values of *field* for `Near`."""
    return f"_near_{field}"


def near_value(value: str) -> str:
    """Return *value* with its first character four times, which no two changes can turn into four of another."""
    return value[:1] * 3 + value


def build_schema() -> tantivy.Schema:
    """Return tantivy's schema of all fields."""
    builder = tantivy.SchemaBuilder()
    for field, kind in FIELDS.items():
        match kind:
            case Type.KEYWORD:
                tokenizer = SPACES if field in JOINED else "raw"
                counted = field in COUNTED
                builder.add_text_field(field, fast=counted, tokenizer_name=tokenizer, index_option="basic")
            case Type.TEXT:
                builder.add_text_field(field, tokenizer_name=SPACES, index_option="freq")
            case Type.NUMBER:
                builder.add_unsigned_field(field, fast=True)
    for field in sorted(TYPED):
        builder.add_text_field(near_field(field), tokenizer_name=SPACES, index_option="basic")
    builder.add_text_field(KEY, stored=True, fast=True, tokenizer_name="raw", index_option="basic")
    builder.add_text_field(GONE, tokenizer_name="raw", index_option="basic")
    builder.add_text_field(STATE, tokenizer_name="raw", index_option="basic")
    builder.add_unsigned_field(VERSION, fast=True)
    builder.add_float_field(WEIGHT, fast=True)
    builder.add_bytes_field(DOCUMENT, stored=True)
    return builder.build()


def fingerprint() -> str:
    """Return what names this schema: an index of another one is not asked."""
    said = repr((1, analysis.ANALYSIS, sorted(FIELDS.items(), key=str), sorted(COUNTED), sorted(TYPED), sorted(JOINED)))
    return blake2b(said.encode(), digest_size=6).hexdigest()


def register(index: tantivy.Index) -> None:
    """Give *index*, just opened, the tokenizer that the schema names; tantivy does not keep them."""
    spaces = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
    index.register_tokenizer(SPACES, spaces)
    index.register_fast_field_tokenizer(SPACES, spaces)


def indexed(document: Document, version: int, schema: tantivy.Schema) -> tantivy.Document:
    """Return *document* as tantivy takes it."""
    values = analysis.analyse(document)
    for field in TYPED & values.keys():
        value = values[field]
        assert isinstance(value, list)
        values[near_field(field)] = [near_value(each) for each in value]
    fields: dict[str, object] = {}
    spaced: dict[str, list[str]] = {}
    for field, value in values.items():
        if isinstance(value, list) and (field in JOINED or FIELDS.get(field) is not Type.KEYWORD):
            joined = " ".join(value)
            if joined.count(" ") == len(value) - 1 and not any(space in joined for space in _OTHER_SPACES):
                fields[field] = joined
            else:
                spaced[field] = value
        else:
            fields[field] = value
    fields[KEY] = key_of(document)
    fields[VERSION] = analysis.number(version)
    fields[WEIGHT] = weights.stored(weights.weight(document))
    fields[DOCUMENT] = encode(document)
    made = tantivy.Document.from_dict(fields, schema)
    for field, value in spaced.items():
        made.add_pre_tokenized_text(field, _pre_tokenized(value))
    return made


def tombstone(identity: str, version: int, schema: tantivy.Schema) -> tantivy.Document:
    """Return what stands for the document *identity* (a keyword) that was removed."""
    fields = {GONE: identity, STATE: "gone", KEY: f"\0\0{identity}", VERSION: analysis.number(version)}
    return tantivy.Document.from_dict(fields, schema)


def _pre_tokenized(values: list[str]) -> tantivy.PreTokenizedString:
    tokens, offset = [], 0
    for position, value in enumerate(values):
        length = len(value.encode())
        tokens.append(tantivy.Token(value, position, offset, offset + length))
        offset += length + 1
    return tantivy.PreTokenizedString(" ".join(values), tokens)


def key_of(document: Document) -> str:
    """Return what ties are broken by, and what tells the document's id."""
    match document:
        case ImageDocument():
            name, digest, rest = document.repository, document.digest, document.repository_id
        case RepositoryDocument():
            name, digest, rest = document.name, "", document.id
        case _:
            name, digest, rest = "", "", document_id(document)
    return f"{_plain(name)}\0{_plain(digest)}\0{analysis.keyword(rest)}"


def id_of(key: str) -> str:
    """Return the id (a keyword) of the document that has *key*."""
    name, digest, rest = key.split("\0", 2)
    if digest:
        return analysis.keyword(f"image:{rest}:{digest}")
    return analysis.keyword(f"repository:{rest}") if name else rest


def _plain(text: str) -> str:
    return analysis.keyword(text).replace("\0", "\ufffd")


def encode(document: Document) -> bytes:
    """Return *document* as bytes.

    Labels are whatever somebody pushed: where MessagePack cannot hold it (lone surrogates, numbers of more than 64
    bits), it is written as JSON.
    """
    letter = _LETTERS[type(document)]
    try:
        return letter + _ENCODER.encode(document)
    except (UnicodeEncodeError, OverflowError):
        return letter.upper() + json.dumps(msgspec.to_builtins(document)).encode()


def decode(content: bytes) -> Document:
    """Return the document that `encode` was given."""
    letter = content[:1]
    if letter.isupper():
        return msgspec.convert(json.loads(content[1:]), _KINDS[letter.lower()])
    return _DECODERS[letter].decode(memoryview(content)[1:])


def decode_shown(content: bytes) -> Shown:
    """Return what lists show of the document that `encode` was given."""
    if content[:1] != b"i":
        return shown(decode(content))
    stored = _STORED_IMAGE.decode(memoryview(content)[1:])
    members = {name: getattr(stored, name) for name in ShownImage.__struct_fields__}
    return ShownImage(**members | {"packages": len(stored.packages)})


def decode_part(content: bytes, kind: type[T]) -> T:
    """Return the members that the struct *kind* has of the document that `encode` was given."""
    read = decoder(kind)
    if content[:1].isupper():
        return msgspec.convert(json.loads(content[1:]), kind)
    return read.decode(memoryview(content)[1:])
