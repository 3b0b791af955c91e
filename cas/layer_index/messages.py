"""What goes over the layer index's socket.

    frame      length (4 bytes, big-endian), then: request's number (4 bytes), kind (1 byte), content
    request    kind REQUEST; content: a `Question` in msgpack. Numbers are the client's, and used once
    answer     any number of PART, then ANSWER: what they hold together is the answer in msgpack; or one error
    progress   any number of PROGRESS, a `Progress` each, before the answer to a `Perform`
    given up   GIVEN_UP, from whoever asked: nobody waits for the answer to the request of this number any more
    error      UNAVAILABLE: why, and seconds to wait; INVALID: what is wrong with the question

Several requests are under way at once, and their answers come as they are ready. A frame is at most `MOST_FRAME` bytes
and an answer in all at most `MOST_ANSWER`. Texts that are looked for go as bytes: what a client of ours sent may hold
half a surrogate pair, which msgpack cannot write.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from cas.errors import LayerIndexUnavailable

REQUEST, PART, ANSWER, PROGRESS, UNAVAILABLE, INVALID, GIVEN_UP = range(7)

HEADER = struct.Struct(">IIB")

_MIB = 1024 * 1024
MOST_FRAME = 8 * _MIB
MOST_ANSWER = 256 * _MIB

#: How large a part of an answer is, so that small answers get through between those of a large one.
_PART = 256 * 1024


class Question(msgspec.Struct, array_like=True, tag=True, frozen=True):
    """A request. The types below are named as the methods of `LayerIndex` are."""


class Blobs(Question, tag="blobs", frozen=True):
    digests: list[str]


class Compressions(Question, tag="compressions", frozen=True):
    diff_id: str


class HasLayers(Question, tag="has_layers", frozen=True):
    diff_ids: list[str]


class Children(Question, tag="children", frozen=True):
    diff_id: str
    directory: bytes
    after: bytes
    most: int


class Entries(Question, tag="entries", frozen=True):
    wanted: list[tuple[str, bytes]]


class FindFiles(Question, tag="find_files", frozen=True):
    by: str
    text: bytes
    prefix: bool
    pattern: bytes | None
    most: int
    after: bytes


class Chains(Question, tag="chains", frozen=True):
    chain_ids: list[str]


class Facts(Question, tag="facts", frozen=True):
    diff_id: str
    kind: str


class Perform(Question, tag="perform", frozen=True):
    """Do the work *work* with *options*, telling how far it has come. It is given up when the connection ends."""

    work: str
    options: dict[str, bool]


AnyQuestion = Blobs | Compressions | HasLayers | Children | Entries | FindFiles | Chains | Facts | Perform


class Progress(msgspec.Struct, array_like=True, frozen=True):
    """How far work has come: *done* of *total* of what *stage* says in words."""

    stage: str
    done: int
    total: int


pack = msgspec.msgpack.Encoder().encode
read_question = msgspec.msgpack.Decoder(AnyQuestion).decode
read_progress = msgspec.msgpack.Decoder(Progress).decode
read_unavailable = msgspec.msgpack.Decoder(tuple[str, int]).decode
read_invalid = msgspec.msgpack.Decoder(str).decode


def text_sent(text: str) -> bytes:
    """Write a text that is looked for."""
    return text.encode("utf-8", "surrogatepass")


def text_received(sent: bytes) -> str:
    """Read a text that is looked for.

    Raises:
        UnicodeDecodeError: it is none.
    """
    return sent.decode("utf-8", "surrogatepass")


def frame(number: int, kind: int, content: bytes) -> bytes:
    """Write a frame."""
    return HEADER.pack(len(content) + 5, number, kind) + content


def answer_frames(number: int, content: bytes) -> Iterator[bytes]:
    """Write an answer as frames.

    Raises:
        LayerIndexUnavailable: it is too large to be sent.
    """
    if len(content) > MOST_ANSWER:
        raise LayerIndexUnavailable(f"an answer of {len(content)} bytes is too large for its socket")
    whole = memoryview(content)
    last = max(len(content) - 1, 0) // _PART
    for part in range(last + 1):
        kind = ANSWER if part == last else PART
        yield frame(number, kind, bytes(whole[part * _PART : (part + 1) * _PART]))


@contextmanager
def address(path: Path) -> Iterator[str]:
    """Yield a name of the socket *path* that is short enough, however deep its directory is (unix(7): 108 bytes)."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def unix_socket() -> socket.socket:
    """Make a socket for either side."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.setblocking(False)
    return made
