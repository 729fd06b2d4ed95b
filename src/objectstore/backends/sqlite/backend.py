"""The backend of one database: all that touches it runs in threads."""

from __future__ import annotations

import asyncio
import os
import secrets
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, ParamSpec, Self, TypeVar

from objectstore.backends.contract import Uploads
from objectstore.backends.filesystem.failures import translating as translating_files
from objectstore.backends.filesystem.records import nanoseconds
from objectstore.backends.spool import BLOCK_SIZE, Spool
from objectstore.backends.sqlite.database import Database
from objectstore.backends.sqlite.failures import translating
from objectstore.backends.sqlite.schema import NAME, OBJECTS, PARTS, Names
from objectstore.backends.sqlite.table import Table
from objectstore.backends.staged import StagedUploads
from objectstore.backends.threads import finished
from objectstore.core.attributes import check_attributes
from objectstore.core.conditions import check_read, check_write
from objectstore.core.digests import check_digests
from objectstore.core.ranges import resolve
from objectstore.core.streams import bounded, sized
from objectstore.errors import NotFound, ObjectStoreError, StorageFull, TooLarge
from objectstore.values import (
    UNCONDITIONAL,
    Body,
    Capabilities,
    Conditions,
    Content,
    CopyOptions,
    FileSpan,
    GetOptions,
    Inline,
    ListPage,
    ListQuery,
    ObjectInfo,
    PutOptions,
    Reading,
    Streamed,
)

P = ParamSpec("P")
T = TypeVar("T")

_READERS: Final = 8
_IN_HAND: Final = 256 * 1024  # bytes: what is shorter is read at once
_ROOM: Final = 4096  # bytes of a row beside its data
_TIMEOUT: Final = 10.0  # seconds
_PUT: Final = PutOptions()
_GET: Final = GetOptions()
_COPY: Final = CopyOptions()

_CAPABILITIES: Final = Capabilities(
    name=NAME,
    # Of rows that other programs put there, none is.
    digests=False,
    notes=(
        "An object has less than 1 GB, the limit of SQLite.",
        "Rows put there by other programs are objects, without attributes and digests.",
        "Writers take turns; each write of a large object keeps the others waiting while it goes into the database.",
        "A database that came without a write-ahead log keeps its journal; what is read from it is copied aside first.",
        "The room of deleted objects is used for new ones; VACUUM gives it back to the disk.",
    ),
)


def _now() -> datetime:
    return datetime.now(UTC)


