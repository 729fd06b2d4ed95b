"""Awaited calls, carried out for a caller that blocks."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Calls:
    """Runs one call at a time on the runner's loop, which stands still in between. May be shared by threads."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self._runner = runner
        self._turn = threading.Lock()

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        """The result of the call. Raises RuntimeError: the store is closed, or an event loop is running here."""
        try:
            with self._turn:
                return self._runner.run(call)
        finally:
            call.close()  # one that was never begun would be complained of
