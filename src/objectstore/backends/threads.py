"""Waiting on the event loop for what threads do."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")


async def finished(job: Future[T]) -> T:
    """What came of it. Who is cancelled while waiting is told so when it is over: nothing changes after that."""
    waiting = asyncio.wrap_future(job)
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        # A thread that has begun cannot be stopped; one that has not never will.
        job.cancel()
        while not waiting.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([waiting])
        if not waiting.cancelled():
            # Nobody is left to take an error, which is no reason to log it as a defect.
            waiting.exception()
        raise
