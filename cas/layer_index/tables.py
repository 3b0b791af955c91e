"""One generation of the layer index: an open RocksDB, whose keys `cas.layer_index.keys` draws.

Everything here waits for the disk, so it is called in threads: any number of them read, one at a time writes. Each
question is answered from one snapshot, of which the layers that are being added or removed are subtracted: whatever is
written meanwhile, an answer is that of one moment.

A layer comes in this order: its number is taken and noted as unseen; its entries and facts, in batches; last, in one
batch that is synchronised, it is noted as seen. A process that dies before leaves a number that nobody looks at, whose
keys are removed before the next layer is added. A layer that is added again with other content gets a number of its
own, and the old one goes.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import msgspec
from rocksdict import (
    BlockBasedIndexType,
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Options,
    Rdict,
    ReadOptions,
    Snapshot,
    WriteBatch,
    WriteOptions,
)

from cas.digest import Digest
from cas.entries import Entry
from cas.errors import StorageFull
from cas.layer_index import keys
from cas.layer_index.effort import Effort
from cas.layer_index.patterns import Pattern, TooMuchWork
from cas.layer_index.protocol import BlobRecord, By, ChainRecord, FileQuery, FoundFile, FoundFiles

_log = logging.getLogger(__name__)

_KIB = 1024
_MIB = 1024 * _KIB

#: Memory: what was read lately, indexes and filters included; and what was written and is not in a table yet (twice).
CACHE = 32 * _MIB
WRITE_BUFFER = 16 * _MIB

#: Layers that are remembered by their numbers, some 300 bytes each.
MOST_NUMBERED = 20_000

#: Bytes of one batch, more or less.
BATCH = 512 * _KIB

#: Seconds that a search lets what is written go first, each time.
_A_MOMENT = 0.005

#: Keys that may be passed by one by one before it pays to look for the next one that may match.
_NEAR = 8


class Broken(Exception):
    """RocksDB does not do what it was asked: why stands in the log. The generation is of no use any more."""


class Tables:
    """An open generation. Reading methods are those of `LayerIndex`; each raises `Broken`."""

    def __init__(self, directory: Path, *, begin: bool = False) -> None:
        """Open the generation in *directory*, or *begin* one there where there is none.

        Raises:
            Broken: it is damaged, or not there.
            StorageFull: no room is left.
        """
        self.directory = directory
        self._writing = threading.Lock()
        self._swept = False
        self._numbered: dict[bytes, Digest] = {}
        with self._understood():
            options = _options(begin)
            # Of a database that is there already, rocksdict takes the options that are written beside it, without those
            # of the cache and of filters, unless those of its column family are given.
            self._db = Rdict(str(directory), options, column_families={"default": options})

    @contextmanager
    def _understood(self) -> Iterator[None]:
        """Tell errors of RocksDB, which are bare exceptions, from our own."""
        try:
            yield
        except Exception as error:
            if type(error) is not Exception and type(error).__module__ != "rocksdict":
                raise
            # "IO error: No space left on device: While appending to file: …", and the words of EDQUOT. RocksDB takes
            # writes again by itself some seconds after there is room.
            if "No space left on device" in str(error) or "quota exceeded" in str(error):
                _log.warning("no room is left in the layer index, %s: %s", self.directory, error)
                raise StorageFull("the layer index", str(self.directory)) from error
            _log.error("the layer index in %s cannot be used: %s", self.directory, error)
            raise Broken from error

    def memory(self) -> tuple[int, int]:
        """Tell how many bytes the cache, and what was written and is not in a table yet, may take at most."""
        with self._understood():
            cache = self._db.property_int_value("rocksdb.block-cache-capacity")
            return cache or 0, 2 * WRITE_BUFFER

    def close(self) -> None:
        """Close it, when nobody uses it any more."""
        with suppress(Exception):  # a generation whose files were removed has nothing to lose
            self._db.close()

    # Reading

    def blobs(self, digests: Sequence[Digest]) -> list[BlobRecord | None]:
        found = self._get_each([keys.BLOB + keys.digest_bytes(digest) for digest in digests])
        return [None if kept is None else keys.unpack_blob(kept) for kept in found]

    def compressions(self, diff_id: Digest) -> list[Digest]:
        prefix = keys.COMPRESSION + keys.digest_bytes(diff_id)
        with self._understood():
            return [
                keys.read_digest(key[len(prefix) :])
                for key, _ in _scan(self._db.snapshot(), prefix, keys.after(prefix))
            ]

    def has_layers(self, diff_ids: Sequence[Digest]) -> list[bool]:
        found = self._get_each([keys.LAYER + keys.digest_bytes(diff_id) for diff_id in diff_ids])
        return [kept is not None for kept in found]

    def chains(self, chain_ids: Sequence[Digest]) -> list[ChainRecord | None]:
        found = self._get_each([keys.CHAIN + keys.digest_bytes(chain_id) for chain_id in chain_ids])
        return [None if kept is None else keys.unpack_chain(kept) for kept in found]

    def _get_each(self, wanted: list[bytes]) -> list[bytes | None]:
        with self._understood():
            found: list[bytes | None] = self._db.get(wanted) if wanted else []  # type: ignore[assignment,arg-type]
            return found

    def children(self, diff_id: Digest, directory: str, after: str, most: int) -> list[Entry]:
        with self._understood():
            snapshot = self._db.snapshot()
            number = _number(snapshot, diff_id)
            if number is None:
                return []
            prefix = keys.ENTRY + number + keys.text_bytes(directory)
            # Behind all that is said of the name *after*; where that is empty, of the directory itself.
            start = keys.after(prefix + keys.text_bytes(after))
            found: list[Entry] = []
            names, last = 0, b""
            for key, kept in _scan(snapshot, start, keys.after(prefix)):
                written = key[len(prefix) : -2]
                if written != last:
                    names, last = names + 1, written
                    if names > most:
                        break
                name = keys.read_text(written)
                found.append(keys.unpack_entry(f"{directory}/{name}" if directory else name, kept))
            return found

    def entries(self, wanted: Sequence[tuple[Digest, str]]) -> list[list[Entry]]:
        with self._understood():
            snapshot = self._db.snapshot()
            numbers = {diff_id: _number(snapshot, diff_id) for diff_id in {diff_id for diff_id, _ in wanted}}
            found: list[list[Entry]] = []
            for diff_id, path in wanted:
                number = numbers[diff_id]
                if number is None:
                    found.append([])
                    continue
                prefix = keys.at_path(number, path)
                said = _scan(snapshot, prefix, keys.after(prefix))
                found.append([keys.unpack_entry(path, kept) for _, kept in said])
            return found

    def facts(self, diff_id: Digest, kind: str) -> bytes | None:
        with self._understood():
            snapshot = self._db.snapshot()
            number = _number(snapshot, diff_id)
            return None if number is None else _get(snapshot, keys.FACTS + number + keys.text_bytes(kind))

    def find_files(self, query: FileQuery, most: int, after: bytes = b"", effort: Effort | None = None) -> FoundFiles:
        """See `LayerIndex.find_files`; *effort* is what it may cost.

        Raises:
            ValueError: the query's pattern is none, or is too large; *after* is of another query.
        """
        pattern = None if query.pattern is None else Pattern(query.pattern)
        bounds = _bounds(query)
        if bounds is None:
            return FoundFiles([], False)
        if after:
            if not bounds[0] <= after < bounds[1]:
                raise ValueError("it is another query that goes on there")
            bounds = after, bounds[1]
        with self._understood():
            snapshot = self._db.snapshot()
            found, more, next = _find(snapshot, query.by, bounds, pattern, most, effort or Effort())
            layers = self._layers_of({number for number, _ in found}, snapshot)
            return FoundFiles([FoundFile(layers[number], path) for number, path in found], more, next)

    def _layers_of(self, numbers: set[bytes], snapshot: Snapshot) -> dict[bytes, Digest]:
        """Return which layers have *numbers*, that are in *snapshot*; a number is given to one layer, once."""
        layers: dict[bytes, Digest] = {}
        for number in numbers:
            layer = self._numbered.get(number)
            if layer is None:
                layer = keys.read_digest(snapshot[keys.NUMBERED + number])
                if len(self._numbered) >= MOST_NUMBERED:
                    self._numbered.clear()
                self._numbered[number] = layer
            layers[number] = layer
        return layers

    def let_write(self) -> None:
        """Wait for a moment where something is being written: a search that takes long does not share the interpreter
        with it, and goes on all the same where writing does not end."""
        if self._writing.acquire(timeout=_A_MOMENT):
            self._writing.release()

    # Writing. What was added durably is there after a power cut; what was not, after `flush`.

    def add_blob(self, digest: Digest, record: BlobRecord, *, durably: bool = True) -> None:
        key = keys.BLOB + keys.digest_bytes(digest)
        with self._writing, self._understood():
            batch = WriteBatch(raw_mode=True)
            before: bytes | None = self._db.get(key)
            if before is not None:
                other = keys.unpack_blob(before).diff_id
                batch.delete(keys.COMPRESSION + keys.digest_bytes(other) + keys.digest_bytes(digest))
            batch.put(key, keys.pack_blob(record))
            batch.put(keys.COMPRESSION + keys.digest_bytes(record.diff_id) + keys.digest_bytes(digest), b"")
            self._db.write(batch, _waiting(durably))

    def add_chain(self, chain_id: Digest, record: ChainRecord, *, durably: bool = True) -> None:
        batch = WriteBatch(raw_mode=True)
        batch.put(keys.CHAIN + keys.digest_bytes(chain_id), keys.pack_chain(record))
        with self._writing, self._understood():
            self._db.write(batch, _waiting(durably))

    def add_layer(
        self,
        diff_id: Digest,
        raw_size: int,
        entries: Sequence[Entry],
        facts: Mapping[str, bytes],
        *,
        durably: bool = True,
    ) -> None:
        fingerprint = _fingerprint(raw_size, entries, facts)
        layer = keys.LAYER + keys.digest_bytes(diff_id)
        with self._writing, self._understood():
            if not self._swept:
                self._sweep()
            kept: bytes | None = self._db.get(layer)
            before = None if kept is None else keys.unpack_layer(kept)
            if before is not None and before[1] == fingerprint:
                return
            number = self._take_number(diff_id)
            self._swept = False  # until it is seen, or its keys are removed again
            written = keys.number_bytes(number)
            self._write(_layer_items(written, entries, facts))
            last = WriteBatch(raw_mode=True)
            last.put(layer, keys.pack_layer(number, fingerprint))
            last.put(keys.NUMBERED + written, keys.digest_bytes(diff_id))
            last.delete(keys.UNSEEN + written)
            if before is not None:
                last.put(keys.UNSEEN + keys.number_bytes(before[0]), keys.digest_bytes(diff_id))
            self._db.write(last, _waiting(durably))
            if before is not None:
                self._remove(keys.number_bytes(before[0]))
            self._swept = True

    def _take_number(self, diff_id: Digest) -> int:
        kept: bytes | None = self._db.get(keys.NEXT_NUMBER)
        number = 0 if kept is None else int.from_bytes(kept, "big")
        batch = WriteBatch(raw_mode=True)
        batch.put(keys.NEXT_NUMBER, keys.number_bytes(number + 1))
        batch.put(keys.UNSEEN + keys.number_bytes(number), keys.digest_bytes(diff_id))
        self._db.write(batch)
        return number

    def _write(self, items: Iterator[tuple[bytes, bytes]]) -> None:
        batch = WriteBatch(raw_mode=True)
        put, size = batch.put, 0
        for key, kept in items:
            put(key, kept)
            size += len(key) + len(kept)
            if size >= BATCH:
                self._db.write(batch)
                batch, size = WriteBatch(raw_mode=True), 0
                put = batch.put
        self._db.write(batch)

    def _sweep(self) -> None:
        """Remove what is there of layers whose adding or removing was cut off."""
        prefix = keys.UNSEEN
        for key, _ in list(_scan(self._db.snapshot(), prefix, keys.after(prefix))):
            self._remove(key[1:])
        self._swept = True

    def _remove(self, number: bytes) -> None:
        """Remove all keys of a layer that is unseen; those of an entry at once, so that it can go on when cut off."""
        entries = keys.ENTRY + number
        scanned = _scan(self._db.snapshot(), entries, keys.after(entries))
        while some := list(islice(scanned, 2_000)):
            batch = WriteBatch(raw_mode=True)
            for key, kept in some:
                directory, name = (keys.read_text(part) for part in key[5:-2].split(b"\x00"))
                path = f"{directory}/{name}" if directory else name
                for each in keys.keys_of(number, keys.unpack_entry(path, kept)):
                    batch.delete(each)
            self._db.write(batch)
        batch = WriteBatch(raw_mode=True)
        batch.delete_range(keys.FACTS + number, keys.after(keys.FACTS + number))
        batch.delete(keys.NUMBERED + number)
        batch.delete(keys.UNSEEN + number)
        self._db.write(batch)

    def flush(self) -> None:
        """Return when all that was added is durable, in tables of its own."""
        with self._writing, self._understood():
            self._db.flush(wait=True)
            self._db.flush_wal(sync=True)


def _options(begin: bool) -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(begin)
    blocks = BlockBasedOptions()
    blocks.set_block_size(16 * _KIB)
    blocks.set_block_cache(Cache(CACHE))
    blocks.set_cache_index_and_filter_blocks(True)
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(True)
    # Indexes and filters are read by the piece: those of all tables are larger than the cache, and whole ones would
    # push each other out with every file that is looked up.
    blocks.set_index_type(BlockBasedIndexType.two_level_index_search())
    blocks.set_partition_filters(True)
    blocks.set_pin_top_level_index_and_filter(True)
    blocks.set_bloom_filter(10, False)
    blocks.set_format_version(5)
    options.set_block_based_table_factory(blocks)
    options.set_compression_type(DBCompressionType.zstd())
    options.set_write_buffer_size(WRITE_BUFFER)
    options.set_max_write_buffer_number(2)
    options.set_max_total_wal_size(4 * WRITE_BUFFER)
    options.set_target_file_size_base(32 * _MIB)
    options.set_level_compaction_dynamic_level_bytes(True)
    options.set_max_background_jobs(2)
    # All tables stay open: a question needs no file that somebody has removed since it was opened.
    options.set_max_open_files(-1)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(4 * _MIB)
    options.set_stats_dump_period_sec(0)
    return options


def _waiting(durably: bool) -> WriteOptions:
    options = WriteOptions()
    options.sync = durably
    return options


def _scan(snapshot: Snapshot, start: bytes, stop: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys from *start* to *stop* (exclusive) and what is kept under them."""
    bounds = ReadOptions()
    bounds.set_iterate_upper_bound(stop)
    place = snapshot.iter(bounds)
    place.seek(start)
    while place.valid():
        yield place.key(), place.value()
        place.next()
    place.status()


