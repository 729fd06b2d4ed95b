"""Only so many objects, and so many of their bytes, are on their way."""

from __future__ import annotations

import asyncio

from objectstore.transfer import room
from transfer.stores import run


def test_no_more_than_so_many_objects_enter() -> None:
    async def scenario() -> None:
        place = room.Room(2)
        await place.enter(1)
        await place.enter(1)
        waiting = asyncio.create_task(place.enter(1))
        await asyncio.sleep(0)
        assert not waiting.done()
        place.leave(1)
        await waiting

    run(scenario())


def test_no_more_than_so_many_bytes_enter() -> None:
    async def scenario() -> None:
        place = room.Room(1000)
        sizes = [32 * 1024**2] * 8
        for size in sizes:
            await place.enter(size)
        waiting = asyncio.create_task(place.enter(1))
        await asyncio.sleep(0)
        assert not waiting.done()
        place.leave(sizes[0])
        await waiting

    run(scenario())


def test_the_largest_object_finds_room() -> None:
    async def scenario() -> None:
        place = room.Room(4)
        await place.enter(10 * room.BYTES)
        await place.enter(10 * room.BYTES)

    run(scenario())
