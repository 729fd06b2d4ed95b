"""Mirrors for tests: children that can be away, and a look behind the mirror's back."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

from objectstore.backends.contract import Backend
from objectstore.errors import ObjectStoreError, Unavailable
from objectstore.testing.suite.harness import found, keys
from objectstore.values import (
    UNCONDITIONAL,
    Body,
    Conditions,
    GetOptions,
    ListPage,
    ListQuery,
    ObjectInfo,
    PutOptions,
    Reading,
)
from objectstore.wrappers.forwarding import GET, PUT, Forwarding
from objectstore.wrappers.mirroring import Mirroring
from objectstore.wrappers.mirroring.marks import MARKS, is_reserved


class Leaving(Forwarding):
    """Does what `inner` does until `error` is set, and then fails with that."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner, name=inner.capabilities.name)
        self.error: ObjectStoreError | None = None

    def leave(self) -> None:
        self.error = Unavailable("it has left", retry_after=7)

    def come_back(self) -> None:
        self.error = None

    def _present(self) -> None:
        if self.error is not None:
            raise self.error

    async def put(self, key: str, body: Body, options: PutOptions = PUT) -> ObjectInfo:
        self._present()
        return await super().put(key, body, options)

    def get(self, key: str, options: GetOptions = GET) -> AbstractAsyncContextManager[Reading]:
        self._present()
        return super().get(key, options)

    async def head(self, key: str) -> ObjectInfo:
        self._present()
        return await super().head(key)

    async def delete(self, key: str, conditions: Conditions = UNCONDITIONAL) -> None:
        self._present()
        await super().delete(key, conditions)

    async def delete_many(self, keys: Sequence[str]) -> Sequence[ObjectStoreError | None]:
        self._present()
        return await super().delete_many(keys)

    async def list(self, query: ListQuery) -> ListPage:
        self._present()
        return await super().list(query)

    async def check(self) -> None:
        self._present()


class OwnEtags(Forwarding):
    """Keeps no etag that it is given, as object stores in clouds do."""

    async def put(self, key: str, body: Body, options: PutOptions = PUT) -> ObjectInfo:
        return await super().put(key, body, replace(options, etag=None))


async def marked(backend: Backend) -> int:
    """How many marks a child bears."""
    return len(await keys(backend, MARKS))


async def objects(backend: Backend) -> dict[str, bytes]:
    """What a child holds, reserved keys left out."""
    held = {}
    for key in await keys(backend):
        stored = await found(backend, key)
        if stored is not None and not is_reserved(key):
            held[key] = stored[1]
    return held


async def findings(mirror: Mirroring, *, deep: bool = False, repair: bool = False) -> Sequence[tuple[str, str, bool]]:
    """Kind, key and whether it was repaired."""
    return [(one.kind, one.name, one.repaired) async for one in mirror.findings(deep=deep, repair=repair)]


async def once(data: bytes) -> AsyncIterator[bytes]:
    yield data
