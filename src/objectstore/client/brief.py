"""Calls that take microseconds unless a disk is slow, made by an event loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from objectstore.client.gathering import in_thread

R = TypeVar("R")
_LONG: Final = 0.004  # seconds; handing a call to a thread costs less than a tenth of a thousandth
_REST: Final = 8  # times what a long call took


class Briefly:
    """Makes such calls in the event loop itself, as long as they are brief.

    A disk that keeps the loop waiting, as those on a network may, is left to threads for a while. So the loop waits
    for it an eighth of its time at most, and several calls wait for it side by side.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._in_threads_until = 0.0

    async def make(self, call: Callable[[], R]) -> R:
        began = self._now()
        if began < self._in_threads_until:
            return await in_thread(call)
        try:
            return call()
        finally:
            ended = self._now()
            if ended - began > _LONG:
                self._in_threads_until = ended + _REST * (ended - began)
