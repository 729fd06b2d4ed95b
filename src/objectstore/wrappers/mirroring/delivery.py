"""One body on its way into several stores at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Self, TypeAlias

from objectstore.errors import InternalError
from objectstore.values import Body, ObjectInfo

Write: TypeAlias = Callable[[Body], Coroutine[Any, Any, ObjectInfo]]


class DeliveryFailed(Exception):
    """The write at place `number` ended with `error` before the body did."""

    def __init__(self, number: int, error: Exception) -> None:
        super().__init__(f"{number}: {error}")
        self.number = number
        self.error = error


class Delivery:
    """Hands the chunks of `source` to all writes, at the pace of the slowest, so that memory holds two chunks.

        async with Delivery(source, writes) as delivery:
            await delivery.prepare()
            first = await delivery.finish(0)

    The last chunk is what a write gets by `finish` only: until then it cannot come to its end, however it works,
    and none has changed anything. Leaving ends the writes that were not finished.
    """

    def __init__(self, source: AsyncIterator[bytes], writes: Sequence[Write]) -> None:
        self._source = source
        self._writes = writes
        self._takers: list[_Taker] = []
        self._tasks: list[asyncio.Task[ObjectInfo]] = []
        self._last = b""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if isinstance(self._source, AsyncGenerator):
            await self._source.aclose()

    async def prepare(self) -> None:
        """Bring every write to where it waits for the last chunk.

        Raises:
            DeliveryFailed: one of them failed; what the body raises passes through.
        """
        held = await anext(self._source, None)
        if held is None:
            return  # an empty body has no chunk to hold back, so its writes begin when they are finished
        self._start()
        async for chunk in self._source:
            for taker in self._takers:
                await taker.room.wait()
                self._check()
                taker.offer(held)
            held = chunk
        self._last = held
        for taker in self._takers:
            await taker.room.wait()
            self._check()
            taker.offer(None)
        for taker in self._takers:
            await taker.ready.wait()
            self._check()

    async def finish(self, number: int) -> ObjectInfo:
        """Let the write at that place have the last chunk; what comes of it."""
        if not self._tasks:
            return await self._writes[number](b"")
        self._takers[number].release(self._last)
        return await self._tasks[number]

    def _start(self) -> None:
        for write in self._writes:
            taker = _Taker()
            task = asyncio.create_task(write(taker.chunks()))
            task.add_done_callback(self._wake)
            self._takers.append(taker)
            self._tasks.append(task)

    def _wake(self, _: object) -> None:
        for taker in self._takers:
            taker.room.set()
            taker.ready.set()

    def _check(self) -> None:
        for number, task in enumerate(self._tasks):
            if task.done():
                error = InternalError("it ended before the body did") if task.cancelled() else task.exception()
                if isinstance(error, BaseException) and not isinstance(error, Exception):
                    raise error
                raise DeliveryFailed(number, error or InternalError("it took an object before its body ended"))


class _Taker:
    """What stands between the source and one write: at most one chunk."""

    def __init__(self) -> None:
        self.room = asyncio.Event()
        self.room.set()
        self.ready = asyncio.Event()
        self._come = asyncio.Event()
        self._chunk: bytes | None = None
        self._last: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def offer(self, chunk: bytes | None) -> None:
        """The next chunk; None when only the last is left."""
        self.room.clear()
        self._chunk = chunk
        self._come.set()

    def release(self, last: bytes) -> None:
        with suppress(asyncio.InvalidStateError):
            self._last.set_result(last)

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            await self._come.wait()
            self._come.clear()
            if self._chunk is None:
                break
            chunk, self._chunk = self._chunk, None
            self.room.set()
            yield chunk
        self.ready.set()
        yield await self._last
