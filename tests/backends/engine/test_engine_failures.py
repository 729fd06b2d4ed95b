"""What a failing disk or index means to a caller."""

from __future__ import annotations

import errno
import os
import sqlite3

import pytest

from objectstore.backends.engine.failures import is_damage, leaves_doubt, translate
from objectstore.errors import Corrupted, ObjectStoreError, StorageFull, Unavailable


def of_index(code: int | None) -> sqlite3.Error:
    error = sqlite3.OperationalError("said so")
    if code is not None:
        error.sqlite_errorcode = code
    return error


def of_disk(code: int) -> OSError:
    return OSError(code, os.strerror(code))


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (of_disk(errno.ENOSPC), StorageFull, "add space"),
        (of_disk(errno.EDQUOT), StorageFull, "add space"),
        (of_disk(errno.EIO), Unavailable, "Input/output error"),
        (OSError("without a number"), Unavailable, "without a number"),
        (of_index(sqlite3.SQLITE_FULL), StorageFull, "add space"),
        (of_index(sqlite3.SQLITE_BUSY), Unavailable, "another process"),
        (of_index(sqlite3.SQLITE_BUSY_SNAPSHOT), Unavailable, "another process"),
        (of_index(sqlite3.SQLITE_LOCKED), Unavailable, "another process"),
        (of_index(sqlite3.SQLITE_CORRUPT), Corrupted, "objectstore check"),
        (of_index(sqlite3.SQLITE_NOTADB), Corrupted, "objectstore check"),
        (of_index(sqlite3.SQLITE_IOERR_READ), Unavailable, "said so"),
        (of_index(None), Unavailable, "said so"),
    ],
)
def test_each_becomes_an_error_that_says_what_to_do(
    error: OSError | sqlite3.Error, kind: type[ObjectStoreError], words: str
) -> None:
    told = translate(error)
    assert type(told) is kind
    assert words in told.message


def test_who_waits_for_another_process_is_told_when_to_come_again() -> None:
    told = translate(of_index(sqlite3.SQLITE_BUSY))
    assert isinstance(told, Unavailable)
    assert told.retry_after == 1.0


@pytest.mark.parametrize(
    ("code", "doubt", "damage"),
    [
        (sqlite3.SQLITE_IOERR_FSYNC, True, True),
        (sqlite3.SQLITE_IOERR_WRITE, False, True),  # the commit record did not get there: the old state stands
        (sqlite3.SQLITE_IOERR_READ, True, True),
        (sqlite3.SQLITE_CORRUPT, True, True),
        (sqlite3.SQLITE_NOTADB, True, True),
        (sqlite3.SQLITE_FULL, False, False),
        (sqlite3.SQLITE_BUSY, False, False),
        (None, False, False),
    ],
)
def test_only_some_failures_leave_doubt_of_what_is_on_disk(code: int | None, doubt: bool, damage: bool) -> None:
    assert leaves_doubt(of_index(code)) is doubt
    assert is_damage(of_index(code)) is damage
