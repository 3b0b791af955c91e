"""``portolan login``: trade a password for a token, and keep the token."""

from __future__ import annotations

import contextlib
import os
import socket
import sys

import click

from portolan.command import MISTAKE, Failure
from portolan.commands.passwords import password_option, read_password
from portolan.logins import Login, Logins, LoginsUnreadable
from portolan.remote import Server, normalised


@click.command()
@click.argument("url")
@click.option("--username", "-u", help="Who signs in.")
@password_option
def login(url: str, username: str | None, from_stdin: bool) -> None:
    """Sign in to the server at URL and keep a token for it.

    The password is traded for a personal token, which the other commands then use; it is kept in
    ~/.config/portolan/servers.json, readable by you alone, and can be revoked with `portolan token revoke`.
    """
    url = normalised(url)
    with Server(url) as server:
        if not server.is_registry():
            raise Failure(f"{url} answers, but is no registry: is the address right?")
    if not username:
        if not sys.stdin.isatty():
            raise Failure("there is no terminal to ask for a name: give it with --username", MISTAKE)
        username = str(click.prompt("Name", err=True))
    password = read_password("Password", from_stdin=from_stdin, twice=False)
    with Server(url, password=(username, password)) as server:
        made = server.request("POST", "/api/v1/tokens", {"name": f"portolan login on {socket.gethostname()}"[:100]})
    kept = Logins(os.environ)
    try:
        replaced = kept.keep(Login(url, username, made["token"], made["id"]))
    except (LoginsUnreadable, OSError) as error:
        with Server(url, token=made["token"]) as server:
            server.request("DELETE", f"/api/v1/tokens/{made['id']}")
        raise Failure(str(error)) from error
    if replaced is not None and replaced.token_id:
        # The one before is of no use any more. That it may have ended by itself is no reason to complain.
        with contextlib.suppress(Failure), Server(url, token=made["token"]) as server:
            server.request("DELETE", f"/api/v1/tokens/{replaced.token_id}")
    click.echo(f"Signed in to {url} as {username}; the token is in {kept.path}.")
