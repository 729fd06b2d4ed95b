"""Replacing a small file as a whole, one process at a time.

A reader, and the next start after a crash, finds the old contents or the new ones. The one exception is a
file that is itself a mount point, as when a container is given a single file: it cannot be replaced, so it
is written over in place.

A container that is given a single file sees that one file and never what is put in its place. So the file that is
replaced is kept, gets the new contents as well, and then takes its place again.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

PRIVATE: Final = 0o600


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of the file at `path`, waiting for it: a file of its own beside it, as `path` gets replaced.

    The lock file stays: removing it would let two processes hold locks on two files of one name.
    """
    fd = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE)
    try:
        _keep_owner(path, fd)
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def replace_contents(path: Path, contents: bytes) -> None:
    """Make `contents` all that the file at `path` holds, durably, readable by its owner only. Call it `locked`."""
    # Under the lock nobody else uses these names, so what a process that was killed left there can go.
    temporary = path.with_name(f".{path.name}.new")
    standing = path.with_name(f".{path.name}.old")
    for leftover in (temporary, standing):
        leftover.unlink(missing_ok=True)
    try:
        _write_new(temporary, contents, owner_of=path)
        kept = _keep(path, standing)
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        standing.unlink(missing_ok=True)
        if not (isinstance(error, OSError) and error.errno == errno.EBUSY):
            raise
        _overwrite(path, contents)
        return
    _sync_folder(path.parent)
    if kept:
        _put_back(standing, path, contents)


def _keep(path: Path, standing: Path) -> bool:
    """Give the file a second name, unless somebody else did before: whoever made a copy by linking keeps it."""
    try:
        if path.stat().st_nlink > 1:
            return False
        standing.hardlink_to(path)
    except OSError:
        return False  # there is no file yet, or the file system has no links
    return True


def _put_back(standing: Path, path: Path, contents: bytes) -> None:
    # What was asked for is done and durable. When this fails, only those who look at the old file miss something.
    try:
        _overwrite(standing, contents)
        standing.replace(path)
        _sync_folder(path.parent)
    except OSError:
        standing.unlink(missing_ok=True)


def _write_new(path: Path, contents: bytes, *, owner_of: Path) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE)
    with os.fdopen(fd, "wb") as file:
        _keep_owner(owner_of, fd)
        file.write(contents)
        file.flush()
        os.fsync(fd)


def _keep_owner(path: Path, fd: int) -> None:
    # An administrator's edit must not take the file, or its lock, away from the account that the server runs under.
    with suppress(FileNotFoundError, PermissionError):
        old = path.stat()
        if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
            os.fchown(fd, old.st_uid, old.st_gid)


def _overwrite(path: Path, contents: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        # One write that also blanks out what was longer, so that a reader finds all of the new contents at once.
        size = os.fstat(fd).st_size
        os.pwrite(fd, contents.ljust(size), 0)
        os.ftruncate(fd, len(contents))
        os.fchmod(fd, PRIVATE)
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
