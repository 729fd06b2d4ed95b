"""What is uploaded, when any part of it can be read at any time: a file, or bytes in memory."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
import threading
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast

from objectstore.client.gathering import in_thread
from objectstore.client.sources import OF_TEXT
from objectstore.client.transfers.meter import Meter
from objectstore.errors import Corrupted, IncompleteBody

SMALL: Final = 64 * 1024  # bytes; so many are read and hashed in the time that a thread takes to begin
BLOCK: Final = 1024 * 1024  # bytes read and hashed at once


class Content(Protocol):
    """Bytes that can be read at any position, by several threads at once."""

    size: int  # bytes

    @property
    def digest(self) -> bytes | None:
        """Its SHA-256 digest, when that is known without reading it."""
        ...

    def read_at(self, position: int, size: int) -> bytes | memoryview:
        """As many bytes as asked for, fewer only at the end."""
        ...

    def check(self) -> None:
        """Raises IncompleteBody, Corrupted: it is no longer what it was at the beginning."""
        ...


class FileContent:
    """An open regular file from `start` on, read past its own position."""

    digest: Final = None

    def __init__(self, fd: int, start: int = 0, name: str = "the file") -> None:
        self._fd = fd
        self._start = start
        self._name = name
        self.stat = os.fstat(fd)
        self.size = max(0, self.stat.st_size - start)

    def read_at(self, position: int, size: int) -> bytes:
        return os.pread(self._fd, size, self._start + position)

    def check(self) -> None:
        now = os.fstat(self._fd)
        if now.st_size != self.stat.st_size:
            raise IncompleteBody(self.size, max(0, now.st_size - self._start))
        if now.st_mtime_ns != self.stat.st_mtime_ns:
            raise Corrupted(f"{self._name} was changed while it was sent, and was not stored: upload it again")


class MemoryContent:
    """Bytes in hand."""

    digest: Final = None

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self.size = data.nbytes

    def read_at(self, position: int, size: int) -> memoryview:
        return self._data[position : position + size]

    def check(self) -> None:
        pass


class SeekableContent:
    """Anything that reads and seeks, from where it stands; readers take turns."""

    digest: Final = None

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._turn = threading.Lock()
        self._start = file.tell()
        self.size = max(0, file.seek(0, os.SEEK_END) - self._start)

    def read_at(self, position: int, size: int) -> bytes:
        found: list[bytes] = []
        with self._turn:
            self._file.seek(self._start + position)
            # Unbuffered ones give less than asked for when they like.
            while size and (chunk := self._file.read(size)):
                found.append(chunk)
                size -= len(chunk)
        return b"".join(found)

    def check(self) -> None:
        with self._turn:
            size = max(0, self._file.seek(0, os.SEEK_END) - self._start)
        if size != self.size:
            raise IncompleteBody(self.size, size)


def content_of(file: BinaryIO) -> Content | None:
    """The content of an open file from where it stands; None when it can only be read once, from front to back."""
    if isinstance(cast("object", file), io.TextIOBase):
        raise TypeError(OF_TEXT)
    # Only of these is it sure that the descriptor gives what reading gives: that of a gzip.GzipFile does not.
    raw = file.raw if type(file) in {io.BufferedReader, io.BufferedRandom} else file  # type: ignore[attr-defined]  # both have it
    if type(raw) is io.FileIO and stat.S_ISREG(os.fstat(raw.fileno()).st_mode):
        if isinstance(file, io.BufferedRandom):
            file.flush()
        return FileContent(raw.fileno(), file.tell(), str(raw.name))
    return SeekableContent(file) if file.seekable() else None


def open_content(path: Path) -> tuple[BinaryIO, FileContent | None]:
    """The file, to be closed by the caller, and its content; None when it can only be read once, as a pipe.

    Raises:
        IsADirectoryError: it is a folder, which says what to do instead.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "it is a folder, which upload_dir uploads", str(path))
    file = path.open("rb")
    try:
        told = os.fstat(file.fileno())
        # Files in /proc and the like say that they are empty, and are not.
        regular = stat.S_ISREG(told.st_mode) and told.st_size > 0
        return file, FileContent(file.fileno(), 0, str(path)) if regular else None
    except BaseException:
        file.close()
        raise


def read_small(path: str | os.PathLike[str]) -> bytes | None:
    """What is in a regular file of at most `SMALL` bytes; None of others, and of one that is changing."""
    # What is no regular file is not even opened: that alone may wait, or let somebody go on who waited for a reader.
    told = os.stat(path)  # noqa: PTH116  there are many of them
    if not (stat.S_ISREG(told.st_mode) and 0 < told.st_size <= SMALL):
        return None
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        data = os.read(fd, SMALL + 1)
        return data if len(data) == told.st_size else None
    finally:
        os.close(fd)


class Slice:
    """A part of a content as the body of a request, hashed while it is sent."""

    repeatable: Final = True

    def __init__(self, content: Content, start: int, size: int, meter: Meter) -> None:
        self._content = content
        self._start = start
        self._meter = meter
        self._counted = 0
        self.size = size
        self.sha256: bytes | None = None

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Raises IncompleteBody, Corrupted: the content is no longer what it was."""
        self._begin_again()
        sha256 = hashlib.sha256()
        for at in range(0, self.size, BLOCK):
            yield self._next(at, sha256)
        self.sha256 = sha256.digest()

    async def achunks(self) -> AsyncIterator[bytes | memoryview]:
        self._begin_again()
        sha256 = hashlib.sha256()
        for at in range(0, self.size, BLOCK):
            # Nobody closes the file before a cancelled read of it has ended.
            yield await in_thread(partial(self._next, at, sha256))
        self.sha256 = sha256.digest()

    def _next(self, at: int, sha256: hashlib._Hash) -> bytes | memoryview:
        wanted = min(BLOCK, self.size - at)
        chunk = self._content.read_at(self._start + at, wanted)
        if len(chunk) < wanted:
            raise IncompleteBody(self._content.size, self._start + at + len(chunk))
        if self._start + at + wanted == self._content.size:
            # Before the last byte is sent: the server is to store nothing of a file that has changed.
            self._content.check()
        sha256.update(chunk)
        self._counted += wanted
        self._meter.add(wanted)
        return chunk

    def _begin_again(self) -> None:
        self.sha256 = None
        if self._counted:
            self._meter.add(-self._counted)
            self._counted = 0


def digest_of(content: Content, start: int, stop: int) -> bytes:
    """The SHA-256 digest of bytes `start` to `stop`, end exclusive."""
    sha256 = hashlib.sha256()
    for at in range(start, stop, BLOCK):
        sha256.update(content.read_at(at, min(BLOCK, stop - at)))
    return sha256.digest()