def _get(snapshot: Snapshot, key: bytes) -> bytes | None:
    for _, kept in _scan(snapshot, key, key + b"\x00"):
        return kept
    return None


def _number(snapshot: Snapshot, diff_id: Digest) -> bytes | None:
    """Return the number of a layer that is seen."""
    kept = _get(snapshot, keys.LAYER + keys.digest_bytes(diff_id))
    return None if kept is None else keys.number_bytes(keys.unpack_layer(kept)[0])


def _bounds(query: FileQuery) -> tuple[bytes, bytes] | None:
    """Return the first key that may be asked for, and the first behind them; None where there can be none."""
    whole = not query.prefix and query.pattern is None
    if query.by is By.SHA256:
        return _hash_bounds(query.text.lower(), whole)
    letter = keys.PATH if query.by is By.PATH else keys.NAME
    start = letter + (keys.text_bytes(query.text) if whole else keys.beginning(query.text))
    return start, keys.after(start)


def _hash_bounds(text: str, whole: bool) -> tuple[bytes, bytes] | None:
    if len(text) > 64 or (whole and len(text) < 64) or not set(text) <= set("0123456789abcdef"):
        return None
    padding = len(text) % 2
    start = keys.SHA256 + bytes.fromhex(text + "0" * padding)
    return start, keys.after(keys.SHA256 + bytes.fromhex(text + "f" * padding))


