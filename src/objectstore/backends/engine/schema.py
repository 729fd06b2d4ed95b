"""The index: an SQLite database that any SQLite tool may read. `docs/engine.md` explains it with examples."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final, Literal, TypeAlias

from objectstore.backends.engine.directory import FILE_MODE, sync_folder

OLDEST_SQLITE: Final = (3, 38, 0)  # has the JSON functions built in
Durability: TypeAlias = Literal["full", "relaxed"]

PAGE_SIZE: Final = 4096  # bytes
CHECKPOINT_PAGES: Final = 1000  # of the log, after which it is moved into the database
_CHECKPOINT_AT_LATEST: Final = 4 * CHECKPOINT_PAGES  # by SQLite itself, should the writer have miscounted
_WRITE_TIMEOUT: Final = 30.0  # seconds; only ever waited for when a foreign program holds the index
_READ_TIMEOUT: Final = 1.0  # seconds; readers wait only while the log of a crashed process is read again
_STATEMENTS: Final = 128
_SYNCHRONOUS: Final = {"full": "FULL", "relaxed": "NORMAL"}

# Keys compare by their UTF-8 bytes (BINARY). `seq` numbers every change of the store, ascending, and names the
# body of the row. Times are microseconds since 1970. `blob` names a file; without one the body is in `bodies`,
# or empty. Bodies are apart so that listing reads none of them.
TABLES: Final = """
CREATE TABLE sequence (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    last INTEGER NOT NULL
);
CREATE TABLE objects (
    key TEXT NOT NULL PRIMARY KEY,
    seq INTEGER NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    created INTEGER NOT NULL,
    modified INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    digests TEXT,
    attributes TEXT,
    blob TEXT
) WITHOUT ROWID;
CREATE INDEX objects_by_blob ON objects (blob) WHERE blob IS NOT NULL;
CREATE TABLE bodies (
    seq INTEGER PRIMARY KEY,
    data BLOB NOT NULL
);
CREATE TABLE garbage (
    since INTEGER NOT NULL,
    blob TEXT NOT NULL,
    PRIMARY KEY (since, blob)
) WITHOUT ROWID;
CREATE TABLE uploads (
    id TEXT NOT NULL PRIMARY KEY,
    key TEXT NOT NULL,
    begun INTEGER NOT NULL,
    attributes TEXT,
    conditions TEXT,
    size INTEGER,
    expected TEXT,
    digests TEXT,
    etag TEXT,
    completed TEXT
) WITHOUT ROWID;
CREATE TABLE parts (
    upload TEXT NOT NULL,
    number INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    size INTEGER NOT NULL,
    etag TEXT NOT NULL,
    modified INTEGER NOT NULL,
    sha256 BLOB NOT NULL,
    digests TEXT,
    blob TEXT,
    PRIMARY KEY (upload, number)
) WITHOUT ROWID;
CREATE INDEX parts_by_blob ON parts (blob) WHERE blob IS NOT NULL;
INSERT INTO sequence (id, last) VALUES (1, 0);
"""
# Came later: a data directory gets these tables when a release that knows them first opens it. Releases that do not
# leave them alone.
USAGE_TABLES: Final = """
CREATE TABLE usage (
    prefix TEXT NOT NULL PRIMARY KEY,
    objects INTEGER NOT NULL,
    size INTEGER NOT NULL,
    parts_size INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE usage_sequence (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    last INTEGER NOT NULL
);
"""


def create(path: Path) -> None:
    """Make an empty index, durably. A half-made one is completed, a whole one left alone."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, FILE_MODE))
    connection = _connect(path, _WRITE_TIMEOUT)
    try:
        connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        if not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'objects'").fetchone():
            connection.executescript(f"BEGIN IMMEDIATE; {TABLES} {USAGE_TABLES} COMMIT;")
    finally:
        connection.close()
    sync_folder(path.parent)


def counts_usage(connection: sqlite3.Connection) -> bool:
    """Whether the index has the tables of usage. Raises sqlite3.Error."""
    return connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'usage_sequence'").fetchone() is not None


def add_usage(connection: sqlite3.Connection) -> None:
    """Add the tables of usage to an index of an earlier release. Raises sqlite3.Error."""
    connection.executescript(f"BEGIN IMMEDIATE; {USAGE_TABLES} COMMIT;")


def open_for_writing(path: Path, durability: Durability) -> sqlite3.Connection:
    """The one connection of a process that writes."""
    return _connect(
        path,
        _WRITE_TIMEOUT,
        f"synchronous = {_SYNCHRONOUS[durability]}",
        # Some builds overwrite what is deleted with zeros, which doubles the cost of deleting.
        "secure_delete = OFF",
        f"wal_autocheckpoint = {_CHECKPOINT_AT_LATEST}",
        "cache_size = -8192",
    )


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A connection that cannot write."""
    return _connect(path, _READ_TIMEOUT, "query_only = ON", "cache_size = -4096")


def _connect(path: Path, timeout: float, *pragmas: str) -> sqlite3.Connection:
    # Autocommit: transactions are begun by name. Used by one thread at a time, though not by the one that opened it.
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=timeout,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_STATEMENTS,
    )
    try:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return connection
