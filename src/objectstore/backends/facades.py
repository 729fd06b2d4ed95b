"""A backend as classes from elsewhere know a store: `get`, `put`, `exists`, `delete`, `keys`, and nothing more."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from objectstore.backends.contract import Backend
from objectstore.backends.reading import read_all
from objectstore.core.keys import check_key
from objectstore.errors import NotFound
from objectstore.values import ListQuery

T = TypeVar("T")
_PAGE: Final = 1000


class AsyncFacade:
    """For classes that await. Whole bodies; a key that is not there is a KeyError. Opening it opens nothing."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    async def put(self, key: str, data: bytes) -> None:
        await self._backend.put(check_key(key), bytes(data))

    async def get(self, key: str) -> bytes:
        async with self._backend.get(check_key(key)) as reading:
            return await read_all(reading)

    async def exists(self, key: str) -> bool:
        try:
            await self._backend.head(check_key(key))
        except NotFound:
            return False
        return True

    async def delete(self, key: str) -> None:
        await self._backend.delete(check_key(key))

    async def keys(self) -> AsyncGenerator[str, None]:
        start: str | None = ""
        while start is not None:
            page, start = await self.page(start)
            for key in page:
                yield key

    async def page(self, start: str) -> tuple[tuple[str, ...], str | None]:
        """Keys from `start` on, and where the next ones start."""
        found = await self._backend.list(ListQuery(start=start, limit=_PAGE))
        return found.keys, found.next_start


class Facade:
    """As `AsyncFacade`, for classes that block, which run in threads: the event loop goes on meanwhile."""

    def __init__(self, backend: Backend, loop: asyncio.AbstractEventLoop) -> None:
        self._awaiting = AsyncFacade(backend)
        self._loop = loop
        self._thread = threading.get_ident()  # of the loop

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def put(self, key: str, data: bytes) -> None:
        self._wait(self._awaiting.put(key, data))

    def get(self, key: str) -> bytes:
        return self._wait(self._awaiting.get(key))

    def exists(self, key: str) -> bool:
        return self._wait(self._awaiting.exists(key))

    def delete(self, key: str) -> None:
        self._wait(self._awaiting.delete(key))

    def keys(self) -> Iterator[str]:
        start: str | None = ""
        while start is not None:
            page, start = self._wait(self._awaiting.page(start))
            yield from page

    def _wait(self, call: Coroutine[Any, Any, T]) -> T:
        if threading.get_ident() == self._thread:
            # Waiting here would be for ever: what is waited for runs in this thread.
            call.close()
            raise RuntimeError("the methods of a store that blocks are not to be called from the event loop")
        return asyncio.run_coroutine_threadsafe(call, self._loop).result()