def _find(
    snapshot: Snapshot, by: By, bounds: tuple[bytes, bytes], pattern: Pattern | None, most: int, effort: Effort
) -> tuple[list[tuple[bytes, str]], bool, bytes]:
    """Return the layers' numbers and paths of at most *most* files, whether there are more, and the key of the next."""
    unseen = {key[1:] for key, _ in _scan(snapshot, keys.UNSEEN, keys.after(keys.UNSEEN))}
    limits = ReadOptions()
    limits.set_iterate_upper_bound(bounds[1])
    place = snapshot.iter(limits)
    place.seek(bounds[0])
    found: list[tuple[bytes, str]] = []
    matching, failing, passed = b"", b"\xff", 0
    while effort.another():
        if not place.valid():
            place.status()
            return found, False, b""
        key: bytes = place.key()
        # All files of one name, or with one content, are neighbours: they match or not together.
        if key.startswith(failing):
            passed += 1
            if passed < _NEAR:
                place.next()
            else:
                place.seek(keys.after(failing))
            continue
        if pattern is not None and not (matching and key.startswith(matching)):
            try:
                matching, failing = _matched(by, key, pattern)
            except TooMuchWork:
                return found, True, b""
            if not matching:
                passed = 0
                place.next()
                continue
        number = key[-4:]
        if number not in unseen:
            if len(found) == most:
                return found, True, key
            found.append((number, _path(by, key)))
        place.next()
    return found, True, b""


