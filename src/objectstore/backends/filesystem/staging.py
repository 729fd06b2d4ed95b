"""Files on their way to becoming objects, and the sweeping of those that never will."""

from __future__ import annotations

import errno
import os
import secrets
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

from objectstore.backends.filesystem import folders, xattrs
from objectstore.backends.filesystem.locks import Locks, open_lock, try_lock
from objectstore.backends.filesystem.records import Record, nanoseconds
from objectstore.core.digests import Digester

_FOLDER: Final = "staging"
_LOCK: Final = "lock"
_COPY_SIZE: Final = 64 * 1024 * 1024  # bytes between two looks at whether the copy is still wanted
_READ_SIZE: Final = 1024 * 1024
_NO_COPY_RANGE: Final = frozenset({errno.ENOSYS, errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.EPERM})


class Draft:
    """A file in the staging folder, made when it is first needed.

    Its methods may be called from any thread. `discard` waits for the one that is running; those that come after it
    fail, so that a thread whose caller has gone leaves nothing.
    """

    def __init__(self, folder: int, name: str, mode: int, algorithms: Iterable[str]) -> None:
        self.digester = Digester(algorithms)
        self.size = 0  # bytes so far
        self.folder = folder
        self.name = name
        self._mode = mode
        self._turn = threading.Lock()
        self._fd: int | None = None
        self._over = False

    def write(self, data: bytes) -> None:
        """Append, and count into the digests."""
        with self._turn:
            self.digester.update(data)
            _write_all(self._open(), data)
            self.size += len(data)

    def copy(self, source: int, size: int) -> None:
        """Append `size` bytes of the open file `source` inside the kernel: shared blocks where it can do that."""
        while self.size < size:
            with self._turn:
                length = _copy_some(source, self.size, self._open(), min(_COPY_SIZE, size - self.size))
                self.size += length
            if not length:
                break

    def read_in(self, source: int) -> None:
        """Append all of the open file `source`, counting it into the digests."""
        at = 0
        while data := os.pread(source, _READ_SIZE, at):
            self.write(data)
            at += len(data)

    def stamp(self, modified: datetime) -> os.stat_result:
        """Set the time of last change, after which nothing may be written; what the file system made of it.

        The nanoseconds below the clock's microseconds are drawn by lot, so that even two files of the same size
        written at the same time by the clock can be told apart.
        """
        with self._turn:
            fd = self._open()
            mtime = nanoseconds(modified) + secrets.randbelow(1000)
            os.utime(fd, ns=(mtime, mtime))
            return os.fstat(fd)

    def seal(self, record: Record, *, carry: bool) -> bool:
        """Bring bytes and times to disk, with the record if the file may and can carry it; whether it does."""
        with self._turn:
            fd = self._open()
            carried = carry and xattrs.write(fd, record)
            os.fsync(fd)  # not fdatasync, which may leave out the times that tie the record to the file
            return carried

    def placed(self) -> None:
        """The file has been renamed: it is no draft any more."""
        self._end()

    def discard(self) -> None:
        """Remove the file, unless it has been placed; calling it again does nothing."""
        if self._end():
            with suppress(OSError):
                # Otherwise swept after this process has ended.
                os.unlink(self.name, dir_fd=self.folder)

    def _open(self) -> int:
        if self._over:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if self._fd is None:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            self._fd = os.open(self.name, flags, self._mode, dir_fd=self.folder)
        return self._fd

    def _end(self) -> bool:
        """Close the file for good; whether there was one that was open."""
        with self._turn:
            self._over = True
            if self._fd is None:
                return False
            os.close(self._fd)
            self._fd = None
            return True


class Staging:
    """The folder of this opening's drafts, `staging/<id>`, held by a lock as long as it lives.

    Raises OSError. `swept` tells which drafts were left by processes that have died.
    """

    def __init__(self, hidden: int, locks: Locks, mode: int) -> None:
        self._hidden = hidden
        self._mode = mode
        self.path = f"{_FOLDER}/{secrets.token_hex(8)}"
        # One at a time, so that no one sweeps a folder that is made but not yet locked.
        with locks.holding("staging"):
            os.close(folders.make(hidden, [_FOLDER], 0o700, for_good=False))
            self.swept = _sweep(hidden)
            self.folder = folders.make(hidden, self.path.split("/"), 0o700, for_good=False)
            self._lock = open_lock(_LOCK, self.folder)
            try_lock(self._lock)

    def draft(self, hashed_key: str, algorithms: Iterable[str] = ()) -> Draft:
        """A new draft for a key; nothing is on disk yet."""
        return Draft(self.folder, f"{hashed_key}.{secrets.token_hex(8)}", self._mode, algorithms)

    def synced(self, data: bytes) -> str:
        """The path in the hidden folder of a new file that holds `data`, on disk for good."""
        name = f"sidecar.{secrets.token_hex(8)}"
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=self.folder)
        try:
            _write_all(fd, data)
            os.fsync(fd)
        except BaseException:
            os.unlink(name, dir_fd=self.folder)
            raise
        finally:
            os.close(fd)
        return f"{self.path}/{name}"

    def close(self) -> None:
        with suppress(OSError):
            _clear(self.folder, [_LOCK])
            os.rmdir(self.path, dir_fd=self._hidden)
        os.close(self.folder)
        os.close(self._lock)


def _sweep(hidden: int) -> Sequence[str]:
    swept: list[str] = []
    with folders.opened(hidden, [_FOLDER]) as staging:
        for name in os.listdir(staging):  # noqa: PTH208  a descriptor
            with suppress(OSError), folders.opened(staging, [name]) as folder:
                lock = open_lock(_LOCK, folder)
                try:
                    if try_lock(lock):
                        left = set(os.listdir(folder)) - {_LOCK}  # noqa: PTH208  a descriptor
                        # The lock goes last: a sweep that is cut short is taken up by the next.
                        _clear(folder, [*left, _LOCK])
                        os.rmdir(name, dir_fd=staging)
                        swept += left
                finally:
                    os.close(lock)
    return swept


def _clear(folder: int, names: Iterable[str]) -> None:
    for name in names:
        os.unlink(name, dir_fd=folder)


def _write_all(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]


def _copy_some(source: int, at: int, target: int, length: int) -> int:
    if hasattr(os, "copy_file_range"):
        try:
            return os.copy_file_range(source, target, length, at)
        except OSError as error:
            if error.errno not in _NO_COPY_RANGE:
                raise
    data = os.pread(source, min(length, _READ_SIZE), at)
    _write_all(target, data)
    return len(data)
