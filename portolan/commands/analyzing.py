"""``portolan analyze``: the packages of an image, without a server."""

from __future__ import annotations

from contextlib import suppress

import click

from ingest.starting import start
from portolan.commands.output import json_option

#: Bytes of one process that reads layers, as the service has it.
READER_MEMORY = 512 << 20


@click.command()
@click.argument("reference", metavar="REF")
@click.option("--platform", metavar="OS/ARCH", help="Which image of an index; by default linux/amd64, else the first.")
@click.option("--all", "every", is_flag=True, help="All images of an index.")
@click.option("--owned", is_flag=True, help="Show packages, too, whose files belong to a package of the distribution.")
@click.option("--no-cache", is_flag=True, help="Read every layer, and keep nothing.")
@click.option("--plain-http", is_flag=True, help="Ask the registry without TLS.")
@json_option
def analyze(
    reference: str, platform: str | None, every: bool, owned: bool, no_cache: bool, plain_http: bool, as_json: bool
) -> None:
    """Tell which packages an image holds, and which layer brought each. No server is needed.

    REF is oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME:TAG] or HOST/NAME[:TAG|@DIGEST].
    """
    if every and platform is not None:
        raise click.UsageError("--all and --platform exclude each other")
    first = None
    with suppress(OSError):  # it is tried again where one is needed
        first = start(READER_MEMORY)
    # While that one starts, what this one needs is imported: each takes about as long as the other.
    from portolan.commands.analysis import show_packages

    try:
        show_packages(reference, platform, every, owned, no_cache, plain_http, as_json, first)
    finally:
        if first is not None:
            first.connection.close()
            first.process.wait()
