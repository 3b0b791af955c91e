"""What every driver of the derived area keeps: the executable form of `cas.derived.Derived`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from cas.derived import Derived, DerivedName
from cas.errors import DerivedUnknown, InvalidDerivedName

#: Opens the area over the objects that the others of the same test have: as another process, or the next one.
OpenDerived = Callable[[], Derived]


def name(text: str) -> DerivedName:
    return DerivedName.parse(text)


async def listed(derived: Derived, prefix: str) -> list[str]:
    return [found.text async for found in derived.names(prefix)]


class DerivedContract:
    """Subclass me, provide the fixture `open_derived`, add nothing else."""

    @pytest.fixture
    def derived(self, open_derived: OpenDerived) -> Derived:
        return open_derived()

    @pytest.mark.parametrize("content", [b"", b"\x00", b"facts", bytes(range(256)) * 10_000])
    async def test_what_was_put_is_read_back(self, derived: Derived, content: bytes) -> None:
        await derived.put(name("facts/1/sha256/ab/abcd"), content)

        assert await derived.get(name("facts/1/sha256/ab/abcd")) == content

    async def test_another_process_reads_it_too(self, derived: Derived, open_derived: OpenDerived) -> None:
        await derived.put(name("facts/1/a"), b"one")

        other = open_derived()

        assert await other.get(name("facts/1/a")) == b"one"
        assert await listed(other, "facts") == ["facts/1/a"]

    async def test_a_second_object_takes_the_place_of_the_first(self, derived: Derived) -> None:
        await derived.put(name("facts/1/a"), b"a longer one")
        await derived.put(name("facts/1/a"), b"short")

        assert await derived.get(name("facts/1/a")) == b"short"
        assert await listed(derived, "facts") == ["facts/1/a"]

    async def test_an_absent_object_is_unknown(self, derived: Derived) -> None:
        await derived.put(name("facts/1/a"), b"one")

        for absent in ("facts/1/b", "facts/1", "facts", "chains/1/a", "facts/1/a/b"):
            with pytest.raises(DerivedUnknown) as unknown:
                await derived.get(name(absent))
            assert unknown.value.name == absent

    async def test_a_mark_tells_an_object_from_what_takes_its_place(
        self, derived: Derived, open_derived: OpenDerived
    ) -> None:
        await derived.put(name("facts/1/a"), b"one")
        reader = open_derived()
        marks = [await reader.mark(name("facts/1/a"))]
        assert await derived.mark(name("facts/1/a")) == marks[0]
        for content in (b"two", b"six", b"a longer one"):
            await derived.put(name("facts/1/a"), content)
            marks.append(await reader.mark(name("facts/1/a")))
            assert await reader.mark(name("facts/1/a")) == marks[-1]
        assert len(set(marks)) == len(marks)

        await derived.delete(name("facts/1/a"))
        await derived.put(name("facts/1/b/c"), b"one")
        for absent in ("facts/1/a", "facts/1/b", "facts/1/b/c/d"):
            with pytest.raises(DerivedUnknown) as unknown:
                await reader.mark(name(absent))
            assert unknown.value.name == absent

    async def test_a_removed_object_is_gone_and_may_be_removed_again(self, derived: Derived) -> None:
        await derived.put(name("facts/1/a"), b"one")
        await derived.put(name("facts/1/b"), b"two")

        await derived.delete(name("facts/1/a"))
        await derived.delete(name("facts/1/a"))
        await derived.delete(name("never/was"))
        await derived.delete(name("facts/1/b/below"))

        with pytest.raises(DerivedUnknown):
            await derived.get(name("facts/1/a"))
        assert await listed(derived, "") == ["facts/1/b"]

    async def test_names_are_listed_by_whole_parts_in_the_order_of_their_text(self, derived: Derived) -> None:
        kept = ["facts/1/a", "facts/1/b.c", "facts/1/b/c", "facts/1/b-c", "facts/1/b0", "facts/10/a", "facts/2", "x"]
        for text in reversed(kept):
            await derived.put(name(text), text.encode())

        assert await listed(derived, "") == sorted(kept)
        assert await listed(derived, "facts/1") == sorted(text for text in kept if text.startswith("facts/1/"))
        assert await listed(derived, "facts/1/b") == ["facts/1/b/c"]
        assert await listed(derived, "facts/2") == ["facts/2"]
        assert await listed(derived, "facts/1/a") == ["facts/1/a"]
        assert await listed(derived, "fact") == []
        assert await listed(derived, "facts/1/a/below") == []

    async def test_more_names_than_a_page_are_all_listed_once(self, derived: Derived) -> None:
        kept = [f"facts/{number % 7}/{number:04}" for number in range(1_500)]
        for text in kept:
            await derived.put(name(text), b"")

        assert await listed(derived, "facts") == sorted(kept)

    @pytest.mark.parametrize("prefix", ["..", "../x", "/", "/etc", "facts/", "facts//a", ".putting", "a/../b", "A"])
    async def test_a_prefix_that_is_no_name_is_refused(self, derived: Derived, prefix: str) -> None:
        with pytest.raises(InvalidDerivedName):
            await listed(derived, prefix)

    async def test_a_reader_sees_one_object_or_the_other_whole(
        self, derived: Derived, open_derived: OpenDerived
    ) -> None:
        contents = [bytes([number]) * (40_000 * (number + 1)) for number in range(8)]
        reader = open_derived()
        await derived.put(name("facts/1/a"), contents[0])
        seen: set[bytes] = set()

        async def read() -> None:
            while len(seen) < 3:
                seen.add(await reader.get(name("facts/1/a")))

        async def write() -> None:
            while not reading.done():
                for content in contents:
                    await derived.put(name("facts/1/a"), content)

        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            reading = group.create_task(read())
            group.create_task(write())

        assert seen <= set(contents)

    async def test_many_at_once_do_not_get_in_each_others_way(
        self, derived: Derived, open_derived: OpenDerived
    ) -> None:
        areas = [derived, open_derived(), open_derived()]
        async with asyncio.TaskGroup() as group:
            for number in range(60):
                group.create_task(areas[number % 3].put(name(f"facts/{number % 5}/{number}"), b"%d" % number))

        assert len(await listed(derived, "facts")) == 60
        for number in range(60):
            assert await derived.get(name(f"facts/{number % 5}/{number}")) == b"%d" % number
