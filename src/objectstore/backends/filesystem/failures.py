"""What the file system's own errors mean. Paths of the machine stay out of the messages."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from objectstore.backends.filesystem.paths import MAX_SEGMENT_SIZE, unholdable
from objectstore.errors import ObjectStoreError, StorageFull, Unavailable

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NAME_TOO_LONG: Final = frozenset({errno.ENAMETOOLONG})
_NAME_REFUSED: Final = frozenset({errno.EILSEQ})
ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})
"""What opening answers where there is no object: nothing, a file on the way, a symbolic link, a socket."""


def translated(error: OSError, store: str, key: str = "") -> ObjectStoreError:
    """The error of ours that says the same; `key` is the one being worked on in the `store`, if it is one."""
    reason = os.strerror(error.errno) if error.errno is not None else "an unknown error"
    if error.errno in _FULL:
        return StorageFull(f"{store} has no room left: {reason}")
    if error.errno in _NAME_TOO_LONG:
        return unholdable(store, key, f"the file system takes shorter names only, below {MAX_SEGMENT_SIZE} bytes")
    if error.errno in _NAME_REFUSED:
        return unholdable(store, key, "the file system does not take such a name")
    if error.errno == errno.EXDEV:
        return unholdable(store, key, "its folder is on another file system than the root")
    return Unavailable(f"{store} cannot be used at the moment: the file system answered {reason!r}")


@contextmanager
def translating(store: str, key: str = "") -> Iterator[None]:
    """Every OSError raised inside leaves as an error of ours."""
    try:
        yield
    except OSError as error:
        raise translated(error, store, key) from error
