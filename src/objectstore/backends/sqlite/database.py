"""One database, open: a connection that writes, some that read, and whose turn it is to write."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

from objectstore.backends.filesystem.locks import try_lock
from objectstore.backends.private import make_private
from objectstore.backends.sqlite import schema
from objectstore.backends.sqlite.failures import translating
from objectstore.backends.sqlite.schema import NAME
from objectstore.errors import ConfigurationError, Unavailable

T = TypeVar("T")

_KEPT: Final = 8  # reading connections kept open for the next reading
_PAUSE: Final = 0.001  # seconds between two looks at whether it is our turn
_RETRY_AFTER: Final = 1.0  # seconds
_UNUSABLE: Final = frozenset(
    {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
)


class Database:
    """The database file `path`, from construction to `close`. Its methods block, and may be called by any thread.

    A new database gets a write-ahead log, so that readers and writers do not wait for each other; one that is there
    keeps the journal that it has. Processes of this program take turns at writing by a lock on the folder: they do
    not depend on SQLite's luck in waking up, and no checkpoint runs beside a commit, which before SQLite 3.51.3 could,
    once in a very long while, damage a database (https://sqlite.org/wal.html#walresetbug).

    Raises:
        ConfigurationError: it is no such database, or cannot be read and written.
        Unavailable: others held it longer than `timeout` seconds.
    """

    def __init__(self, path: Path, *, timeout: float, now: int) -> None:
        self._path = path
        self._timeout = timeout
        self._idle: list[sqlite3.Connection] = []
        self._writing = threading.Lock()
        try:
            self._folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise ConfigurationError(f"{NAME}: there is no folder {str(path.parent)!r} for the database") from error
        try:
            self._writer = self._prepared(now)
        except BaseException:
            os.close(self._folder)
            raise
        (mode,) = self._writer.execute("PRAGMA journal_mode").fetchone()
        self.has_log: bool = mode == "wal"
        self.longest: int = self._writer.getlimit(sqlite3.SQLITE_LIMIT_LENGTH)  # bytes of one row

    def close(self) -> None:
        try:
            # The last one to close brings the log into the database.
            with self._turn():
                self._close_all()
        except Unavailable:
            self._close_all()
        os.close(self._folder)

    @property
    def folder(self) -> Path:
        """Where there is room for files as large as objects."""
        return self._path.parent

    def change(self, change: Callable[[sqlite3.Connection], T], step: Callable[[str], None]) -> T:
        """What `change` makes, as one transaction that is on disk when it returns, or is undone by an error."""
        with translating(NAME), self._turn():
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                result = change(self._writer)
                step("before_commit")
                self._writer.execute("COMMIT")
            except BaseException:
                # Some errors have undone it already.
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                raise
            step("after_commit")
            return result

    def begin_reading(self) -> sqlite3.Connection:
        """A connection that sees one state of the database until `end_reading` takes it back."""
        with translating(NAME):
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self._connect()
            connection.execute("BEGIN")
            return connection

    def end_reading(self, connection: sqlite3.Connection) -> None:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
            if len(self._idle) < _KEPT:
                self._idle.append(connection)
                return
        connection.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection that sees one state of the database."""
        connection = self.begin_reading()
        try:
            with translating(NAME):
                yield connection
        finally:
            self.end_reading(connection)

    def _close_all(self) -> None:
        for connection in (*self._idle, self._writer):
            connection.close()

    @contextmanager
    def _turn(self) -> Iterator[None]:
        deadline = time.monotonic() + self._timeout
        with self._writing:
            # Opened anew, since a lock belongs to the open file: who dies lets go of it.
            fd = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._folder)
            try:
                while not try_lock(fd):
                    if time.monotonic() > deadline:
                        raise Unavailable(
                            f"{NAME}: another process has been writing for long", retry_after=_RETRY_AFTER
                        )
                    time.sleep(_PAUSE)
                yield
            finally:
                os.close(fd)

    def _prepared(self, now: int) -> sqlite3.Connection:
        shown = str(self._path)
        with translating(NAME), self._turn():
            try:
                make_private(self._path)
                connection = self._connect()
                try:
                    (pages,) = connection.execute("PRAGMA page_count").fetchone()
                    if not pages:
                        connection.execute("PRAGMA journal_mode = WAL")
                    schema.prepare(connection, self._path, now)
                except BaseException:
                    connection.close()
                    raise
            except sqlite3.Error as error:
                if getattr(error, "sqlite_errorcode", 0) & 0xFF not in _UNUSABLE:
                    raise
                raise ConfigurationError(
                    f"{NAME} cannot use the file {shown!r}: {error}; it has to be an SQLite database, or nothing yet, "
                    "that this process may write to, in a folder that it may write to"
                ) from error
        return connection

    def _connect(self) -> sqlite3.Connection:
        # isolation_level=None: transactions begin when we say so.
        connection = sqlite3.connect(self._path, timeout=self._timeout, isolation_level=None, check_same_thread=False)
        connection.text_factory = _text
        try:
            # What is committed survives the power going off, whichever journal it is.
            connection.execute("PRAGMA synchronous = EXTRA")
        except BaseException:
            connection.close()
            raise
        return connection


def _text(raw: bytes) -> str:
    # Other programs may have stored what is no UTF-8; it is no key then, and no reason to fail.
    return raw.decode("utf-8", "surrogateescape")