def _no_step(_name: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class _Opened:
    database: Database
    writer: ThreadPoolExecutor
    readers: ThreadPoolExecutor


class SqliteBackend:
    """Objects as rows of the table `objects` in the database `path`, which is made if it is not there.

    Several processes may have it open, and other programs may read and change its rows. Who waits for another's
    write longer than `timeout` seconds gets Unavailable. `step` is told how far a change has come.
    """

    def __init__(
        self,
        path: Path,
        *,
        timeout: float = _TIMEOUT,
        clock: Callable[[], datetime] = _now,
        step: Callable[[str], None] = _no_step,
    ) -> None:
        self._path = path
        self._timeout = timeout
        self._clock = clock
        self._step = step
        self._opened: _Opened | None = None
        self._uploads: StagedUploads | None = None
        self.table = self._table(OBJECTS)

    @property
    def capabilities(self) -> Capabilities:
        return _CAPABILITIES

    @property
    def uploads(self) -> Uploads:
        if self._uploads is None:
            # A view of other tables through the same connections.
            parts = SqliteBackend(self._path, clock=self._clock)
            parts._opened = self._require()
            parts.table = self._table(PARTS)
            self._uploads = StagedUploads(self, parts, clock=self._clock, new_id=lambda: secrets.token_hex(16))
        return self._uploads

    async def __aenter__(self) -> Self:
        now = nanoseconds(self._clock()) // 1000
        database = await asyncio.to_thread(Database, self._path, timeout=self._timeout, now=now)
        writer, readers = ThreadPoolExecutor(1, "sqlite-writer"), ThreadPoolExecutor(_READERS, "sqlite-reader")
        self._opened = _Opened(database, writer, readers)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._uploads is not None:
            await self._uploads.settle()
        await asyncio.to_thread(self._close)

    async def put(self, key: str, body: Body, options: PutOptions = _PUT) -> ObjectInfo:
        check_attributes(options.attributes)
        database = self._require().database
        limit = database.longest - _ROOM
        if options.size is not None and options.size > limit:
            raise TooLarge(limit)
        spool = Spool(database.folder, {*options.digests, *options.expected})
        try:
            if options.conditions is not UNCONDITIONAL:
                # Now, so that a body that cannot be kept is not taken in; the check that counts is made with the write.
                await self.read(self._check_write, key, options.conditions)
            # Collected first, as a writer keeps all others waiting.
            await spool.collect(bounded(sized(body, options.size), limit), self._spooled)
            digests = spool.digester.digests()
            check_digests(options.expected, digests)
            with translating_files(NAME):
                return await self._change(
                    lambda writer: self.table.put(writer, key, spool.size, spool.blocks(), digests, options)
                )
        finally:
            spool.close()

    def get(self, key: str, options: GetOptions = _GET) -> AbstractAsyncContextManager[Reading]:
        return _Outgoing(key, options, self)

    async def head(self, key: str) -> ObjectInfo:
        return await self.read(self._head, key)

    async def delete(self, key: str, conditions: Conditions = UNCONDITIONAL) -> None:
        await self._change(lambda writer: self.table.remove(writer, key, conditions))

    async def delete_many(self, keys: Sequence[str]) -> Sequence[ObjectStoreError | None]:
        return await self._change(lambda writer: [self._removed(writer, key) for key in keys])

    async def copy(self, source: str, target: str, options: CopyOptions = _COPY) -> ObjectInfo:
        if options.attributes is not None:
            check_attributes(options.attributes)
        aside = Spool(self.database.folder)
        try:
            with translating_files(NAME):
                return await self._change(lambda writer: self.table.copy(writer, source, target, options, aside))
        finally:
            aside.close()

    async def list(self, query: ListQuery) -> ListPage:
        return await self.read(self._page, query)

    async def check(self) -> None:
        folder = self._require().database.folder
        with translating_files(NAME):
            room = await self.read(os.statvfs, folder)
        if not room.f_bavail:
            raise StorageFull(f"{NAME} has no room left on the disk of its database")
        # Begun as any write is, and nothing changed.
        await self._change(lambda _: None)

    @property
    def database(self) -> Database:
        return self._require().database

    async def read(self, call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Do it in a thread, and wait as `finished` does."""
        return await finished(self._require().readers.submit(call, *args, **kwargs))

    async def _spooled(self, write: Callable[[bytes], None], block: bytes) -> None:
        with translating_files(NAME):
            await self.read(write, block)

    async def _change(self, change: Callable[[sqlite3.Connection], T]) -> T:
        opened = self._require()
        return await finished(opened.writer.submit(opened.database.change, change, self._step))

    def _require(self) -> _Opened:
        if self._opened is None:
            raise RuntimeError("the backend is not open: use it within 'async with'")
        return self._opened

    def _close(self) -> None:
        opened = self._require()
        opened.readers.shutdown()
        opened.writer.shutdown()
        opened.database.close()
        self._opened = self._uploads = None

    def _table(self, names: Names) -> Table:
        return Table(names, clock=self._clock, step=self._step)

    def _head(self, key: str) -> ObjectInfo:
        with self.database.reading() as connection:
            return self.table.find(connection, key).info

    def _check_write(self, key: str, conditions: Conditions) -> None:
        with self.database.reading() as connection:
            row = self.table.look(connection, key)
        check_write(conditions, key, None if row is None else row.info)

    def _page(self, query: ListQuery) -> ListPage:
        with self.database.reading() as connection:
            return self.table.page(connection, query)

    def _removed(self, writer: sqlite3.Connection, key: str) -> ObjectStoreError | None:
        try:
            self.table.remove(writer, key, UNCONDITIONAL)
        except NotFound as error:
            return error
        return None


class _Outgoing(AbstractAsyncContextManager[Reading]):
    """A reading of one version: what is short is read at once.

    With a write-ahead log, a longer one is streamed from a read transaction, which keeps nobody from writing.
    With another journal it would, so the bytes are first copied into a file that has no name.
    """

    def __init__(self, key: str, options: GetOptions, backend: SqliteBackend) -> None:
        self._key = key
        self._options = options
        self._backend = backend
        self._connection: sqlite3.Connection | None = None
        self._blob: sqlite3.Blob | None = None
        self._file: int | None = None

    async def __aenter__(self) -> Reading:
        try:
            return await self._backend.read(self._open)
        except BaseException:
            await self._backend.read(self._close)
            raise

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._connection is not None or self._file is not None:
            await self._backend.read(self._close)

    def _open(self) -> Reading:
        database, table = self._backend.database, self._backend.table
        connection = self._connection = database.begin_reading()
        with translating(NAME), translating_files(NAME, self._key):
            row = table.find(connection, self._key)
            check_read(self._options.conditions, row.info)
            start, stop = resolve(self._options.range, row.info.size)
            if stop - start > _IN_HAND and database.has_log:
                blob = self._blob = table.open(connection, row)
                blob.seek(start)
                return Reading(row.info, start, stop, Streamed(self._chunks(blob, stop - start)))
            blocks = table.blocks(connection, row, start, stop)
            content: Content
            if stop - start > _IN_HAND:
                self._file = _copied(blocks, database.folder)
                content = FileSpan(self._file, 0, stop - start)
            else:
                content = Inline(b"".join(blocks))
        self._let_go()
        return Reading(row.info, start, stop, content)

    async def _chunks(self, blob: sqlite3.Blob, left: int) -> AsyncIterator[bytes]:
        while left:
            with translating(NAME):
                data = await self._backend.read(blob.read, min(BLOCK_SIZE, left))
            left -= len(data)
            yield data

    def _close(self) -> None:
        if self._blob is not None:
            self._blob.close()
            self._blob = None
        if self._file is not None:
            os.close(self._file)
            self._file = None
        self._let_go()

    def _let_go(self) -> None:
        if self._connection is not None:
            self._backend.database.end_reading(self._connection)
            self._connection = None


def _copied(blocks: Iterable[bytes], folder: Path) -> int:
    """A descriptor, to be closed by the caller, of a file without a name that holds the blocks."""
    with tempfile.TemporaryFile(dir=folder) as file:
        for block in blocks:
            file.write(block)
        file.flush()
        return os.dup(file.fileno())
