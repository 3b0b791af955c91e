"""Messages between the ingest process and those that read for it.

    count (4 bytes) · length of each part (8 bytes, big-endian) · the parts

The first part is msgpack: a `Request` or an `Answer`; the others are bytes as they are. Whoever receives says how much
it takes, and looks at the lengths first. A request begins with one byte more, with which a descriptor may come along,
and which is sent back at once: from then on what happens to the process is the request's own doing.
"""

from __future__ import annotations

import array
import asyncio
import socket
import struct
from collections.abc import Sequence

import msgspec

#: Parts of one message, at most: a request to squash has one for each layer.
MOST_PARTS = 10_000

_BEGIN = b"+"
_COUNT = struct.Struct("!I")
_LENGTH = struct.Struct("!Q")
_PIECE = 1024 * 1024


class TooLarge(Exception):
    """The message has more bytes or parts than are taken."""


class Request(msgspec.Struct):
    """What is to be done: the name of a work, and its parameters."""

    work: str
    parameters: dict[str, object] = {}


class Answer(msgspec.Struct, omit_defaults=True):
    """How it went: *error* is empty, ``unreadable`` (a fault of the bytes), ``memory``, ``large`` or ``fault`` (of the
    program); *reason* in words, *trace* for the log."""

    error: str = ""
    reason: str = ""
    trace: str = ""


def _head(parts: Sequence[bytes]) -> bytes:
    return b"".join([_COUNT.pack(len(parts)), *(_LENGTH.pack(len(part)) for part in parts)])


def send(to: socket.socket, first: Request | Answer, parts: Sequence[bytes] = ()) -> None:
    """Send a message, however long that takes."""
    whole = [msgspec.msgpack.encode(first), *parts]
    to.sendall(_head(whole))
    for part in whole:
        to.sendall(part)


def receive(source: socket.socket, most: int) -> tuple[list[bytearray], int | None]:
    """Wait for a request; return its parts, and the descriptor that came along.

    Raises:
        EOFError: the other side is gone.
        TooLarge: the message has more than *most* bytes.
    """
    space = socket.CMSG_SPACE(array.array("i", [0]).itemsize)
    first, ancillary, _, _ = source.recvmsg(1, space, socket.MSG_CMSG_CLOEXEC)
    if not first:
        raise EOFError
    source.sendall(_BEGIN)
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    count = _count(_exactly(source, _COUNT.size))
    lengths = _lengths(_exactly(source, _LENGTH.size * count), most)
    return [_exactly(source, length) for length in lengths], descriptors[0] if descriptors else None


def _exactly(source: socket.socket, size: int) -> bytearray:
    content = bytearray(size)
    view = memoryview(content)
    while len(view):
        received = source.recv_into(view)
        if not received:
            raise EOFError
        view = view[received:]
    return content


async def begin_async(to: socket.socket, descriptor: int | None) -> None:
    """Announce a request, and pass *descriptor* along; return when the other side is at it.

    Raises:
        EOFError: it is gone.
        ConnectionError: likewise.
    """
    # It has read whatever was sent before, so there is room for a byte at once.
    socket.send_fds(to, [_BEGIN], [] if descriptor is None else [descriptor])
    await _exactly_async(to, 1)


async def send_async(to: socket.socket, first: Request, parts: Sequence[bytes] = ()) -> None:
    """Send what was announced."""
    loop = asyncio.get_running_loop()
    whole = [msgspec.msgpack.encode(first), *parts]
    await loop.sock_sendall(to, _head(whole))
    for part in whole:
        await loop.sock_sendall(to, part)


async def receive_async(source: socket.socket, most: int) -> tuple[Answer, list[bytes]]:
    """Wait for an answer and its parts.

    Raises:
        EOFError: the other side is gone.
        TooLarge: the message has more than *most* bytes.
        msgspec.DecodeError: it is no answer.
    """
    head = await _exactly_async(source, _COUNT.size)
    lengths = _lengths(await _exactly_async(source, _LENGTH.size * _count(head)), most)
    first, *parts = [bytes(await _exactly_async(source, length)) for length in lengths]
    return msgspec.msgpack.decode(first, type=Answer), parts


async def _exactly_async(source: socket.socket, size: int) -> bytearray:
    """Receive *size* bytes; room is made as they come, not as they were announced."""
    loop = asyncio.get_running_loop()
    content = bytearray()
    while len(content) < size:
        received = await loop.sock_recv(source, min(size - len(content), _PIECE))
        if not received:
            raise EOFError
        content += received
    return content


def _count(head: bytes | bytearray) -> int:
    (count,) = _COUNT.unpack(head)
    if not 1 <= count <= MOST_PARTS:
        raise TooLarge
    return int(count)


def _lengths(packed: bytes | bytearray, most: int) -> list[int]:
    lengths = [int(length) for (length,) in _LENGTH.iter_unpack(packed)]
    if sum(lengths) > most:
        raise TooLarge
    return lengths
