"""Holding garbage back: while a backup is taken, no blob is unlinked that its snapshot may name.

The hold is a shared `flock` on FORMAT, which is never replaced. It ends with the process that has it.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from objectstore.backends.engine.directory import Directory, try_lock
from objectstore.errors import Unavailable

_TIMEOUT: Final = 60.0  # seconds; a collector has it for as long as it takes to unlink 256 files
_POLL: Final = 0.01  # seconds


@contextmanager
def held(directory: Directory) -> Iterator[None]:
    """Nothing is unlinked from here on to the end. Raises Unavailable, OSError."""
    fd = os.open(directory.format, os.O_RDONLY)
    try:
        deadline = time.monotonic() + _TIMEOUT
        while not _try_to_share(fd):
            if time.monotonic() > deadline:
                raise Unavailable("garbage has been collected for a minute without a pause; try again")
            time.sleep(_POLL)
        yield
    finally:
        os.close(fd)


@contextmanager
def collecting(directory: Directory) -> Iterator[bool]:
    """Whether garbage may be unlinked now; until the end nobody else may, and no backup begins. Raises OSError."""
    fd = os.open(directory.format, os.O_RDONLY)
    try:
        yield try_lock(fd)
    finally:
        os.close(fd)


def _try_to_share(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
