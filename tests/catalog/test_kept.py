"""Facts that web processes remember: as many as fit, whatever was pushed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from cas import Digest
from cas.derived import DerivedName, DirectoryDerived
from catalog.browse import kept
from catalog.browse.kept import KeptFacts
from catalog.images.facts import ChainFacts, LayerCounts, Package
from catalog.images.objects import chain_name, encode


def stack(number: int, packages: int = 0, hidden: int = 0) -> ChainFacts:
    name = Digest.of(b"%d" % number).text
    return ChainFacts(
        name,
        [name],
        [LayerCounts(entries=number)],
        [Package(f"pkg:deb/p{each}@1", "deb", f"p{each}", "1", 0) for each in range(packages)],
        hidden=[(0, f"{each:06d}") for each in range(hidden)],
        bytes=7,
    )


async def put(derived: DirectoryDerived, chain: ChainFacts) -> Digest:
    name = Digest.parse(chain.chain_id)
    await derived.put(chain_name(name), encode(chain))
    return name


@pytest.fixture
def derived(tmp_path: Path) -> DirectoryDerived:
    return DirectoryDerived(tmp_path)


async def test_files_that_a_stack_hides_are_not_in_memory_and_all_else_is(derived: DirectoryDerived) -> None:
    chain = stack(1, packages=3, hidden=50_000)
    facts = KeptFacts(derived)
    found = await facts.chain(await put(derived, chain))
    assert found is not None
    assert found.hidden == []
    assert (found.packages, found.layers, found.bytes) == (chain.packages, chain.layers, 7)
    assert await facts.chain(Digest.parse(chain.chain_id)) is found


async def test_stacks_are_weighed_as_what_they_are_and_large_ones_are_not_kept(
    derived: DirectoryDerived, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two thousand packages that differ by a number compress well: by what is stored, all of them would fit."""
    monkeypatch.setattr(kept, "_MOST_CHAINS", 100_000)
    large, *small = [stack(0, packages=2_000), *(stack(number, packages=100) for number in range(1, 40))]
    assert len(encode(large)) < 12_500
    facts = KeptFacts(derived)

    once = await facts.chain(await put(derived, large))
    assert once is not None
    assert await facts.chain(Digest.parse(large.chain_id)) is not once

    first = await facts.chain(await put(derived, small[0]))
    for each in small[1:]:
        assert await facts.chain(await put(derived, each)) is not None
    last = await facts.chain(Digest.parse(small[-1].chain_id))
    assert last is await facts.chain(Digest.parse(small[-1].chain_id))
    assert first is not await facts.chain(Digest.parse(small[0].chain_id))  # it made room for others


async def test_a_stack_that_was_squashed_again_is_shown_as_it_is_now(derived: DirectoryDerived, tmp_path: Path) -> None:
    """The ingest process replaces the facts under the same name; nobody tells the web processes."""
    before = stack(1, packages=2)
    facts, ingest = KeptFacts(derived), DirectoryDerived(tmp_path)
    name = await put(ingest, before)
    found = await facts.chain(name)
    assert found is not None
    assert found.packages == before.packages

    after = msgspec.structs.replace(before, packages=stack(1, packages=3).packages, limits=["layer 0: cut off"])
    await put(ingest, after)
    found = await facts.chain(name)
    assert found is not None
    assert (found.packages, found.limits) == (after.packages, after.limits)
    assert await facts.chain(name) is found

    await ingest.delete(chain_name(name))
    assert await facts.chain(name) is None


async def test_what_takes_the_place_of_a_stack_while_it_is_read_is_seen_next(tmp_path: Path) -> None:
    before, after = stack(1, packages=2), stack(1, packages=3)

    class Overtaken(DirectoryDerived):
        async def get(self, name: DerivedName) -> bytes:
            content = await super().get(name)
            await super().put(name, encode(after))
            return content

    derived = Overtaken(tmp_path)
    facts, name = KeptFacts(derived), await put(derived, before)
    for expected in (before, after):
        found = await facts.chain(name)
        assert found is not None
        assert found.packages == expected.packages


async def test_a_stack_that_grew_too_large_to_be_remembered_leaves_no_room_taken(
    derived: DirectoryDerived, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "_MOST_CHAINS", 100_000)
    facts = KeptFacts(derived)
    small = await facts.chain(await put(derived, stack(1, packages=3)))
    name = await put(derived, stack(0))
    for packages in [100, 2_000] * 20:
        await put(derived, stack(0, packages=packages))
        found = await facts.chain(name)
        assert found is not None
        assert len(found.packages) == packages
    assert await facts.chain(Digest.parse(stack(1).chain_id)) is small
