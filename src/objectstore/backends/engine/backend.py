"""The embedded store: many small and large objects in one directory, durable, shared by several processes."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, ExitStack, closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from objectstore.backends.engine import highwater, listing, recovery, schema, steps
from objectstore.backends.engine.blobs import Blobs
from objectstore.backends.engine.board import Board
from objectstore.backends.engine.directory import Directory, make_folder
from objectstore.backends.engine.etags import Etags
from objectstore.backends.engine.failures import LOG_REMOVED, translate
from objectstore.backends.engine.garbage import Collector
from objectstore.backends.engine.highwater import HighWater
from objectstore.backends.engine.index import Index, ReadIndex
from objectstore.backends.engine.intake import Intake, commit
from objectstore.backends.engine.operations import Copy, Count, Delete, DeleteMany, Probe, Put, check
from objectstore.backends.engine.recent import Recent
from objectstore.backends.engine.rows import Row, info_of, microseconds
from objectstore.backends.engine.schema import Durability
from objectstore.backends.engine.survey import Survey
from objectstore.backends.engine.turns import Turns
from objectstore.backends.engine.uploads import EngineUploads
from objectstore.backends.engine.writer import Writer, WriterStats
from objectstore.backends.statistics import Counted, Level, Measured
from objectstore.core.attributes import check_attributes
from objectstore.core.conditions import check_read
from objectstore.core.quotas import bounded, check_quota
from objectstore.core.ranges import resolve
from objectstore.errors import ConfigurationError, Corrupted, NotFound, ObjectStoreError, Unavailable
from objectstore.values import (
    NO_ATTRIBUTES,
    UNCONDITIONAL,
    Body,
    Capabilities,
    Conditions,
    CopyOptions,
    FileSpan,
    GetOptions,
    Inline,
    ListPage,
    ListQuery,
    ObjectInfo,
    PutOptions,
    Quota,
    Reading,
    Usage,
)

INLINE_LIMIT: Final = 64 * 1024  # bytes; measured, see docs/engine.md
GRACE: Final = timedelta(seconds=60)
_RECENT_SIZE: Final = 16 * 1024 * 1024  # bytes of small objects kept in memory, in each process
_TURN_TIMEOUT: Final = 30.0  # seconds
_THREADS: Final = 8  # that hash, write and sync; more than cores, since most wait for the disk
_NAME: Final = "EngineStore"
_RELAXED: Final = "durability is relaxed: a power cut may lose or damage what was written in the last moments"
_PUT: Final = PutOptions()
_GET: Final = GetOptions()
_COPY: Final = CopyOptions()


def _utc_now() -> datetime:
    return datetime.now(UTC)


class EngineBackend:
    """Objects in the data directory `path`, which is made when it is missing.

    A write is acknowledged when it would survive the power going off; with `durability="relaxed"`, when it
    would survive the end of the process. Bodies up to `inline_limit` bytes are kept in the index, larger ones
    in a file each, which stays for `grace` after it was overwritten or deleted.

    Several processes may have it open; in each it is used from the event loop that opened it. `clock` tells
    the time that is written down, `step` is called with the name of each step of `steps`, from any thread.
    """

    def __init__(
        self,
        path: Path,
        *,
        inline_limit: int = INLINE_LIMIT,
        durability: Durability = "full",
        grace: timedelta = GRACE,
        clock: Callable[[], datetime] = _utc_now,
        step: Callable[[str], None] = steps.no_step,
    ) -> None:
        self._directory = Directory(path)
        self._inline_limit = inline_limit
        self._durability = durability
        self._grace = grace
        self._clock = clock
        self._step = step
        self._capabilities = Capabilities(name=_NAME, quotas=True, notes=(_RELAXED,) if durability == "relaxed" else ())
        self._survey = Survey(self._directory)
        self._blobs = Blobs(self._directory, durability, step)

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    @property
    def uploads(self) -> EngineUploads:
        return self._uploads

    @property
    def durability(self) -> Durability:
        return self._durability

    @property
    def stats(self) -> WriterStats:
        """What this process has committed."""
        return self._writer.stats

    async def __aenter__(self) -> Self:
        reading, writing, turns, self._board, self._highwater = await asyncio.to_thread(self._open)
        self._reading = reading
        self._recent = Recent(self._board, _RECENT_SIZE)
        self._index = ReadIndex(reading)
        self._etags = Etags()
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="objectstore-blobs")
        self._writer = Writer(self._directory, writing, turns, self._board, self._highwater, self._now, self._step)
        self._intake = Intake(self._blobs, self._executor, self._inline_limit)
        self._uploads = EngineUploads(
            self._directory,
            self._index,
            self._writer,
            self._intake,
            self._executor,
            self._etags,
            idle=self._grace.total_seconds(),
        )
        self._collector = Collector(
            self._directory,
            self._index,
            self._writer,
            self._executor,
            grace=self._grace.total_seconds(),
            now=self._now,
            step=self._step,
        )
        self._writer.start()
        self._collecting = asyncio.create_task(self._collector.run())
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._collecting.cancel()
        with suppress(asyncio.CancelledError):
            await self._collecting
        await self._uploads.settle()
        await asyncio.to_thread(self._close)

    async def put(self, key: str, body: Body, options: PutOptions = _PUT) -> ObjectInfo:
        if options.attributes is not NO_ATTRIBUTES:
            check_attributes(options.attributes)
        if options.conditions is not UNCONDITIONAL:
            # Now, so that a body that cannot be kept is not taken in; the check that counts is made with the write.
            check(options.conditions, key, self._index.row(key))
        self._writer.check()
        if options.quota is not None:
            body = self._within(options.quota, key, body, options.size)
        taken = self._intake.at_hand(body, options) or await self._intake.take(
            body, options.size, options.expected, options.digests
        )
        etag = options.etag or self._etags.next()
        put = Put(key, taken.body, options.attributes, options.conditions, etag, options.quota)
        return info_of(await commit(self._writer, put, taken))

    def get(self, key: str, options: GetOptions = _GET) -> AbstractAsyncContextManager[Reading]:
        return _Opened(self._index, self._recent, self._blobs, key, options)

    async def head(self, key: str) -> ObjectInfo:
        recent = self._recent.find(key)
        if recent is not None:
            return recent.info
        moment = self._recent.moment(key)
        row = self._index.row(key)
        if row is None:
            raise NotFound(key)
        info = info_of(row)
        if moment is not None:
            self._recent.remember(moment, info)
        return info

    async def delete(self, key: str, conditions: Conditions = UNCONDITIONAL) -> None:
        await self._writer.commit(Delete(key, conditions))

    async def delete_many(self, keys: Sequence[str]) -> Sequence[ObjectStoreError | None]:
        return await self._writer.commit(DeleteMany(tuple(keys)))

    async def copy(self, source: str, target: str, options: CopyOptions = _COPY) -> ObjectInfo:
        if options.attributes is not None:
            check_attributes(options.attributes)
        return info_of(await self._writer.commit(Copy(source, target, options, self._etags.next())))

    async def list(self, query: ListQuery) -> ListPage:
        return await listing.page(self._index, query)

    async def usage(self, prefixes: Sequence[str]) -> Sequence[Usage]:
        counted = self._index.usage(prefixes)
        if len(counted) < len(set(prefixes)):
            return await self._writer.commit(Count(tuple(prefixes)))
        return [counted[prefix] for prefix in prefixes]

    def measured(self) -> Sequence[Measured]:
        stats = self._writer.stats
        return [
            Counted("engine_commits", stats.commits),
            Counted("engine_operations", stats.operations),
            self._writer.groups.spread("engine_group_size"),
            self._writer.seconds.spread("engine_commit_seconds"),
            self._blobs.syncs.spread("engine_sync_seconds"),
            Counted("engine_garbage_collected", self._collector.collected),
        ]

    async def levels(self) -> Sequence[Level]:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, self._survey.levels)
        except (OSError, sqlite3.Error) as error:
            raise translate(error) from error

    async def check(self) -> None:
        self._writer.check()
        await asyncio.get_running_loop().run_in_executor(self._executor, self._check_disk)
        await self._writer.commit(Probe())

    async def collect_garbage(self) -> int:
        """Unlink what became garbage longer than the grace period ago; how many files that were.

        It is done from time to time anyway.
        """
        return await self._collector.collect()

    def _within(self, quota: Quota, key: str, body: Body, size: int | None) -> Body:
        """The body, if by what is known now the quota allows it; the check that counts is made with the write."""
        usage = self._index.usage([quota.prefix]).get(quota.prefix)
        if usage is None:
            return body
        row = self._index.row(key)
        check_quota(quota, usage, size=0, objects=int(row is None))
        return bounded(body, size, quota, usage, 0 if row is None else row.size)

    def _open(self) -> tuple[sqlite3.Connection, sqlite3.Connection, Turns, Board, HighWater]:
        directory = self._directory
        if sqlite3.sqlite_version_info < schema.OLDEST_SQLITE:
            oldest = ".".join(map(str, schema.OLDEST_SQLITE))
            raise ConfigurationError(f"the engine needs SQLite {oldest} or newer; this is {sqlite3.sqlite_version}")
        with ExitStack() as undo:
            undo.enter_context(directory.opening())
            opened = undo.enter_context(ExitStack())
            try:
                if directory.claim():
                    self._fill()
                marked = highwater.mark(directory.highwater)
                reading = opened.enter_context(closing(schema.open_for_reading(directory.index)))
                highwater.check(
                    directory.index, marked, Index(reading).last_seq()
                )  # before anything is removed that a lost row may name
                recovery.sweep(directory, Index(reading), self._step)
                self._blobs.open()
                opened.callback(self._blobs.close)
                turns = opened.enter_context(closing(Turns(directory, _TURN_TIMEOUT)))
                board = opened.enter_context(closing(Board(directory.changes)))
                mark = opened.enter_context(closing(HighWater(directory.highwater, self._durability)))
                writing = opened.enter_context(closing(schema.open_for_writing(directory.index, self._durability)))
                if not schema.counts_usage(writing):
                    turns.take()
                    schema.add_usage(writing)
                    turns.leave(more_to_write=False)
                self._log = _inode(directory.log)
            except (OSError, sqlite3.Error) as error:
                raise ConfigurationError(f"the data directory {directory.root} cannot be used: {error}") from error
            opened.pop_all()
            return reading, writing, turns, board, mark

    def _fill(self) -> None:
        self._step(steps.AFTER_FORMAT)
        make_folder(self._directory.staging)
        schema.create(self._directory.index)
        self._step(steps.AFTER_INDEX)
        make_folder(self._directory.blobs)

    def _close(self) -> None:
        self._reading.close()
        self._writer.close()
        self._board.close()
        self._highwater.close()
        self._executor.shutdown()
        self._blobs.close()

    def _check_disk(self) -> None:
        try:
            disk = os.statvfs(self._directory.root)
        except OSError as error:
            raise translate(error) from error
        if disk.f_flag & os.ST_RDONLY:
            raise Unavailable("the data directory is on a disk that is mounted read-only")
        for folder in (self._directory.root, self._directory.blobs, self._blobs.staging):
            if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
                raise Unavailable("the data directory cannot be written to by the user that the server runs as")
        try:
            # A file system that has met an error may refuse to write without saying that it is read-only.
            self._blobs.probe()
        except OSError as error:
            raise translate(error) from error
        # SQLite makes it with the first look at the index and removes it with the last connection. While it is open
        # but has no name, all goes on, and a process that is killed takes what is in it along. Who looks at the index
        # then makes another one.
        if _inode(self._directory.log) != self._log:
            raise Unavailable(LOG_REMOVED)

    def _now(self) -> int:
        return microseconds(self._clock())


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


class _Opened(AbstractAsyncContextManager[Reading]):
    """An object being read. A class, since a generator would cost as much as the reading."""

    __slots__ = ("_blobs", "_fd", "_index", "_key", "_options", "_recent")

    def __init__(self, index: Index, recent: Recent, blobs: Blobs, key: str, options: GetOptions) -> None:
        self._index = index
        self._recent = recent
        self._blobs = blobs
        self._key = key
        self._options = options
        self._fd = -1

    async def __aenter__(self) -> Reading:
        recent = self._recent.find(self._key)
        if recent is not None and recent.data is not None:
            return self._inline(recent.info, recent.data)
        moment = self._recent.moment(self._key)
        found = self._index.row_and_body(self._key)
        if found is None:
            raise NotFound(self._key)
        row, data = found
        info = info_of(row)
        if row.blob is None:
            data = data or b""
            if len(data) != row.size:
                raise Corrupted(f"the body of {self._key!r} in the index is not what was written")
            if moment is not None:
                self._recent.remember(moment, info, data)
            return self._inline(info, data)
        start, stop = self._wanted(info)
        if not self._open(row, row.blob):
            # Overwritten or deleted, and unlinked, since the row was read: a process that slept for the whole grace.
            return await self.__aenter__()
        return Reading(info, start, stop, FileSpan(self._fd, start, stop, self._blobs.directory.blob(row.blob)))

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _inline(self, info: ObjectInfo, data: bytes) -> Reading:
        start, stop = self._wanted(info)
        return Reading(info, start, stop, Inline(data if stop - start == info.size else data[start:stop]))

    def _wanted(self, info: ObjectInfo) -> tuple[int, int]:
        if self._options.range is None and self._options.conditions is UNCONDITIONAL:
            return 0, info.size
        check_read(self._options.conditions, info)
        return resolve(self._options.range, info.size)

    def _open(self, row: Row, blob: str) -> bool:
        """Open the blob. False: look again, the row has changed meanwhile."""
        try:
            fd = self._blobs.open_to_read(blob)
        except FileNotFoundError:
            if self._index.row(self._key) != row:
                return False
            raise Corrupted(f"the file of {self._key!r} is missing") from None
        except OSError as error:
            raise translate(error) from error
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or found.st_size != row.size:
            os.close(fd)
            raise Corrupted(f"the file of {self._key!r} has {found.st_size} bytes, not {row.size}")
        self._fd = fd
        return True
