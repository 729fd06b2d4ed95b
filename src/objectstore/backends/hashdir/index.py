"""The keys of the objects that were written here, since their file names do not tell them.

A database in the store's own folder that holds every key whose file we made, and perhaps more: a key is in it, on
disk for good, before its file appears, and goes after its file is gone for good. So it is asked for candidates, and
the files tell which of them are objects; what other programs do to files cannot make it wrong.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from objectstore.backends.filesystem.locks import Locks
from objectstore.backends.private import make_private
from objectstore.backends.sqlite.failures import translating
from objectstore.core.listing import PageBuilder, after, group_of
from objectstore.values import ListPage, ListQuery, ObjectInfo

_TIMEOUT: Final = 30.0  # seconds that one waits while others write
_FROM: Final = "SELECT key FROM keys WHERE key >= ? ORDER BY key"


class KeyIndex:
    """The index in the file `path`, open from construction to `close`. May be used by any thread.

    Processes write one after the other, by a lock in the folder `locks` beside it: before SQLite 3.51.3 a checkpoint
    beside a commit could, once in a very long while, damage a database (https://sqlite.org/wal.html#walresetbug).
    """

    def __init__(self, store: str, path: Path) -> None:
        self._store = store
        self._path = path
        self._turn = threading.Lock()
        self._folder = os.open(path.parent / "locks", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with self._writing():
                self._connection = self._prepared()
        except BaseException:
            os.close(self._folder)
            raise

    def close(self) -> None:
        with self._writing():
            self._connection.close()
        os.close(self._folder)

    def add(self, key: str) -> None:
        """Have the key in the index, on disk for good."""
        with self._writing():
            if self._connection.execute("SELECT 1 FROM keys WHERE key = ?", (key,)).fetchone() is None:
                self._connection.execute("PRAGMA synchronous = FULL")
                self._connection.execute("INSERT OR IGNORE INTO keys VALUES (?)", (key,))

    def remove(self, key: str) -> None:
        # That a key too many comes back after a power cut does no harm, so this need not wait for the disk.
        with self._writing():
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("DELETE FROM keys WHERE key = ?", (key,))

    def list_page(self, query: ListQuery, describe: Callable[[str], ObjectInfo | None]) -> ListPage:
        """The page of those keys that `describe` knows an object of."""
        builder = PageBuilder(query)
        # A connection of its own, so that writers need not wait.
        with translating(self._store), closing(self._connect()) as connection:
            while builder.position is not None and not _walk(connection, builder, query, describe):
                pass
        return builder.page()

    def _prepared(self) -> sqlite3.Connection:
        make_private(self._path)
        connection = self._connect()
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY) WITHOUT ROWID")
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._turn, Locks(self._folder).holding("keys"), translating(self._store):
            yield

    def _connect(self) -> sqlite3.Connection:
        # Autocommit: each statement is a transaction.
        return sqlite3.connect(self._path, timeout=_TIMEOUT, isolation_level=None, check_same_thread=False)


def _walk(
    connection: sqlite3.Connection,
    builder: PageBuilder,
    query: ListQuery,
    describe: Callable[[str], ObjectInfo | None],
) -> bool:
    """Offer keys until the page or the listing is complete; False when a group is to be skipped first."""
    for (key,) in connection.execute(_FROM, (builder.position,)):
        if not key.startswith(query.prefix):
            return True
        info = describe(key)
        if info is None:
            continue
        if not builder.offer(key, info if query.details else None):
            return True
        if group_of(key, query) is not None and builder.position != after(key):
            return False
    return True
