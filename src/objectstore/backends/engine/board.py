"""What has changed, for readers in all processes to see without asking the database.

The board is a small file that every process maps into its memory: a row of counters, and each key belongs
to one of them. A writer makes the counters of the keys it changes odd before it commits and even, one higher,
after it. A reader that has kept a row along with an even counter knows from the same counter that no commit
of that key has happened or begun since: what it kept is what the database would say.

A writer that dies between the two leaves odd counters behind: then the readers ask the database, until the
next write of such a key. Writers take turns (`turns.py`), so no two of them count at the same time.
"""

from __future__ import annotations

import mmap
import os
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from zlib import crc32

from objectstore.backends.engine.directory import FILE_MODE

STRIPES: Final = 4096  # counters; keys that share one forget each other's rows, which costs a look-up
_COUNTER: Final = 8  # bytes
_UNCERTAIN: Final = memoryview(array("Q", [1] * STRIPES))


class Board:
    """The counters of one data directory. Made when missing, while nobody else opens the directory."""

    def __init__(self, path: Path) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE)
        try:
            # Room for all of it now: a page of memory that finds no room on its disk ends the process (SIGBUS).
            os.posix_fallocate(fd, 0, STRIPES * _COUNTER)
            self._map = mmap.mmap(fd, STRIPES * _COUNTER)
        finally:
            os.close(fd)
        self._bytes = memoryview(self._map)
        self._counters = self._bytes.cast("Q")

    def count(self, key: str) -> int:
        """The counter of the key: while it is odd, a commit of the key may be under way."""
        return self._counters[crc32(key.encode()) % STRIPES]

    def begin(self, keys: Iterable[str]) -> frozenset[int]:
        """Say that these keys are about to change; what `end` has to be told."""
        stripes = frozenset(crc32(key.encode()) % STRIPES for key in keys)
        for stripe in stripes:
            self._counters[stripe] |= 1
        return stripes

    def end(self, stripes: Iterable[int]) -> None:
        """Say that the change is made, or was given up."""
        for stripe in stripes:
            self._counters[stripe] += 1

    def close(self) -> None:
        """Let go of the file. From then on nothing is certain, so readers ask the database."""
        counters, self._counters = self._counters, _UNCERTAIN
        counters.release()
        self._bytes.release()
        self._map.close()
