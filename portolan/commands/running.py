"""``serve``, ``web``, ``ingest``, and ``prepare``, which is run before any of them."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, TypeVar

import click

from portolan import banner, listeners, logs, metrics
from portolan.command import MISTAKE, Failure, LazyGroup, config_option, read_settings
from portolan.listeners import CannotListen
from portolan.settings import PREFIX, Settings
from portolan.supervisor import Part, Supervisor
from portolan.tether import Tether
from portolan.values import Address

T = TypeVar("T")

_tether_option = click.option("--tether", "tether_descriptor", type=int, hidden=True)


@click.command()
@config_option
def serve() -> int:
    """Run everything on this machine: web processes (as many as `workers` says) and one ingest process.

    A part that dies is started again. SIGTERM and Ctrl+C let every request finish within `shutdown_grace`; a second
    one ends all at once.
    """
    settings = read_settings()
    logs.configure(settings.log_format, settings.log_level, "serve")
    web_sockets = _bind_each(settings.listen, settings.workers)
    metrics_sockets = [] if settings.metrics_listen is None else _bind(settings.metrics_listen)
    settings = _as_bound(settings, web_sockets[0])
    first_steps: dict[str, Any] = {}

    def note(output: bytes) -> None:
        first_steps.update(json.loads(output))
        metrics.clear(settings.figures)

    supervisor = Supervisor(
        first=Part("prepare", ("prepare",)),
        parts=[
            *(_web_part(number, sockets, metrics_sockets) for number, sockets in enumerate(web_sockets, 1)),
            Part("ingest", ("ingest", "--prepared")),
        ],
        listening=[*chain.from_iterable(web_sockets), *metrics_sockets],
        variables=_environment(settings),
        grace=settings.shutdown_grace,
        on_first=note,
        on_ready=lambda: click.echo(banner.text(settings, **first_steps)),
    )
    return asyncio.run(supervisor.run())


@click.command()
@config_option
@click.option("--fd", "descriptors", type=int, multiple=True, hidden=True)
@click.option("--metrics-fd", "metrics_descriptors", type=int, multiple=True, hidden=True)
@_tether_option
def web(descriptors: tuple[int, ...], metrics_descriptors: tuple[int, ...], tether_descriptor: int | None) -> None:
    """Run one web process, which listens by itself: any number of machines may, on one PostgreSQL and one store."""
    settings = read_settings()
    tether = _tied(settings, tether_descriptor)
    logs.configure(settings.log_format, settings.log_level, "web")
    from portolan import web as web_process

    if descriptors:
        sockets, metrics_sockets = listeners.adopt(descriptors), listeners.adopt(metrics_descriptors)
    else:
        web_process.check_tls(settings)
        sockets = _bind(settings.listen)
        metrics_sockets = [] if settings.metrics_listen is None else _bind(settings.metrics_listen)
        settings = _as_bound(settings, sockets)
        taken = _run(_prepare(settings))
        click.echo(banner.text(settings, **taken._asdict()))
    _run(web_process.run(settings, sockets, metrics_sockets, tether))


_INGEST = "portolan.commands.ingesting"


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    lazy={
        "status": (f"{_INGEST}:status", "Count what is still to be read."),
        "failures": (f"{_INGEST}:failures", "List what could not be read, and why."),
        "retry": (f"{_INGEST}:retry", "Try what failed again, at once."),
    },
)
@config_option
@click.option("--prepared", is_flag=True, hidden=True)
@_tether_option
@click.pass_context
def ingest(context: click.Context, prepared: bool, tether_descriptor: int | None) -> None:
    """Run the work that no request waits for: reading what is pushed, and chores.

    Of several processes one works, and the others stand by. With a command, say how that work goes.
    """
    if context.invoked_subcommand is not None:
        return
    settings = read_settings()
    tether = _tied(settings, tether_descriptor)
    logs.configure(settings.log_format, settings.log_level, "ingest")
    from portolan import background

    if not prepared:
        _run(_prepare(settings, with_link=False))
    _run(background.run(settings, tether))


@click.command(hidden=True)
@config_option
@_tether_option
def prepare(tether_descriptor: int | None) -> None:
    """Take the first steps and tell of them in JSON: the supervisor runs this before the parts."""
    settings = read_settings()
    _tied(settings, tether_descriptor)
    logs.configure(settings.log_format, settings.log_level, "prepare")
    click.echo(json.dumps(_run(_prepare(settings))._asdict()))


async def _prepare(settings: Settings, *, with_link: bool = True) -> Any:
    from portolan import first_steps

    return await first_steps.take(settings, with_link=with_link)


def _run(work: Coroutine[Any, Any, T]) -> T:
    """Run *work* on the event loop that serves."""
    import uvloop

    from portolan.commands.execution import run

    return run(work, uvloop.new_event_loop)


def _web_part(number: int, sockets: Sequence[socket.socket], metrics_sockets: Sequence[socket.socket]) -> Part:
    command = ("web", *_passed("--fd", sockets), *_passed("--metrics-fd", metrics_sockets))
    return Part(f"web-{number}", command, [each.fileno() for each in (*sockets, *metrics_sockets)])


def _bind(address: Address) -> list[socket.socket]:
    return _bind_each(address, 1)[0]


def _bind_each(address: Address, processes: int) -> list[list[socket.socket]]:
    try:
        return listeners.bind_each(address, processes)
    except CannotListen as error:
        hint = "; is it running already? `portolan doctor` tells" if error.taken else ""
        raise Failure(f"{error}{hint}", MISTAKE) from error


def _tied(settings: Settings, descriptor: int | None) -> Tether | None:
    return None if descriptor is None else Tether(descriptor, settings.shutdown_grace + 2)


def _as_bound(settings: Settings, sockets: Sequence[socket.socket]) -> Settings:
    """Return *settings* with the port that was found where they left it open."""
    return replace(settings, listen=Address(settings.listen.host, listeners.port_of(sockets)))


def _passed(option: str, sockets: Sequence[socket.socket]) -> list[str]:
    return [word for each in sockets for word in (option, str(each.fileno()))]


def _environment(settings: Settings) -> dict[str, str]:
    """Return the environment of the parts: this one, with the settings as they were read."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return inherited | settings.as_variables()
