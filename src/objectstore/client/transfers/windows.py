"""Which bytes of an object being read are in hand, and which to ask for next: rules without a connection."""

from __future__ import annotations

import io

from objectstore.values import Bounded, ByteRange, From, ObjectInfo


class Window:
    """A position in an object, and some bytes of it. Who reads on where the last bytes ended is reading it all."""

    def __init__(self, info: ObjectInfo, read_ahead: int) -> None:
        self.info = info
        self.position = 0
        self._read_ahead = read_ahead  # bytes
        self._held = memoryview(b"")
        self._start = 0  # of what is held
        self._end = -1  # of what came last

    @property
    def left(self) -> int:
        """Bytes from here to the end."""
        return max(0, self.info.size - self.position)

    def seek(self, offset: int, whence: int) -> int:
        """The new position, which may be past the end. Raises ValueError."""
        if whence not in {io.SEEK_SET, io.SEEK_CUR, io.SEEK_END}:
            raise ValueError(f"whence is 0, 1 or 2, not {whence}")
        position = offset + (0, self.position, self.info.size)[whence]
        if position < 0:
            raise ValueError(f"there is no position {position}")
        self.position = position
        return position

    def take(self, size: int) -> memoryview:
        """What is in hand from here on, at most `size` bytes; moves past it."""
        start = self.position - self._start
        if not 0 <= start < len(self._held):
            return memoryview(b"")
        found = self._held[start : start + size]
        self.position += len(found)
        return found

    def feed(self, data: bytes) -> None:
        """These bytes came from here on."""
        self._held, self._start = memoryview(data), self.position
        self._end = self.position + len(data)

    def wanted(self, size: int) -> ByteRange:
        """What to ask for to read `size` bytes: all from here on, or a block."""
        if self.position == self._end or size >= self.left:
            return From(self.position)
        return Bounded(self.position, min(self.info.size, self.position + max(size, self._read_ahead)))
