"""From the bytes of a blob to the facts of a layer: read once, as a stream, and never written anywhere.

    blob ─► Decompressed ─► digest of all of it (diff_id) ─► Walker ─► digest of each file, entries, texts
                                                                  └──► catalogers ─► evidence

Memory holds a few pieces of the stream, what the entries are, and the small files that catalogers ask for; never a
whole file otherwise.

What ends how:

- A stream without a diff_id to rely on (damaged, cut off, over the limits of size and time) and one that does not begin
  as a tar are errors: `LayerUnreadable`.
- A tar that is damaged further on, or has more members than the limit, is read so far; `unread` says why no further,
  and the rest is hashed.
- One member that cannot be (a name that leaves the root, a whiteout of nothing, a kind that no runtime knows), and one
  file that is too large or too broken for its cataloger, is left out and counted in `limits`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from msgspec.structs import replace

from cas.entries import (
    BLOCK_DEVICE,
    CHARACTER_DEVICE,
    DIRECTORY,
    FILE,
    HARD_LINK,
    OPAQUE,
    PIPE,
    SYMLINK,
    WHITEOUT,
    Entry,
)
from catalog.images.facts import LayerFacts
from ingest import walker
from ingest.catalogers.cataloger import START, FileCataloger, ProgramCataloger
from ingest.decompression import Compression, Decompressed, Source
from ingest.errors import ArchiveDamaged
from ingest.gathering import Gathering
from ingest.interests import Interests, ProgramParts
from ingest.layer_entries import LayerEntries
from ingest.limits import ReadLimits
from ingest.paths import NameRefused, path_of
from ingest.remarks import Remarks
from ingest.walker import Member, Walker

if TYPE_CHECKING:
    from hashlib import _Hash

#: Raised whenever the same bytes would give other facts.
READER_VERSION = 2

_OTHER_KINDS = {walker.CHARACTER: CHARACTER_DEVICE, walker.BLOCK: BLOCK_DEVICE, walker.PIPE: PIPE}

_MARK = ".wh."
_OPAQUE_MARK = ".wh..wh..opq"
#: Begins the names that aufs kept for itself (".wh..wh.plnk"): runtimes pass over them.
_AUFS = ".wh..wh."

#: Bytes that tell what kind of program a file is, at most.
_MAGIC = 16


@dataclass(frozen=True, slots=True)
class ReadLayer:
    """A layer that was read: *size* is the blob's, in bytes; the archive's is `facts.size`."""

    facts: LayerFacts
    size: int
    compression: Compression


def read_layer(
    source: Source,
    limits: ReadLimits,
    catalogers: Sequence[FileCataloger],
    programs: Sequence[ProgramCataloger] = (),
) -> ReadLayer:
    """Read the blob that *source* gives, from where it stands to its end.

    Where *source* can go back (a file), it is read once more in the rare case that a package database turns out to be
    a hard link to a file that nobody asked for when it came by.

    Raises:
        LayerUnreadable: as said above; its subclasses tell why.
    """
    start = _place(source)
    reading = _Reading(limits, Interests(catalogers, programs))
    decompressed = Decompressed(source, limits)
    digest = sha256()
    reading.read(_fed_to(digest, decompressed))
    if decompressed.trailing:
        reading.remarks.add(f"{decompressed.trailing} bytes behind the compressed data were not read")
    entries = reading.entries.settle()
    reading.gathering.close(reading.entries.closed)
    if reading.gathering.again and start is not None:
        start.go_back()
        reading.read_again(Decompressed(source, limits))
    evidence, texts = reading.gathering.said(reading.entries)
    facts = LayerFacts(
        diff_id=f"sha256:{digest.hexdigest()}",
        size=decompressed.size,
        entries=entries,
        evidence=evidence,
        texts=texts,
        versions={"reader": READER_VERSION, **reading.interests.versions},
        limits=reading.remarks.lines(),
        unread=reading.unread,
    )
    return ReadLayer(facts, decompressed.compressed, decompressed.compression)


class _Place:
    """Where a file stood when reading it began."""

    def __init__(self, file: io.IOBase) -> None:
        self._file = file
        self._offset = file.tell()

    def go_back(self) -> None:
        self._file.seek(self._offset)


def _place(source: Source) -> _Place | None:
    """Return where *source* stands, if it can go back there."""
    return _Place(source) if isinstance(source, io.IOBase) and source.seekable() else None


def _fed_to(digest: _Hash, chunks: Decompressed) -> Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk


class _Reading:
    """Reads the archive of one layer."""

    def __init__(self, limits: ReadLimits, interests: Interests) -> None:
        self._limits = limits
        self.interests = interests
        self.remarks = Remarks()
        self.entries = LayerEntries(self.remarks)
        self.gathering = Gathering(interests, limits, self.remarks)
        self.unread = ""
        self._members = 0
        self._names = 0
        self._holes = 0

    def read(self, chunks: Iterator[bytes]) -> None:
        """Read to the end of the archive, or to where it cannot be read further (`unread`); take all chunks.

        Raises:
            LayerUnreadable
        """
        members = Walker(chunks, self._limits)
        try:
            for member in members:
                self._members += 1
                if self._members > self._limits.entries:
                    self.unread = f"it has more than {self._limits.entries} members"
                    break
                self._read_member(member, members)
                if self._names > self._limits.names:
                    self.unread = f"its names have more than {self._limits.names} bytes"
                    break
        except ArchiveDamaged as error:
            self.unread = error.reason
        behind = False
        for chunk in members.rest():
            behind = behind or chunk.count(0) < len(chunk)
        if behind and not self.unread:
            self.remarks.add("what stands behind the end of the archive was not read")

    def read_again(self, chunks: Decompressed) -> None:
        """Read once more, for files that only hard links give a name that somebody wants."""
        origins = self.gathering.origins_again()
        kept: dict[str, bytes] = {}
        room = self._limits.contents
        members = Walker(chunks, self._limits)
        with suppress(ArchiveDamaged):
            for number, member in enumerate(members):
                if number == self._members:
                    break
                path = _path(member, self._limits) if member.kind == walker.FILE else None
                if path in origins and member.kind == walker.FILE and not member.holes:
                    room += len(kept.pop(path, b""))
                    if self.gathering.wants_again(origins, path, member.size) and member.size <= room:
                        kept[path] = b"".join(members.pieces())
                        room -= len(kept[path])
        for path, content in kept.items():
            self.gathering.read_again(origins[path], content)

    # The kinds of members.

    def _read_member(self, member: Member, members: Walker) -> None:
        try:
            path = _path(member, self._limits)
        except NameRefused as error:
            self.remarks.add(error.reason, member.name)
            return
        if _MARK in path and self._is_mark(path):
            return
        kind = member.kind
        if not path:
            if kind != walker.DIRECTORY:
                self.remarks.add("the root is no directory")
            return
        self._names += len(path) + len(member.target)
        if self.entries.drop(path):
            self.gathering.forget(path)
        if kind == walker.FILE:
            digest = self._content(path, member, members)
            self.entries.put(_entry(path, FILE, member, digest=digest))
        elif kind == walker.DIRECTORY:
            self.entries.put(_entry(path, DIRECTORY, member))
        elif kind == walker.SYMLINK:
            self.entries.put(_entry(path, SYMLINK, member, _text(member.target)))
        elif kind == walker.HARD_LINK:
            self._hard_link(path, member)
        elif kind in _OTHER_KINDS:
            self.entries.put(_entry(path, _OTHER_KINDS[kind], member))
        else:
            self.remarks.add("a member is of a kind that no runtime knows", path)

    def _is_mark(self, path: str) -> bool:
        """Take note of what *path* says of the layers below; tell whether it is no path of this one."""
        parent, _, name = path.rpartition("/")
        if parent.startswith(_MARK) or f"/{_MARK}" in parent:
            if not any(part.startswith(_AUFS) for part in parent.split("/")):
                self.remarks.add("a whiteout is no directory", path)
        elif name == _OPAQUE_MARK:
            self.entries.mark(parent, OPAQUE)
        elif name.startswith(_AUFS):
            pass
        elif name.startswith(_MARK):
            hidden = name.removeprefix(_MARK)
            if hidden in ("", ".", ".."):
                self.remarks.add("a whiteout names nothing", path)
            else:
                self.entries.mark(f"{parent}/{hidden}" if parent else hidden, WHITEOUT)
                self._names += len(path)
        else:
            return False
        return True

    def _hard_link(self, path: str, member: Member) -> None:
        try:
            target = path_of(member.target)
        except NameRefused as error:
            self.remarks.add(f"a hard link: {error.reason}", path)
            return
        found = self.entries.get(target)
        if target in ("", path):
            self.remarks.add("a hard link leads to itself or to the root", path)
        elif found is None or found.kind == HARD_LINK:
            self.entries.put_open(_entry(path, HARD_LINK, member, _text(member.target)), target)
            self.gathering.wait(path, target)
        elif found.kind == DIRECTORY:
            self.remarks.add("a hard link to a directory", path)
        else:
            self.entries.put(replace(found, path=path))
            if found.kind == FILE:
                self.gathering.link(path, target)

    def _content(self, path: str, member: Member, members: Walker) -> bytes:
        """Digest a file's content, and hand it to whoever wants it."""
        size = member.size
        gathering = self.gathering
        wanted = gathering.wants(path, size)
        view = members.whole()
        if view is not None:
            known = size > 0 and view[0] in self.interests.first_bytes
            if wanted or (known and gathering.recognises(path, size, view)):
                gathering.read_file(path, bytes(view))
            if known:
                for parts in gathering.programs(bytes(view[:_MAGIC]), size):
                    parts.feed(view)
                    gathering.read_program(path, parts)
            return sha256(view).digest() if size else b""
        if member.holes:
            self._holes += member.holes
            if self._holes > self._limits.holes:
                self.remarks.add(f"not hashed, for holes of sparse files have over {self._limits.holes} bytes", path)
                return b""
        return self._long_content(path, size, members.pieces(), wanted=wanted)

    def _long_content(self, path: str, size: int, pieces: Iterator[memoryview], *, wanted: bool) -> bytes:
        running = sha256()
        gathered: list[bytes] = []
        early = bytearray()
        programs: list[ProgramParts] | None = None
        for piece in pieces:
            running.update(piece)
            fed = piece
            if programs is None:
                # The end of a chunk may cut off what files are known by.
                early += piece
                if len(early) < min(size, START):
                    continue
                fed = memoryview(early)
                known = early[0] in self.interests.first_bytes
                programs = self.gathering.programs(bytes(early[:_MAGIC]), size) if known else []
                wanted = wanted or (known and self.gathering.recognises(path, size, fed))
            if wanted:
                gathered.append(bytes(fed))
            for program in programs:
                program.feed(fed)
        if wanted:
            self.gathering.read_file(path, b"".join(gathered))
        for program in programs or ():
            self.gathering.read_program(path, program)
        return running.digest()


def _path(member: Member, limits: ReadLimits) -> str:
    """
    Raises:
        NameRefused: it cannot stand anywhere.
    """
    if len(member.name) > limits.path or len(member.target) > limits.path:
        raise NameRefused(f"a name is longer than {limits.path} bytes")
    return path_of(member.name)


def _entry(path: str, kind: str, member: Member, target: str = "", digest: bytes = b"") -> Entry:
    return Entry(
        path,
        kind,
        member.mode & 0o7777,
        member.uid,
        member.gid,
        member.size,
        member.modified,
        target,
        digest,
    )


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")
