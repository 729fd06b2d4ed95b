"""Waiting on the event loop for what threads do."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import TypeVar

from objectstore.backends.finishing import to_its_end

T = TypeVar("T")


async def finished(job: Future[T]) -> T:
    """What came of it. Who is cancelled while waiting is told so when it is over: nothing changes after that."""
    # A thread that has begun cannot be stopped; one that has not never will.
    return await to_its_end(asyncio.wrap_future(job), unless=job.cancel)
