"""People and ways in, for the tests of one file: they share its service, and each takes repositories of its own."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.clients import CLIENTS
from tests.end_to_end.direct import Direct
from tests.end_to_end.images import Maker
from tests.services import Portolan
from tests.services.portolan import Person


@pytest.fixture(scope="module")
def alice(portolan: Portolan) -> Person:
    """Somebody with a namespace of her own."""
    return portolan.add_person("alice")


@pytest.fixture(scope="module")
def operator(portolan: Portolan) -> Person:
    """An administrator."""
    return portolan.add_person("olga", admin=True)


@pytest.fixture(scope="module")
def direct(portolan: Portolan, alice: Person) -> Iterator[Direct]:
    """Alice at the registry, without a client between."""
    with Direct(portolan.url, alice) as direct:
        yield direct
    assert not unexpected(portolan), "the service met errors that nobody expected"


#: Makes a client by its program's name, signed in as somebody or as nobody: `client_of("crane", alice)`.
ClientOf = Callable[[str, Person | None], Any]


@pytest.fixture
def client_of(portolan: Portolan, tmp_path: Path) -> ClientOf:
    """A function that makes a client of this test's own."""
    numbers = itertools.count(1)

    def make(program: str, person: Person | None = None) -> Any:
        client = CLIENTS[program](tmp_path / f"{program}-{next(numbers)}", portolan.address)
        if person is not None:
            client.log_in(person)
        return client

    return make


@pytest.fixture
def maker() -> Maker:
    """Makes images that no client has seen before."""
    return Maker()


@pytest.fixture
def repository(maker: Maker) -> str:
    """The name of a repository of alice's that is not there yet."""
    return f"alice/{maker.name('app')}"


def logged(service: Portolan) -> list[dict[str, object]]:
    """What the service has logged so far: its lines that are JSON."""
    return [json.loads(line) for line in service.log.read_text().split("\n") if line.startswith("{")]


def unexpected(service: Portolan) -> list[dict[str, object]]:
    """The errors among it."""
    return [line for line in logged(service) if line.get("level") in ("error", "critical")]
