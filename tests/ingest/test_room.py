"""Room for bytes in memory."""

from __future__ import annotations

import asyncio

from ingest.room import Room


async def holding(room: Room, size: int, name: str, told: list[str], end: asyncio.Event) -> None:
    async with room.hold(size):
        told.append(name)
        await end.wait()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_there_is_room_up_to_a_number_of_bytes_in_the_order_of_asking() -> None:
    room, told = Room(10), list[str]()
    ends = [asyncio.Event() for _ in range(4)]
    async with asyncio.TaskGroup() as group:
        for name, size, end in zip("abcd", (4, 4, 4, 1), ends, strict=True):
            group.create_task(holding(room, size, name, told, end))
        await settle()
        assert told == ["a", "b"]  # there would be room for d, but c came before it
        ends[1].set()
        await settle()
        assert told == ["a", "b", "c", "d"]
        for end in ends:
            end.set()


async def test_what_is_larger_than_the_room_has_it_to_itself() -> None:
    room, told = Room(10), list[str]()
    ends = [asyncio.Event() for _ in range(3)]
    async with asyncio.TaskGroup() as group:
        for name, size, end in zip("abc", (1, 1000, 1), ends, strict=True):
            group.create_task(holding(room, size, name, told, end))
        await settle()
        assert told == ["a"]
        ends[0].set()
        await settle()
        assert told == ["a", "b"]
        ends[1].set()
        await settle()
        assert told == ["a", "b", "c"]
        ends[2].set()


async def test_whoever_is_cancelled_while_waiting_holds_nothing() -> None:
    room, told, end = Room(10), list[str](), asyncio.Event()
    first = asyncio.create_task(holding(room, 10, "first", told, end))
    await settle()
    second = asyncio.create_task(holding(room, 5, "second", told, end))
    await settle()
    second.cancel()
    end.set()
    await first
    async with asyncio.timeout(5), room.hold(10):
        assert told == ["first"]


async def test_what_is_small_needs_no_room() -> None:
    room, told, end = Room(10, beside=2), list[str](), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for name, size in zip("abcd", (10, 3, 2, 2), strict=True):
            group.create_task(holding(room, size, name, told, end))
        await settle()
        assert told == ["a", "c", "d"]
        end.set()
    assert told[-1] == "b"
