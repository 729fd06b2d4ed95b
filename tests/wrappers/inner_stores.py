"""Stores inside wrappers that lack what the memory backend has."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from objectstore.backends.contract import Backend
from objectstore.backends.reading import read_all
from objectstore.errors import Unsupported
from objectstore.values import (
    NO_ATTRIBUTES,
    NO_DIGESTS,
    Body,
    Capabilities,
    CopyOptions,
    GetOptions,
    ListPage,
    ListQuery,
    ObjectInfo,
    PutOptions,
    Reading,
    Streamed,
)
from objectstore.wrappers.forwarding import COPY, GET, PUT, Forwarding


class Bare(Forwarding):
    """Keeps bytes and nothing beside them."""

    @property
    def capabilities(self) -> Capabilities:
        return replace(self._inner.capabilities, name="Bare", attributes=False, digests=False)

    async def put(self, key: str, body: Body, options: PutOptions = PUT) -> ObjectInfo:
        if options.attributes != NO_ATTRIBUTES:
            raise Unsupported("no attributes here")
        return _bare(await super().put(key, body, options))

    @asynccontextmanager
    async def get(self, key: str, options: GetOptions = GET) -> AsyncIterator[Reading]:
        async with super().get(key, options) as reading:
            yield replace(reading, info=_bare(reading.info))

    async def head(self, key: str) -> ObjectInfo:
        return _bare(await super().head(key))

    async def copy(self, source: str, target: str, options: CopyOptions = COPY) -> ObjectInfo:
        if options.attributes is not None and options.attributes != NO_ATTRIBUTES:
            raise Unsupported("no attributes here")
        return _bare(await super().copy(source, target, options))

    async def list(self, query: ListQuery) -> ListPage:
        page = await super().list(query)
        return replace(page, objects=tuple(_bare(info) for info in page.objects))


class Streaming(Forwarding):
    """Gives every reading as a stream of small chunks, as a store behind a network does; counts bytes given."""

    def __init__(self, inner: Backend, chunk: int = 1000) -> None:
        super().__init__(inner)
        self._chunk = chunk
        self.given = 0

    @asynccontextmanager
    async def get(self, key: str, options: GetOptions = GET) -> AsyncIterator[Reading]:
        async with super().get(key, options) as reading:
            yield replace(reading, content=Streamed(self._chunks(await read_all(reading))))

    async def _chunks(self, data: bytes) -> AsyncIterator[bytes]:
        for at in range(0, len(data), self._chunk):
            chunk = data[at : at + self._chunk]
            self.given += len(chunk)
            yield chunk


def _bare(info: ObjectInfo) -> ObjectInfo:
    return replace(info, attributes=NO_ATTRIBUTES, digests=NO_DIGESTS)
