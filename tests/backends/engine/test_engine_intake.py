"""How much of each body is held while the disk is slow."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from objectstore.backends.engine import steps
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.engine.intake import _tell

PIECE = bytes(128 * 1024)


@pytest.mark.parametrize(("uploads", "expected"), [(8, [8] * 8), (12, [8] * 8 + [1] * 4)])
def test_of_few_uploads_two_blocks_are_held_and_of_many_one_smaller(
    tmp_path: Path, uploads: int, expected: list[int]
) -> None:
    written = threading.Event()

    def step(name: str) -> None:
        if name == steps.AFTER_CREATE:
            written.wait(30)

    async def use() -> None:
        taken = [0] * uploads

        async def body(number: int) -> AsyncIterator[bytes]:
            for _ in range(12):
                taken[number] += 1
                yield PIECE

        async with EngineBackend(tmp_path, step=step) as backend:
            puts = [asyncio.create_task(backend.put(f"{number}", body(number))) for number in range(uploads)]
            try:
                for _ in range(100):
                    await asyncio.sleep(0)
                assert taken == expected
            finally:
                written.set()
            assert {(await put).size for put in puts} == {12 * len(PIECE)}

    asyncio.run(use())


def test_what_fails_in_the_thread_fails_the_body(tmp_path: Path) -> None:
    def step(name: str) -> None:
        if name == steps.AFTER_CREATE:
            raise ZeroDivisionError

    async def use() -> None:
        async def body() -> AsyncIterator[bytes]:
            for _ in range(32):
                yield PIECE

        async with EngineBackend(tmp_path, step=step) as backend:
            with pytest.raises(ZeroDivisionError):
                await backend.put("key", body())

    asyncio.run(use())


def test_who_does_not_wait_any_more_is_not_told() -> None:
    async def use() -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiter.cancel()
        _tell(waiter)
        assert waiter.cancelled()

    asyncio.run(use())
