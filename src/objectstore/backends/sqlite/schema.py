"""The tables: which must be there, which we add beside them, and why what we remember is never stale.

`objects(key TEXT PRIMARY KEY, data BLOB)` holds the bytes and belongs to whoever uses the database. What we know of an
object is a row of `objectstore_records`. Triggers on `objects` replace that row whenever a row of `objects` is
inserted, updated or deleted, whichever program does it: by a fresh etag and the time, with no digests and attributes.
Our own writes change `objects` first and then, in the same transaction, put in what they know. So:

- an object without a record has not changed since the triggers were made: its etag follows from a text drawn then
  (`objectstore_adopted`), and its time is that moment;
- an object with a record has not changed since that was written.

Triggers go with their table. When they are not there as they should be, all records are dropped and everything is
adopted anew. One thing escapes triggers: a program that writes into a value in place by incremental blob I/O.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from objectstore.errors import ConfigurationError

NAME: Final = "SqliteStore"
_NOW: Final = "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER) * 1000"  # microseconds


@dataclass(frozen=True, slots=True)
class Names:
    """A table of objects, and that of what is remembered of them."""

    objects: str
    records: str


OBJECTS: Final = Names("objects", "objectstore_records")
PARTS: Final = Names("objectstore_parts", "objectstore_part_records")
ADOPTED: Final = "objectstore_adopted"


def prepare(connection: sqlite3.Connection, path: Path, now: int) -> None:
    """Make or check all tables, in one transaction. Raises ConfigurationError, sqlite3.Error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        _refuse_other_order(connection, path)
        connection.execute(f"CREATE TABLE IF NOT EXISTS {ADOPTED} (name TEXT PRIMARY KEY, drawn TEXT, time INTEGER)")
        for names in (OBJECTS, PARTS):
            connection.execute(f"CREATE TABLE IF NOT EXISTS {names.objects} (key TEXT PRIMARY KEY, data BLOB)")
            _refuse_other_shape(connection, names, path)
            _adopt(connection, names, now)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _adopt(connection: sqlite3.Connection, names: Names, now: int) -> None:
    wanted = dict(_triggers(names))
    there = dict(
        connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ? AND name GLOB 'objectstore_*'",
            (names.objects,),
        )
    )
    known = connection.execute(
        "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?", (names.records,)
    ).fetchone()
    if there == wanted and known == (1,):
        return
    for name in there:
        connection.execute(f'DROP TRIGGER "{name}"')
    connection.execute(f"DROP TABLE IF EXISTS {names.records}")
    connection.execute(
        f"CREATE TABLE {names.records} (key TEXT PRIMARY KEY NOT NULL, etag TEXT NOT NULL, created INTEGER NOT NULL, "
        "modified INTEGER NOT NULL, digests TEXT, attributes TEXT)"
    )
    for sql in wanted.values():
        connection.execute(sql)
    row = names.objects, secrets.token_hex(16), now
    connection.execute(f"INSERT OR REPLACE INTO {ADOPTED} VALUES (?, ?, ?)", row)  # noqa: S608  our own names


def _triggers(names: Names) -> Iterator[tuple[str, str]]:
    """Each trigger by name; keys that are no texts are none of ours, and must not make others' statements fail."""
    forget = f"DELETE FROM {names.records} WHERE key = "  # noqa: S608  our own names, as below
    note = (
        f"INSERT INTO {names.records} (key, etag, created, modified) "
        f"SELECT NEW.key, lower(hex(randomblob(16))), {_NOW}, {_NOW} WHERE typeof(NEW.key) = 'text'"
    )
    for event, body in (
        ("insert", f"{forget}NEW.key; {note};"),
        ("update", f"{forget}OLD.key; {forget}NEW.key; {note};"),
        ("delete", f"{forget}OLD.key;"),
    ):
        name = f"objectstore_{names.objects}_{event}"
        yield name, f"CREATE TRIGGER {name} AFTER {event.upper()} ON {names.objects} BEGIN {body} END"


def _refuse_other_order(connection: sqlite3.Connection, path: Path) -> None:
    (encoding,) = connection.execute("PRAGMA encoding").fetchone()
    if encoding != "UTF-8":
        raise ConfigurationError(
            f"{NAME}: the database {str(path)!r} holds texts as {encoding}, whose order is not that of keys; "
            "copy it into a new database, whose encoding is UTF-8"
        )


def _refuse_other_shape(connection: sqlite3.Connection, names: Names, path: Path) -> None:
    table = connection.execute("SELECT type, wr FROM pragma_table_list WHERE name = ?", (names.objects,)).fetchone()
    columns = {name for (name,) in connection.execute("SELECT name FROM pragma_table_xinfo(?)", (names.objects,))}
    if table != ("table", 0) or not {"key", "data"} <= columns or not _has_unique_key(connection, names.objects):
        raise ConfigurationError(
            f"{NAME}: in the database {str(path)!r} {names.objects!r} is not the table that it should be: "
            f"CREATE TABLE {names.objects} (key TEXT PRIMARY KEY, data BLOB)"
        )


def _has_unique_key(connection: sqlite3.Connection, table: str) -> bool:
    """Whether keys are told apart by every byte, and each is there once."""
    indexes = connection.execute('SELECT name FROM pragma_index_list(?) WHERE "unique" AND NOT partial', (table,))
    for (index,) in indexes.fetchall():
        columns = connection.execute("SELECT name, coll FROM pragma_index_xinfo(?) WHERE key", (index,)).fetchall()
        if columns == [("key", "BINARY")]:
            return True
    return False
