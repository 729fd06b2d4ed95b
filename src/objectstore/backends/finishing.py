"""What has begun to change something is not left half-way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def to_its_end(work: Awaitable[T], *, unless: Callable[[], object] | None = None) -> T:
    """What comes of `work`. Who is cancelled while waiting is told so when it is over: nothing changes after that.

    A request given up in flight might be carried out late, and undo the next change of the same key; a thread that
    has begun cannot be stopped. `unless` is called first then, to keep from beginning what has not begun.
    """
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if unless is not None:
            unless()
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled():
            # Nobody is left to take an error, which is no reason to log it as a defect.
            task.exception()
        raise
