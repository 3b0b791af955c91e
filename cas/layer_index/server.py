"""The owner's side of the layer index's socket: answers what the processes of this machine ask.

Only the account that the owner runs as may connect (mode 0600). What comes in is read strictly all the same: a frame
that is none ends its connection, and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from cas.digest import Digest
from cas.errors import CasError, InvalidDigest, LayerIndexUnavailable
from cas.layer_index import messages
from cas.layer_index.messages import Progress
from cas.layer_index.protocol import By, FileQuery, LayerIndex

_log = logging.getLogger(__name__)

#: Requests of one connection that are under way at once; more wait in the socket.
MOST_UNDER_WAY = 32

#: Seconds between two looks at whether the socket's file is still there.
_LOOK_EVERY = 1.0

#: Seconds between two frames of progress, but for the last of each stage.
_TELL_EVERY = 0.05

#: Work that somebody may ask for: done with its options, telling of its progress, given up by cancelling it.
Work = Callable[[Mapping[str, bool], Callable[[Progress], None]], Awaitable[None]]


@asynccontextmanager
async def served(index: LayerIndex, path: Path, works: Mapping[str, Work] | None = None) -> AsyncIterator[None]:
    """Answer for *index* at the socket *path* for the time of the block; its directory is made where there is none.

    What is at *path* is replaced: whoever owns an index knows that nobody else answers for it.

    Args:
        works: what `messages.Perform` may name.

    Raises:
        OSError: the socket cannot be made.
    """
    answering = _Answering(index, works or {})
    listener = _Listener(path, answering)
    await listener.listen()
    try:
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(listener.keep())
            try:
                yield
            finally:
                keeping.cancel()
    finally:
        listener.close()
        await answering.aclose()


class _Listener:
    """The socket at *path*."""

    def __init__(self, path: Path, answering: _Answering) -> None:
        self._path = path
        self._answering = answering
        self._server: asyncio.Server | None = None
        self._identity = (0, 0)

    async def listen(self) -> None:
        """Begin to listen."""
        bound = _bound(self._path)
        self._identity = _identity(self._path)
        self._server = await asyncio.start_unix_server(self._answering.connected, sock=bound)

    async def keep(self) -> None:
        """Listen anew where somebody has removed the file, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            if not self._is_there():
                self._end()
                try:
                    await self.listen()
                except OSError as error:
                    _log.warning("the socket of the layer index cannot be made: %s", error.strerror)

    def close(self) -> None:
        """Listen no more."""
        if self._is_there():
            self._path.unlink()
        self._end()

    def _end(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    def _is_there(self) -> bool:
        try:
            return _identity(self._path) == self._identity
        except OSError:
            return False


def _bound(path: Path) -> socket.socket:
    """Make the socket, and let it take the place of what is at *path*."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # It is bound where nobody else may look, narrowed, and only then put in its place, which takes that of an old one.
    private = path.parent / f".{secrets.token_hex(8)}"
    private.mkdir(mode=0o700)
    bound = messages.unix_socket()
    try:
        with messages.address(private / "s") as short:
            bound.bind(short)
        (private / "s").chmod(0o600)
        bound.listen(128)
        (private / "s").rename(path)
    except BaseException:
        bound.close()
        raise
    finally:
        (private / "s").unlink(missing_ok=True)
        private.rmdir()
    return bound


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


class _Connection:
    """The writing side of a connection, which several answers share."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._turn = asyncio.Lock()

    async def send(self, frame: bytes) -> None:
        """Send a frame, waiting for the other side to read."""
        async with self._turn:
            self._writer.write(frame)
            await self._writer.drain()

    def send_soon(self, frame: bytes) -> None:
        """Send a frame that may as well be left out, where the other side does not read."""
        if self._writer.transport.get_write_buffer_size() < 65_536:
            self._writer.write(frame)

    async def refuse(self, number: int, kind: int, why: object) -> None:
        """Send an error."""
        with suppress(ConnectionError):
            await self.send(messages.frame(number, kind, messages.pack(why)))


class _Answering:
    def __init__(self, index: LayerIndex, works: Mapping[str, Work]) -> None:
        self._index = index
        self._works = works
        self._connections: set[asyncio.Task[Any]] = set()

    async def aclose(self) -> None:
        """End all connections, and return when nothing is under way any more."""
        for task in self._connections:
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection, until it ends."""
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._converse(reader, writer)
        except* (asyncio.IncompleteReadError, ConnectionError):
            pass
        except* (ValueError, msgspec.MsgspecError) as errors:
            _log.warning("a connection to the layer index was ended: %s", errors.exceptions[0])
        except* asyncio.CancelledError:
            pass  # by `aclose`: the server's own task has nobody to tell
        finally:
            self._connections.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        under_way = asyncio.Semaphore(MOST_UNDER_WAY)
        connection = _Connection(writer)
        answering: dict[int, asyncio.Task[None]] = {}

        def ended(number: int, task: asyncio.Task[None]) -> None:
            under_way.release()
            if answering.get(number) is task:
                del answering[number]

        async with asyncio.TaskGroup() as group:
            try:
                while True:
                    number, question = await _read_frame(reader)
                    if question is None:
                        if number in answering:
                            answering[number].cancel()
                        continue
                    await under_way.acquire()
                    answering[number] = group.create_task(self._answer(connection, number, question))
                    answering[number].add_done_callback(partial(ended, number))
            except asyncio.IncompleteReadError as end:
                # Nobody is left to be told anything: what is under way is given up.
                raise ConnectionResetError from end

    async def _answer(self, connection: _Connection, number: int, question: messages.AnyQuestion) -> None:
        try:
            match question:
                case messages.Perform(work, options):
                    await self._perform(connection, number, work, options)
                    answer: Any = None
                case _:
                    answer = await self._ask(question)
            for frame in messages.answer_frames(number, messages.pack(answer)):
                await connection.send(frame)
        except ConnectionError:
            pass  # the connection's reading ends too
        except LayerIndexUnavailable as error:
            await connection.refuse(number, messages.UNAVAILABLE, (error.reason, error.retry_after))
        except (ValueError, InvalidDigest) as error:
            await connection.refuse(number, messages.INVALID, str(error))
        except Exception:  # noqa: BLE001 - whatever it is, the other questions are answered
            _log.exception("a question to the layer index failed")
            await connection.refuse(number, messages.UNAVAILABLE, ("its owner failed", 2))

    async def _ask(self, question: messages.AnyQuestion) -> Any:
        index = self._index
        match question:
            case messages.Blobs(digests):
                return [
                    None if record is None else (record.diff_id.text, *record[1:])
                    for record in await index.blobs(_digests(digests))
                ]
            case messages.Compressions(diff_id):
                return [digest.text for digest in await index.compressions(Digest.parse(diff_id))]
            case messages.HasLayers(diff_ids):
                return await index.has_layers(_digests(diff_ids))
            case messages.Children(diff_id, directory, after, most):
                received = messages.text_received
                return await index.children(Digest.parse(diff_id), received(directory), received(after), most)
            case messages.Entries(wanted):
                return await index.entries(
                    [(Digest.parse(diff_id), messages.text_received(path)) for diff_id, path in wanted]
                )
            case messages.FindFiles(by, text, prefix, pattern, most, after):
                asked = None if pattern is None else messages.text_received(pattern)
                query = FileQuery(By(by), messages.text_received(text), prefix, asked)
                found = await index.find_files(query, most, after)
                return [[(file.diff_id.text, file.path) for file in found.files], found.more, found.next]
            case messages.Chains(chain_ids):
                return [
                    None
                    if record is None
                    else (record.diff_id.text, record.parent and record.parent.text, record.depth)
                    for record in await index.chains(_digests(chain_ids))
                ]
            case messages.Facts(diff_id, kind):
                return await index.facts(Digest.parse(diff_id), kind)
            case messages.Perform():
                raise AssertionError("work is performed elsewhere")

    async def _perform(self, connection: _Connection, number: int, work: str, options: Mapping[str, bool]) -> None:
        if work not in self._works:
            raise ValueError(f"there is no work called {work!r}")

        told = 0.0

        def tell(progress: Progress) -> None:
            nonlocal told
            if time.monotonic() - told >= _TELL_EVERY or progress.done == progress.total:
                told = time.monotonic()
                connection.send_soon(messages.frame(number, messages.PROGRESS, messages.pack(progress)))

        try:
            await self._works[work](options, tell)
        except CasError as error:
            if isinstance(error, LayerIndexUnavailable):
                raise
            raise LayerIndexUnavailable(f"{type(error).__name__}: {error}") from error


async def _read_frame(reader: asyncio.StreamReader) -> tuple[int, messages.AnyQuestion | None]:
    """Read a request; or None, and the number of the one that was given up.

    Raises:
        ValueError: what came is neither.
        asyncio.IncompleteReadError: the connection was ended.
    """
    length, number, kind = messages.HEADER.unpack(await reader.readexactly(messages.HEADER.size))
    if kind == messages.GIVEN_UP and length == 5:
        return number, None
    if kind != messages.REQUEST or not 5 <= length <= messages.MOST_FRAME:
        raise ValueError(f"no request: kind {kind}, {length} bytes")
    return number, messages.read_question(await reader.readexactly(length - 5))


def _digests(texts: list[str]) -> list[Digest]:
    return [Digest.parse(text) for text in texts]
