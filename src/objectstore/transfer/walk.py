"""Listings from their beginning to their end, alone and beside each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from objectstore.backends.contract import Backend
from objectstore.errors import Corrupted, ObjectStoreError
from objectstore.transfer.patience import patiently
from objectstore.values import ListPage, ListQuery, ObjectInfo
from objectstore.wire.retries import Retries

PAGE: Final = 1000  # keys


class ListingFailed(Exception):
    """A listing broke off, so what comes after is not known."""

    def __init__(self, whose: str, error: ObjectStoreError) -> None:
        super().__init__(whose)
        self.whose = whose
        self.error = error


async def walk(backend: Backend, prefix: str, whose: str, retries: Retries) -> AsyncGenerator[ObjectInfo, None]:
    """Every object below `prefix`, in order, a page ahead.

    Raises:
        ListingFailed: also for a listing that is not in order, since comparing it would find objects missing
            that are there. `whose` says which one.
    """
    last = ""
    try:
        async with aclosing(_pages(backend, prefix, retries)) as pages:
            async for page in pages:
                for info in page.objects:
                    if info.key <= last or not info.key.startswith(prefix):
                        raise Corrupted(f"{info.key!r} came after {last!r}, which is out of order")
                    last = info.key
                    yield info
    except ObjectStoreError as error:
        raise ListingFailed(whose, error) from error


async def _pages(backend: Backend, prefix: str, retries: Retries) -> AsyncGenerator[ListPage, None]:
    query = ListQuery(prefix=prefix, limit=PAGE, details=True)

    def ask(start: str) -> asyncio.Task[ListPage]:
        return asyncio.create_task(patiently(lambda: backend.list(replace(query, start=start)), retries))

    coming: asyncio.Task[ListPage] | None = ask("")
    try:
        while coming is not None:
            page = await coming
            coming = None if page.next_start is None else ask(page.next_start)
            yield page
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.wait([coming])
            if not coming.cancelled():
                coming.exception()  # looked at, or asyncio would complain: nobody goes on with this listing


async def side_by_side(
    source: AsyncIterator[ObjectInfo], target: AsyncIterator[ObjectInfo]
) -> AsyncGenerator[tuple[ObjectInfo | None, ObjectInfo | None], None]:
    """Each key that either has, in order, with what the source and the target know of it."""
    ours, theirs = await anext(source, None), await anext(target, None)
    while ours is not None or theirs is not None:
        if theirs is None or (ours is not None and ours.key < theirs.key):
            yield ours, None
            ours = await anext(source, None)
        elif ours is None or theirs.key < ours.key:
            yield None, theirs
            theirs = await anext(target, None)
        else:
            yield ours, theirs
            ours, theirs = await anext(source, None), await anext(target, None)
