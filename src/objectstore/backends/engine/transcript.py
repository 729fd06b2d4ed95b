"""Bringing files from one folder to another, so that they are whole and survive the power going off."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import suppress
from typing import Final

from objectstore.backends.engine.directory import FILE_MODE
from objectstore.errors import Corrupted

BLOCK: Final = 1024 * 1024  # bytes
UNFINISHED: Final = ".new"  # ends the name of a file that is not whole yet
# Another file system, one without links, another owner's file, too many links: then it is copied.
_CANNOT_LINK: Final = frozenset({errno.EXDEV, errno.EPERM, errno.EACCES, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOSYS})


def link(source: str, target: str, size: int) -> bool:
    """Give the file `source` of `size` bytes the name `target` too. False: these places cannot share files.

    Raises:
        Corrupted: it has another size; FileNotFoundError, OSError.
    """
    try:
        os.link(source, target)
    except OSError as error:
        if error.errno in _CANNOT_LINK:
            return False
        raise
    fd = os.open(target, os.O_RDONLY)
    try:
        found = os.fstat(fd).st_size
        if found != size:
            os.unlink(target)  # noqa: PTH108  pathlib would cost as much again
            raise Corrupted(f"the file {source} has {found} bytes, not {size}")
        os.fdatasync(fd)  # a store with relaxed durability may not have
    finally:
        os.close(fd)
    return True


def copy(source: str, target: str) -> tuple[int, bytes]:
    """Copy the file, durably but for its name; its size in bytes and the SHA-256 of what was read.

    Nothing, or all of it, is under the name `target`, whenever this ends. Raises OSError.
    """
    temporary = target + UNFINISHED
    with suppress(FileNotFoundError):
        os.unlink(temporary)  # noqa: PTH108  as above
    digest = hashlib.sha256()
    size = 0
    with (
        open(source, "rb", buffering=0) as reading,  # noqa: PTH123  as above
        os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE), "wb") as writing,
    ):
        while block := reading.read(BLOCK):
            digest.update(block)
            writing.write(block)
            size += len(block)
        writing.flush()
        os.fsync(writing.fileno())
    os.rename(temporary, target)  # noqa: PTH104  as above
    return size, digest.digest()
