"""Fixtures that start real servers. What each gives is described in `tests/services/`."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.services import Portolan, PostgreSQL
from tests.services.portolan import running
from tests.services.processes import last_lines

#: Starts a Portolan of its own for one test: `start_portolan({"PORTOLAN_WORKERS": "2"})`.
StartPortolan = Callable[..., Portolan]


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    """One PostgreSQL for the whole run, which waits for no disk."""
    with PostgreSQL(tmp_path_factory.mktemp("postgresql"), quick=True) as server:
        yield server


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL) -> Iterator[str]:
    """The address of an empty database, made for this test alone."""
    name = postgresql.create()
    yield postgresql.url(name)
    postgresql.drop(name)


@pytest.fixture
def start_portolan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartPortolan]:
    """A function that starts a Portolan on fresh data, and stops it after the test.

    ``start_portolan(settings={...}, command=("web",), directory=...)``: all may be left out. Two calls with one
    *directory* make two nodes on the same data.
    """
    with ExitStack() as services:

        def start(
            settings: Mapping[str, str] | None = None,
            command: tuple[str, ...] = ("serve",),
            directory: Path | None = None,
        ) -> Portolan:
            place = directory or tmp_path_factory.mktemp("portolan")
            return services.enter_context(Portolan(place, settings=settings, command=command))

        yield start


@pytest.fixture(scope="module")
def portolan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Portolan]:
    """A running Portolan that the tests of one file share: each takes repositories and people of its own."""
    with Portolan(tmp_path_factory.mktemp("portolan")) as service:
        yield service


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what the services wrote beside the failure of a test."""
    report = yield
    if report.failed:
        for service in running:
            report.sections.append((f"log of Portolan on {service.address}", last_lines(service.log)))
    return report
