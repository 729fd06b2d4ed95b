"""One fetch of an object into the cache, whoever else may want it meanwhile."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from objectstore.values import ObjectInfo
from objectstore.wrappers.caching.entry import Entry

_MOST_SHOWN: Final = 8  # chunks that the watcher may be behind


class Flight:
    """What the readers of one cold key share: what is known so far, and what came of it.

    The first of them may watch the chunks go by. It is waited for, so that memory stays flat, but only while
    nobody else waits for the end: then it is left behind, and reads the rest from the cache.
    """

    def __init__(self, name: str, *, watched: bool) -> None:
        self.name = name
        self.opened: asyncio.Future[ObjectInfo | None] = asyncio.get_running_loop().create_future()  # None: too large
        self.ended = asyncio.Event()  # `data`, `entry`, or neither is known for good
        self.data: bytes | None = None
        self.entry: Entry | None = None
        self.stale = False  # the object was written meanwhile: nothing of this is for later readers
        self._shown: deque[bytes] = deque()
        self._complete = False
        self._error: BaseException | None = None
        self._watched = watched
        self._awaited = False
        self._changed = asyncio.Event()

    @property
    def watched(self) -> bool:
        """Whether somebody still follows every chunk."""
        return self._watched

    async def show(self, chunk: bytes) -> None:
        """Hand a chunk to the watcher."""
        while self._watched and len(self._shown) >= _MOST_SHOWN:
            if self._awaited:
                self._watched = False
                break
            self._changed.clear()
            await self._changed.wait()
        if self._watched:
            self._shown.append(chunk)
            self._changed.set()

    def end(self, error: BaseException | None = None) -> None:
        """Nothing more comes: because that was all, or because of `error`."""
        self._complete = True
        self._error = error
        if not self.opened.done():
            if error is None:
                self.opened.set_result(None)
            else:
                self.opened.set_exception(error)
                self.opened.exception()  # there may be nobody any more whom it concerns
        self.ended.set()
        self._changed.set()

    async def watch(self) -> AsyncIterator[bytes]:
        """The chunks, up to where the watcher was left behind. Raises what ended the fetch."""
        while True:
            if self._shown:
                yield self._shown.popleft()
                self._changed.set()
            elif not self._watched:
                return
            elif self._complete:
                if self._error is not None:
                    raise self._error
                return
            else:
                self._changed.clear()
                await self._changed.wait()

    def leave(self) -> None:
        """Nobody watches any more."""
        self._watched = False
        self._shown.clear()
        self._changed.set()

    async def wait(self) -> None:
        """Wait for the end, which comes at the pace of the stores from now on."""
        self._awaited = True
        self._changed.set()
        await self.ended.wait()
