"""What is done to a table of objects, as plain calls on a connection that is in a transaction."""

from __future__ import annotations

import hashlib
import json
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from objectstore.backends import recorded
from objectstore.backends.filesystem.records import nanoseconds, time_of
from objectstore.backends.spool import BLOCK_SIZE, Spool
from objectstore.backends.sqlite.schema import ADOPTED, Names
from objectstore.core.conditions import check_source, check_write
from objectstore.core.keys import check_key
from objectstore.core.listing import PageBuilder, after
from objectstore.errors import InvalidKey, NotFound
from objectstore.values import (
    NO_DIGESTS,
    Conditions,
    CopyOptions,
    ListPage,
    ListQuery,
    ObjectInfo,
    PutOptions,
)

_AT_ONCE: Final = 1024 * 1024  # bytes of a value that is written whole


@dataclass(frozen=True, slots=True)
class Row:
    """An object, and where its bytes are. Other programs store texts, numbers and NULLs too."""

    info: ObjectInfo
    rowid: int
    kind: str  # as SQLite's typeof tells


class Table:
    """The objects of `names`. Its methods raise sqlite3.Error beside the errors of the contract."""

    def __init__(self, names: Names, *, clock: Callable[[], datetime], step: Callable[[str], None]) -> None:
        self._names = names
        self._clock = clock
        self._step = step
        size = (
            "CASE typeof(o.data) WHEN 'blob' THEN length(o.data) WHEN 'null' THEN 0 "
            "ELSE length(CAST(o.data AS BLOB)) END"
        )
        told = (
            f"SELECT o.key, o.rowid, typeof(o.data), {size}, r.etag, r.created, r.modified, r.digests, r.attributes "  # noqa: S608  our own names, as below
            f"FROM {names.objects} AS o LEFT JOIN {names.records} AS r ON r.key = o.key "
        )
        # A blob as the end: it comes after all texts, and foreign keys may be blobs.
        self._one = f"{told} WHERE o.key = ?"
        self._many = f"{told} WHERE o.key >= ? AND o.key < x'' ORDER BY o.key"
        self._keys = f"SELECT key FROM {names.objects} WHERE key >= ? AND key < x'' ORDER BY key"  # noqa: S608  our own names
        self._store = (
            f"INSERT INTO {names.objects} (key, data) VALUES (?, {{}}) "  # noqa: S608  our own names
            "ON CONFLICT (key) DO UPDATE SET data = excluded.data"
        )

    def look(self, connection: sqlite3.Connection, key: str) -> Row | None:
        """The object; None when there is none."""
        found = connection.execute(self._one, (key,)).fetchone()
        return None if found is None else self._row(connection, found)

    def find(self, connection: sqlite3.Connection, key: str) -> Row:
        """The object. Raises NotFound."""
        row = self.look(connection, key)
        if row is None:
            raise NotFound(key)
        return row

    def open(self, connection: sqlite3.Connection, row: Row) -> sqlite3.Blob:
        """The bytes of an object whose `kind` is blob or text."""
        return connection.blobopen(self._names.objects, "data", row.rowid, readonly=True)

    def blocks(self, connection: sqlite3.Connection, row: Row, start: int, stop: int) -> Iterator[bytes]:
        """The bytes `start` to `stop` (end exclusive) of an object."""
        if row.kind in {"blob", "text"}:
            with self.open(connection, row) as blob:
                blob.seek(start)
                while start < stop:
                    data = blob.read(min(BLOCK_SIZE, stop - start))
                    start += len(data)
                    yield data
        elif start < stop:
            (data,) = connection.execute(
                f"SELECT CAST(data AS BLOB) FROM {self._names.objects} WHERE rowid = ?",  # noqa: S608  our own names
                (row.rowid,),
            ).fetchone()
            yield data[start:stop]

    def put(
        self,
        connection: sqlite3.Connection,
        key: str,
        size: int,
        blocks: Iterable[bytes],
        digests: Mapping[str, bytes],
        options: PutOptions,
    ) -> ObjectInfo:
        """Store `size` bytes. Raises PreconditionFailed."""
        current = self.look(connection, key)
        check_write(options.conditions, key, None if current is None else current.info)
        self._write(connection, key, size, blocks)
        return self._remember(connection, key, size, digests, options, current)

    def copy(
        self, connection: sqlite3.Connection, source: str, target: str, options: CopyOptions, aside: Spool
    ) -> ObjectInfo:
        """Store the bytes of `source` under `target`. Raises NotFound, PreconditionFailed.

        They are collected `aside` first: a value that is read while another is written on the same connection is
        sought from its beginning for every block.
        """
        row = self.find(connection, source)
        check_source(options.source, row.info)
        attributes = row.info.attributes if options.attributes is None else options.attributes
        put = PutOptions(attributes=attributes, conditions=options.conditions)
        if source == target and row.info.digests:
            check_write(options.conditions, target, row.info)
            return self._remember(connection, target, row.info.size, row.info.digests, put, row)
        for block in self.blocks(connection, row, 0, row.info.size):
            aside.write(block)
        digests = row.info.digests or aside.digester.digests()
        return self.put(connection, target, aside.size, aside.blocks(), digests, put)

    def remove(self, connection: sqlite3.Connection, key: str, conditions: Conditions) -> None:
        """Raises NotFound, PreconditionFailed."""
        check_write(conditions, key, self.find(connection, key).info)
        connection.execute(f"DELETE FROM {self._names.objects} WHERE key = ?", (key,))  # noqa: S608  our own names

    def page(self, connection: sqlite3.Connection, query: ListQuery) -> ListPage:
        builder = PageBuilder(query)
        while builder.position is not None and not self._walk(connection, builder, query):
            pass
        return builder.page()

    def _walk(self, connection: sqlite3.Connection, builder: PageBuilder, query: ListQuery) -> bool:
        """Offer keys until the page or the listing is complete; False when a group is to be skipped first."""
        # Rows are read one by one as they are asked for.
        for row in connection.execute(self._many if query.details else self._keys, (builder.position,)):
            key = row[0]
            if not _is_key(key):
                continue
            if not builder.offer(key, self._row(connection, row).info if query.details else None):
                return True
            if builder.position != after(key):
                return False
        return True

    def _write(self, connection: sqlite3.Connection, key: str, size: int, blocks: Iterable[bytes]) -> None:
        if size <= _AT_ONCE:
            connection.execute(self._store.format("?"), (key, b"".join(blocks)))
            self._step("in_body")
            return
        connection.execute(self._store.format("zeroblob(?)"), (key, size))
        row = self.find(connection, key)
        with connection.blobopen(self._names.objects, "data", row.rowid) as blob:
            for block in blocks:
                blob.write(block)
                self._step("in_body")

    def _remember(
        self,
        connection: sqlite3.Connection,
        key: str,
        size: int,
        digests: Mapping[str, bytes],
        options: PutOptions,
        current: Row | None,
    ) -> ObjectInfo:
        now = time_of(nanoseconds(self._clock()))
        info = ObjectInfo(
            key=key,
            size=size,
            etag=options.etag or secrets.token_hex(16),
            created=now if current is None else current.info.created,
            modified=now,
            digests=digests,
            attributes=options.attributes,
        )
        attributes = recorded.dump_attributes(info.attributes)
        connection.execute(
            f"INSERT OR REPLACE INTO {self._names.records} VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608  our own names
            (
                key,
                info.etag,
                nanoseconds(info.created) // 1000,
                nanoseconds(info.modified) // 1000,
                json.dumps(recorded.dump_digests(digests)),
                None if attributes is None else json.dumps(attributes, ensure_ascii=False),
            ),
        )
        return info

    def _row(self, connection: sqlite3.Connection, found: tuple[Any, ...]) -> Row:
        key, rowid, kind, size, etag, created, modified, digests, attributes = found
        try:
            info = ObjectInfo(
                key=key,
                size=size,
                etag=recorded.load_etag(etag),
                created=time_of(created * 1000),
                modified=time_of(modified * 1000),
                digests=NO_DIGESTS if digests is None else recorded.load_digests(json.loads(digests)),
                attributes=recorded.load_attributes(None if attributes is None else json.loads(attributes)),
            )
        except (ValueError, TypeError, AttributeError):
            # There is no record, or someone has written nonsense into it.
            info = self._adopted(connection, key, size)
        return Row(info, rowid, kind)

    def _adopted(self, connection: sqlite3.Connection, key: str, size: int) -> ObjectInfo:
        drawn, time = connection.execute(
            f"SELECT drawn, time FROM {ADOPTED} WHERE name = ?",  # noqa: S608  our own names
            (self._names.objects,),
        ).fetchone()
        etag = hashlib.blake2b(f"{drawn} {key}".encode(), digest_size=16).hexdigest()
        since = time_of(time * 1000)
        return ObjectInfo(key=key, size=size, etag=etag, created=since, modified=since)


def _is_key(key: str) -> bool:
    try:
        check_key(key)
    except InvalidKey:
        return False
    return True
