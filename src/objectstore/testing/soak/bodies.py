"""Bodies that follow from the seed, the key and the number of the write, so that every byte of an answer is known.

A body is a stretch of one row of random bytes that goes round and round; each version begins at a place of its own.
So making one, and comparing one, costs little more than to move it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

PIECE: Final = 128 * 1024  # bytes handed over at once
_ROUND: Final = 1024 * 1024 + 7  # bytes until it repeats: no multiple of any block, so that one block is not another


@dataclass(frozen=True, slots=True)
class Version:
    """What one write puts under a key."""

    key: str
    number: int
    size: int  # bytes


class Bodies:
    """All bodies of one seed."""

    def __init__(self, seed: int) -> None:
        once = random.Random(f"soak/{seed}").randbytes(_ROUND)  # noqa: S311  to be told apart, not secret
        self._row = once + once[:PIECE]
        self._seed = seed

    def pieces(self, version: Version) -> Iterator[bytes]:
        """The body, up to `PIECE` bytes at a time."""
        at, left = self._start(version), version.size
        while left:
            piece = self._row[at : at + min(left, PIECE)]
            yield piece
            left -= len(piece)
            at = (at + len(piece)) % _ROUND

    def comparison(self, version: Version, position: int = 0) -> Comparison:
        """What is fed a body from `position` on, and says whether it is that of the version."""
        return Comparison(self._row, (self._start(version) + position) % _ROUND, version.size - position)

    def _start(self, version: Version) -> int:
        name = f"{self._seed}/{version.number}/{version.key}".encode()
        return int.from_bytes(blake2b(name, digest_size=8).digest()) % _ROUND


class Comparison:
    """A body on its way in beside the one it should be."""

    __slots__ = ("_at", "_left", "_row", "same")

    def __init__(self, row: bytes, at: int, left: int) -> None:
        self._row = row
        self._at = at
        self._left = left
        self.same = True  # as far as it has come

    def feed(self, data: bytes) -> None:
        done = 0
        while self.same and done < len(data):
            size = min(PIECE, len(data) - done)
            piece = data if size == len(data) else data[done : done + size]
            self.same = size <= self._left and self._row[self._at : self._at + size] == piece
            self._at = (self._at + size) % _ROUND
            self._left -= size
            done += size

    def whole(self, length: int) -> bool:
        """Whether what was fed is all of it; `length` bytes of it, if it is a range, were asked for."""
        return self.same and self._left == length
