"""Whether this process can serve: asked by balancers and probes, answered at most once a second from fresh."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from portolan import logs

log = logs.get_logger()

#: Seconds that an answer is good for.
FRESH = 1.0
#: Seconds after which an ingest process that said nothing counts as late.
LATE = 60.0

#: Seconds that a part has to answer.
_PATIENCE = 5.0

#: Raises when a part is not ready; returns what there is to tell of it.
Check = Callable[[], Awaitable[Mapping[str, object]]]


class Health:
    """The state of each part that this process needs."""

    def __init__(self, checks: Mapping[str, Check], heartbeat: Path) -> None:
        """Ask *checks*; *heartbeat* is the file that an ingest process of this machine touches."""
        self._checks = checks
        self._heartbeat = heartbeat
        self._state: tuple[bool, dict[str, object]] = (False, {})
        self._asked = float("-inf")
        #: Set when this process was told to stop: balancers are to send their requests elsewhere.
        self.draining = False

    async def ready(self) -> tuple[bool, dict[str, object]]:
        """Tell whether all is well, and the state of each part; reasons are for the log, not for everybody."""
        if time.monotonic() - self._asked >= FRESH:
            self._asked = time.monotonic()
            self._state = await self._ask()
        ready, parts = self._state
        if self.draining:
            return False, {**parts, "web": {"state": "stopping"}}
        return ready, parts

    async def _ask(self) -> tuple[bool, dict[str, object]]:
        parts: dict[str, object] = {}
        ready = True
        for name, check in self._checks.items():
            try:
                async with asyncio.timeout(_PATIENCE):
                    parts[name] = {"state": "ready", **await check()}
            except Exception as error:  # noqa: BLE001 - whatever stops a part from answering is its state
                log.warning("not ready", name=name, reason=str(error) or type(error).__name__)
                parts[name] = {"state": "failing"}
                ready = False
        # Pushing and pulling go on without it, so it decides nothing here.
        parts["ingest"] = {"state": self._ingest()}
        return ready, parts

    def _ingest(self) -> str:
        try:
            return "ready" if time.time() - self._heartbeat.stat().st_mtime < LATE else "late"
        except OSError:
            return "unknown"  # it runs on another machine, or not at all