def _matched(by: By, key: bytes, pattern: Pattern) -> tuple[bytes, bytes]:
    """Return what keys begin with that match as *key* does, empty where it does not; and what those begin with that do
    not, FF where it does.

    Raises:
        TooMuchWork: see `Pattern.match`.
    """
    end = 33 if by is By.SHA256 else key.index(0, 1) + 1
    text = key[1:end].hex() if by is By.SHA256 else keys.read_text(key[1 : end - 1])
    failed = pattern.match(text)
    if failed is None:
        return key[:end], b"\xff"
    if failed > len(text) or by is By.SHA256:
        return b"", key[:end]
    return b"", key[:1] + keys.beginning(text[:failed])


def _path(by: By, key: bytes) -> str:
    match by:
        case By.PATH:
            return keys.read_text(key[1:-5])
        case By.SHA256:
            return keys.read_text(key[33:-5])
        case By.NAME:
            name, directory = (keys.read_text(part) for part in key[1:-5].split(b"\x00"))
            return f"{directory}/{name}" if directory else name


def _layer_items(number: bytes, entries: Sequence[Entry], facts: Mapping[str, bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield all keys of a layer. An entry's own comes before those that it is found by: see `Tables._remove`."""
    for entry in entries:
        own, *found_by = keys.keys_of(number, entry)
        yield own, keys.pack_entry(entry)
        for key in found_by:
            yield key, b""
    for kind, content in facts.items():
        yield keys.FACTS + number + keys.text_bytes(kind), content


def _fingerprint(raw_size: int, entries: Sequence[Entry], facts: Mapping[str, bytes]) -> bytes:
    """Return what tells one content of a layer from another."""
    encode = msgspec.msgpack.Encoder().encode
    running = hashlib.blake2b(encode((raw_size, len(entries))), digest_size=16)
    for first in range(0, len(entries), 1_000):
        running.update(encode(entries[first : first + 1_000]))
    for kind, content in sorted(facts.items()):
        running.update(encode((kind, content)))
    return running.digest()
