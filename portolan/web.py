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
from portolan.collector import keep_what_is_there
from portolan.connection import Connection
from portolan.listeners import BACKLOG
from portolan.settings import Settings, SettingsError
from portolan.straight import StraightReader
from portolan.tether import Tether

log = logs.get_logger()

#: Seconds that an idle connection is kept: longer than the proxies in front keep theirs.
KEEP_ALIVE = 75


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
            keep_what_is_there()
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
