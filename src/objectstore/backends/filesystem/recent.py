"""Small objects that were read lately, believed for as long as their files are what they were.

A file is looked up and opened each time, and compared by what no change leaves as it is: a change by another program
sets the time of the last change of the inode (ctime), which no program can set back, and replacing a file leads to
another inode. A file whose ctime is younger than the clocks of file systems are fine is not remembered: another
change in the same moment would not show.

Only objects with a record are remembered. So a file that another program writes to by a mapping, which sets its times
once and not each time, is not: its record is not believed after the first.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final, TypeAlias

from objectstore.backends.filesystem.records import Found

_OVERHEAD: Final = 1700  # bytes that an entry takes beside its body, most of it the record
_SETTLED: Final = 2_000_000_000  # nanoseconds
_SHARES: Final = 64  # one of so many is given up at once when there is no room
_Identity: TypeAlias = tuple[int, int, int, int, int]


@dataclass(frozen=True, slots=True)
class Remembered:
    """An object as it was read."""

    path: bytes
    found: Found
    data: bytes
    identity: _Identity

    def is_of(self, file: os.stat_result) -> bool:
        """Whether this is the file that was read, unchanged."""
        return self.identity == _identity(file)


class Recent:
    """Holds up to `size` bytes; the entry that was remembered first goes first. `remember` is for one thread alone."""

    def __init__(self, size: int) -> None:
        self._room = size
        self._spare = size // _SHARES
        self._entries: dict[str, Remembered] = {}

    def get(self, key: str) -> Remembered | None:
        """What was read last; whether it still holds is to be seen."""
        return self._entries.get(key)

    def remember(self, key: str, path: bytes, file: os.stat_result, found: Found, data: bytes, *, now: int) -> None:
        """Keep what was read of a file after its status was `file`, if that can be told from a later one's.

        `now` is the time in nanoseconds.
        """
        if found.record is None or now - file.st_ctime_ns < _SETTLED:
            return
        if key in self._entries:
            self._forget(key)
        self._entries[key] = Remembered(path, found, data, _identity(file))
        self._room -= _OVERHEAD + len(data)
        if self._room < 0:
            self._make_room()

    def _make_room(self) -> None:
        # Many at once: to find the first entry, a dictionary looks at all places of those that are gone.
        oldest: list[str] = []
        room = self._room
        for key, entry in self._entries.items():
            if room >= self._spare:
                break
            room += _OVERHEAD + len(entry.data)
            oldest.append(key)
        for key in oldest:
            self._forget(key)

    def _forget(self, key: str) -> None:
        self._room += _OVERHEAD + len(self._entries.pop(key).data)


def _identity(file: os.stat_result) -> _Identity:
    return file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns, file.st_ctime_ns
