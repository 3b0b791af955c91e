"""``portolan user``: people, directly on this machine's database."""

from __future__ import annotations

from dataclasses import asdict

import click

from auth.names import PersonName
from auth.people import Person
from portolan.command import config_option
from portolan.commands.execution import installation, run
from portolan.commands.output import json_option, show, show_json, when
from portolan.commands.passwords import password_option, read_password


@click.group()
def user() -> None:
    """Add, list and change people, directly on this machine's database."""


@user.command()
@click.argument("name")
@click.option("--admin", "administrator", is_flag=True, help="Let them do everything.")
@password_option
@config_option
def add(name: str, administrator: bool, from_stdin: bool) -> None:
    """Add a person and the namespace of the same name."""

    async def work() -> None:
        async with installation(make=True) as here:
            PersonName.choose(name, here.settings.default_namespace)
            password = read_password(f"Password for {name}", from_stdin=from_stdin, twice=True)
            await here.hub.people.add(name, password, administrator=administrator)
            click.echo(f"{name} was added{' as an administrator' if administrator else ''}.")

    run(work())


@user.command("list")
@json_option
@config_option
def list_(as_json: bool) -> None:
    """List people."""

    async def work() -> None:
        async with installation() as here:
            found: list[Person] = []
            while page := await here.hub.people.everybody(found[-1].name if found else ""):
                found += page
        if as_json:
            show_json([asdict(person) for person in found])
            return
        show(
            ("Name", "Administrator", "Disabled", "Added"),
            [(each.name, each.administrator, each.disabled, when(each.created)) for each in found],
            empty="There is nobody yet: portolan user add NAME --admin",
        )

    run(work())


@user.command()
@click.argument("name")
@config_option
def disable(name: str) -> None:
    """Shut a person out. Their repositories stay."""
    _set_disabled(name, True)
    click.echo(f"{name} can no longer sign in.")


@user.command()
@click.argument("name")
@config_option
def enable(name: str) -> None:
    """Let a person in again."""
    _set_disabled(name, False)
    click.echo(f"{name} can sign in again.")


def _set_disabled(name: str, disabled: bool) -> None:
    async def work() -> None:
        async with installation() as here:
            await here.hub.people.set_disabled(name, disabled)

    run(work())


@user.command()
@click.argument("name")
@password_option
@config_option
def password(name: str, from_stdin: bool) -> None:
    """Give a person a new password. Clients that are signed in must sign in again; personal tokens stay."""

    async def work() -> None:
        async with installation() as here:
            await here.hub.people.find(name)
            new = read_password(f"New password for {name}", from_stdin=from_stdin, twice=True)
            await here.hub.people.set_password(name, new)
            click.echo(f"{name} has a new password.")

    run(work())
