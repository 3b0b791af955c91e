"""Facts as objects of the store's derived area: their names and their form.

    facts/1/sha256/ab/<hex>         LayerFacts, by diff_id
    chains/1/sha256/ab/<hex>        ChainFacts, by chain_id
    blobs/1/sha256/ab/<hex>         BlobFacts, by the digest of a blob that was read as a layer

The number is that of the form: a program that writes another form leaves these alone and makes its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from typing import TypeVar

import msgspec
import zstandard
from msgspec.structs import replace

from cas import Digest
from cas.derived import DerivedName
from catalog.decoding import decoder
from catalog.images.facts import ChainFacts, LayerFacts

T = TypeVar("T")

FORM = 1

FACTS = f"facts/{FORM}"
CHAINS = f"chains/{FORM}"
BLOBS = f"blobs/{FORM}"

#: Bytes of an object, decompressed, at most: what is larger was not written by us.
_MOST = 1 << 30

_LEVEL = 3

#: Entries of a layer that are written at once (fewer than 65,536).
_ENTRIES_AT_ONCE = 10_000


class BlobFacts(msgspec.Struct, frozen=True):
    """What was verified of a blob: the digest of what it decompresses to, and how large both are, in bytes; *made_by*
    names the reader and the catalogers that read it then."""

    diff_id: str
    size: int
    raw_size: int
    verified: int
    made_by: str = ""


def facts_name(diff_id: Digest) -> DerivedName:
    """Name the object of a layer's facts."""
    return _name(FACTS, diff_id)


def chain_name(chain_id: Digest) -> DerivedName:
    """Name the object of a stack's facts."""
    return _name(CHAINS, chain_id)


def blob_name(digest: Digest) -> DerivedName:
    """Name the object that says what a blob was verified to be."""
    return _name(BLOBS, digest)


def digest_of(name: DerivedName) -> Digest:
    """Return the digest that one of the names above is for.

    Raises:
        InvalidDigest: it is not one of them.
    """
    algorithm, _, rest = name.text.split("/", 2)[-1].partition("/")
    return Digest.parse(f"{algorithm}:{rest.rpartition('/')[2]}")


def encode(value: LayerFacts | ChainFacts | BlobFacts) -> bytes:
    """Write an object."""
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    if not isinstance(value, LayerFacts) or len(value.entries) <= _ENTRIES_AT_ONCE:
        return compressor.compress(msgspec.msgpack.encode(value))
    # Readers of layers have little memory: it is never written out whole. That takes a look at its size first, which a
    # frame begins with, and which readers make room by.
    size = sum(map(len, _pieces(value)))
    stream, written = compressor.compressobj(size=size), BytesIO()
    for piece in _pieces(value):
        written.write(stream.compress(piece))
    written.write(stream.flush())
    return written.getvalue()


def decoded_size(content: bytes) -> int:
    """Tell how many bytes an object has, decompressed: four hundred times as many as it has as it is, where somebody
    cared for that. As values they take some six times as much. What is no object has as many as it may."""
    try:
        size: int = zstandard.frame_content_size(content)
    except zstandard.ZstdError:
        return _MOST
    return size if size >= 0 else _MOST


def decode(content: bytes, kind: type[T]) -> T:
    """Read an object of *kind*.

    Raises:
        ValueError: it is damaged, or of another form.
    """
    try:
        if decoded_size(content) > _MOST:
            raise ValueError(f"not {kind.__name__}: too large")
        raw = zstandard.ZstdDecompressor().decompress(content, max_output_size=_MOST)
        return decoder(kind).decode(raw)
    except (zstandard.ZstdError, msgspec.DecodeError) as error:
        raise ValueError(f"not {kind.__name__}: {error}") from error


def _pieces(facts: LayerFacts) -> Iterator[bytes]:
    """Write *facts* as msgpack, some entries at a time."""
    key = b"\xa7entries"
    before, _, behind = msgspec.msgpack.encode(replace(facts, entries=[])).partition(key + b"\x90")
    yield before + key + b"\xdd" + len(facts.entries).to_bytes(4, "big")
    for start in range(0, len(facts.entries), _ENTRIES_AT_ONCE):
        written = msgspec.msgpack.encode(facts.entries[start : start + _ENTRIES_AT_ONCE])
        # The piece is an array of its own: what says so is one byte for up to 15 entries, three for more.
        yield written[3:] if written[0] == 0xDC else written[1:]
    yield behind


def _name(prefix: str, digest: Digest) -> DerivedName:
    return DerivedName(f"{prefix}/{digest.algorithm}/{digest.hex[:2]}/{digest.hex}")
