"""Which files a document tells of where they stand, and what is told of those that are too many."""

from __future__ import annotations

from pathlib import Path

from cas import BlobStore
from catalog.images.chains import chain_id
from catalog.images.squash import squash
from database import Database
from ingest.limits import ReadLimits
from ingest.standing import standing
from tests.catalog.stacks.layers import file, layer, symlink
from tests.ingest import tars
from tests.ingest.in_process import image, ingesting

BASE = layer(symlink("bin", "usr/bin"), file("usr/bin/dash"))
ABOVE = layer(*(file(f"bin/tool{number}") for number in range(5)))
REASON = (
    "links lead 5 files elsewhere than their layers say: search finds 4 of them, and takes the image for one without"
)


def test_all_are_placed_up_to_the_limit_and_nothing_is_told() -> None:
    chain = squash([BASE, ABOVE], most_placed=5)

    assert chain.limits == []
    assert [placed.path for placed in standing(chain).placed] == [f"usr/bin/tool{number}" for number in range(5)]


def test_what_is_not_placed_is_told() -> None:
    chain = squash([BASE, ABOVE], most_placed=4)

    assert [limit.startswith(REASON) for limit in chain.limits] == [True]
    told = standing(chain)
    assert [placed.path for placed in told.placed] == [f"usr/bin/tool{number}" for number in range(4)]
    assert len(told.moved) == 5


def test_a_layer_that_stands_twice_says_the_same_twice() -> None:
    """What is placed is counted as documents have it: once, whichever of the two it is of."""
    other = layer(file("x"))
    chain = squash([BASE, ABOVE, other, ABOVE], most_placed=5)

    assert len(chain.strays) > 5
    assert chain.limits == []
    assert len(standing(chain).placed) == 5


async def test_the_limit_is_that_of_the_reading(database: Database, store: BlobStore, tmp_path: Path) -> None:
    """Facts say how many their documents have: another limit counts from the next reading on, and is told then."""
    base = tars.layer([("bin", tars.symlink("usr/bin")), ("usr/bin/dash", "dash")])
    pushed = image(base, tars.layer({f"bin/tool{number}": "tool" for number in range(5)}))
    async with ingesting(database, store, tmp_path, limits=ReadLimits(placed=4)) as ingest:
        await ingest.push("ada/app", pushed)
        await ingest.settled()
    async with ingesting(database, store, tmp_path) as ingest:
        await ingest.writing.rebuild()
        found = await ingest.found("ada/app", pushed.digest)
        assert len(found.placed) == 4
        assert len(found.moved) == 5
        chain = await ingest.facts.chain(chain_id([each.diff_id for each in pushed.layers]))
        assert chain is not None
        assert [limit.startswith(REASON) for limit in chain.limits] == [True]
