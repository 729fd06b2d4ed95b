"""Objects of the main store on their way into the cache, each fetched once however many want it."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, Final

from objectstore.backends.contract import Backend
from objectstore.backends.reading import chunks, read_all
from objectstore.errors import Corrupted, ObjectStoreError, Unavailable
from objectstore.values import ObjectInfo, PutOptions
from objectstore.wrappers.caching.entry import Entry, dump_head
from objectstore.wrappers.caching.flight import Flight
from objectstore.wrappers.caching.shelf import Shelf

_log: Final = logging.getLogger("objectstore.caching")
SMALL: Final = 256 * 1024  # bytes: up to this an object is in hand while it is cached
_MOST_REMEMBERED: Final = 10_000  # keys of objects that are too large


class Fetching:
    """What is fetched from `main` for `shelf`, and which entries may be used beside that.

    `begin` has a fetch done beside whoever asked for it; `clock` gives seconds since 1970.
    """

    def __init__(
        self,
        main: Backend,
        shelf: Shelf,
        clock: Callable[[], float],
        begin: Callable[[Coroutine[Any, Any, None]], object],
    ) -> None:
        self.shelf: Final = shelf
        self._main = main
        self._clock = clock
        self._begin = begin
        self._flights: dict[str, Flight] = {}
        self._busy: set[str] = set()  # names of entries that are on their way into the cache store
        self._large: OrderedDict[str, None] = OrderedDict()

    async def find(self, name: str, key: str) -> Entry | None:
        """The entry of the object `key`, if none is on its way."""
        return None if name in self._busy else await self.shelf.find(name, key)

    async def remove(self, name: str) -> None:
        """Remove the entry, unless another is on its way."""
        if name not in self._busy:
            await self.shelf.remove([name])

    async def invalidate(self, names: Sequence[str]) -> None:
        """Have no entry of these, nor one come of what is under way."""
        # All of it before the first await, where a cancellation could end this.
        for name in names:
            self._large.pop(name, None)
            flight = self._flights.pop(name, None)
            if flight is not None:
                flight.stale = True
            self.shelf.forget(name)
        await self.shelf.remove([name for name in names if name not in self._busy])

    def is_busy(self, name: str) -> bool:
        """Whether bytes may still be on their way to the entry, also of a version that was overwritten."""
        return name in self._busy

    def is_large(self, name: str) -> bool:
        """Whether the object was too large for the cache when it was last looked at."""
        return name in self._large

    def measure(self, name: str, size: int) -> None:
        """A large object was seen to have `size` bytes now: somebody else may have written it."""
        if self.shelf.fits(size):
            self._large.pop(name, None)

    def under_way(self, name: str) -> Flight | None:
        """The fetch of the object as it is now, which others may join."""
        return self._flights.get(name)

    def start(self, key: str, name: str, *, watched: bool) -> Flight:
        """Begin a fetch; none may be under way, nor the entry busy."""
        flight = self._flights[name] = Flight(name, watched=watched)
        self._busy.add(name)
        self._begin(self._fly(flight, key))
        return flight

    async def _fly(self, flight: Flight, key: str) -> None:
        error: BaseException | None = None
        try:
            await self._fetch(flight, key)
        except asyncio.CancelledError:
            error = Unavailable("the store is being closed")
            raise
        except Exception as caught:  # noqa: BLE001  the readers raise it
            error = caught
        finally:
            if self._flights.get(flight.name) is flight:
                del self._flights[flight.name]
            self._busy.discard(flight.name)
            flight.end(error)

    async def _fetch(self, flight: Flight, key: str) -> None:
        checked = self._clock()
        async with self._main.get(key) as reading:
            info = reading.info
            head = dump_head(info, checked)
            size = len(head) + info.size
            if not self.shelf.fits(size):
                self._remember_large(flight.name)
                return
            flight.opened.set_result(info)
            if info.size <= SMALL:
                data = await read_all(reading)
                check_whole(len(data), info.size, key)
                flight.data = data
                flight.ended.set()
                await self._fill(flight, head, _one(data), info, checked)
            else:
                source = chunks(reading)
                if not await self._fill(flight, head, self._shown(flight, source), info, checked):
                    await self._show_rest(flight, source)

    async def _fill(
        self, flight: Flight, head: bytes, body: AsyncIterator[bytes], info: ObjectInfo, checked: float
    ) -> bool:
        """Put the object into the cache; whether `body` was taken to its end."""
        size = len(head) + info.size
        # What is there by that name is of another version.
        if not await self.shelf.remove([flight.name]) or not await self.shelf.reserve(size):
            return False
        kept = False
        source = _Source(body)
        try:
            stored = await self.shelf.store.put(flight.name, _joined(head, source), PutOptions(size=size))
            kept = not flight.stale
        except ObjectStoreError as error:
            if source.error is not None:
                raise source.error from None
            _log.warning("the cache cannot keep an object: %s", error)
        finally:
            if not kept:
                self.shelf.discard(flight.name, size)
                await self.shelf.remove([flight.name])
        if kept:
            flight.entry = Entry(flight.name, stored.etag, size, len(head), info, checked)
            self.shelf.add(flight.entry)
        return source.ended

    async def _shown(self, flight: Flight, source: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in source:
            await flight.show(chunk)
            yield chunk

    async def _show_rest(self, flight: Flight, source: AsyncIterator[bytes]) -> None:
        """The cache is out: others ask the main store, and the watcher gets what it has begun to read."""
        flight.ended.set()
        while flight.watched and (chunk := await anext(source, None)) is not None:
            await flight.show(chunk)

    def _remember_large(self, name: str) -> None:
        self._large[name] = None
        while len(self._large) > _MOST_REMEMBERED:
            self._large.popitem(last=False)


class _Source:
    """The chunks of a body as they are taken, and whether it failed or came to its end."""

    def __init__(self, source: AsyncIterator[bytes]) -> None:
        self._source = source
        self.error: Exception | None = None
        self.ended = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._source:
                yield chunk
            self.ended = True
        except Exception as error:
            self.error = error
            raise


async def _joined(head: bytes, body: _Source) -> AsyncIterator[bytes]:
    yield head
    async for chunk in body:
        yield chunk


async def _one(data: bytes) -> AsyncIterator[bytes]:
    yield data


def check_whole(received: int, wanted: int, key: str) -> None:
    """Raises Corrupted: the main store gave another number of bytes than it said."""
    if received != wanted:
        raise Corrupted(f"the main store gave {received} bytes of {key!r} instead of {wanted}")
