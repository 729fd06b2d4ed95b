"""Uploads in parts to the main store behind a cache."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from datetime import datetime
from typing import Any, Protocol, TypeVar

from objectstore.backends.contract import Uploads
from objectstore.errors import UploadNotFound
from objectstore.values import (
    COMPLETE,
    Body,
    CompleteOptions,
    ObjectInfo,
    Part,
    PutOptions,
    Upload,
    UploadPage,
)

T = TypeVar("T")


class Cache(Protocol):
    """What uploads have to tell the cache."""

    def changing(self, keys: Sequence[str]) -> AbstractAsyncContextManager[None]:
        """Nothing that was cached of these keys outlives what is done inside."""
        ...

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Do `work` beside whoever asked for it."""
        ...


class CachedUploads:
    """The main store's uploads; what is completed is cached no more."""

    def __init__(self, inner: Uploads, cache: Cache) -> None:
        self._inner = inner
        self._cache = cache

    async def begin(self, key: str, options: PutOptions) -> Upload:
        return await self._inner.begin(key, options)

    async def put_part(self, upload_id: str, number: int, body: Body, options: PutOptions) -> Part:
        return await self._inner.put_part(upload_id, number, body, options)

    async def get(self, upload_id: str) -> Upload:
        return await self._inner.get(upload_id)

    async def complete(
        self, upload_id: str, parts: Sequence[tuple[int, str]], options: CompleteOptions = COMPLETE
    ) -> ObjectInfo:
        # A completion goes on when its caller has gone, and what was cached ends with it, not with the caller.
        return await asyncio.shield(self._cache.start(self._complete(upload_id, parts, options)))

    async def _complete(self, upload_id: str, parts: Sequence[tuple[int, str]], options: CompleteOptions) -> ObjectInfo:
        keys: list[str] = []
        with suppress(UploadNotFound):  # it may be completed, which is no reason to fail
            keys.append((await self._inner.get(upload_id)).key)
        async with self._cache.changing(keys):
            return await self._inner.complete(upload_id, parts, options)

    async def abort(self, upload_id: str) -> None:
        await self._inner.abort(upload_id)

    async def list(self, *, prefix: str = "", start: str = "", limit: int = 100) -> UploadPage:
        return await self._inner.list(prefix=prefix, start=start, limit=limit)

    async def expire(self, before: datetime) -> int:
        return await self._inner.expire(before)
