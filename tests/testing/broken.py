"""Backends that each break one promise in a way that has been seen elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from objectstore.backends.memory import MemoryBackend
from objectstore.core.conditions import check_write
from objectstore.core.streams import chunks, read_all
from objectstore.errors import InvalidKey, NotFound, ObjectStoreError
from objectstore.values import (
    NO_ATTRIBUTES,
    UNCONDITIONAL,
    Body,
    Conditions,
    CopyOptions,
    GetOptions,
    Inline,
    ListPage,
    ListQuery,
    ObjectInfo,
    PutOptions,
    Reading,
    Streamed,
)

_PUT = PutOptions()
_GET = GetOptions()
_COPY = CopyOptions()


class IgnoresConditions(MemoryBackend):
    async def put(self, key: str, body: Body, options: PutOptions = _PUT) -> ObjectInfo:
        return await super().put(key, body, replace(options, conditions=UNCONDITIONAL))


class ChecksConditionsBeforeTheBody(MemoryBackend):
    async def put(self, key: str, body: Body, options: PutOptions = _PUT) -> ObjectInfo:
        check_write(options.conditions, key, self._current(key))
        data = await read_all(body)
        await asyncio.sleep(0)
        return await super().put(key, data, replace(options, conditions=UNCONDITIONAL))


class DeletesWhateverIsThere(MemoryBackend):
    async def delete(self, key: str, conditions: Conditions = UNCONDITIONAL) -> None:
        self._find(key)
        await super().delete(key)
        del conditions


class NormalisesPaths(MemoryBackend):
    async def put(self, key: str, body: Body, options: PutOptions = _PUT) -> ObjectInfo:
        return await super().put(key.replace("//", "/"), body, options)


class FoldsCase(MemoryBackend):
    async def put(self, key: str, body: Body, options: PutOptions = _PUT) -> ObjectInfo:
        return await super().put(key.lower(), body, options)

    async def head(self, key: str) -> ObjectInfo:
        return replace(await super().head(key.lower()), key=key)


class LeavesATraceOfWhatItRefuses(MemoryBackend):
    async def put(self, key: str, body: Body, options: PutOptions = _PUT) -> ObjectInfo:
        info = await super().put(key, body, options)
        if key == "..":
            raise InvalidKey("no dots")
        return info


class KeepsWhatArrived(MemoryBackend):
    async def put(self, key: str, body: Body, options: PutOptions = _PUT) -> ObjectInfo:
        held = b""
        try:
            async for chunk in chunks(body):
                held += chunk
        finally:
            await super().put(key, held, options)
        return await self.head(key)


class EtagsOfContent(MemoryBackend):
    async def put(self, key: str, body: Body, options: PutOptions = _PUT) -> ObjectInfo:
        data = await read_all(body)
        return await super().put(key, data, replace(options, etag=options.etag or f"{len(data)}"))


class ForgetsAttributes(MemoryBackend):
    async def put(self, key: str, body: Body, options: PutOptions = _PUT) -> ObjectInfo:
        return await super().put(key, body, replace(options, attributes=NO_ATTRIBUTES))


class BelievesDigests(MemoryBackend):
    async def put(self, key: str, body: Body, options: PutOptions = _PUT) -> ObjectInfo:
        return await super().put(key, body, replace(options, expected={}))


class BelievesSizes(MemoryBackend):
    async def put(self, key: str, body: Body, options: PutOptions = _PUT) -> ObjectInfo:
        return await super().put(key, body, replace(options, size=None))


class ReadsLate(MemoryBackend):
    @asynccontextmanager
    async def get(self, key: str, options: GetOptions = _GET) -> AsyncIterator[Reading]:
        async def late() -> AsyncIterator[bytes]:
            yield self._find(key).data[reading.start : reading.stop]

        async with super().get(key, options) as reading:
            yield replace(reading, content=Streamed(late()))


class CutsRangesShort(MemoryBackend):
    @asynccontextmanager
    async def get(self, key: str, options: GetOptions = _GET) -> AsyncIterator[Reading]:
        async with super().get(key, options) as reading:
            if options.range is None or not isinstance(reading.content, Inline):
                yield reading
            else:
                yield replace(reading, stop=reading.stop - 1, content=Inline(reading.content.data[:-1]))


class ForgetsTheLimit(MemoryBackend):
    async def list(self, query: ListQuery) -> ListPage:
        return await super().list(replace(query, limit=query.limit + 1))


class SkipsAfterAPage(MemoryBackend):
    async def list(self, query: ListQuery) -> ListPage:
        page = await super().list(query)
        return page if page.next_start is None else replace(page, next_start=page.next_start[:-1] + "~")


class OrdersByUtf16(MemoryBackend):
    async def list(self, query: ListQuery) -> ListPage:
        page = await super().list(query)
        return replace(page, keys=tuple(sorted(page.keys, key=lambda key: key.encode("utf-16-be"))))


class ShowsGroupsAgain(MemoryBackend):
    async def list(self, query: ListQuery) -> ListPage:
        page = await super().list(query)
        if page.prefixes and page.next_start is not None:
            return replace(page, next_start=page.prefixes[-1] + "5")
        return page


class CopiesWithoutAttributes(MemoryBackend):
    async def copy(self, source: str, target: str, options: CopyOptions = _COPY) -> ObjectInfo:
        return await super().copy(source, target, replace(options, attributes=options.attributes or NO_ATTRIBUTES))


class DeletesDuplicatesOnce(MemoryBackend):
    async def delete_many(self, keys: Sequence[str]) -> Sequence[ObjectStoreError | None]:
        for key in keys:
            with suppress(NotFound):
                await self.delete(key)
        return [None for _ in keys]


class LeavesTasks(MemoryBackend):
    async def check(self) -> None:
        self._task = asyncio.create_task(asyncio.Event().wait())
