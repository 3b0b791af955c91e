"""One process that reads layers, as the ingest process holds it."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from cas import BlobReader
from ingest import frames
from ingest.errors import (
    AnswerTooLarge,
    LayerUnreadable,
    NotStarted,
    OutOfMemory,
    ProgramFault,
    ReaderFailed,
    ReaderKilled,
    TooSlow,
)
from ingest.frames import Answer, Request, TooLarge
from ingest.reader_process import NO_MEMORY
from ingest.starting import Started, start

#: Seconds that a process has to say that it is ready, on a machine that is busy with others.
_TO_START = 60.0
#: Seconds that the kernel has to tell how a process ended whose socket is closed.
_TO_END = 5.0
#: Bytes of an answer that are taken.
MOST_ANSWER = 256 << 20


class Gone(Exception):
    """The process was gone before it was asked: that is nobody's fault."""


class Reader:
    """A running process. It does one work at a time; after an error of `ReaderFailed` it is of no more use."""

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket, memory: int) -> None:
        self.pid = process.pid
        self.works = 0
        self.ended = asyncio.get_running_loop().create_future()
        self._process = process
        self._connection = connection
        self._memory = memory
        self._watched = os.pidfd_open(process.pid)
        asyncio.get_running_loop().add_reader(self._watched, self._has_ended)

    @classmethod
    async def start(cls, memory: int, module: str, started: Started | None = None) -> Reader:
        """Start a process that may have *memory* bytes, unless one was *started* already; return when it is ready.

        Raises:
            NotStarted: it is not.
        """
        try:
            begun = started or start(memory, module)
        except OSError as error:
            raise NotStarted(str(error)) from error
        ours = begun.connection
        reader = cls(begun.process, ours, memory)
        try:
            async with asyncio.timeout(_TO_START):
                await frames.receive_async(ours, MOST_ANSWER)
        except (EOFError, OSError, TimeoutError) as error:
            status = await reader.end()
            raise NotStarted(f"it took too long, or ended with {status}") from error
        except BaseException:
            await reader.end()
            raise
        return reader

    async def do(
        self, request: Request, parts: Sequence[bytes], blob: BlobReader | None, seconds: float
    ) -> list[bytes]:
        """Have a work done: the process reads *blob* by its descriptor, or is fed with its pieces.

        Raises:
            LayerUnreadable: the bytes are not what they should be.
            ReaderFailed: the process is to be given up.
            Gone: it did not even begin.
            Exception: what reading *blob* raised; the process is to be given up.
        """
        self.works += 1
        try:
            async with asyncio.timeout(seconds):
                answer, found = await self._exchange(request, parts, blob)
        except TimeoutError as error:
            raise TooSlow(seconds) from error
        except TooLarge as error:
            raise AnswerTooLarge(MOST_ANSWER) from error
        except (EOFError, ConnectionError, msgspec.DecodeError) as error:
            raise await self._ended_by(error) from error
        match answer.error:
            case "":
                return found
            case "unreadable":
                raise LayerUnreadable(answer.reason)
            case "memory":
                raise OutOfMemory(self._memory)
            case _:
                raise ProgramFault(answer.reason, answer.trace)

    async def _exchange(
        self, request: Request, parts: Sequence[bytes], blob: BlobReader | None
    ) -> tuple[Answer, list[bytes]]:
        descriptor = None if blob is None else blob.fileno()
        if blob is None or descriptor is not None:
            await self._begin(descriptor)
            await frames.send_async(self._connection, request, parts)
            return await frames.receive_async(self._connection, MOST_ANSWER)
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                ours.setblocking(False)
                theirs.shutdown(socket.SHUT_WR)
                await self._begin(theirs.fileno())
            await frames.send_async(self._connection, request, parts)
            return await self._feed_and_receive(blob, ours)

    async def _begin(self, descriptor: int | None) -> None:
        try:
            await frames.begin_async(self._connection, descriptor)
        except (EOFError, ConnectionError) as error:
            raise Gone from error

    async def _feed_and_receive(self, blob: BlobReader, to: socket.socket) -> tuple[Answer, list[bytes]]:
        """Feed the process until it answers. Where *blob* cannot be read to its end the answer is worth nothing: what
        was cut off may well look whole."""
        failures: list[Exception] = []

        async def feed() -> None:
            loop = asyncio.get_running_loop()
            try:
                async for piece in blob.pieces(0, blob.size):
                    await loop.sock_sendall(to, piece)
            except ConnectionError:
                pass  # it has read enough; or it has died, which is seen elsewhere
            except Exception as error:  # noqa: BLE001 - raised below
                failures.append(error)
            with suppress(OSError):
                to.shutdown(socket.SHUT_WR)

        received: tuple[Answer, list[bytes]] | None = None
        async with asyncio.TaskGroup() as group:
            feeding = group.create_task(feed())
            try:
                received = await frames.receive_async(self._connection, MOST_ANSWER)
            except (EOFError, ConnectionError, TooLarge, msgspec.DecodeError) as error:
                failures.append(error)
            feeding.cancel()
        if failures:
            raise failures[0]
        assert received is not None
        return received

    async def _ended_by(self, error: Exception) -> ReaderFailed:
        """Tell why nothing more comes. A library that gets no memory ends the process."""
        if isinstance(error, msgspec.DecodeError):
            return ReaderKilled(None)
        status = await self._status()
        return OutOfMemory(self._memory) if status in (-signal.SIGABRT, NO_MEMORY) else ReaderKilled(status)

    async def _status(self) -> int | None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_TO_END):
                await asyncio.shield(self.ended)
        return self._process.poll()

    def resident(self) -> int:
        """Tell its bytes that are in memory now; 0 where it has ended."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            return 0
        return pages * resource.getpagesize()

    async def end(self) -> int | None:
        """End it at once; return its exit status."""
        self._process.kill()
        self._connection.close()
        status = await self._status()
        if not self.ended.done():
            self._has_ended()
        return status

    def _has_ended(self) -> None:
        asyncio.get_running_loop().remove_reader(self._watched)
        os.close(self._watched)
        self._process.poll()
        if not self.ended.done():
            self.ended.set_result(None)
