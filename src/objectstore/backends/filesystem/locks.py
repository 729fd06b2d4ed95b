"""Locks that exclude threads and processes alike, one of 256 for each key."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager


class Locks:
    """Lock files in the open folder `folder`.

    `flock` belongs to the open file, so every holder opens it anew and threads of one process exclude each other
    as well; it ends with its holder, however that ends. Waiting is done in the calling thread.
    """

    def __init__(self, folder: int) -> None:
        self._folder = folder

    @contextmanager
    def holding(self, name: str) -> Iterator[None]:
        """Hold the lock `name` alone."""
        fd = open_lock(name, self._folder)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)

    @contextmanager
    def holding_key(self, hashed_key: str) -> Iterator[None]:
        """Hold the lock that this key shares with some others."""
        with self.holding(hashed_key[:2]):
            yield


def open_lock(name: str, folder: int) -> int:
    # For writing, since NFS makes a range lock of it.
    return os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=folder)


def try_lock(fd: int) -> bool:
    """Take the lock of this open file if no one holds it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
