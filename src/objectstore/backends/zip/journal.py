"""How an archive gets back what stood at its end when an entry was being appended and something came between.

A new entry is written where the central directory stands, and the directory behind it. Before that, the old end of
the archive goes into a file beside it, on disk for good; after that, when the new end is on disk for good, the file
is removed, on disk for good as well. So when that file is there, the old end is put back: nobody was told of the
entry. Entries before that place are never touched.

A file that is not whole was being written, and the archive is still as it was. So it is when the file does not fit
the bytes before the place: it belongs to another archive, which this one has replaced.
"""

from __future__ import annotations

import hashlib
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Final

from objectstore.backends.private import PRIVATE

_MAGIC: Final = b"objectstore zip journal 1\n"
_HEADER: Final = struct.Struct(f"<{len(_MAGIC)}sQ32s32s")
_BEFORE: Final = 64 * 1024  # bytes before the end by which an archive is known


class Journal:
    """The file beside the archive at `path`. Who calls holds the lock of the archive."""

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(f"{path.name}.journal")

    def write(self, fd: int, start: int, tail: bytes) -> None:
        """Keep `tail`, which stands at `start` of the archive."""
        header = _HEADER.pack(_MAGIC, start, _known_by(fd, start), hashlib.sha256(tail).digest())
        fd_of_journal = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, PRIVATE)
        with os.fdopen(fd_of_journal, "wb") as file:
            file.write(header + tail)
            file.flush()
            os.fsync(file.fileno())
        self._sync_folder()

    def remove(self) -> None:
        self.path.unlink()
        self._sync_folder()

    def put_back(self, fd: int) -> bool:
        """Undo what was begun and not finished; whether there was something. `fd` is open for writing."""
        kept = self._kept(fd)
        if kept is not None:
            start, tail = kept
            os.pwrite(fd, tail, start)
            os.ftruncate(fd, start + len(tail))
            os.fsync(fd)
        with suppress(FileNotFoundError):
            self.remove()
        return kept is not None

    def is_there(self) -> bool:
        return self.path.exists()

    def _kept(self, fd: int) -> tuple[int, bytes] | None:
        try:
            raw = self.path.read_bytes()
            magic, start, known_by, digest = _HEADER.unpack_from(raw)
        except (FileNotFoundError, struct.error):
            return None
        tail = raw[_HEADER.size :]
        if magic != _MAGIC or hashlib.sha256(tail).digest() != digest or _known_by(fd, start) != known_by:
            return None
        return start, tail

    def _sync_folder(self) -> None:
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _known_by(fd: int, start: int) -> bytes:
    first = max(0, start - _BEFORE)
    return hashlib.sha256(os.pread(fd, start - first, first)).digest()
