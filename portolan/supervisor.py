"""Keeps the parts of the program running: starts them, restarts one that dies, ends them together.

    serve ──┬── web (as many as the settings say, each with a listening socket of its own)
            └── ingest

The listening sockets are bound here and handed down, so no connection is refused while a part is replaced. A first
signal lets every part finish what it is doing within the grace of the settings; a second one ends all at once. This
process imports little and does little: it is the one that nothing restarts.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from portolan import logs
from portolan.tether import READY

log = logs.get_logger()

#: Seconds before a part that died is started again: the first time, and at most.
_FIRST_WAIT = 0.1
_LONGEST_WAIT = 10.0
#: Seconds after which a part counts as healthy, and its next death as the first.
_HEALTHY = 30.0
#: How often a part may end by itself before it was ever ready. Being killed does not count: that tells nothing of it.
_ATTEMPTS = 3
#: Exit status of a part that was told something impossible: starting it again would not help (as click has it).
_MISTAKE = 2
#: Seconds that a part has beyond the grace: it enforces the grace itself.
_LENIENCE = 2.0

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Part:
    """A process to be kept running: its name in the log, and the command of `portolan` that it runs."""

    name: str
    command: Sequence[str]
    descriptors: Sequence[int] = ()


class Supervisor:
    """Runs *first* to its end, then keeps *parts* running until a signal comes."""

    def __init__(
        self,
        first: Part,
        parts: Sequence[Part],
        listening: Sequence[socket.socket],
        variables: Mapping[str, str],
        grace: float,
        on_first: Callable[[bytes], None],
        on_ready: Callable[[], None],
    ) -> None:
        """Pass *variables* to every part.

        *on_first* gets what *first* wrote to its standard output; *on_ready* is called once every part is ready.
        """
        self._first = first
        self._parts = parts
        self._listening = listening
        self._variables = dict(variables)
        self._grace = grace
        self._on_first = on_first
        self._on_ready = on_ready
        self._stop = asyncio.Event()
        self._processes: set[asyncio.subprocess.Process] = set()
        self._ever_ready: set[str] = set()
        self._status = 0

    async def run(self) -> int:
        """Run until a signal comes or a part cannot be started; return the exit status."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._signalled, number)
        try:
            if await self._run_first():
                await self._run_parts()
        finally:
            self._kill_all()
        return self._status

    async def _run_parts(self) -> None:
        async with asyncio.TaskGroup() as group:
            keepers = [group.create_task(self._keep(part)) for part in self._parts]
            await self._stop.wait()
            for each in self._listening:
                each.close()
            for process in self._processes:
                _terminate(process)
            _, late = await asyncio.wait(keepers, timeout=self._grace + _LENIENCE)
            if late:
                log.warning("killing parts that did not stop in time", processes=[each.pid for each in self._processes])
                self._kill_all()

    def _signalled(self, number: int) -> None:
        if self._stop.is_set():
            log.warning("killing all parts", signal=signal.Signals(number).name)
            self._status = self._status or 1
            self._kill_all()
        else:
            log.info("stopping", signal=signal.Signals(number).name, grace=self._grace)
            self._stop.set()

    def _give_up(self, status: int) -> None:
        self._status = status
        self._stop.set()

    async def _run_first(self) -> bool:
        process, tether = await self._start(self._first, stdout=subprocess.PIPE)
        with tether:
            stopped = asyncio.ensure_future(self._stop.wait())
            ended = asyncio.ensure_future(process.communicate())
            await asyncio.wait((stopped, ended), return_when=asyncio.FIRST_COMPLETED)
            stopped.cancel()
            if not ended.done():
                process.kill()
            output, _ = await ended
        self._processes.discard(process)
        if self._stop.is_set():
            return False
        if process.returncode != 0:
            self._status = process.returncode if process.returncode == _MISTAKE else 1
            return False
        self._on_first(output)
        return True

    async def _keep(self, part: Part) -> None:
        """Start *part* again and again until the end has come."""
        loop = asyncio.get_running_loop()
        wait = _FIRST_WAIT
        failures = 0
        while not self._stop.is_set():
            started = loop.time()
            try:
                process, tether = await self._start(part)
            except OSError as error:  # no memory or no process left: it may pass
                log.warning("a part was not started", name=part.name, reason=str(error))
            else:
                if self._stop.is_set():
                    _terminate(process)
                with tether:
                    if await loop.sock_recv(tether, 1) == READY:
                        self._is_ready(part)
                    status = await process.wait()
                self._processes.discard(process)
                if self._stop.is_set():
                    return
                log.error("a part died", name=part.name, process=process.pid, status=status)
                failures += status >= 0
                if part.name not in self._ever_ready and (failures >= _ATTEMPTS or status == _MISTAKE):
                    log.error("a part cannot be started", name=part.name)
                    self._give_up(status if status == _MISTAKE else 1)
                    return
            if loop.time() - started > _HEALTHY:
                wait = _FIRST_WAIT
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    def _is_ready(self, part: Part) -> None:
        again = part.name in self._ever_ready
        self._ever_ready.add(part.name)
        if again:
            log.info("a part is running again", name=part.name)
        elif len(self._ever_ready) == len(self._parts):
            self._on_ready()

    async def _start(self, part: Part, stdout: int | None = None) -> tuple[asyncio.subprocess.Process, socket.socket]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            try:
                # -P: what lies in the working directory is never imported. A session of its own: Ctrl+C in a terminal
                # reaches this process alone, which then ends the parts in order.
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", "portolan", *part.command, "--tether", str(theirs.fileno())),
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    env=self._variables,
                    pass_fds=(*part.descriptors, theirs.fileno()),
                    start_new_session=True,
                )
            except OSError:
                ours.close()
                raise
        self._processes.add(process)
        return process, ours

    def _kill_all(self) -> None:
        for process in list(self._processes):
            with suppress(ProcessLookupError):
                process.kill()


def _terminate(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
