"""The asking side of the layer index's socket: the index, as every process but its owner has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar, cast

import msgspec

from cas.digest import Digest
from cas.entries import Entry
from cas.errors import LayerIndexUnavailable
from cas.layer_index import messages
from cas.layer_index.messages import HEADER, Progress, text_sent
from cas.layer_index.protocol import BlobRecord, ChainRecord, FileQuery, FoundFile, FoundFiles

T = TypeVar("T")

#: Seconds that an answer may take.
TIMEOUT = 10.0

#: Names of a directory that are asked for at once, and bytes of the paths or digests of one request, more or less.
_PAGE = 5_000
_BATCH = 512 * 1024

_NOBODY = "its owner does not answer"

_Blob = tuple[str, int, int, int]
_Chain = tuple[str, str | None, int]


class RemoteLayerIndex:
    """A `LayerIndex` that asks the owner at the socket *path*.

    One connection carries all requests. It is made when it is first needed, and again when it broke off; what was asked
    meanwhile is asked once more, because no question changes anything.
    """

    def __init__(self, path: Path, timeout: float = TIMEOUT) -> None:
        self._path = path
        self._timeout = timeout
        self._connection: _Connection | None = None
        self._connecting = asyncio.Lock()

    async def blobs(self, digests: Sequence[Digest]) -> list[BlobRecord | None]:
        found: list[BlobRecord | None] = []
        for some in _batches([digest.text for digest in digests], len):
            records = await self._ask(messages.Blobs(some), list[_Blob | None])
            found += [record and BlobRecord(Digest.parse(record[0]), *record[1:]) for record in records]
        return found

    async def compressions(self, diff_id: Digest) -> list[Digest]:
        found = await self._ask(messages.Compressions(diff_id.text), list[str])
        return [Digest.parse(digest) for digest in found]

    async def has_layers(self, diff_ids: Sequence[Digest]) -> list[bool]:
        found: list[bool] = []
        for some in _batches([diff_id.text for diff_id in diff_ids], len):
            found += await self._ask(messages.HasLayers(some), list[bool])
        return found

    async def children(self, diff_id: Digest, directory: str, after: str = "", most: int = 1000) -> list[Entry]:
        found: list[Entry] = []
        while most > 0:
            asked = min(most, _PAGE)
            question = messages.Children(diff_id.text, text_sent(directory), text_sent(after), asked)
            page = await self._ask(question, list[Entry])
            found += page
            names = len({entry.path for entry in page})
            if names < asked:
                break
            most -= names
            after = page[-1].path.rpartition("/")[2]
        return found

    async def entries(self, wanted: Sequence[tuple[Digest, str]]) -> list[list[Entry]]:
        found: list[list[Entry]] = []
        asked = [(diff_id.text, text_sent(path)) for diff_id, path in wanted]
        for some in _batches(asked, lambda each: len(each[0]) + len(each[1])):
            found += await self._ask(messages.Entries(some), list[list[Entry]])
        return found

    async def find_files(self, query: FileQuery, most: int, after: bytes = b"") -> FoundFiles:
        pattern = None if query.pattern is None else text_sent(query.pattern)
        question = messages.FindFiles(query.by.value, text_sent(query.text), query.prefix, pattern, most, after)
        files, more, next = await self._ask(question, tuple[list[tuple[str, str]], bool, bytes])
        digests = {diff_id: Digest.parse(diff_id) for diff_id in {diff_id for diff_id, _ in files}}
        return FoundFiles([FoundFile(digests[diff_id], path) for diff_id, path in files], more, next)

    async def chains(self, chain_ids: Sequence[Digest]) -> list[ChainRecord | None]:
        found: list[ChainRecord | None] = []
        for some in _batches([chain_id.text for chain_id in chain_ids], len):
            records = await self._ask(messages.Chains(some), list[_Chain | None])
            found += [record and _chain(record) for record in records]
        return found

    async def facts(self, diff_id: Digest, kind: str) -> bytes | None:
        return await self._ask(messages.Facts(diff_id.text, kind), bytes | None)  # type: ignore[arg-type]

    async def perform(self, work: str, options: Mapping[str, bool]) -> AsyncGenerator[Progress, None]:
        """Have the owner do *work* (`cas.layer_index.server.Work`), and tell how far it has come, until it is done.

        Whoever stops listening has it given up.

        Raises:
            LayerIndexUnavailable: nobody answers; or the work failed, and why.
            ValueError: there is no such work.
        """
        connection = await self._connect()
        told: asyncio.Queue[Progress | None] = asyncio.Queue()
        try:
            answer = connection.ask(messages.Perform(work, dict(options)), told.put_nowait)
            answer.add_done_callback(lambda _: told.put_nowait(None))
            while (progress := await told.get()) is not None:
                yield progress
            answer.result()
        except _Gone:
            raise LayerIndexUnavailable(_NOBODY, nobody=True) from None
        finally:
            connection.close()

    async def aclose(self) -> None:
        """End the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _ask(self, question: messages.AnyQuestion, kind: type[T]) -> T:
        try:
            async with asyncio.timeout(self._timeout):
                return _read(await self._answer(question), kind)
        except TimeoutError:
            raise LayerIndexUnavailable(f"{_NOBODY} within {self._timeout:g} s", nobody=True) from None
        except _Gone:
            raise LayerIndexUnavailable(_NOBODY, nobody=True) from None

    async def _answer(self, question: messages.AnyQuestion) -> bytes:
        if self._connection is not None and not self._connection.gone:
            try:
                return await self._connection.ask(question)
            except _Gone:
                pass  # its owner was started anew, perhaps
        async with self._connecting:
            if self._connection is None or self._connection.gone:
                self._connection = await self._connect()
            connection = self._connection
        return await connection.ask(question)

    async def _connect(self) -> _Connection:
        connecting = messages.unix_socket()
        try:
            with messages.address(self._path) as short:
                connecting.connect(short)  # of a socket on this machine: at once, or not at all
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_unix_connection(_Connection, sock=connecting)
        except OSError as error:
            connecting.close()
            raise LayerIndexUnavailable(_NOBODY, nobody=True) from error
        return connection


