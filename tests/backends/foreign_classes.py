"""Stores as somebody else writes them, who has never heard of us."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from types import TracebackType
from typing import Any, Self


class Shelf:
    """Blocks; may only be used by the thread that made it, and only while it is entered."""

    def __init__(self, label: str = "shelf") -> None:
        self.label = label
        self.owner = threading.get_ident()
        self.books: dict[str, bytes] | None = None

    def __enter__(self) -> Self:
        self._check()
        self.books = {}
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._check()
        self.books = None

    def put(self, key: str, data: bytes) -> None:
        self._opened()[key] = data

    def get(self, key: str) -> bytes:
        return self._opened()[key]

    def exists(self, key: str) -> bool:
        return key in self._opened()

    def delete(self, key: str) -> None:
        del self._opened()[key]

    def keys(self) -> Iterator[str]:
        yield from reversed(self._opened())

    def _opened(self) -> dict[str, bytes]:
        self._check()
        assert self.books is not None
        return self.books

    def _check(self) -> None:
        assert threading.get_ident() == self.owner


class AsyncShelf:
    """Awaits; does not complain of a key to delete that is not there."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.books: dict[str, bytes] = {}

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.books.clear()

    async def put(self, key: str, data: bytes) -> None:
        await asyncio.sleep(0)
        self.books[key] = data

    async def get(self, key: str) -> bytes:
        await asyncio.sleep(0)
        return self.books[key]

    async def exists(self, key: str) -> bool:
        return key in self.books

    async def delete(self, key: str) -> None:
        self.books.pop(key, None)

    async def keys(self) -> AsyncIterator[str]:
        for key in list(self.books):
            yield key


class Reversing:
    """Wraps a store that blocks: what it keeps is backwards, under keys with `suffix`."""

    def __init__(self, store: Any, *, suffix: str = ".rev") -> None:
        self.store = store
        self.suffix = suffix

    def put(self, key: str, data: bytes) -> None:
        self.store.put(key + self.suffix, data[::-1])

    def get(self, key: str) -> bytes:
        found: bytes = self.store.get(key + self.suffix)
        return found[::-1]

    def exists(self, key: str) -> bool:
        return bool(self.store.exists(key + self.suffix))

    def delete(self, key: str) -> None:
        self.store.delete(key + self.suffix)

    def keys(self) -> list[str]:
        return [key.removesuffix(self.suffix) for key in self.store.keys()]


class AsyncReversing:
    """As `Reversing`, around a store that awaits."""

    def __init__(self, store: Any) -> None:
        self.store = store

    async def put(self, key: str, data: bytes) -> None:
        async with self.store as store:
            await store.put(key, data[::-1])

    async def get(self, key: str) -> bytes:
        found: bytes = await self.store.get(key)
        return found[::-1]

    async def exists(self, key: str) -> bool:
        return bool(await self.store.exists(key))

    async def delete(self, key: str) -> None:
        await self.store.delete(key)

    async def keys(self) -> list[str]:
        return [key async for key in self.store.keys()]


class Either:
    """Wraps two stores; the second is looked into when the first has nothing."""

    def __init__(self, stores: list[Any]) -> None:
        self.first, self.second = stores

    def get(self, key: str) -> bytes:
        found: bytes = (self.first if self.first.exists(key) else self.second).get(key)
        return found

    def exists(self, key: str) -> bool:
        return bool(self.first.exists(key) or self.second.exists(key))


class Parts:
    """Wraps two stores with a part each."""

    def __init__(self, main_store: Any, cache_store: Any, ttl: int = 0) -> None:
        self.main_store = main_store
        self.cache_store = cache_store
        self.ttl = ttl

    def get(self, key: str) -> bytes:
        found: bytes = self.cache_store.get(key) if self.cache_store.exists(key) else self.main_store.get(key)
        return found

    def exists(self, key: str) -> bool:
        return bool(self.cache_store.exists(key) or self.main_store.exists(key))
