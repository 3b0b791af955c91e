"""The image, built once for all tests of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.docker.engine import Engine


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """podman and buildah, with nothing in them."""
    with Engine(tmp_path_factory.mktemp("containers") / "engine") as engine:
        yield engine


@pytest.fixture(scope="session")
def image(engine: Engine) -> str:
    """The name of the image of this checkout."""
    return engine.build("localhost/portolan:latest")
