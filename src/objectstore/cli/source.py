"""What `put` reads: a file or stdin, counted on the way."""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from objectstore.cli.exits import Usage
from objectstore.cli.progress import Meter

STDIN: Final = "-"


@contextmanager
def opened(name: str) -> Iterator[BinaryIO]:
    """The file `name`, or stdin for `-`, to be read. Raises OSError, and Usage for a folder."""
    if name == STDIN:
        yield sys.stdin.buffer
        return
    path = Path(name)
    if path.is_dir():
        raise Usage(f"{name} is a folder; put takes one file at a time")
    with path.open("rb") as file:
        yield file


def size_of(file: BinaryIO) -> int | None:
    """How many bytes there are to be read, if `file` is a regular one: pipes and devices do not tell."""
    found = os.fstat(file.fileno())
    return found.st_size - file.tell() if stat.S_ISREG(found.st_mode) else None


class CountedFile(io.RawIOBase):
    """A file whose bytes are counted as they are read, anew when it is read again from an earlier place."""

    def __init__(self, file: BinaryIO, meter: Meter) -> None:
        super().__init__()
        self._file = file
        self._meter = meter
        self._start = file.tell() if file.seekable() else 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        position = self._file.seek(offset, whence)
        self._meter.move_to(position - self._start)
        return position

    def read(self, size: int | None = -1, /) -> bytes:
        data = self._file.read(-1 if size is None else size)
        self._meter.advance(len(data))
        return data
