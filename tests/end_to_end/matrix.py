"""A table of clients and verbs, tests for its rows, and how what clients pushed and pulled is compared."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.end_to_end.clients import diff_ids
from tests.end_to_end.direct import Direct
from tests.end_to_end.images import Content, Image, everything

Test = Callable[..., None]


class Matrix:
    """The table, read: verb → client → the client's words for it."""

    def __init__(self, table: str) -> None:
        head, *lines = [re.split(r" {2,}", line) for line in table.strip().splitlines()]
        cells = {verb: dict(zip(head[1:], words, strict=True)) for verb, *words in lines}
        self.rows = {verb: {name: words for name, words in row.items() if words != "-"} for verb, row in cells.items()}
        #: The verbs that a test was written for.
        self.tested: set[str] = set()

    def each_that_can(self, *verbs: str) -> Callable[[Test], Test]:
        """Run a test for each of *verbs* and each client that has words for it; the fixture `client` is given all."""
        self.tested.update(verbs)
        asked = [
            pytest.param((verb, name, words), id=f"{verb}: {name} {words}" if len(verbs) > 1 else f"{name} {words}")
            for verb in verbs
            for name, words in self.rows[verb].items()
        ]
        return pytest.mark.parametrize("client", asked, indirect=True)


def arrived(client: Any, direct: Direct, reference: str, content: Content) -> bool:
    """Tell whether the registry holds *content*, byte for byte; or layer for layer, where the client compresses."""
    repository, _, name = re.split("([@:])", reference, maxsplit=1)
    found = direct.everything(repository, name)
    if not client.compresses:
        return found == everything(content)
    assert isinstance(content, Image)
    manifest = direct.json(repository, name)
    layers = [found[layer["digest"]] for layer in manifest["layers"]]
    rootfs = json.loads(found[manifest["config"]["digest"]])["rootfs"]
    return diff_ids(layers) == content.diff_ids == tuple(rootfs["diff_ids"])


def same(client: Any, pulled: Any, content: Content) -> bool:
    """Tell whether *pulled* is *content*: byte for byte, or layer for layer, where the client unpacks."""
    if client.compresses:
        assert isinstance(content, Image)
        return bool(pulled == content.diff_ids)
    return bool(pulled == everything(content))
