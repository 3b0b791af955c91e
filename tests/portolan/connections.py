"""An application behind the service's own connections, on a socket of this machine."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import uvicorn

from portolan.connection import Connection
from portolan.straight import StraightReader


@asynccontextmanager
async def serving(application: Any, timeout_keep_alive: int = 75) -> AsyncIterator[int]:
    """Serve *application*; give the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        http: Any = StraightReader.maker(Connection)
        config = uvicorn.Config(
            application,
            http=http,
            lifespan="off",
            ws="none",
            log_config=None,
            timeout_keep_alive=timeout_keep_alive,
        )
        server = uvicorn.Server(config)
        server.capture_signals = nullcontext  # type: ignore[method-assign]
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve([listening]))
            yield listening.getsockname()[1]
            server.should_exit = True
