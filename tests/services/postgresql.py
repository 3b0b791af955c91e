"""A real PostgreSQL."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
from pathlib import Path

from tests.services.programs import require
from tests.services.scripted import ScriptedServer


class PostgreSQL(ScriptedServer):
    """A PostgreSQL server with as many fresh databases as tests ask for.

    With *quick* it waits for no disk, which is what tests want that are not about durability.
    """

    script = "postgresql.sh"
    # SIGINT ends the clients' sessions and then the server; SIGTERM would wait for the clients.
    polite = signal.SIGINT

    def __init__(self, directory: Path, *, quick: bool = False) -> None:
        require("postgres")
        super().__init__(directory, *(["--quick"] if quick else []))
        self._numbers = itertools.count(1)

    def url(self, database: str) -> str:
        """Give the address of one of its databases, as Portolan's settings take it."""
        return f"postgresql://portolan@127.0.0.1:{self.port}/{database}"

    def create(self, template: str = "template0") -> str:
        """Make a database as a copy of *template* (which nobody may be connected to); return its name.

        A template that was migrated once saves each test the migrations.
        """
        # Process ids keep apart what several runs make on one server.
        name = f"test_{os.getpid()}_{next(self._numbers)}"
        self.run_sql(f'create database "{name}" template "{template}"')
        return name

    def drop(self, database: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self.run_sql(f'drop database if exists "{database}" with (force)')

    def run_sql(self, *statements: str, database: str = "postgres") -> str:
        """Run statements, each by itself; return what they printed, without headings."""
        arguments = [argument for statement in statements for argument in ("-c", statement)]
        done = subprocess.run(
            [require("psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.url(database), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"psql: {done.stderr.strip()}")
        return done.stdout.strip()
