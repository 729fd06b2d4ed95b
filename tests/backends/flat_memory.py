"""Whether bodies pass through a backend without being held."""

from __future__ import annotations

import tracemalloc
from collections.abc import AsyncIterator
from typing import Final

from objectstore.backends.contract import Backend
from objectstore.backends.reading import chunks
from objectstore.testing.suite.harness import MIB

SIZE: Final = 48 * MIB
MOST: Final = 12 * MIB  # a few blocks on each side of every buffer


async def body() -> AsyncIterator[bytes]:
    for _ in range(SIZE // (MIB // 4)):
        yield bytes(MIB // 4)


async def assert_put_is_flat(backend: Backend, key: str) -> None:
    tracemalloc.start()
    try:
        assert (await backend.put(key, body())).size == SIZE
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()


async def assert_get_is_flat(backend: Backend, key: str) -> None:
    """Of an object of `SIZE` bytes."""
    tracemalloc.start()
    try:
        size = 0
        async with backend.get(key) as reading:
            async for chunk in chunks(reading):
                size += len(chunk)
        assert size == SIZE
        assert tracemalloc.get_traced_memory()[1] < MOST
    finally:
        tracemalloc.stop()
