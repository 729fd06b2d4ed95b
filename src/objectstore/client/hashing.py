"""SHA-256 of what is moved, computed on another core while more of it moves."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Final

_SMALL: Final = 32 * 1024  # bytes that are hashed before a thread would have begun to
_WORTH: Final = 4  # chunks that a thread is woken for
_WAITING: Final = 8  # chunks that lie in memory for it, at most
_MOST: Final = 4  # threads for all transfers of a process


class BesideSha256:
    """As `hashlib.sha256`, for bytes that come in order from one thread or task.

    It hashes in a thread of the process where there is a core for it. When that does not keep up, the caller hashes
    itself, as it would have without: nobody waits for longer than a chunk takes.
    """

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._waiting: deque[bytes] = deque()
        self._hashing = threading.Lock()
        self._asked = False  # a thread is about to begin

    def update(self, chunk: bytes, /) -> None:
        """Take note of the bytes that come next, which do not change any more."""
        threads = _threads() if len(chunk) > _SMALL else None
        self._waiting.append(chunk)
        if threads is None or len(self._waiting) > _WAITING:
            self._hash()
        elif not self._asked and len(self._waiting) >= _WORTH:
            self._asked = True
            try:
                threads.submit(self._hash)
            except RuntimeError:  # the interpreter is about to end and starts nothing new
                self._hash()

    def digest(self) -> bytes:
        """The digest of all so far."""
        self._hash()
        return self._sha256.digest()

    def _hash(self) -> None:
        with self._hashing:
            # One that comes after the last look is taken up with the next, or by `digest`.
            self._asked = False
            while self._waiting:
                self._sha256.update(self._waiting.popleft())


class _Threads:
    """Those of this process, started when they are needed."""

    def __init__(self) -> None:
        # Of two cores the other is busy as well, often with the server: sharing it costs more than hashing here.
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.number = max(0, min(cores - 2, _MOST))
        self.running: ThreadPoolExecutor | None = None
        self.starting = threading.Lock()


_own = _Threads()


def _threads() -> ThreadPoolExecutor | None:
    own = _own
    if own.number < 1:
        return None
    if own.running is None:
        with own.starting:
            if own.running is None:
                own.running = ThreadPoolExecutor(own.number, thread_name_prefix="objectstore-sha256")
    return own.running


def _after_fork() -> None:
    # Threads do not come along into a child.
    global _own  # noqa: PLW0603  there is one such place for a process
    _own = _Threads()


os.register_at_fork(after_in_child=_after_fork)
