"""The one thread of a process that writes the index.

Operations that wait while a commit is under way are committed together by the next one, so that a sync of
the disk is shared by all who were waiting for it. A lone operation does not wait for company.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Final, TypeAlias, TypeVar

from objectstore.backends.engine import steps
from objectstore.backends.engine.board import Board
from objectstore.backends.engine.directory import Directory, nearly_full
from objectstore.backends.engine.failures import leaves_doubt, translate
from objectstore.backends.engine.highwater import HighWater
from objectstore.backends.engine.operations import Operation
from objectstore.backends.engine.schema import CHECKPOINT_PAGES, PAGE_SIZE
from objectstore.backends.engine.transaction import Transaction
from objectstore.backends.engine.turns import Turns
from objectstore.backends.statistics import Distribution
from objectstore.errors import ObjectStoreError, StorageFull, Unavailable

_MAX_OPERATIONS: Final = 512  # in one transaction
_MAX_WEIGHT: Final = 8 * 1024 * 1024  # bytes in one transaction
_FREE_PAGES: Final = 1024 * 1024  # bytes free in the index that let it be written though the disk is nearly full

NEARLY_FULL: Final = "the disk of the data directory is nearly full; delete something or add space"

GROUPS: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)
SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)

logger = logging.getLogger(__name__)
Result = TypeVar("Result")
Settle: TypeAlias = Callable[[bool], None]
"""Told on the loop, once, whether the operation was committed, also when nobody waits for it any more."""


class _Pending:
    __slots__ = ("error", "future", "operation", "resolved", "result", "settle", "withdrawn")

    def __init__(self, operation: Operation[object], future: asyncio.Future[Any], settle: Settle | None) -> None:
        self.operation = operation
        self.future = future
        self.settle = settle
        self.withdrawn = False
        self.resolved = False
        self.result: object = None
        self.error: BaseException | None = None

    def resolve(self) -> None:
        self.resolved = True
        if self.settle is not None:
            self.settle(self.error is None)
        if self.future.done():
            return  # cancelled, this very moment
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)

    async def outlast(self) -> None:
        """Who waited is cancelled: withdraw if there is still time, and know the outcome either way.

        When this returns nothing will change any more. Further cancellations do not cut it short: it waits
        for one commit.
        """
        self.withdrawn = True
        while not self.resolved:
            self.future = asyncio.get_running_loop().create_future()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self.future
        if not self.future.cancelled():
            self.future.exception()  # nobody else will ask for it


class _Withdrawn(Exception):
    """The operation was not carried out, and nobody waits to be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriterStats:
    """What the writer of this process has done."""

    commits: int
    operations: int
    largest_group: int


