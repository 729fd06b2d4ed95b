"""Work on bytes: on the loop while it is short, in a thread when it would hold others up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, ParamSpec, TypeVar

from objectstore.backends.finishing import to_its_end

P = ParamSpec("P")
T = TypeVar("T")

_SHORT: Final = 16 * 1024  # bytes that are compressed in less time than it takes to change threads a few times


async def work(length: int, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `function` returns for its work on `length` bytes; zlib, zstandard and hashes free the loop meanwhile.

    Who is cancelled while a thread is at it is told so when it is over: what it uses may be closed then.
    """
    if length <= _SHORT:
        return function(*args, **kwargs)
    return await to_its_end(asyncio.to_thread(function, *args, **kwargs))
