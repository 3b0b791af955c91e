"""How commands show lists: as a table for a person, as JSON for a program."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from portolan.terminal import printable

json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON.")


def show(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Print a table; where standard output is no terminal, columns are as wide as they must be, and nothing is cut."""
    if not rows:
        click.echo(printable(empty), err=True)
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    Console(width=None if sys.stdout.isatty() else 1000, markup=False, highlight=False).print(table)


def show_json(value: object) -> None:
    """Print *value* as JSON."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def when(seconds: int | None) -> str:
    """Spell a time (seconds since 1970) in UTC, to the minute."""
    return "never" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def visibility(repository: Mapping[str, Any]) -> str:
    """Say of a repository who may see it, and that it is deprecated where it is."""
    seen = "public" if repository["public"] else "private"
    return f"{seen}, deprecated" if repository["deprecated"] else seen


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(str(value))
