r"""The keys of the layer index: one RocksDB, one column family, so that one batch can change all of it at once.

    D  a digest: its algorithm (1: sha256, 2: sha512), then the bytes of the hash
    L  a layer's number, 4 bytes, big-endian: what a layer is called in keys, so that they are short
    T  a text in UTF-8, of which 00 and 01 are written 01 01 and 01 02, ended by 00: sorts as the text does

    b  D blob                      what was verified of a blob            diff_id, size, raw_size, verified
    d  D diff_id  D blob           a blob that decompresses to it
    c  D chain_id                  a stack of layers                      diff_id, parent, depth
    l  D diff_id                   a layer that is seen                   number, fingerprint
    i  L                           the layer of a number                  D diff_id
    u  L                           a layer that is not seen: it is being added, or removed
    o                              the next number
    e  L  T directory  T name  S   what a layer says of a path; S: 0 a whiteout, 1 an opaque mark, 2 an entry
    f  L  T kind                   facts of one kind
    p  T path  L                   a file, or a symbolic link, by its path
    n  T name  T directory  L      the same by its name
    s  hash  T path  L             a file by the 32 bytes of its content's SHA-256

The entries of a directory are neighbours, in the order of their names, and so are the layers that hold the same file:
RocksDB keeps of a key what differs from the one before. Files that two layers share cost a few bytes in ``p n s``.
"""

from __future__ import annotations

import hashlib

import msgspec

from cas.digest import Digest
from cas.entries import FILE, OPAQUE, SYMLINK, WHITEOUT, Entry
from cas.layer_index.protocol import BlobRecord, ChainRecord

#: The number of this layout: a generation of another one is as good as none.
FORM = 2

BLOB, COMPRESSION, CHAIN, LAYER, NUMBERED, UNSEEN = b"b", b"d", b"c", b"l", b"i", b"u"
NEXT_NUMBER = b"o"
ENTRY, FACTS, PATH, NAME, SHA256 = b"e", b"f", b"p", b"n", b"s"

_ALGORITHMS = {"sha256": b"\x01", "sha512": b"\x02"}
_NAMES = {code: name for name, code in _ALGORITHMS.items()}

#: The digest that files without content are found by; their entries leave it out.
_OF_NOTHING = hashlib.sha256().digest()

_SAID = {WHITEOUT: b"\x00", OPAQUE: b"\x01"}

_pack = msgspec.msgpack.Encoder().encode
_Kept = tuple[str, int, int, int, int, int, str, bytes]
_unpack_entry = msgspec.msgpack.Decoder(_Kept).decode
_unpack_blob = msgspec.msgpack.Decoder(tuple[bytes, int, int, int]).decode
_unpack_chain = msgspec.msgpack.Decoder(tuple[bytes, bytes, int]).decode
_unpack_layer = msgspec.msgpack.Decoder(tuple[int, bytes]).decode


def digest_bytes(digest: Digest) -> bytes:
    """Write a ``D``. They sort as the digests' texts do."""
    return _ALGORITHMS[digest.algorithm] + bytes.fromhex(digest.hex)


def read_digest(kept: bytes) -> Digest:
    """Read a ``D``.

    Raises:
        ValueError: it is none.
    """
    return Digest.parse(f"{_NAMES.get(kept[:1], '')}:{kept[1:].hex()}")


def number_bytes(number: int) -> bytes:
    """Write an ``L``."""
    return number.to_bytes(4, "big")


def beginning(text: str) -> bytes:
    """Write the beginning of a ``T``: what all that begin with *text* begin with.

    Half a surrogate pair, which a client can send and no file is called, is written as if it were a character.
    """
    written = text.encode("utf-8", "surrogatepass")
    if b"\x00" in written or b"\x01" in written:
        written = written.replace(b"\x01", b"\x01\x02").replace(b"\x00", b"\x01\x01")
    return written


def text_bytes(text: str) -> bytes:
    """Write a ``T``."""
    return beginning(text) + b"\x00"


def read_text(written: bytes) -> str:
    """Read a ``T`` without the 00 at its end."""
    if b"\x01" in written:
        written = written.replace(b"\x01\x01", b"\x00").replace(b"\x01\x02", b"\x01")
    return written.decode("utf-8", "surrogatepass")


def after(prefix: bytes) -> bytes:
    """Return the first key behind all that begin with *prefix*, which begins with a letter."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1])


def split(path: str) -> tuple[str, str]:
    """Take *path* apart: its directory and its name."""
    directory, _, name = path.rpartition("/")
    return directory, name


def at_path(number: bytes, path: str) -> bytes:
    """Return what the keys of all that a layer says of *path* begin with."""
    directory, name = split(path)
    return ENTRY + number + text_bytes(directory) + text_bytes(name)


def keys_of(number: bytes, entry: Entry) -> list[bytes]:
    """Return the keys of an entry: its own, and those that it is found by, if it is a file or a symbolic link."""
    written = beginning(entry.path)
    directory, _, name = written.rpartition(b"/")
    at = b"%b\x00%b\x00" % (directory, name)
    if entry.kind not in (FILE, SYMLINK):
        return [ENTRY + number + at + _SAID.get(entry.kind, b"\x02")]
    path = written + b"\x00" + number
    found = [ENTRY + number + at + b"\x02", PATH + path, b"%b%b\x00%b\x00%b" % (NAME, name, directory, number)]
    digest = entry.digest if entry.size else _OF_NOTHING
    if entry.kind == FILE and len(digest) == 32:
        found.append(SHA256 + digest + path)
    return found


def pack_entry(entry: Entry) -> bytes:
    """Write an entry's value: all but its path."""
    return _pack(
        (
            entry.kind,
            entry.mode,
            entry.uid,
            entry.gid,
            entry.size,
            entry.modified,
            entry.target,
            entry.digest,
        )
    )


def unpack_entry(path: str, kept: bytes) -> Entry:
    """Read an entry's value."""
    return Entry(path, *_unpack_entry(kept))


def pack_blob(record: BlobRecord) -> bytes:
    """Write a blob's record."""
    return _pack((digest_bytes(record.diff_id), record.size, record.raw_size, record.verified))


def unpack_blob(kept: bytes) -> BlobRecord:
    """Read a blob's record."""
    diff_id, size, raw_size, verified = _unpack_blob(kept)
    return BlobRecord(read_digest(diff_id), size, raw_size, verified)


def pack_chain(record: ChainRecord) -> bytes:
    """Write a stack's record."""
    parent = b"" if record.parent is None else digest_bytes(record.parent)
    return _pack((digest_bytes(record.diff_id), parent, record.depth))


def unpack_chain(kept: bytes) -> ChainRecord:
    """Read a stack's record."""
    diff_id, parent, depth = _unpack_chain(kept)
    return ChainRecord(read_digest(diff_id), read_digest(parent) if parent else None, depth)


def pack_layer(number: int, fingerprint: bytes) -> bytes:
    """Write the record of a layer that is seen."""
    return _pack((number, fingerprint))


def unpack_layer(kept: bytes) -> tuple[int, bytes]:
    """Read the record of a layer: its number, and its fingerprint."""
    return _unpack_layer(kept)
