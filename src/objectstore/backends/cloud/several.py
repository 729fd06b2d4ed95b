"""Several requests at the same time, for what a service does key by key: the details of a page, a deletion of many."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

T = TypeVar("T")

_AT_ONCE: Final = 16  # requests


async def each(call: Callable[[str], Awaitable[T]], keys: Sequence[str]) -> list[T]:
    """The outcomes for all keys in their order."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(key: str) -> T:
        async with turns:
            return await call(key)

    tasks = [asyncio.create_task(one(key)) for key in keys]
    try:
        return await asyncio.gather(*tasks)
    finally:
        # Of several errors the first is told; nothing goes on behind the caller's back.
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
