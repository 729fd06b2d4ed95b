"""What was read lately of objects, kept for as long as the board says that they have not changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from objectstore.backends.engine.board import Board
from objectstore.values import ObjectInfo

_OVERHEAD: Final = 640  # bytes that an entry takes beside its body, as measured for an object without metadata
_SHARES: Final = 64  # one of so many is given up at once when there is no room


@dataclass(frozen=True, slots=True)
class Remembered:
    """An object, with its body if that is in the index and was read."""

    count: int  # of the board, when it was read
    info: ObjectInfo
    data: bytes | None

    @property
    def weight(self) -> int:
        """About how many bytes it takes."""
        return _OVERHEAD + len(self.data or b"")


class Recent:
    """Holds up to `size` bytes; the entry that was remembered first goes first."""

    def __init__(self, board: Board, size: int) -> None:
        self._board = board
        self._room = size
        self._spare = size // _SHARES
        self._entries: dict[str, Remembered] = {}

    def find(self, key: str) -> Remembered | None:
        """The object as it is now, if it is remembered."""
        found = self._entries.get(key)
        if found is None:
            return None
        if found.count == self._board.count(key):
            return found
        self._forget(key)
        return None

    def moment(self, key: str) -> int | None:
        """To be asked before the index is read for something to be remembered. None: it would not be certain."""
        count = self._board.count(key)
        return None if count & 1 else count

    def remember(self, moment: int, info: ObjectInfo, data: bytes | None = None) -> None:
        if info.key in self._entries:
            self._forget(info.key)
        entry = self._entries[info.key] = Remembered(moment, info, data)
        self._room -= entry.weight
        if self._room < 0:
            self._make_room()

    def _make_room(self) -> None:
        # Many at once: to find the first entry, a dictionary looks at all places of those that are gone.
        oldest: list[str] = []
        room = self._room
        for key, entry in self._entries.items():
            if room >= self._spare:
                break
            room += entry.weight
            oldest.append(key)
        for key in oldest:
            self._forget(key)

    def _forget(self, key: str) -> None:
        self._room += self._entries.pop(key).weight