class Writer:
    """Commits operations. Used from one event loop."""

    def __init__(
        self,
        directory: Directory,
        connection: sqlite3.Connection,
        turns: Turns,
        board: Board,
        highwater: HighWater,
        now: Callable[[], int],
        step: Callable[[str], None],
    ) -> None:
        self._directory = directory
        self._connection = connection
        self._turns = turns
        self._board = board
        self._highwater = highwater
        self._now = now
        self._step = step
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[_Pending | None] = SimpleQueue()
        self._told = threading.Event()  # those who waited for the last commit have gone on
        self._closed = False
        self._commits = self._operations = self._largest = 0
        self.groups = Distribution(GROUPS)  # operations of each commit
        self.seconds = Distribution(SECONDS)  # that each commit took: to append it to the log, and to sync that
        self._unchecked = 0  # about how many pages of the log are not in the database yet
        self.failed: str | None = None  # why nothing can be written any more
        self._thread = threading.Thread(target=self._run, name="objectstore-writer", daemon=True)

    def start(self) -> None:
        self._thread.start()

    async def commit(self, operation: Operation[Result], settle: Settle | None = None) -> Result:
        """Have the operation committed; what it gives, or its error. Cancelled, it is done or not done when this ends.

        `settle` is called in any case.
        """
        future: asyncio.Future[Result] = self._loop.create_future()
        pending = _Pending(operation, future, settle)
        if self._closed:
            pending.error = Unavailable("the store is closed")
            pending.resolve()
        else:
            self._queue.put(pending)
        try:
            return await future
        except asyncio.CancelledError:
            await pending.outlast()
            raise

    def check(self) -> None:
        """Whether it still commits. Raises Unavailable with the reason."""
        if self.failed is not None:
            raise Unavailable(self.failed)
        if self._closed:
            raise Unavailable("the store is closed")

    def close(self) -> None:
        """Commit what waits, then end. Not on the loop; what was waited for is told to the loop before this returns."""
        self._closed = True
        self._queue.put(None)
        self._thread.join()
        # The last connection to close makes a checkpoint, so that too is done with the pen.
        with contextlib.suppress(ObjectStoreError):
            self._turns.take()
        self._connection.close()
        self._turns.close()

    @property
    def stats(self) -> WriterStats:
        return WriterStats(commits=self._commits, operations=self._operations, largest_group=self._largest)

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            group = [first]
            weight = first.operation.weight
            last = False
            while len(group) < _MAX_OPERATIONS and weight < _MAX_WEIGHT:
                try:
                    pending = self._queue.get_nowait()
                except Empty:
                    break
                if pending is None:
                    last = True
                    break
                group.append(pending)
                weight += pending.operation.weight
            began = time.monotonic()
            self._carry_out(group)
            took = time.monotonic() - began
            self._tell(group)
            self._checkpoint_when_due()
            self._turns.leave(more_to_write=not self._queue.empty())
            if len(group) > 1:
                # Many writers: let those who were just told come with their next, else they form two halves
                # that take turns at commits half as large. Never longer than such a commit takes.
                self._told.wait(took)
            if last:
                break

    def _carry_out(self, group: list[_Pending]) -> None:
        try:
            self._commit(group)
        except Exception as error:  # a defect; whoever waits must be told, and nothing more be written
            logger.exception("the writer failed")
            self.failed = f"the writer failed ({error!r}); its log says why; restart"
            _fail(group, Unavailable(self.failed))

    def _tell(self, group: list[_Pending]) -> None:
        if len(group) > 1:
            self._told.clear()
        # A loop that is closed already has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._resolve, group)

    def _resolve(self, group: list[_Pending]) -> None:
        for pending in group:
            pending.resolve()
        if len(group) > 1:
            # After those who waited, whom the loop has now lined up.
            self._loop.call_soon(self._told.set)

    def _commit(self, group: list[_Pending]) -> None:
        if self.failed is not None:
            _fail(group, Unavailable(self.failed))
            return
        try:
            self._turns.take()
        except ObjectStoreError as error:
            _fail(group, error)
            return
        self._commit_in_turn(group)

    def _commit_in_turn(self, group: list[_Pending]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            self._note(error)
            _fail(group, _translated(error))
            return
        try:
            transaction = self._apply(group)
        except Exception as error:  # noqa: BLE001  whatever it is, it is the callers' to see
            self._roll_back()
            self._apart(group, error)
            return
        if not transaction.changed:
            self._roll_back()
            return
        changing = self._board.begin(transaction.changed_keys)
        began = time.perf_counter()
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            self._note(error)
            _fail(group, _translated(error))
            return
        finally:
            self._board.end(changing)
        self._highwater.reach(transaction.seq)
        self.seconds.add(time.perf_counter() - began)
        self.groups.add(len(group))
        self._unchecked += _pages_of(group)
        self._commits += 1
        self._operations += len(group)
        self._largest = max(self._largest, len(group))
        self._step(steps.AFTER_COMMIT)

    def _apply(self, group: list[_Pending]) -> Transaction:
        transaction = Transaction(self._connection, self._now())
        transaction.prefetch([key for pending in group for key in pending.operation.keys])
        full = any(pending.operation.grows for pending in group) and not self._has_room(group)
        for pending in group:
            pending.error = None
            if pending.withdrawn:
                pending.error = _Withdrawn()
                continue
            if full and pending.operation.grows:
                pending.error = StorageFull(NEARLY_FULL)
                continue
            try:
                pending.result = pending.operation.apply(transaction)
            except ObjectStoreError as error:
                pending.error = error
        transaction.flush()
        self._step(steps.BEFORE_COMMIT)
        return transaction

    def _has_room(self, group: list[_Pending]) -> bool:
        if not nearly_full(self._directory.root):
            return True
        # What was deleted from the index is room too, though the disk does not know of it.
        ((free,),) = self._connection.execute("PRAGMA freelist_count").fetchall()
        return bool(free * PAGE_SIZE > _FREE_PAGES + sum(pending.operation.weight for pending in group))

    def _apart(self, group: list[_Pending], error: Exception) -> None:
        """One operation failed in a way that spoilt the transaction: each gets its own, so that it fails alone."""
        if len(group) == 1:
            self._note(error)
            group[0].error = _translated(error)
            return
        for pending in group:
            self._commit_in_turn([pending])

    def _checkpoint_when_due(self) -> None:
        """Move the log into the database: after those who waited for the commit were told, and with the pen."""
        if self._unchecked < CHECKPOINT_PAGES or self.failed is not None:
            return
        self._unchecked = 0
        try:
            # The pen is ours: `_unchecked` has grown with the commit just made.
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            self._note(error)
            logger.warning("the log of the index was not checkpointed: %s", error)

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def _note(self, error: Exception) -> None:
        if isinstance(error, sqlite3.Error) and leaves_doubt(error):
            self.failed = f"writing the index failed ({error}); see to the disk, then restart"
            logger.critical(self.failed)


def _pages_of(group: list[_Pending]) -> int:
    return 2 + sum(2 + pending.operation.weight // PAGE_SIZE + len(pending.operation.keys) for pending in group)


def _fail(group: list[_Pending], error: Exception) -> None:
    for pending in group:
        pending.error = error


def _translated(error: Exception) -> Exception:
    if not isinstance(error, OSError | sqlite3.Error):
        return error
    translated = translate(error)
    translated.__cause__ = error
    return translated
