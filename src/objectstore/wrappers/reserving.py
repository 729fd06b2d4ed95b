"""Uploads in parts for wrappers whose objects are made from the whole body.

Parts on their way are objects of the inner store, as it is the one place that lasts and that all processes share.
They lie under reserved keys, which are no keys of the wrapper.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Final

from objectstore.backends.contract import Backend, Uploads
from objectstore.backends.staged import StagedUploads
from objectstore.core.listing import PageBuilder, group_of, prefix_end
from objectstore.errors import InvalidKey, NotFound, ObjectStoreError
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
)
from objectstore.wrappers.forwarding import COPY, GET, PUT, Forwarding
from objectstore.wrappers.keymapping import KeyMapping
from objectstore.wrappers.prefix import Prefixed

RESERVED: Final = ".objectstore-uploads/"
_BEHIND: Final = prefix_end(RESERVED) or ""


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return secrets.token_hex(16)


class Reserving(Forwarding):
    """Forwards what does not concern the reserved keys, and stages uploads there.

    A wrapper that overrides a method calls this one's, or `check_unreserved`, before it touches a key.
    """

    def __init__(self, inner: Backend, *, name: str) -> None:
        super().__init__(inner, name=name)
        beneath = _beneath(inner)
        # One that stands on another of its kind finds these keys reserved there, and shares its place.
        self.staging: Backend = Prefixed(inner, RESERVED) if beneath is None else beneath.staging
        self._uploads = StagedUploads(self, self.staging, clock=_now, new_id=_new_id)

    @property
    def capabilities(self) -> Capabilities:
        # Parts are staged as objects, and what is kept inside may have another size.
        return replace(super().capabilities, quotas=False)

    @property
    def uploads(self) -> Uploads:
        return self._uploads

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._uploads.settle()
        finally:
            await super().__aexit__(exc_type, exc, traceback)

    async def put(self, key: str, body: Body, options: PutOptions = PUT) -> ObjectInfo:
        check_unreserved(key)
        return await super().put(key, body, options)

    @asynccontextmanager
    async def get(self, key: str, options: GetOptions = GET) -> AsyncIterator[Reading]:
        seek(key)
        async with super().get(key, options) as reading:
            yield reading

    async def head(self, key: str) -> ObjectInfo:
        seek(key)
        return await super().head(key)

    async def delete(self, key: str, conditions: Conditions = UNCONDITIONAL) -> None:
        seek(key)
        await super().delete(key, conditions)

    async def delete_many(self, keys: Sequence[str]) -> Sequence[ObjectStoreError | None]:
        outcomes = iter(await super().delete_many([key for key in keys if not is_reserved(key)]))
        return [NotFound(key) if is_reserved(key) else next(outcomes) for key in keys]

    async def copy(self, source: str, target: str, options: CopyOptions = COPY) -> ObjectInfo:
        seek(source)
        check_unreserved(target)
        return await super().copy(source, target, options)

    async def list(self, query: ListQuery) -> ListPage:
        return await list_unreserved(self._inner, query)


def _beneath(inner: Backend) -> Reserving | None:
    """The first of these wrappers that `inner` is, or passes keys on to unchanged."""
    while isinstance(inner, Forwarding) and not isinstance(inner, KeyMapping | Reserving):
        inner = inner._inner  # noqa: SLF001  what wraps what is nobody else's business
    return inner if isinstance(inner, Reserving) else None


def is_reserved(key: str) -> bool:
    return key.startswith(RESERVED)


def check_unreserved(key: str) -> None:
    """Raises InvalidKey for a key that is not to be written."""
    if is_reserved(key):
        raise InvalidKey(f"keys that start with {RESERVED!r} are reserved in this store")


def seek(key: str) -> None:
    """Raises NotFound for a key under which nothing is to be found."""
    if is_reserved(key):
        raise NotFound(key)


async def list_unreserved(inner: Backend, query: ListQuery) -> ListPage:
    """The page of `inner` without what is reserved."""
    if not (RESERVED.startswith(query.prefix) or is_reserved(query.prefix)):
        return await inner.list(query)
    if group_of(RESERVED, query) == RESERVED:
        return await _without_its_group(inner, query)
    return await _key_by_key(inner, query)


async def _without_its_group(inner: Backend, query: ListQuery) -> ListPage:
    page = await inner.list(query)
    if RESERVED not in page.prefixes:
        return page
    kept = replace(page, prefixes=tuple(group for group in page.prefixes if group != RESERVED))
    if page.next_start is None:
        return kept
    # One more takes the free place: at most one of its two is there.
    more = await inner.list(replace(query, start=page.next_start, limit=1))
    return ListPage(
        keys=kept.keys + more.keys,
        prefixes=kept.prefixes + more.prefixes,
        objects=kept.objects + more.objects,
        next_start=more.next_start,
    )


async def _key_by_key(inner: Backend, query: ListQuery) -> ListPage:
    builder = PageBuilder(query)
    start: str | None = builder.position
    while start is not None:
        page = await inner.list(replace(query, start=start, delimiter="", limit=query.limit + 1))
        infos = page.objects or (None,) * len(page.keys)
        for key, info in zip(page.keys, infos, strict=True):
            if not is_reserved(key) and not builder.offer(key, info):
                return builder.page()
        start = _following(page, builder.position)
    return builder.page()


def _following(page: ListPage, position: str | None) -> str | None:
    if page.next_start is None or position is None:
        return None
    start = max(page.next_start, position)
    return _BEHIND if is_reserved(start) else start
