"""Requests that change something are not left half-way."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def to_its_end(change: Coroutine[Any, Any, T]) -> T:
    """Await a change; a caller who is cancelled meanwhile waits for its end, which its own timeouts bound.

    A request given up in flight might be carried out late, and undo the next change of the same key.
    """
    task = asyncio.ensure_future(change)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        raise
