"""``portolan repository``: on the server of `portolan login`, or directly on this machine's database."""

from __future__ import annotations

from typing import Any

import click

from cas import RepositoryName
from catalog.metadata.repositories import Repository
from portolan import remote
from portolan.command import MISTAKE, Failure, config_option
from portolan.commands.execution import Installation, installation, run
from portolan.commands.output import json_option, show, show_json, visibility, when
from portolan.remote import repository_path
from portolan.terminal import printable

_local_option = click.option("--local", is_flag=True, help="Directly on this machine's database.")
_server_option = click.option("--server", metavar="URL", help="Another server than that of the last `portolan login`.")


@click.group()
def repository() -> None:
    """List, show, change and delete repositories.

    These commands speak to the server of `portolan login`. Where nobody has signed in, or with --local, they work on
    this machine's database.
    """


@repository.command("list")
@_local_option
@_server_option
@json_option
@config_option
def list_(local: bool, server: str | None, as_json: bool) -> None:
    """List repositories: all of this machine's, or those of a server that you may see."""
    asked = _server(server, local=local)
    found: list[dict[str, Any]]
    if asked is None:
        found = run(_list_here())
    else:
        with asked:
            found = [{"name": name} for name in asked.repositories()]
    if as_json:
        show_json(found)
    elif asked is None:
        show(
            ("Name", "Visibility", "Description", "Created"),
            [(each["name"], visibility(each), each["description"], when(each["created"])) for each in found],
            empty="There are no repositories.",
        )
    else:
        show(("Name",), [(each["name"],) for each in found], empty="There are no repositories that you may see.")


@repository.command("show")
@click.argument("name")
@_local_option
@_server_option
@json_option
@config_option
def show_(name: str, local: bool, server: str | None, as_json: bool) -> None:
    """Show one repository."""
    asked = _server(server, local=local)
    if asked is None:
        found = run(_show_here(name))
    else:
        with asked:
            found = asked.request("GET", repository_path(name))
    _show_one(found, as_json=as_json)


@repository.command("set")
@click.argument("name")
@click.option("--public/--private", "public", default=None, help="Let everybody pull, or nobody but its owners.")
@click.option("--description", help="What it holds, for people.")
@click.option(
    "--deprecated/--no-deprecated",
    "deprecated",
    default=None,
    help="Advise against it, or no longer: it works as before, and search ranks it lower.",
)
@_local_option
@_server_option
@json_option
@config_option
def set_(
    name: str,
    public: bool | None,
    description: str | None,
    deprecated: bool | None,
    local: bool,
    server: str | None,
    as_json: bool,
) -> None:
    """Change who may see a repository, its description, and whether it is deprecated."""
    wanted = {"public": public, "description": description, "deprecated": deprecated}
    body = {key: value for key, value in wanted.items() if value is not None}
    if not body:
        raise Failure(
            "nothing to change: give --public, --private, --description, --deprecated or --no-deprecated", MISTAKE
        )
    asked = _server(server, local=local)
    if asked is None:
        found = run(_set_here(name, public, description, deprecated))
    else:
        with asked:
            found = asked.request("PATCH", repository_path(name), body)
    _show_one(found, as_json=as_json)


@repository.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_local_option
@_server_option
@config_option
def delete(name: str, yes: bool, local: bool, server: str | None) -> None:
    """Delete a repository with all its tags and manifests."""
    asked = _server(server, local=local)
    where = "on this machine" if asked is None else f"on {asked.url}"
    if not yes:
        click.confirm(f"Delete {name} {where}, with everything in it?", abort=True, err=True)
    if asked is None:
        run(_delete_here(name))
    else:
        with asked:
            asked.request("DELETE", repository_path(name))
    click.echo(f"{name} was deleted {where}.")


async def _list_here() -> list[dict[str, Any]]:
    async with installation() as here:
        return [_shown(here, each) for each in await here.repositories.list()]


async def _show_here(name: str) -> dict[str, Any]:
    async with installation() as here:
        found = await here.repositories.find(_parsed(here, name))
        return {**_shown(here, found), "pulls": await here.repositories.pull_count(found)}


async def _set_here(name: str, public: bool | None, description: str | None, deprecated: bool | None) -> dict[str, Any]:
    async with installation() as here:
        changed = await here.repositories.change(
            _parsed(here, name), public=public, description=description, deprecated=deprecated
        )
        return {**_shown(here, changed), "pulls": await here.repositories.pull_count(changed)}


async def _delete_here(name: str) -> None:
    async with installation() as here:
        await here.repositories.delete(_parsed(here, name))


def _parsed(here: Installation, name: str) -> RepositoryName:
    return RepositoryName.parse(name, here.settings.default_namespace)


def _shown(here: Installation, found: Repository) -> dict[str, Any]:
    return {
        "name": found.name.short(here.settings.default_namespace),
        "public": found.public,
        "deprecated": found.deprecated,
        "description": found.description,
        "created": found.created,
    }


def _show_one(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(found)
        return
    click.echo(f"{found['name']} ({visibility(found)}), {found['pulls']} pulls, since {when(found['created'])}")
    if found["description"]:
        click.echo(printable(found["description"]))


def _server(url: str | None, *, local: bool) -> remote.Server | None:
    """Return the server to ask, None for this machine's database."""
    if local:
        if url is not None:
            raise Failure("--local and --server exclude each other", MISTAKE)
        return None
    kept = remote.current(url)
    if kept is not None:
        return remote.Server(kept.url, token=kept.token)
    if url is not None:
        raise Failure(f"nobody is signed in to {url}: portolan login {url}", MISTAKE)
    return None
