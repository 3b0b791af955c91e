"""``portolan token``: personal tokens, on the server of `portolan login` or directly on this machine's database."""

from __future__ import annotations

import re
import time
from typing import Any

import click

from auth.callers import Caller
from auth.limits import Limits
from auth.tokens import Token
from portolan import remote
from portolan.command import MISTAKE, Failure, config_option
from portolan.commands.execution import Installation, installation, run
from portolan.commands.output import json_option, show, show_json, when
from portolan.values import DURATION

_user_option = click.option("--user", "person", metavar="NAME", help="Whose, directly on this machine's database.")
_server_option = click.option("--server", metavar="URL", help="Another server than that of the last `portolan login`.")


@click.group()
def token() -> None:
    """Create, list and revoke personal tokens.

    Without --user they are one's own, on the server of `portolan login`.
    """


@token.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    help="What it may do, such as team/*:pull or repository:team/app:pull,push; several may be given. "
    "Without one it may do all that its owner may.",
)
@click.option("--expires", metavar="DURATION", help="How long it lives, such as 30d. Without it, until it is revoked.")
@_user_option
@_server_option
@json_option
@config_option
def create(
    name: str, scopes: tuple[str, ...], expires: str | None, person: str | None, server: str | None, as_json: bool
) -> None:
    """Create a token called NAME and print it. It is shown this once."""
    seconds = _seconds(expires)
    if person is None:
        body: dict[str, Any] = {"name": name, "expires_in": seconds, "scopes": " ".join(scopes) or None}
        with _server(server) as asked:
            made = asked.request("POST", "/api/v1/tokens", body)
    else:
        made = run(_create_here(person, name, " ".join(scopes), seconds))
    if as_json:
        show_json(made)
    else:
        click.echo("It is shown this once; use it in a password's place:", err=True)
        click.echo(made["token"])


@token.command("list")
@_user_option
@_server_option
@json_option
@config_option
def list_(person: str | None, server: str | None, as_json: bool) -> None:
    """List live tokens, and those that clients hold since they signed in (refresh tokens)."""
    if person is None:
        with _server(server) as asked:
            found = asked.request("GET", "/api/v1/tokens")["tokens"]
    else:
        found = run(_list_here(person))
    if as_json:
        show_json(found)
        return
    show(
        ("Id", "Kind", "Name", "Scopes", "Created", "Expires", "Last used"),
        [
            (
                each["id"],
                each["kind"],
                each["name"],
                each["scopes"] or "all",
                when(each["created"]),
                when(each["expires"]),
                when(each["last_used"]),
            )
            for each in found
        ],
        empty="There are no tokens.",
    )


@token.command()
@click.argument("token_id", metavar="ID")
@_user_option
@_server_option
@config_option
def revoke(token_id: str, person: str | None, server: str | None) -> None:
    """End the token ID, and those that were made with it."""
    if re.fullmatch(r"[0-9a-f-]{1,64}", token_id) is None:
        raise Failure(f"{token_id!r} is no token's id: `portolan token list` tells the ids", MISTAKE)
    if person is None:
        with _server(server) as asked:
            asked.request("DELETE", f"/api/v1/tokens/{token_id}")
    else:
        run(_revoke_here(person, token_id))
    click.echo("It is revoked.")


async def _create_here(person: str, name: str, scopes: str, seconds: int | None) -> dict[str, Any]:
    async with installation() as here:
        owner = await here.hub.people.find(person)
        limits = Limits.parse(scopes, here.settings.default_namespace) if scopes else None
        caller = Caller(owner.id, owner.name, owner.administrator, owner.generation)
        expires = None if seconds is None else int(time.time()) + seconds
        made = await here.tokens.add_personal(caller, name, limits, expires)
        return {**_shown(made.token), "token": made.secret}


async def _list_here(person: str) -> list[dict[str, Any]]:
    async with installation() as here:
        return [_shown(each) for each in await here.tokens.of_person(await _id_of(here, person))]


async def _revoke_here(person: str, token_id: str) -> None:
    async with installation() as here:
        await here.tokens.revoke(await _id_of(here, person), token_id)


async def _id_of(here: Installation, person: str) -> str:
    return (await here.hub.people.find(person)).id


def _shown(each: Token) -> dict[str, Any]:
    return {
        "id": each.id,
        "kind": each.kind,
        "name": each.name,
        "scopes": None if each.limits is None else str(each.limits),
        "created": each.created,
        "expires": each.expires,
        "last_used": each.last_used,
    }


def _seconds(expires: str | None) -> int | None:
    if expires is None:
        return None
    try:
        return DURATION.read(expires)
    except ValueError:
        raise Failure(f"--expires is {expires!r}: expected {DURATION.expected}", MISTAKE) from None


def _server(url: str | None) -> remote.Server:
    kept = remote.current(url)
    if kept is None:
        raise Failure(
            "nobody is signed in: sign in with `portolan login URL`, or name somebody of this machine's database with"
            " --user",
            MISTAKE,
        )
    return remote.Server(kept.url, token=kept.token)
