"""Whose turn it is to write, among the processes that share a data directory.

SQLite's own waiting is a matter of luck: who commits all the time takes the lock again before a sleeper
wakes. Here a writer first takes the queue, then the pen, then leaves the queue. Who has just written has to
queue again, and whoever is waiting in front gets the pen before that.

Commits and checkpoints of the index are made with the pen only. So no checkpoint ever runs beside a commit,
which in SQLite before 3.51.3 could, once in a very long while, damage the database
(https://sqlite.org/wal.html#walresetbug).
"""

from __future__ import annotations

import os
import time
from typing import Final

from objectstore.backends.engine.directory import Directory, try_lock, unlock
from objectstore.errors import Unavailable

_FIRST_PAUSE: Final = 0.0002  # seconds, about one commit
_LONGEST_PAUSE: Final = 0.002
_LONGEST_TURN: Final = 0.005  # a few commits; taking turns costs system calls
_RETRY_AFTER: Final = 1.0


class Turns:
    """Taking turns. For one thread at a time."""

    def __init__(self, directory: Directory, timeout: float) -> None:
        self._queue = os.open(directory.staging, os.O_RDONLY | os.O_DIRECTORY)
        self._pen = os.open(directory.blobs, os.O_RDONLY | os.O_DIRECTORY)
        self._timeout = timeout  # seconds
        self._since: float | None = None  # when this process took the pen that it has

    def take(self) -> None:
        """Wait for the turn, unless it is still ours. Raises Unavailable when that takes too long."""
        if self._since is not None:
            return
        deadline = time.monotonic() + self._timeout
        _wait(self._queue, deadline)
        try:
            _wait(self._pen, deadline)
        finally:
            unlock(self._queue)
        self._since = time.monotonic()

    def leave(self, *, more_to_write: bool) -> None:
        """Let others write; with more to write, only after having written for a while."""
        if self._since is None or (more_to_write and time.monotonic() < self._since + _LONGEST_TURN):
            return
        self._since = None
        unlock(self._pen)

    def close(self) -> None:
        os.close(self._queue)
        os.close(self._pen)


def _wait(fd: int, deadline: float) -> None:
    pause = _FIRST_PAUSE
    while not try_lock(fd):
        if time.monotonic() > deadline:
            raise Unavailable("another process has been writing for very long", retry_after=_RETRY_AFTER)
        time.sleep(pause)
        pause = min(pause * 1.2, _LONGEST_PAUSE)
