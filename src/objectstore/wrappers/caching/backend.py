"""Reads through a faster store, the cache, what is kept in a slower one, the main store.

What is cached is a copy with the main store's record at its head (`entry.py`); what is outside is always that
record, whatever the cache store knows of its own object.

**No stale read after a write through this value.** A write forgets the entry of its key before it begins and
again when it has ended, whether it succeeded, failed or was cancelled. A fetch that was under way at either
moment is marked as stale: its readers, who began before the write ended, may have what it brings, but it leaves
no entry, and nobody joins it. As long as its bytes may still be on their way into the cache store, the key is read
from the main store. An entry that cannot be removed from the cache store is remembered as none.

**Changes made by others** are noticed when an entry is used: the main store is asked for its record, and the
entry holds if the etag is the same. With `ttl` that is only done when the entry was not checked for so long.

**The cache may fail.** Then the main store is read; an entry that breaks off is continued from there.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from objectstore.backends.contract import Backend, Uploads
from objectstore.backends.reading import chunks
from objectstore.backends.statistics import Level, Measured, levels_of, measured_of
from objectstore.core import streams
from objectstore.core.conditions import check_read
from objectstore.core.ranges import resolve
from objectstore.errors import (
    ConfigurationError,
    NotFound,
    ObjectStoreError,
    PreconditionFailed,
    Unavailable,
)
from objectstore.values import (
    UNCONDITIONAL,
    Body,
    Bounded,
    Capabilities,
    Conditions,
    CopyOptions,
    GetOptions,
    Inline,
    ObjectInfo,
    PutOptions,
    Reading,
    Streamed,
)
from objectstore.wrappers.caching.entry import Entry, name_of
from objectstore.wrappers.caching.fetching import SMALL, Fetching, check_whole
from objectstore.wrappers.caching.flight import Flight
from objectstore.wrappers.caching.shelf import Shelf
from objectstore.wrappers.caching.uploads import CachedUploads
from objectstore.wrappers.forwarding import COPY, GET, PUT, Forwarding

T = TypeVar("T")

_log: Final = logging.getLogger("objectstore.caching")
_MOST_FOR_A_RANGE: Final = 8 * 1024 * 1024  # bytes: a larger object is not fetched because of a part of it


class Caching(Forwarding):
    """`main` behind `cache`, both of which it opens and closes.

    `max_bytes` is the most that is held in the cache, `ttl` for how many seconds an entry is used without asking
    the main store; by default it is asked every time. `clock` gives seconds since 1970.
    """

    def __init__(
        self,
        main: Backend,
        cache: Backend,
        *,
        max_bytes: int | None = None,
        ttl: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(main, name="CachingStore")
        self._cache = cache
        self._ttl = ttl
        self._clock = clock
        self._max_bytes = max_bytes
        self._fetching: Fetching | None = None  # None: the cache store could not be opened
        self._stack = AsyncExitStack()
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def capabilities(self) -> Capabilities:
        known = (
            "The main store is asked at every read whether what is cached is still current."
            if self._ttl is None
            else f"A change made by another process or program may go unnoticed for {self._ttl:g} s."
        )
        main = self._inner.capabilities
        return replace(main, name=self._name, notes=(*main.notes, known))

    @property
    def uploads(self) -> Uploads:
        return CachedUploads(self._inner.uploads, self)

    async def __aenter__(self) -> Self:
        able = self._cache.capabilities
        if not (able.write and able.delete and able.listing and able.ranges):
            raise ConfigurationError(
                f"{able.name} cannot be a cache_store, which has to write, delete, list and read ranges"
            )
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._inner)
            await self._open_cache(stack)
            stack.push_async_callback(self._land)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def put(self, key: str, body: Body, options: PutOptions = PUT) -> ObjectInfo:
        async with self.changing([key]):
            return await super().put(key, body, options)

    async def delete(self, key: str, conditions: Conditions = UNCONDITIONAL) -> None:
        async with self.changing([key]):
            await super().delete(key, conditions)

    async def delete_many(self, keys: Sequence[str]) -> Sequence[ObjectStoreError | None]:
        async with self.changing(keys):
            return await super().delete_many(keys)

    async def copy(self, source: str, target: str, options: CopyOptions = COPY) -> ObjectInfo:
        async with self.changing([target]):
            return await super().copy(source, target, options)

    def measured(self) -> Sequence[Measured]:
        return measured_of([self._inner, self._cache])

    async def levels(self) -> Sequence[Level]:
        return await levels_of([self._inner, self._cache])

    async def head(self, key: str) -> ObjectInfo:
        entry = None
        if self._fetching is not None and self._ttl is not None:
            entry = await self._fetching.find(name_of(key), key)
        if entry is not None and self._is_fresh(entry):
            return entry.info
        return await self._asked(key, entry)

    @asynccontextmanager
    async def get(self, key: str, options: GetOptions = GET) -> AsyncIterator[Reading]:
        async with AsyncExitStack() as stack:
            yield await self._open(stack, key, options)

    @asynccontextmanager
    async def changing(self, keys: Sequence[str]) -> AsyncIterator[None]:
        """Nothing that was cached of these keys outlives what is done inside."""
        await self._invalidate(keys)
        try:
            yield
        finally:
            await self._invalidate(keys)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Do `work` beside whoever asked for it; it ends with this store at the latest."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits for it gets it; there may be nobody any more

    async def _invalidate(self, keys: Sequence[str]) -> None:
        if self._fetching is not None:
            await self._fetching.invalidate([name_of(key) for key in keys])

    async def _open_cache(self, stack: AsyncExitStack) -> None:
        try:
            await stack.enter_async_context(self._cache)
            shelf = Shelf(self._cache, self._max_bytes)
            await shelf.open()
        except Unavailable as error:
            _log.warning("the cache is left out until the next start: %s", error)
        else:
            self._fetching = Fetching(self._inner, shelf, self._clock, self.start)

    async def _land(self) -> None:
        """End what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._fetching = None

    def _is_fresh(self, entry: Entry) -> bool:
        # An entry from the future was written by a clock that was wrong, or is.
        return self._ttl is not None and 0 <= self._clock() - entry.checked < self._ttl

    async def _asked(self, key: str, entry: Entry | None) -> ObjectInfo:
        """What the main store says of the object now; an entry of another version is forgotten."""
        asked = self._clock()
        try:
            info = await self._inner.head(key)
        except NotFound:
            if entry is not None:
                await self._outdated(entry)
            raise
        if entry is not None:
            if info.etag == entry.info.etag:
                entry.info, entry.checked = info, asked
            else:
                await self._outdated(entry)
        return info

    async def _outdated(self, entry: Entry) -> None:
        if self._fetching is not None:
            await self._fetching.remove(entry.name)

    async def _open(self, stack: AsyncExitStack, key: str, options: GetOptions) -> Reading:
        fetching = self._fetching
        name = name_of(key)
        if fetching is None:
            return await stack.enter_async_context(self._inner.get(key, options))
        if fetching.is_large(name):
            reading = await stack.enter_async_context(self._inner.get(key, options))
            fetching.measure(name, reading.info.size)
            return reading
        entry = await fetching.find(name, key)
        if entry is not None:
            info = entry.info if self._is_fresh(entry) else await self._asked(key, entry)
            if info.etag == entry.info.etag:
                cached = await self._cached(stack, entry, options)
                if cached is not None:
                    return cached
        return await self._cold(stack, key, name, options, fetching)

    async def _cached(self, stack: AsyncExitStack, entry: Entry, options: GetOptions) -> Reading | None:
        info = entry.info
        check_read(options.conditions, info)
        start, stop = resolve(options.range, info.size)
        if start == stop:
            return Reading(info, start, stop, Inline(b""))
        wanted = GetOptions(
            range=Bounded(entry.head_size + start, entry.head_size + stop),
            conditions=Conditions(if_match=(entry.etag,)),
        )
        try:
            reading = await stack.enter_async_context(self._cache.get(entry.name, wanted))
        except (NotFound, PreconditionFailed):
            if self._fetching is not None:
                self._fetching.shelf.gone(entry)
            return None
        except ObjectStoreError as error:
            _log.warning("the cache cannot be read: %s", error)
            return None
        content = reading.content
        if isinstance(content, Streamed):
            content = Streamed(self._continued(content.chunks, info, start, stop))
        return Reading(info, start, stop, content)

    async def _continued(
        self, source: AsyncIterator[bytes] | None, info: ObjectInfo, start: int, stop: int
    ) -> AsyncGenerator[bytes, None]:
        """Bytes `start` to `stop`: from `source`, and where that breaks off from the main store."""
        at = start
        try:
            async for chunk in source or streams.chunks(b""):
                at += len(chunk)
                yield chunk
        except ObjectStoreError as error:
            _log.warning("an entry of the cache broke off: %s", error)
        if at < stop:
            options = GetOptions(range=Bounded(at, stop), conditions=Conditions(if_match=(info.etag,)))
            try:
                async with self._inner.get(info.key, options) as reading:
                    async for chunk in chunks(reading):
                        at += len(chunk)
                        yield chunk
            except (NotFound, PreconditionFailed) as error:
                raise Unavailable(f"{info.key!r} was written while it was read; read it again") from error
            check_whole(at - start, stop - start, info.key)

    async def _cold(
        self, stack: AsyncExitStack, key: str, name: str, options: GetOptions, fetching: Fetching
    ) -> Reading:
        if options != GET:
            # What is asked for may not be worth a fetch of it all.
            info = await self._inner.head(key)
            check_read(options.conditions, info)
            resolve(options.range, info.size)
            if options.range is not None and info.size > _MOST_FOR_A_RANGE:
                return await stack.enter_async_context(self._inner.get(key, options))
        flight = fetching.under_way(name)
        leading = flight is None
        if flight is None:
            if fetching.is_busy(name):
                return await stack.enter_async_context(self._inner.get(key, options))
            flight = fetching.start(key, name, watched=options.range is None)
            stack.callback(flight.leave)  # however this reader ends, the fetch does not wait for it
        fetched = await asyncio.shield(flight.opened)
        if fetched is None:
            return await stack.enter_async_context(self._inner.get(key, options))
        check_read(options.conditions, fetched)
        start, stop = resolve(options.range, fetched.size)
        if leading and flight.watched and fetched.size > SMALL:
            return Reading(fetched, start, stop, Streamed(self._watched(flight, fetched)))
        await flight.wait()
        if flight.data is not None:
            return Reading(fetched, start, stop, Inline(flight.data[start:stop]))
        if flight.entry is not None:
            cached = await self._cached(stack, flight.entry, options)
            if cached is not None:
                return cached
        return await stack.enter_async_context(self._inner.get(key, options))

    async def _watched(self, flight: Flight, info: ObjectInfo) -> AsyncIterator[bytes]:
        at = 0
        async for chunk in flight.watch():
            at += len(chunk)
            yield chunk
            if at == info.size:
                return
        # Others were in a hurry.
        await flight.wait()
        async with AsyncExitStack() as stack:
            if flight.entry is not None:
                rest = await self._cached(stack, flight.entry, GetOptions(range=Bounded(at, info.size)))
                if rest is not None:
                    async for chunk in chunks(rest):
                        yield chunk
                    return
            async for chunk in self._continued(None, info, at, info.size):
                yield chunk
