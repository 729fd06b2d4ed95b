"""What a failing disk or index means to a caller: `sqlite3.Error` and `OSError` become errors of ours, here only."""

from __future__ import annotations

import errno
import sqlite3
from typing import Final

from objectstore.errors import Corrupted, ObjectStoreError, StorageFull, Unavailable

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_BUSY_RETRY_AFTER: Final = 1.0  # seconds

LOG_REMOVED: Final = (
    "the log of the index was removed while in use; end the server by SIGTERM, which saves what is in it"
)


def translate(error: OSError | sqlite3.Error) -> ObjectStoreError:
    """The error to raise instead, `from error`."""
    return _of_disk(error) if isinstance(error, OSError) else _of_index(error)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the index, or the disk under it, is damaged where it was read."""
    code = _code(error) & 0xFF
    return code in _DAMAGED or code == sqlite3.SQLITE_IOERR


def leaves_doubt(error: sqlite3.Error) -> bool:
    """Whether after this failed commit nobody can say what is on disk.

    A failed fsync may have dropped the very pages it was to write, and the next one would report success
    (https://www.usenix.org/conference/atc20/presentation/rebello), so trying again proves nothing.
    """
    code = _code(error)
    if code & 0xFF == sqlite3.SQLITE_IOERR:
        return code != sqlite3.SQLITE_IOERR_WRITE  # no commit record was written: the old state stands
    return code & 0xFF in _DAMAGED


def _of_disk(error: OSError) -> ObjectStoreError:
    if error.errno in _FULL:
        return StorageFull("no room on the disk for what was to be written; delete something or add space")
    return Unavailable(f"the data directory cannot be used: {error.strerror or error}")


def _of_index(error: sqlite3.Error) -> ObjectStoreError:
    code = _code(error) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return StorageFull("no room on the disk for the index; delete something or add space")
    if code in _BUSY:
        return Unavailable("another process holds the index for very long", retry_after=_BUSY_RETRY_AFTER)
    if code in _DAMAGED:
        return Corrupted(f"the index is damaged ({error}); run `objectstore check` on the data directory")
    return Unavailable(f"the index cannot be used: {error}")


def _code(error: sqlite3.Error) -> int:
    # Errors of the Python module itself, such as using a closed connection, carry none.
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
