"""Counting what is kept under the prefixes that have a quota, inside the transactions that change it.

A prefix is counted from the moment on that a quota names it: by one scan, and then by the differences that each
transaction makes, in whatever process. `usage_sequence` says up to which change the counters are right. When
that is not the latest one, a release that knows nothing of them has written, and all are counted anew.
"""

from __future__ import annotations

import os.path
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from objectstore.backends.engine import schema
from objectstore.backends.engine.directory import Directory
from objectstore.backends.engine.failures import translate
from objectstore.backends.engine.index import Index
from objectstore.core.listing import prefix_end
from objectstore.values import Usage

_NEAREST: Final = "SELECT prefix, objects, size, parts_size FROM usage WHERE prefix <= ? ORDER BY prefix DESC LIMIT 1"
_ROW: Final = "SELECT prefix, objects, size, parts_size FROM usage WHERE prefix = ?"
_WRITE: Final = "INSERT OR REPLACE INTO usage VALUES (?, ?, ?, ?)"


class _Counter:
    __slots__ = ("changed", "objects", "parts_size", "prefix", "size")

    def __init__(self, prefix: str, objects: int, size: int, parts_size: int) -> None:
        self.prefix = prefix
        self.objects = objects
        self.size = size  # bytes
        self.parts_size = parts_size  # bytes
        self.changed = False

    def usage(self) -> Usage:
        return Usage(prefix=self.prefix, objects=self.objects, size=self.size, parts_size=self.parts_size)


class Counters:
    """The counters as one transaction sees and changes them. Raises sqlite3.Error."""

    def __init__(self, connection: sqlite3.Connection, *, current: bool) -> None:
        self._execute = connection.execute
        self._connection = connection
        self._loaded: dict[str, _Counter] = {}
        self.changed = False  # whether there is something to commit, even if nothing else is
        if not current:
            for (prefix,) in self._execute("SELECT prefix FROM usage").fetchall():
                self._add(count(connection, prefix))

    def find(self, prefix: str) -> Usage | None:
        """What is counted for the prefix; None when it is not counted."""
        counter = self._loaded.get(prefix)
        if counter is None:
            row = self._execute(_ROW, (prefix,)).fetchone()
            if row is None:
                return None
            counter = self._loaded[prefix] = _Counter(*row)
        return counter.usage()

    def begin(self, prefix: str) -> None:
        """Count the prefix from now on: what the tables hold, to which changes not written yet have to be added."""
        self._add(count(self._connection, prefix))

    def change(self, key: str, *, objects: int = 0, size: int = 0, parts_size: int = 0) -> None:
        """So much is added under the key, or taken away."""
        if objects or size or parts_size:
            for counter in self._covering(key):
                _change(counter, objects, size, parts_size)

    def change_one(self, prefix: str, *, objects: int, size: int) -> None:
        """So much is added under a prefix that is counted, for it alone."""
        _change(self._loaded[prefix], objects, size, 0)

    def write(self, last_seq: int) -> None:
        """Write them down, as being right up to this change."""
        rows = [(one.prefix, one.objects, one.size, one.parts_size) for one in self._loaded.values() if one.changed]
        self._connection.executemany(_WRITE, rows)
        self._execute("INSERT OR REPLACE INTO usage_sequence VALUES (1, ?)", (last_seq,))

    def _add(self, usage: Usage) -> None:
        counter = self._loaded[usage.prefix] = _Counter(usage.prefix, usage.objects, usage.size, usage.parts_size)
        # At once, since the table tells which prefixes are counted.
        self._execute(_WRITE, (counter.prefix, counter.objects, counter.size, counter.parts_size))
        self.changed = True

    def _covering(self, key: str) -> Iterator[_Counter]:
        """The counters whose prefix the key starts with, the longest first.

        The nearest prefix before the key is one of them, or what the two have in common bounds the others: each
        string between a prefix of the key and the key starts with that prefix.
        """
        bound = key
        while (row := self._execute(_NEAREST, (bound,)).fetchone()) is not None:
            prefix: str = row[0]
            if not key.startswith(prefix):
                bound = os.path.commonprefix([key, prefix])  # noqa: RUF071  of characters, as prefixes are
                continue
            if prefix not in self._loaded:
                self._loaded[prefix] = _Counter(*row)
            yield self._loaded[prefix]
            if not prefix:
                return
            bound = prefix[:-1]


def count(connection: sqlite3.Connection, prefix: str) -> Usage:
    """What the tables hold under the prefix: a scan of it. Raises sqlite3.Error."""
    end = prefix_end(prefix) if prefix else None
    bounds, values = ("key >= ?", [prefix]) if end is None else ("key >= ? AND key < ?", [prefix, end])
    ((objects, size),) = connection.execute(
        f"SELECT count(*), coalesce(sum(size), 0) FROM objects WHERE {bounds}",  # noqa: S608  the bounds are ours
        values,
    )
    ((parts_size,),) = connection.execute(
        "SELECT coalesce(sum(parts.size), 0) FROM uploads JOIN parts ON parts.upload = uploads.id "  # noqa: S608  as above
        f"WHERE {bounds}",
        values,
    )
    return Usage(prefix=prefix, objects=objects, size=size, parts_size=parts_size)


def usage_of(path: Path, prefixes: Sequence[str]) -> dict[str, Usage]:
    """What is kept under these prefixes of the data directory, also beside a server; a prefix not counted is scanned.

    Raises:
        ConfigurationError: it is no data directory, or of a newer format.
        Unavailable, Corrupted: it cannot be read.
    """
    directory = Directory(path)
    directory.check_format()
    try:
        with closing(schema.open_for_reading(directory.index)) as connection:
            connection.execute("BEGIN")  # one moment
            found = Index(connection).usage(prefixes) if schema.counts_usage(connection) else {}
            return {prefix: found.get(prefix) or count(connection, prefix) for prefix in prefixes}
    except (OSError, sqlite3.Error) as error:
        raise translate(error) from error


def _change(counter: _Counter, objects: int, size: int, parts_size: int) -> None:
    counter.objects += objects
    counter.size += size
    counter.parts_size += parts_size
    counter.changed = True
