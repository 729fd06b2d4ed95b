"""Taking bodies in: small ones to memory, larger ones to a blob, hashed and written off the loop.

While a thread hashes and writes what has come, more is read from the body, so that both cores work: a few blocks ahead,
so that neither has to wake the other for each. When there are so many uploads that the cores have work without that,
each holds one block, and a smaller one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import AsyncIterable, Mapping
from concurrent.futures import CancelledError, Executor, Future
from typing import Any, Final, TypeVar

from objectstore.backends.engine.blobs import Blobs, StagedBlob
from objectstore.backends.engine.failures import translate
from objectstore.backends.engine.operations import Body, Operation
from objectstore.backends.engine.writer import Writer
from objectstore.core.digests import Digester, check_digests, digests_of
from objectstore.core.streams import check_size
from objectstore.values import Body as Incoming
from objectstore.values import PutOptions

_BLOCK: Final = 256 * 1024  # bytes handed to a thread at once
_SMALL_BLOCK: Final = 128 * 1024  # when there are more than a few uploads
_MOST: Final = 1024 * 1024  # bytes that wait to be written; more is read when half of them are
_FEW: Final = 8  # uploads at once
_PIECE: Final = 16 * 1024  # bytes: pieces that are smaller on average are joined, to be hashed and written at once

Result = TypeVar("Result")

logger = logging.getLogger(__name__)


class Taken:
    """A body that is safe, waiting for its row. `settle` ends it, once."""

    __slots__ = ("_blob", "_executor", "_settling", "body")

    def __init__(self, body: Body, blob: StagedBlob | None = None, executor: Executor | None = None) -> None:
        self.body = body
        self._blob = blob
        self._executor = executor
        self._settling: Future[None] | None = None

    def settle(self, committed: bool) -> None:
        """Whether a committed row names the body. On the loop; does not wait."""
        if self._blob is not None and self._executor is not None:
            self._settling = self._executor.submit(_settle, self._blob, committed)

    async def settled(self) -> None:
        """When what is not needed is gone from the disk."""
        if self._settling is not None:
            await asyncio.shield(asyncio.wrap_future(self._settling))


async def commit(writer: Writer, operation: Operation[Result], taken: Taken) -> Result:
    """Have the operation committed that gives the body its row; when it fails, the body is gone."""
    try:
        return await writer.commit(operation, taken.settle)
    except Exception:
        await taken.settled()
        raise


class Intake:
    """Takes bodies in for one data directory."""

    def __init__(self, blobs: Blobs, executor: Executor, inline_limit: int) -> None:
        self._blobs = blobs
        self._executor = executor
        self._inline_limit = inline_limit
        self._streams = 0  # bodies that are being taken in

    def at_hand(self, body: Incoming, options: PutOptions) -> Taken | None:
        """A small body in hand, which most are, taken in without any waiting; else None. Raises as `take` does."""
        if not isinstance(body, bytes) or len(body) > self._inline_limit:
            return None
        check_size(options.size, len(body))
        return _in_hand(body, options.expected, options.digests)

    async def take(
        self, body: Incoming, size: int | None, expected: Mapping[str, bytes], algorithms: frozenset[str]
    ) -> Taken:
        """Make the bytes of `body` safe.

        Raises:
            IncompleteBody: it has not `size` bytes.
            DigestMismatch: it has not the expected digests.
            StorageFull, Unavailable; whatever the body raises.
        """
        if not isinstance(body, bytes):
            return await self._take_stream(body, size, expected, algorithms)
        check_size(size, len(body))
        if len(body) <= self._inline_limit:
            return _in_hand(body, expected, algorithms)
        writing = _Writing(self._blobs, self._executor, algorithms | expected.keys())
        return await self._finish(writing, [body], len(body), expected)

    async def _take_stream(
        self, body: AsyncIterable[bytes], size: int | None, expected: Mapping[str, bytes], algorithms: frozenset[str]
    ) -> Taken:
        writing = _Writing(self._blobs, self._executor, algorithms | expected.keys())
        held: list[bytes] = []
        holding = received = 0
        self._streams += 1
        try:
            async for chunk in body:
                received += len(chunk)
                if size is not None and received > size:
                    break
                held.append(chunk)
                holding += len(chunk)
                if holding > self._inline_limit and holding >= (_BLOCK if self._streams <= _FEW else _SMALL_BLOCK):
                    writing.write(held, holding)
                    held, holding = [], 0
                    if self._streams > _FEW:
                        await writing.until(0)
                    elif writing.unwritten >= _MOST:
                        await writing.until(_MOST // 2)
            check_size(size, received)
        except BaseException as error:
            await writing.abandon(error)
            raise
        finally:
            self._streams -= 1
        if received <= self._inline_limit:
            return _in_hand(b"".join(held), expected, algorithms)
        return await self._finish(writing, held, received, expected)

    async def _finish(self, writing: _Writing, rest: list[bytes], size: int, expected: Mapping[str, bytes]) -> Taken:
        try:
            blob, digests = await writing.finish(rest, expected)
        except BaseException as error:
            await writing.abandon(error)
            raise
        return Taken(Body(size, digests, blob=blob.id), blob, self._executor)


class _Writing:
    """One blob being written by a thread, which goes on for as long as there is something to write."""

    def __init__(self, blobs: Blobs, executor: Executor, algorithms: frozenset[str]) -> None:
        self.unwritten = 0  # bytes
        self._blobs = blobs
        self._executor = executor
        self._digester = Digester(algorithms)
        self._blob: StagedBlob | None = None
        self._loop = asyncio.get_running_loop()
        self._under_way: Future[Any] | None = None
        # What follows is the loop's and the thread's.
        self._lock = threading.Lock()
        self._queue: list[bytes] = []
        self._busy = False  # whether the thread will look at the queue again
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._enough = 0  # unwritten bytes that it waits for

    def write(self, chunks: list[bytes], size: int) -> None:
        """Have chunks of `size` bytes written, after those before."""
        with self._lock:
            self._queue += chunks
            self.unwritten += size
            start, self._busy = not self._busy, True
        if start:
            self._under_way = self._executor.submit(self._work)

    async def until(self, most: int) -> None:
        """When no more than so many bytes are unwritten. Raises StorageFull, Unavailable."""
        waiter = None
        with self._lock:
            if self.unwritten > most and self._error is None:
                waiter = self._waiter = self._loop.create_future()
                self._enough = most
        if waiter is not None:
            await waiter
        if isinstance(self._error, OSError):
            raise translate(self._error) from self._error
        if self._error is not None:
            raise self._error

    async def finish(self, chunks: list[bytes], expected: Mapping[str, bytes]) -> tuple[StagedBlob, dict[str, bytes]]:
        await self.until(0)
        finishing = self._executor.submit(self._finish, chunks, expected)
        self._under_way = finishing
        try:
            return await asyncio.wrap_future(finishing)
        except OSError as error:
            raise translate(error) from error

    async def abandon(self, reason: BaseException) -> None:
        """Give up, after what is under way. After an error the file is gone when this ends."""
        with self._lock:
            self._queue = []
        abandoning = self._executor.submit(self._abandon, self._under_way)
        if isinstance(reason, Exception):
            # Who is cancelled, or closed in the middle, is not to be held up.
            await asyncio.shield(asyncio.wrap_future(abandoning))

    def _work(self) -> None:
        while chunks := self._next():
            try:
                self._write(chunks)
            except Exception as error:  # noqa: BLE001  whatever it is, who waits for it is to see it
                self._wrote(0, error)
                return

    def _next(self) -> list[bytes]:
        with self._lock:
            chunks, self._queue = self._queue, []
            self._busy = bool(chunks)
        return chunks

    def _write(self, chunks: list[bytes]) -> None:
        if self._blob is None:
            self._blob = self._blobs.create()
        for data in _fewer(chunks):
            self._digester.update(data)
            self._blob.write(data)
            self._wrote(len(data))

    def _wrote(self, size: int, error: Exception | None = None) -> None:
        with self._lock:
            self.unwritten -= size
            self._error = error
            waiter = self._waiter
            if waiter is None or (self.unwritten > self._enough and error is None):
                return
            self._waiter = None
        # A loop that is closed already has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(_tell, waiter)

    def _finish(self, chunks: list[bytes], expected: Mapping[str, bytes]) -> tuple[StagedBlob, dict[str, bytes]]:
        self._write(chunks)
        assert self._blob is not None  # noqa: S101  for the type checker
        digests = self._digester.digests()
        check_digests(expected, digests)
        self._blob.finish()
        return self._blob, digests

    def _abandon(self, under_way: Future[Any] | None) -> None:
        if under_way is not None:
            # It was started before this, in the order of submission, so a worker has it and this wait ends.
            with contextlib.suppress(CancelledError):
                under_way.exception()
        if self._blob is not None:
            _settle(self._blob, committed=False)


def _tell(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _fewer(chunks: list[bytes]) -> list[bytes]:
    """The same bytes, in one piece when the pieces are small: large ones are not copied."""
    return chunks if sum(map(len, chunks)) >= len(chunks) * _PIECE else [b"".join(chunks)]


def _in_hand(data: bytes, expected: Mapping[str, bytes], algorithms: frozenset[str]) -> Taken:
    digests = digests_of(data, algorithms | expected.keys() if expected else algorithms)
    if expected:
        check_digests(expected, digests)
    return Taken(Body(len(data), digests, data=data))


def _settle(blob: StagedBlob, committed: bool) -> None:
    try:
        if committed:
            blob.keep()
        else:
            blob.discard()
    except OSError:
        # It stays accounted for by its marker, and the next opening settles it.
        logger.exception("the blob %s could not be settled", blob.id)
