"""An archive on disk: read, watched for changes, and appended to by blocking calls."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from objectstore.backends.private import PRIVATE
from objectstore.backends.spool import Spool
from objectstore.backends.zip.directory import (
    Directory,
    OpenFile,
    Signature,
    empty_archive,
    parse_tail,
    read_directory,
)
from objectstore.backends.zip.entries import central_header, info_of, local_header, new_entry
from objectstore.backends.zip.journal import Journal
from objectstore.core.conditions import check_write
from objectstore.errors import AlreadyExists, MethodNotAllowed, ObjectStoreError
from objectstore.values import ObjectInfo, PutOptions

NAME: Final = "ZipStore"
_READ_ONLY: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


@dataclass(frozen=True, slots=True)
class Addition:
    """A body that is to become an entry; `told` gets its record, or the error."""

    key: str
    body: Spool
    crc: int
    digests: Mapping[str, bytes]
    options: PutOptions
    told: Future[ObjectInfo]


class Archive:
    """The zip file `path`, made if it is not there. Raises OSError, zipfile.BadZipFile beside the contract's errors.

    Every process that has it open reads its directory again when the file is another one than it was.
    """

    def __init__(self, path: Path, *, clock: Callable[[], datetime], step: Callable[[str], None]) -> None:
        self._path = path
        self._clock = clock
        self._step = step
        self._journal = Journal(path)
        self._turn = threading.Lock()
        self.writable = True
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE))
        except OSError as error:
            if error.errno not in _READ_ONLY:
                raise
            self.writable = False
        with self._locked() as fd:
            self.directory = self._read(fd)

    def changed(self) -> bool:
        """Whether the file is another one than it was when its directory was read."""
        return _signature(self._path.stat()) != self.directory.signature

    def refresh(self) -> None:
        """Read the directory again if that is needed."""
        with self._locked() as fd:
            if _signature(os.fstat(fd)) != self.directory.signature:
                self.directory = self._read(fd)

    def add(self, additions: Sequence[Addition]) -> None:
        """Append entries together, and tell of each what became of it.

        Raises what concerns them all; none of those that have not been told of is there then.
        """
        with self._locked() as fd:
            # One who died may have changed the file and neither its size nor, by a coarse clock, its time.
            if self._journal.is_there() or _signature(os.fstat(fd)) != self.directory.signature:
                self.directory = self._read(fd)
            wanted = self._acceptable(additions)
            if wanted:
                for addition, info in zip(wanted, self._append(fd, wanted), strict=True):
                    addition.told.set_result(info)

    def _acceptable(self, additions: Sequence[Addition]) -> Sequence[Addition]:
        """One addition for each key that is free; the others are told."""
        wanted: dict[str, Addition] = {}
        for one in additions:
            try:
                refuse_taken(self.directory, one.key, one.options)
                if one.key in wanted:
                    raise AlreadyExists(one.key) if one.options.conditions.if_none_match else _taken(one.key)
            except ObjectStoreError as error:
                one.told.set_exception(error)
            else:
                wanted[one.key] = one
        return list(wanted.values())

    def _append(self, fd: int, additions: Sequence[Addition]) -> Sequence[ObjectInfo]:
        directory = self.directory
        start = directory.start
        raw = os.pread(fd, os.fstat(fd).st_size - start, start)
        tail = parse_tail(raw, start)
        self._journal.write(fd, start, raw)
        self._step("after_journal")
        infos, entries = [], []
        try:
            for one in additions:
                info = self._info(one)
                entry = new_entry(info, one.crc, start)
                start = self._write(fd, start, [local_header(entry)])
                start = self._write(fd, start, one.body.blocks())
                infos.append(info)
                entries.append(entry)
            self._step("after_body")
            records = b"".join(central_header(entry, base=tail.base) for entry in entries)
            os.ftruncate(fd, self._write(fd, start, [tail.followed_by(records, len(entries), start)]))
            os.fsync(fd)
            self._step("after_sync")
        except BaseException:
            self._journal.put_back(fd)
            raise
        self._journal.remove()
        self._step("after_removal")
        directory.add(entries, start, _signature(os.fstat(fd)))
        return infos

    def _info(self, addition: Addition) -> ObjectInfo:
        now = self._clock()
        return ObjectInfo(
            key=addition.key,
            size=addition.body.size,
            etag=addition.options.etag or secrets.token_hex(16),
            created=now,
            modified=now,
            digests=addition.digests,
            attributes=addition.options.attributes,
        )

    def _write(self, fd: int, at: int, blocks: Iterable[bytes]) -> int:
        for block in blocks:
            rest = memoryview(block)
            while rest:
                written = os.pwrite(fd, rest, at)
                rest, at = rest[written:], at + written
            self._step("in_body")
        return at

    def _read(self, fd: int) -> Directory:
        if self._journal.is_there() and self.writable:
            self._journal.put_back(fd)
        if not os.fstat(fd).st_size and self.writable:
            # Just made, or by one who died just then.
            self._write(fd, 0, [empty_archive()])
        # Opened anew: the directory outlives the lock, which a duplicate would go on holding.
        file = OpenFile(os.open(self._path, os.O_RDONLY | os.O_CLOEXEC))
        return read_directory(file, _signature(os.fstat(file.fd)))

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """The file, open, and held by us alone among the threads and processes of this program."""
        flags = (os.O_RDWR if self.writable else os.O_RDONLY) | os.O_CLOEXEC
        with self._turn:
            while True:
                fd = os.open(self._path, flags)
                try:
                    fcntl.flock(fd, fcntl.LOCK_EX)
                    # It may have been replaced while we waited.
                    if not os.path.samestat(os.fstat(fd), self._path.stat()):
                        continue
                    yield fd
                    return
                finally:
                    os.close(fd)


def refuse_taken(directory: Directory, key: str, options: PutOptions) -> None:
    """Raises PreconditionFailed, or MethodNotAllowed when there is an entry for the key."""
    entry = directory.get(key)
    check_write(options.conditions, key, None if entry is None else info_of(entry))
    if entry is not None:
        raise _taken(key)


def _taken(key: str) -> MethodNotAllowed:
    return MethodNotAllowed(
        f"{NAME} cannot overwrite {key!r}: entries are only ever added to an archive; use another key", ("GET", "HEAD")
    )


def _signature(file: os.stat_result) -> Signature:
    return file.st_dev, file.st_ino, file.st_size, file.st_mtime_ns
