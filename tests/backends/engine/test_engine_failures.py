"""What a failing disk or index means to a caller."""

from __future__ import annotations

import errno
import sqlite3

import pytest

from objectstore.backends.engine.failures import is_damage, leaves_doubt, translate
from objectstore.errors import Corrupted, StorageFull, Unavailable


def of_index(code: int | None, message: str = "what SQLite says") -> sqlite3.Error:
    error = sqlite3.OperationalError(message)
    if code is not None:
        error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_told_with_what_to_do(code: int) -> None:
    error = translate(OSError(code, "full"))
    assert type(error) is StorageFull
    assert error.message == "no room on the disk for what was to be written; delete something or add space"


def test_any_other_failure_of_the_disk_may_pass() -> None:
    error = translate(OSError(errno.EIO, "Input/output error"))
    assert type(error) is Unavailable
    assert error.message == "the data directory cannot be used: Input/output error"
    assert translate(OSError("no number")).message == "the data directory cannot be used: no number"


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        (sqlite3.SQLITE_FULL, StorageFull, "no room on the disk for the index; delete something or add space"),
        (sqlite3.SQLITE_BUSY, Unavailable, "another process holds the index for very long"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Unavailable, "another process holds the index for very long"),
        (sqlite3.SQLITE_LOCKED, Unavailable, "another process holds the index for very long"),
        (
            sqlite3.SQLITE_CORRUPT,
            Corrupted,
            "the index is damaged (what SQLite says); run `objectstore check` on the data directory",
        ),
        (
            sqlite3.SQLITE_NOTADB,
            Corrupted,
            "the index is damaged (what SQLite says); run `objectstore check` on the data directory",
        ),
        (sqlite3.SQLITE_IOERR_READ, Unavailable, "the index cannot be used: what SQLite says"),
        (None, Unavailable, "the index cannot be used: what SQLite says"),
    ],
)
def test_each_complaint_of_the_index_has_its_error(code: int | None, kind: type[Exception], message: str) -> None:
    error = translate(of_index(code))
    assert type(error) is kind
    assert error.message == message
    if isinstance(error, Unavailable):
        assert error.retry_after == (1.0 if "holds the index" in message else None)


@pytest.mark.parametrize(
    ("code", "damage", "doubt"),
    [
        (sqlite3.SQLITE_CORRUPT, True, True),
        (sqlite3.SQLITE_CORRUPT_INDEX, True, True),
        (sqlite3.SQLITE_NOTADB, True, True),
        (sqlite3.SQLITE_IOERR, True, True),
        (sqlite3.SQLITE_IOERR_FSYNC, True, True),
        (sqlite3.SQLITE_IOERR_READ, True, True),
        (sqlite3.SQLITE_IOERR_WRITE, True, False),  # the commit record did not get there: the old state stands
        (sqlite3.SQLITE_FULL, False, False),
        (sqlite3.SQLITE_BUSY, False, False),
        (None, False, False),
    ],
)
def test_what_is_damage_and_what_leaves_doubt(code: int | None, damage: bool, doubt: bool) -> None:
    assert is_damage(of_index(code)) == damage
    assert leaves_doubt(of_index(code)) == doubt
