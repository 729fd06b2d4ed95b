"""Trying again what may succeed later."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from objectstore.errors import Corrupted, DigestMismatch, IncompleteBody, Retryable
from objectstore.wire.retries import Retries, pause_before

T = TypeVar("T")


async def patiently(call: Callable[[], Awaitable[T]], retries: Retries) -> T:
    """What `call` returns, called again after a pause while it fails in a way that may pass.

    Beside what is away or overloaded, that is damage: bytes may have been lost on the way.
    """
    tried = 0
    while True:
        try:
            return await call()
        except (Retryable, Corrupted, DigestMismatch, IncompleteBody) as error:
            pause = pause_before(tried, retries, error)
            if pause is None:
                raise
        tried += 1
        await asyncio.sleep(pause.seconds(random.random()))  # noqa: S311  jitter is no secret