class _Gone(Exception):
    """The connection broke off before the answer came."""


class _Pending:
    def __init__(self, answer: asyncio.Future[bytes], told: Callable[[Progress], None] | None) -> None:
        self.answer = answer
        self.told = told
        self.parts: list[bytes] = []
        self.size = 0


class _Connection(asyncio.Protocol):
    """Requests that are under way, and the bytes that come for them. Without a task: the loop calls it."""

    def __init__(self) -> None:
        self.gone = False
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._pending: dict[int, _Pending] = {}
        self._asked = 0

    def ask(
        self, question: messages.AnyQuestion, told: Callable[[Progress], None] | None = None
    ) -> asyncio.Future[bytes]:
        """Send a question; the future gets the answer, or raises `_Gone`, `LayerIndexUnavailable` or `ValueError`."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        if self.gone or self._transport is None:
            answer.set_exception(_Gone())
            return answer
        number = self._asked = (self._asked + 1) % (1 << 32)
        self._pending[number] = _Pending(answer, told)
        answer.add_done_callback(lambda answer: self._end(number, answer))
        self._transport.write(messages.frame(number, messages.REQUEST, messages.pack(question)))
        return answer

    def _end(self, number: int, answer: asyncio.Future[bytes]) -> None:
        self._pending.pop(number, None)
        if answer.cancelled() and self._transport is not None and not self.gone:
            self._transport.write(messages.frame(number, messages.GIVEN_UP, b""))

    def close(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()
        self._lose()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are of no class of asyncio's

    def connection_lost(self, error: Exception | None) -> None:
        self._lose()

    def _lose(self) -> None:
        self.gone = True
        for pending in list(self._pending.values()):
            if not pending.answer.done():
                pending.answer.set_exception(_Gone())
        self._pending.clear()

    def data_received(self, received: bytes) -> None:
        self._received += received
        at = 0
        try:
            while len(self._received) - at >= HEADER.size:
                length, number, kind = HEADER.unpack_from(self._received, at)
                if not 5 <= length <= messages.MOST_FRAME:
                    raise ValueError(f"a frame of {length} bytes")
                if len(self._received) - at < 4 + length:
                    break
                content = bytes(self._received[at + HEADER.size : at + 4 + length])
                at += 4 + length
                self._take(number, kind, content)
        except (ValueError, msgspec.MsgspecError):
            self.close()  # it speaks another language: another version's, perhaps, that is about to end
            return
        del self._received[:at]

    def _take(self, number: int, kind: int, content: bytes) -> None:
        pending = self._pending.get(number)
        if pending is None or pending.answer.done():
            return  # whoever asked does not wait any more
        match kind:
            case messages.PROGRESS:
                if pending.told is not None:
                    pending.told(messages.read_progress(content))
            case messages.PART | messages.ANSWER:
                pending.size += len(content)
                if pending.size > messages.MOST_ANSWER:
                    raise ValueError(f"an answer of more than {messages.MOST_ANSWER} bytes")
                pending.parts.append(content)
                if kind == messages.ANSWER:
                    pending.answer.set_result(b"".join(pending.parts))
            case messages.UNAVAILABLE:
                reason, retry_after = messages.read_unavailable(content)
                pending.answer.set_exception(LayerIndexUnavailable(reason, retry_after))
            case messages.INVALID:
                pending.answer.set_exception(ValueError(messages.read_invalid(content)))
            case _:
                raise ValueError(f"a frame of the kind {kind}")


def _read(answer: bytes, kind: type[T]) -> T:
    try:
        return msgspec.msgpack.decode(answer, type=kind)
    except msgspec.MsgspecError as error:
        raise LayerIndexUnavailable("its owner is of another version") from error


def _chain(record: _Chain) -> ChainRecord:
    diff_id, parent, depth = record
    return ChainRecord(Digest.parse(diff_id), None if parent is None else Digest.parse(parent), depth)


def _batches(items: list[T], size: Callable[[T], int]) -> Iterator[list[T]]:
    """Cut *items* into lists that each fit into a request."""
    batch: list[T] = []
    total = 0
    for item in items:
        batch.append(item)
        total += size(item) + 8
        if total >= _BATCH:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch
