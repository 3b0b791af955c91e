"""``portolan ingest status``, ``failures`` and ``retry``: directly on this machine's database."""

from __future__ import annotations

import click

from cas import RepositoryName, parse_reference
from catalog.images.manifests import IndexManifest, read_manifest
from catalog.metadata import cursors, jobs, manifests, repositories
from catalog.metadata.jobs import EVERYTHING, REPOSITORY, Failure
from database import Transaction, events
from ingest.consumer import SEARCH
from portolan import command
from portolan.command import MISTAKE, config_option
from portolan.commands.execution import Installation, installation, run
from portolan.commands.output import json_option, show, show_json, when


@click.command()
@json_option
@config_option
def status(as_json: bool) -> None:
    """Count what is still to be read."""

    async def work() -> None:
        async with installation() as here:
            read = await cursors.read(here.database, SEARCH)
            unread = await events.count_after(here.database, read.position)
            counts = await jobs.counts(here.database)
            missing = await jobs.missing(here.database)
        oldest = None if counts.oldest is None else counts.oldest // 1000
        if as_json:
            waits_for = [{"reason": each.reason, "jobs": each.jobs} for each in missing]
            show_json({"events": unread, **counts._asdict(), "oldest": oldest, "waits_for": waits_for})
            return
        click.echo(f"{counts.waiting} waiting, {counts.running} running, {counts.parked} parked")
        if unread:
            click.echo(f"{unread} changes were not looked at yet: is `portolan serve` or `portolan ingest` running?")
        if oldest is not None:
            click.echo(f"The oldest has been waiting since {when(oldest)}.")
        for each in missing:
            click.echo(f"{each.jobs} of them wait, and are tried again: {each.reason}")
        if counts.failed:
            click.echo(f"{counts.failed} failed: portolan ingest failures")

    run(work())


@click.command()
@json_option
@config_option
def failures(as_json: bool) -> None:
    """List what could not be read, and why; first what waits for somebody to try it again."""

    async def work() -> None:
        async with installation() as here:
            found = await jobs.failures(here.database)
            named = [(_reference(here, each), each) for each in found]
        if as_json:
            show_json([_shown(reference, each) for reference, each in named])
            return
        show(
            ("Image", "Error", "Attempts", "Next"),
            [
                (reference, each.error, each.attempts, "parked" if each.parked else when(each.due // 1000))
                for reference, each in named
            ],
            empty="Nothing has failed.",
        )

    run(work())


@click.command()
@click.argument("reference", required=False, metavar="[REPOSITORY[@DIGEST|:TAG]]")
@click.option("--all", "everything", is_flag=True, help="Whatever failed.")
@json_option
@config_option
def retry(reference: str | None, everything: bool, as_json: bool) -> None:
    """Try what failed again, at once: all of a repository, one image of it, or everything."""
    if (reference is None) != everything:
        raise command.Failure("name a repository or an image of it, or say --all", MISTAKE)

    async def work() -> None:
        async with installation() as here:
            count = await _retry(here, reference)
        if as_json:
            show_json({"retried": count})
        else:
            click.echo(f"{count} will be tried again." if count else "Nothing of that has failed.")

    run(work())


async def _retry(here: Installation, reference: str | None) -> int:
    if reference is None:
        return await here.database.write(jobs.retry)
    name, digests = await _wanted(here, reference)
    repository = await repositories.find(here.database, name)

    async def write(tx: Transaction) -> int:
        return sum([await jobs.retry(tx, repository.id, digest) for digest in digests])

    return await here.database.write(write)


async def _wanted(here: Installation, reference: str) -> tuple[RepositoryName, list[str | None]]:
    """Read what to try again: a repository, and digests in it (None: all); an index stands for its images too."""
    written, at, text = reference.partition("@")
    if not at:
        slash = written.rfind("/")
        tail, colon, tag = written[slash + 1 :].partition(":")
        written, at, text = written[: slash + 1] + tail, colon, tag
    name = RepositoryName.parse(written, here.settings.default_namespace)
    if not at:
        return name, [None]
    stored = await manifests.get(here.database, name, parse_reference(text))
    read = read_manifest(stored.content, stored.media_type)
    children = read.children if isinstance(read, IndexManifest) else ()
    return name, [stored.digest, *(child.digest.text for child in children)]


def _reference(here: Installation, failure: Failure) -> str:
    """Name what failed as people write it."""
    if failure.repository is None:
        return f"(deleted repository {failure.repository_id})"
    name = RepositoryName(failure.repository).short(here.settings.default_namespace)
    return name if failure.digest in (REPOSITORY, EVERYTHING) else f"{name}@{failure.digest}"


def _shown(reference: str, failure: Failure) -> dict[str, object]:
    return {
        "reference": reference,
        "error": failure.error,
        "attempts": failure.attempts,
        "parked": failure.parked,
        "next": None if failure.parked else failure.due // 1000,
        "since": failure.created // 1000,
    }
