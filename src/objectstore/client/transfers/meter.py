"""How far a transfer has come, told to whoever asked for it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeAlias

Progress: TypeAlias = Callable[[int, int | None], object]
"""Called with the bytes done and their total, which is None while nobody knows it; by one thread at a time. What is
done never decreases, and is the total at the last call. What it raises ends the transfer."""


class Meter:
    """Counts bytes that come from many threads. What is sent a second time is counted once."""

    def __init__(self, progress: Progress | None = None, total: int | None = None) -> None:
        self._progress = progress
        self._lock = threading.RLock()  # who is told may ask
        self._done = 0
        self._told: tuple[int, int | None] = (0, -1)
        self.total = total

    def expect(self, total: int) -> None:
        """There are so many bytes in all."""
        self.total = total

    def add(self, size: int) -> None:
        """So many more bytes are done; a negative number of them has to be done again."""
        with self._lock:
            self._done += size
            if self._done > self._told[0]:
                self._tell(self._done)

    def restart(self) -> None:
        """All has to be done again."""
        with self._lock:
            self._done = 0

    def finish(self) -> None:
        """All is done; what was not counted was there before."""
        with self._lock:
            if self.total is None:
                self.total = max(self._done, self._told[0])
            if self._told != (self.total, self.total):
                self._tell(self.total)

    def _tell(self, done: int) -> None:
        self._told = (done, self.total)
        if self._progress is not None:
            self._progress(done, self.total)
