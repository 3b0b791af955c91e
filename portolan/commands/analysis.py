"""What ``portolan analyze`` does; `portolan.commands.analyzing` has the command itself."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import click
import msgspec

from cas import CasError
from cas.derived import Derived, MemoryDerived
from catalog.images.report import PackagesAnswer
from ingest.analysis import OnProgress, analysing, cache_in
from ingest.errors import IngestError
from ingest.limits import ReadLimits
from ingest.sources import Credentials, InvalidSource, Refused, SourceError, open_source
from ingest.starting import Started
from portolan.command import MISTAKE, Failure
from portolan.commands.analyzing import READER_MEMORY
from portolan.commands.output import show, show_json
from portolan.docker_logins import DockerLogins
from portolan.logins import Logins, LoginsUnreadable
from portolan.terminal import printable

#: Processes at most: more layers at once than that wait for the disk.
_MOST_READERS = 8


def show_packages(
    reference: str,
    platform: str | None,
    every: bool,
    owned: bool,
    no_cache: bool,
    plain_http: bool,
    as_json: bool,
    first: Started | None,
) -> None:
    """Analyse and show; *first* is a process that reads layers and was started already."""
    # What went wrong in a process is told in one line, as all errors are.
    logging.getLogger("ingest").setLevel(logging.CRITICAL)
    logins = DockerLogins(os.environ)
    try:
        with _progress() if sys.stderr.isatty() else nullcontext(_silent) as on_progress:
            kept = MemoryDerived() if no_cache else _cache()
            found = asyncio.run(
                _analyze(reference, platform, every, kept, _credentials(logins), plain_http, on_progress, first)
            )
    except InvalidSource as error:
        raise Failure(str(error), MISTAKE) from error
    except Refused as error:
        raise Failure(f"{error}{_hint(error, logins)}") from error
    except (SourceError, IngestError, CasError, OSError) as error:
        raise Failure(f"{reference}: {str(error) or type(error).__name__}") from error
    if as_json:
        read = [msgspec.to_builtins(answer) for answer in found]
        show_json(read if every else read[0])
        return
    for answer in found:
        _show(answer, owned=owned)


async def _analyze(
    reference: str,
    platform: str | None,
    every: bool,
    kept: Derived,
    credentials: Credentials,
    plain_http: bool,
    on_progress: OnProgress,
    first: Started | None,
) -> list[PackagesAnswer]:
    source = await asyncio.to_thread(open_source, reference, credentials, plain_http=plain_http)
    try:
        readers = min(len(os.sched_getaffinity(0)), _MOST_READERS)
        async with analysing(readers, READER_MEMORY, kept, ReadLimits(), on_progress, first) as analysis:
            if every:
                return await analysis.every(source, reference)
            return [await analysis.one(source, reference, platform)]
    finally:
        await source.aclose()


def _cache() -> Derived:
    """Open the cache (XDG base directory specification); without a place for one nothing is kept."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    directory = (
        Path(base) if base.startswith("/") else Path(os.environ.get("HOME") or Path.home()) / ".cache"
    ) / "portolan"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return MemoryDerived()
    return cache_in(directory)


def _credentials(logins: DockerLogins) -> Credentials:
    """Look up what `portolan login` keeps, then what docker's and podman's do."""

    def known(host: str, repository: str) -> tuple[str, str] | str | None:
        for scheme in ("https", "http"):
            try:
                login = Logins(os.environ).find(f"{scheme}://{host}")
            except LoginsUnreadable as error:
                raise Failure(str(error)) from error
            if login is not None:
                return login.token
        return logins.find(host, repository)

    return known


def _hint(error: Refused, logins: DockerLogins) -> str:
    host = error.what.partition("/")[0]
    helper = logins.helper(host)
    if helper and error.status in (401, 403):
        return f"; the credential helper {helper!r} is not asked: use `portolan login {host}`"
    return ""


def _silent(done: int, total: int) -> None:
    """There is nobody to see it."""


@contextmanager
def _progress() -> Iterator[OnProgress]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("Reading layers"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task("layers", total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def _show(answer: PackagesAnswer, *, owned: bool) -> None:
    shown = [each for each in answer.packages if owned or not each.owned_by]
    rows = [(each.layer.index, each.ecosystem, each.name, each.version, " AND ".join(each.licenses)) for each in shown]
    if rows:
        show(("Layer", "Ecosystem", "Package", "Version", "Licenses"), rows, empty="")
    parts = [
        answer.platform or "unknown platform",
        answer.distro or "no distribution",
        _counted(len(answer.layers), "layer"),
        _counted(len(shown), "package"),
    ]
    if len(shown) < len(answer.packages):
        parts.append(f"{len(answer.packages) - len(shown)} more belong to these (--owned shows them)")
    click.echo(printable(f"{answer.image}: {', '.join(parts)}"))
    for layer in answer.layers:
        if layer.unread:
            click.echo(printable(f"Layer {layer.index} was not read to its end: {layer.unread}"), err=True)
    for limit in answer.limits_reached:
        click.echo(printable(f"Left out: {limit}"), err=True)


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
