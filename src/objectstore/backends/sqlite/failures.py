"""What SQLite's own errors mean, for every store that keeps something in a database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from objectstore.errors import Corrupted, ObjectStoreError, StorageFull, Unavailable

_BUSY: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_RETRY_AFTER: Final = 1.0  # seconds


def translated(error: sqlite3.Error, store: str) -> ObjectStoreError:
    """The error of ours that says the same of the database of `store`, a type."""
    # Errors of the module itself, such as using a closed connection, carry no code; extended ones say more above.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return StorageFull(f"{store} has no room left on the disk of its database")
    if code in _BUSY:
        return Unavailable(f"{store}: another process holds the database for long", retry_after=_RETRY_AFTER)
    if code in _DAMAGED:
        return Corrupted(f"the database of {store} is damaged: {error}")
    return Unavailable(f"{store} cannot use its database at the moment: {error}")


@contextmanager
def translating(store: str) -> Iterator[None]:
    """Every sqlite3.Error raised inside leaves as an error of ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise translated(error, store) from error
