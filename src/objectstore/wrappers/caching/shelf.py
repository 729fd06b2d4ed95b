"""What is in the cache store, how much it is, and what has to go first.

Nothing here fails because the cache store does: that is logged, and there is no entry then.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice
from typing import Final

from objectstore.backends.contract import Backend
from objectstore.backends.reading import read_all
from objectstore.errors import NotFound, ObjectStoreError
from objectstore.values import Bounded, GetOptions, ListQuery
from objectstore.wrappers.caching.entry import MOST_HEAD, ROOM, Entry, load_head

_log: Final = logging.getLogger("objectstore.caching")
_PAGE: Final = 1000
MOST_ENTRIES: Final = 250_000  # whose names and sizes are in memory
MOST_HEADS: Final = 20_000  # which are, too
_SWEEP: Final = 100  # entries that could not be removed before, and are tried again with others


class Shelf:
    """The entries under `ROOM` of a store, least recently read first; other objects there are none of ours.

    Their sizes together, with what is reserved for those on their way, never exceed `max_bytes` (None: no limit).
    """

    def __init__(self, store: Backend, max_bytes: int | None) -> None:
        self.store: Final = store
        self._max_bytes = max_bytes
        self._probing = store.capabilities.shared  # other processes may have put entries there
        self._sizes: OrderedDict[str, int] = OrderedDict()  # of all entries, in the order of their last reading
        self._entries: dict[str, Entry] = {}  # those whose head has been read
        self._leaving: dict[str, int] = {}  # sizes of those that are no entries any more, and not yet removed
        self._loads: dict[str, object] = {}
        self._used = 0

    async def open(self) -> None:
        """Learn what an earlier process left. Raises whatever the store does."""
        found: list[tuple[float, str, int]] = []
        start: str | None = ROOM
        while start is not None:
            page = await self.store.list(ListQuery(prefix=ROOM, start=start, limit=_PAGE, details=True))
            room = MOST_ENTRIES - len(found)
            found += [(info.modified.timestamp(), info.key, info.size) for info in page.objects[:room]]
            if page.objects[room:]:
                await self.store.delete_many([info.key for info in page.objects[room:]])
            start = page.next_start
        for _, name, size in sorted(found):
            self._sizes[name] = size
            self._used += size
        await self._trim()

    def fits(self, size: int) -> bool:
        return self._max_bytes is None or size <= self._max_bytes

    async def find(self, name: str, key: str) -> Entry | None:
        """The entry of the object `key`."""
        if name in self._leaving and not await self.remove([name]):
            return None
        entry = self._entries.get(name)
        if entry is None and (self._probing or name in self._sizes):
            entry = await self._load(name, key)
        if entry is not None and name in self._sizes:
            self._sizes.move_to_end(name)
        return entry

    def add(self, entry: Entry) -> None:
        """An entry has been stored, in room that was reserved for it."""
        self._sizes[entry.name] = entry.size
        self._entries[entry.name] = entry
        if len(self._entries) > MOST_HEADS:
            del self._entries[next(iter(self._entries))]

    async def reserve(self, size: int) -> bool:
        """Have room for `size` bytes more, by removing what was not read for the longest time; whether there is."""
        if not self.fits(size):
            return False
        while self._is_over(size):
            if not self._sizes:
                return False  # the rest is on its way in or out
            if not await self.remove([next(iter(self._sizes))]):
                return False
        self._used += size
        return True

    def discard(self, name: str, size: int) -> None:
        """What room was reserved for did not become an entry; `remove` what may be there of it."""
        self.forget(name)
        self._leaving[name] = self._leaving.get(name, 0) + size

    def forget(self, name: str) -> None:
        """From now on this is no entry; `remove` it when there is time."""
        self._loads.pop(name, None)
        self._entries.pop(name, None)
        size = self._sizes.pop(name, None)
        if size is not None or self._probing:
            self._leaving[name] = self._leaving.get(name, 0) + (size or 0)

    async def remove(self, names: Sequence[str]) -> bool:
        """Forget these and free their room; whether that could be done. What could not is no entry all the same."""
        for name in names:
            if name in self._sizes:
                self.forget(name)
        leaving = [name for name in names if name in self._leaving]
        if not leaving:
            return True
        leaving += islice((name for name in self._leaving if name not in leaving), _SWEEP)
        try:
            outcomes: Sequence[ObjectStoreError | None] = await self.store.delete_many(leaving)
        except ObjectStoreError as error:
            outcomes = [error] * len(leaving)
        done = True
        for name, outcome in zip(leaving, outcomes, strict=True):
            if outcome is None or isinstance(outcome, NotFound):
                self._used -= self._leaving.pop(name, 0)
            else:
                done = done and name not in names
                _log.warning("the cache cannot remove an entry: %s", outcome)
        return done

    async def _load(self, name: str, key: str) -> Entry | None:
        # Whoever forgets the entry meanwhile takes the token away.
        token = self._loads[name] = object()
        try:
            async with self.store.get(name, GetOptions(range=Bounded(0, MOST_HEAD))) as reading:
                head_size, info, checked = load_head(await read_all(reading))
                stored = reading.info
        except NotFound:
            self._drop(name)
            return None
        except ObjectStoreError as error:
            _log.warning("the cache cannot be read: %s", error)
            return None
        if self._loads.pop(name, None) is not token:
            return None
        if info.key != key or stored.size != head_size + info.size:
            await self.remove([name])
            return None
        self._used += stored.size - self._sizes.get(name, 0)
        entry = Entry(name, stored.etag, stored.size, head_size, info, checked)
        self.add(entry)
        self._sizes.move_to_end(name)
        await self._trim()
        return self._entries.get(name)

    def _drop(self, name: str) -> None:
        """Somebody else has removed it."""
        self._loads.pop(name, None)
        self._entries.pop(name, None)
        self._used -= self._sizes.pop(name, 0)

    def gone(self, entry: Entry) -> None:
        """The entry was not found, or another is in its place."""
        if self._entries.get(entry.name) is entry:
            self._drop(entry.name)

    async def _trim(self) -> None:
        while self._sizes and self._is_over(0):
            if not await self.remove([next(iter(self._sizes))]):
                return

    def _is_over(self, added: int) -> bool:
        too_many = len(self._sizes) + bool(added) > MOST_ENTRIES
        return too_many or (self._max_bytes is not None and self._used + added > self._max_bytes)
