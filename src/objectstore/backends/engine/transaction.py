"""One transaction of the index, shared by the operations of a group.

Rows are read once, changed in memory, and written together at the end: what several operations do to one
key costs one row, and a group costs a few statements instead of a few for each operation. Within the group
an operation sees what those before it did.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from itertools import chain
from typing import Final

from objectstore.backends.engine.counters import Counters
from objectstore.backends.engine.index import Index
from objectstore.backends.engine.rows import PartRow, Row, UploadRow
from objectstore.values import Usage

_PUT: Final = "INSERT OR REPLACE INTO objects VALUES "
_PUT_COLUMNS: Final = 10
_PUT_BODY: Final = "INSERT INTO bodies VALUES "
_PUT_BODY_COLUMNS: Final = 2
_MOST_ROWS: Final = 32  # in one statement
_PUT_PART: Final = "INSERT OR REPLACE INTO parts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_PUT_UPLOAD: Final = "INSERT INTO uploads VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_PREFETCH_FROM: Final = 2  # keys; one is found as fast when it is asked for


class Transaction:
    """What operations may do between BEGIN and COMMIT. `now` is the time of all that they do."""

    def __init__(self, connection: sqlite3.Connection, now: int) -> None:
        self.now = now  # microseconds since 1970
        self.index = Index(connection)
        self._connection = connection
        self._began_at, counted = self.index.sequences()
        self._seq = self._began_at
        # None while nothing is counted, which then costs nothing.
        self._counters = None if counted is None else Counters(connection, current=counted == self._began_at)
        self._rows: dict[str, Row | None] = {}
        self._changed: set[str] = set()
        self._bodies: dict[int, bytes] = {}  # to be written
        self._old_bodies: list[int] = []  # to be deleted
        self._released: set[str] = set()  # blobs that a row less refers to
        self._swept = False

    @property
    def changed(self) -> bool:
        """Whether there is anything to commit."""
        return self._swept or self._seq != self._began_at or (self._counters is not None and self._counters.changed)

    @property
    def changed_keys(self) -> AbstractSet[str]:
        """The keys of objects that were written or removed."""
        return self._changed

    @property
    def seq(self) -> int:
        """The number of the latest change."""
        return self._seq

    def next_seq(self) -> int:
        """The number of one more change."""
        self._seq += 1
        return self._seq

    def prefetch(self, keys: list[str]) -> None:
        """Read these rows at once."""
        if len(keys) >= _PREFETCH_FROM:
            self._rows.update(dict.fromkeys(keys))
            self._rows.update((row.key, row) for row in self.index.rows(keys))

    def row(self, key: str) -> Row | None:
        try:
            return self._rows[key]
        except KeyError:
            row = self._rows[key] = self.index.row(key)
            return row

    def put(self, row: Row, data: bytes | None = None) -> None:
        """Let `row` be what is under its key; `data` is its body when that goes in the index."""
        before = self.row(row.key)
        self._release(before)
        if self._counters is not None:
            _count(self._counters, row.key, before, row)
        self._rows[row.key] = row
        self._changed.add(row.key)
        if data:
            self._bodies[row.seq] = data

    def remove(self, key: str) -> None:
        """Let nothing be under the key. That is a change too, and has a number."""
        before = self.row(key)
        self._release(before)
        if self._counters is not None:
            _count(self._counters, key, before, None)
        self._rows[key] = None
        self._changed.add(key)
        self.next_seq()

    def usage(self, prefix: str) -> Usage:
        """What is kept under the prefix, which is counted from now on: the first time, that takes a scan of it."""
        if self._counters is None:
            self._counters = Counters(self._connection, current=True)
        usage = self._counters.find(prefix)
        if usage is not None:
            return usage
        self._counters.begin(prefix)
        for key in self._changed:
            if key.startswith(prefix):
                _count(self._counters, key, self.index.row(key), self._rows[key], only=prefix)
        return self.usage(prefix)

    def body(self, seq: int) -> bytes | None:
        """A body in the index, as this transaction sees it."""
        return self._bodies[seq] if seq in self._bodies else self.index.body(seq)

    def put_upload(self, upload: UploadRow) -> None:
        self._connection.execute(_PUT_UPLOAD, upload)
        self.next_seq()

    def put_part(self, key: str, part: PartRow, data: bytes | None = None) -> None:
        """Let `part` be the part of its number, of an upload to `key`."""
        before = self.index.part(part.upload, part.number)
        self._release(before)
        if self._counters is not None:
            self._counters.change(key, parts_size=part.size - (0 if before is None else before.size))
        self._connection.execute(_PUT_PART, part)
        if data:
            self._bodies[part.seq] = data

    def complete_upload(self, upload_id: str, record: str) -> None:
        """Remember the outcome and drop the parts."""
        self._drop_parts(upload_id)
        self._connection.execute("UPDATE uploads SET completed = ? WHERE id = ?", (record, upload_id))

    def remove_upload(self, upload_id: str) -> None:
        """Forget the upload and drop its parts."""
        self._drop_parts(upload_id)
        self._connection.execute("DELETE FROM uploads WHERE id = ?", (upload_id,))
        self.next_seq()

    def forget_garbage(self, garbage: Iterable[tuple[int, str]]) -> None:
        """These blobs are gone. No change of what is stored, so it has no number."""
        self._connection.executemany("DELETE FROM garbage WHERE since = ? AND blob = ?", garbage)
        self._swept = True

    def touch(self) -> None:
        """Have something to write down, though nothing changes."""
        self._swept = True

    def flush(self) -> None:
        """Write down all changes."""
        if not self.changed:
            return
        if self._counters is not None:
            self._counters.write(self._seq)
        self._delete("DELETE FROM bodies WHERE seq IN (SELECT value FROM json_each(?))", self._old_bodies)
        self._insert(_PUT_BODY, _PUT_BODY_COLUMNS, list(self._bodies.items()))
        present: list[Row] = []
        absent: list[str] = []
        for key in sorted(self._changed):
            row = self._rows[key]
            if row is None:
                absent.append(key)
            else:
                present.append(row)
        self._insert(_PUT, _PUT_COLUMNS, present)
        self._delete("DELETE FROM objects WHERE key IN (SELECT value FROM json_each(?))", absent)
        garbage = [(self.now, blob) for blob in self._released if not self.index.refers_to(blob)]
        if garbage:
            self._connection.executemany("INSERT OR IGNORE INTO garbage VALUES (?, ?)", garbage)
        self._connection.execute("UPDATE sequence SET last = ?", (self._seq,))

    # Many rows go in one statement, since between any two steps of SQLite this thread and the event loop hand
    # the interpreter's lock to and fro, which costs more than a row does.

    def _insert(self, command: str, columns: int, rows: Sequence[tuple[object, ...]]) -> None:
        at = 0
        while at < len(rows):
            # Powers of two, so that few statements are ever prepared.
            count = min(_MOST_ROWS, 1 << ((len(rows) - at).bit_length() - 1))
            values = tuple(chain.from_iterable(rows[at : at + count]))
            self._connection.execute(_with_rows(command, columns, count), values)
            at += count

    def _delete(self, command: str, names: Sequence[object]) -> None:
        if names:
            self._connection.execute(command, (json.dumps(names, ensure_ascii=False),))

    def _drop_parts(self, upload_id: str) -> None:
        parts = self.index.parts(upload_id)
        for part in parts:
            self._release(part)
        if self._counters is not None and parts and (upload := self.index.upload(upload_id)) is not None:
            self._counters.change(upload.key, parts_size=-sum(part.size for part in parts))
        self._connection.execute("DELETE FROM parts WHERE upload = ?", (upload_id,))

    def _release(self, row: Row | PartRow | None) -> None:
        if row is None:
            return
        if row.blob is not None:
            self._released.add(row.blob)
        elif row.size and self._bodies.pop(row.seq, None) is None:
            self._old_bodies.append(row.seq)


def _count(counters: Counters, key: str, before: Row | None, after: Row | None, only: str | None = None) -> None:
    objects = (after is not None) - (before is not None)
    size = (0 if after is None else after.size) - (0 if before is None else before.size)
    if only is None:
        counters.change(key, objects=objects, size=size)
    else:
        counters.change_one(only, objects=objects, size=size)


@lru_cache(maxsize=64)
def _with_rows(command: str, columns: int, count: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return command + ", ".join([row] * count)
