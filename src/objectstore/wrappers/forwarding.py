"""What every wrapper starts from: a backend that does what the one inside does."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from types import TracebackType
from typing import Final, Self

from objectstore.backends.contract import Backend, Metered, Uploads
from objectstore.backends.statistics import Level, Measured, levels_of, measured_of
from objectstore.errors import ObjectStoreError, Unsupported
from objectstore.values import (
    UNCONDITIONAL,
    Body,
    Capabilities,
    Conditions,
    CopyOptions,
    GetOptions,
    ListPage,
    ListQuery,
    ObjectInfo,
    PutOptions,
    Reading,
    Usage,
)

PUT: Final = PutOptions()
GET: Final = GetOptions()
COPY: Final = CopyOptions()


class Forwarding:
    """Forwards every call to `inner`, and opens and closes it; wrappers override what they are about.

    `name` is the type name that `capabilities` tell.
    """

    def __init__(self, inner: Backend, *, name: str = "IdentityStore") -> None:
        self._inner = inner
        self._name = name

    @property
    def capabilities(self) -> Capabilities:
        return replace(self._inner.capabilities, name=self._name)

    @property
    def uploads(self) -> Uploads:
        return self._inner.uploads

    async def __aenter__(self) -> Self:
        await self._inner.__aenter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._inner.__aexit__(exc_type, exc, traceback)

    async def put(self, key: str, body: Body, options: PutOptions = PUT) -> ObjectInfo:
        return await self._inner.put(key, body, options)

    def get(self, key: str, options: GetOptions = GET) -> AbstractAsyncContextManager[Reading]:
        return self._inner.get(key, options)

    async def head(self, key: str) -> ObjectInfo:
        return await self._inner.head(key)

    async def delete(self, key: str, conditions: Conditions = UNCONDITIONAL) -> None:
        await self._inner.delete(key, conditions)

    async def delete_many(self, keys: Sequence[str]) -> Sequence[ObjectStoreError | None]:
        return await self._inner.delete_many(keys)

    async def copy(self, source: str, target: str, options: CopyOptions = COPY) -> ObjectInfo:
        return await self._inner.copy(source, target, options)

    async def list(self, query: ListQuery) -> ListPage:
        return await self._inner.list(query)

    async def usage(self, prefixes: Sequence[str]) -> Sequence[Usage]:
        if not isinstance(self._inner, Metered):
            raise Unsupported("this store does not count what is kept under a prefix")
        return await self._inner.usage(prefixes)

    def measured(self) -> Sequence[Measured]:
        return measured_of([self._inner])

    async def levels(self) -> Sequence[Level]:
        return await levels_of([self._inner])

    async def check(self) -> None:
        await self._inner.check()
