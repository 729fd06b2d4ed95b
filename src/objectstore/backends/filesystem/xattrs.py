"""Records in an extended attribute of the file itself, where the file system has those and the record fits."""

from __future__ import annotations

import errno
import os
from typing import Final

from objectstore.backends.filesystem import records
from objectstore.backends.filesystem.records import Found, Record

_NAME: Final = "user.objectstore"
_SUPPORTED: Final = hasattr(os, "setxattr")
# ENOSPC also means that the attribute is larger than the file system keeps; a full disk is met again by the sidecar.
_NO_PLACE: Final = frozenset(
    {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSPC, errno.EDQUOT, errno.E2BIG, errno.ERANGE, errno.EPERM, errno.EACCES}
)


def read(fd: int, key: str) -> Found | None:
    """What the record that the open file carries, be it stale or not, says of the object `key`."""
    if not _SUPPORTED:
        return None
    try:
        raw = os.getxattr(fd, _NAME)
    except OSError:
        # None there, or none possible; whatever else is wrong with the file, reading it will tell.
        return None
    return records.parsed(key, raw)


def write(fd: int, record: Record) -> bool:
    """Make the open file carry the record; False when it has to be kept elsewhere."""
    if not _SUPPORTED:
        return False
    try:
        os.setxattr(fd, _NAME, records.encode(records.dump(record)))
    except OSError as error:
        if error.errno in _NO_PLACE:
            return False
        raise
    return True
