"""A web process: one event loop, one set of services, and the sockets that it was given."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import uvicorn

from portolan import app, logs
from portolan.allocator import keep_pieces
from portolan.listeners import BACKLOG
from portolan.settings import Settings, SettingsError
from portolan.straight import StraightConnection, StraightReader
from portolan.tether import Tether
from portolan.zero_copy import ZeroCopyConnection

log = logs.get_logger()

#: Seconds that an idle connection is kept: longer than the proxies in front keep theirs.
KEEP_ALIVE = 75
#: Bytes that a connection may send while the headers of a request are not complete. More than one read of the event
#: loop (256 KiB), so that a read which holds other things as well is never taken for headers.
MOST_HEADERS = 512 * 1024
#: Seconds that a new connection has for the headers of its first request.
FIRST_REQUEST = 30.0


async def run(
    settings: Settings,
    listening: Sequence[socket.socket],
    metrics_listening: Sequence[socket.socket] = (),
    tether: Tether | None = None,
) -> None:
    """Serve on *listening* until SIGTERM or SIGINT comes, then finish what is under way.

    Raises:
        SettingsError: the TLS certificate cannot be used.
        DatabaseError: the database cannot be used.
    """
    check_tls(settings)
    keep_pieces()
    async with app.services(settings, shares_figures=tether is not None) as services:
        started = asyncio.Event()
        servers = [_Server(_config(settings, app.application(services)), started.set)]
        if metrics_listening:
            servers.append(_Server(_config(settings, app.metrics_application(services), tls=False)))

        def stop() -> None:
            services.health.draining = True
            for server in servers:
                server.force_exit = server.should_exit
                server.should_exit = True

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        async with asyncio.TaskGroup() as group:
            for server, sockets in zip(servers, (listening, metrics_listening), strict=False):
                group.create_task(server.serve(list(sockets)))
            await started.wait()
            log.info("serving", addresses=[_address(each) for each in listening])
            if tether is not None:
                tether.ready()
        log.info("stopped")


def check_tls(settings: Settings) -> None:
    """Raise `SettingsError` where the certificate and its key cannot be used."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return
    for name, path in (("tls_certificate", settings.tls_certificate), ("tls_key", settings.tls_key)):
        if not os.access(path, os.R_OK):
            raise SettingsError(name, f"{str(path)!r} cannot be read: expected a PEM file that this user may read")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(settings.tls_certificate, settings.tls_key)
    except (ssl.SSLError, OSError) as error:
        raise SettingsError(
            "tls_certificate",
            f"and tls_key cannot be used ({error}): expected a PEM chain and the PEM key that belongs to it",
        ) from error


def _config(settings: Settings, application: Any, *, tls: bool = True) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http=StraightReader.maker(Connection),  # type: ignore[arg-type]
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=settings.shutdown_grace,
        ssl_certfile=settings.tls_certificate if tls else None,
        ssl_keyfile=settings.tls_key if tls else None,
    )


def _address(each: socket.socket) -> str:
    where = each.getsockname()
    return f"[{where[0]}]:{where[1]}" if each.family == socket.AF_INET6 else f"{where[0]}:{where[1]}"


class _Server(uvicorn.Server):
    """uvicorn's server, told when to stop by `run`: two of them share one process."""

    def __init__(self, config: uvicorn.Config, on_started: Callable[[], None] = lambda: None) -> None:
        super().__init__(config)
        self._on_started = on_started

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()


class Connection(ZeroCopyConnection, StraightConnection):
    """uvicorn's connection, with two limits that it lacks: on the size of headers, and on the wait for the first."""

    _asked = False
    _awaiting = True
    _awaited = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._first_request = self.loop.call_later(FIRST_REQUEST, self._close_silent)

    def connection_lost(self, exc: Exception | None) -> None:
        self._first_request.cancel()
        super().connection_lost(exc)

    def _close_silent(self) -> None:
        if not self._asked and not self.transport.is_closing():
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        began_awaiting = self._awaiting
        super().data_received(data)
        if began_awaiting and self._awaiting:
            self._awaited += len(data)
            if self._awaited > MOST_HEADERS and not self.transport.is_closing():
                self.send_400_response("The headers are too long.")

    def on_message_begin(self) -> None:
        self._awaited = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._asked = True
        self._awaiting = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._awaiting = True
        super().on_message_complete()
