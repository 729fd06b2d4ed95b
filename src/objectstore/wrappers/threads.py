"""Work on bytes: on the loop while it is short, in a thread when it would hold others up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_SHORT: Final = 16 * 1024  # bytes that are compressed in less time than it takes to change threads a few times


async def work(length: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `function` returns for its work on `length` bytes; zlib, zstandard and hashes free the loop meanwhile.

    Who is cancelled while a thread is at it is told so when it is over: what it uses may be closed then.
    """
    if length <= _SHORT:
        return function(*args, **kwargs)
    job = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
    try:
        return await asyncio.shield(job)
    except asyncio.CancelledError:
        while not job.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait([job])
        if not job.cancelled():
            # Nobody is left to take an error, which is no reason to log it as a defect.
            job.exception()
        raise
