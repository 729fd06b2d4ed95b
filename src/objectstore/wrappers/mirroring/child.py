"""One store of a mirror: what it is called, what it holds, what it says about itself."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Final

from objectstore.backends.contract import Backend
from objectstore.backends.reading import read_all
from objectstore.core.conditions import check_read
from objectstore.errors import (
    Corrupted,
    InternalError,
    InvalidKey,
    NotFound,
    ObjectStoreError,
    Retryable,
    StorageFull,
    Unavailable,
)
from objectstore.values import ONLY_IF_ABSENT, UNCONDITIONAL, Conditions, GetOptions, ObjectInfo, PutOptions, Reading
from objectstore.wrappers.mirroring import marks
from objectstore.wrappers.mirroring.marks import Mark

AWAY: Final = (Retryable, Corrupted, InternalError)
"""Errors by which a child does not answer: nothing is known of what it holds, or of what it did."""


class Child:
    """The store at place `number` of a mirror; the one at 0 is the first, and decides.

    Its `head` and `opened` tell of objects under the etags that the first child gave them.
    """

    def __init__(self, number: int, backend: Backend) -> None:
        self.number = number
        self.backend = backend

    @property
    def name(self) -> str:
        return f"child {self.number} ({self.backend.capabilities.name})"

    @property
    def first(self) -> bool:
        return self.number == 0

    async def head(self, key: str) -> ObjectInfo:
        """Raises NotFound, also for a key that cannot be held here."""
        try:
            info = await self.backend.head(key)
        except InvalidKey as error:
            if self.first:
                raise
            raise NotFound(key) from error
        return await self.outer(info)

    async def current(self, key: str) -> ObjectInfo | None:
        try:
            return await self.head(key)
        except NotFound:
            return None

    @asynccontextmanager
    async def opened(self, key: str, options: GetOptions) -> AsyncIterator[Reading]:
        if self.first:
            async with self.backend.get(key, options) as reading:
                yield reading
            return
        # Before the range, which is refused only when the conditions hold; and again for what was opened.
        if options.conditions is not UNCONDITIONAL:
            check_read(options.conditions, await self.head(key))
        async with self.backend.get(key, GetOptions(range=options.range)) as reading:
            info = await self.outer(reading.info)
            check_read(options.conditions, info)
            yield replace(reading, info=info)

    async def outer(self, info: ObjectInfo) -> ObjectInfo:
        """`info` of this child with the etag that the object has outside."""
        if self.first:
            return info
        try:
            async with self.backend.get(marks.etag_key(info.key)) as reading:
                told = json.loads(await read_all(reading))
        except (NotFound, InvalidKey):
            return info
        except ValueError as error:
            raise Corrupted(f"a record of an etag cannot be read: {error}") from error
        return replace(info, etag=told["outer"]) if told["own"] == info.etag else info

    async def keep_etag(self, info: ObjectInfo, outer: str) -> None:
        """Remember that `info`, as this child knows it, is told with the etag `outer`."""
        if info.etag != outer:
            told = {"key": info.key, "own": info.etag, "outer": outer}
            await self.backend.put(marks.etag_key(info.key), json.dumps(told, ensure_ascii=False).encode())

    async def remove(self, key: str) -> None:
        """Have no object under `key`, whether there was one or not."""
        with suppress(NotFound, InvalidKey):
            await self.backend.delete(key)
        # After the object: alone it means nothing.
        with suppress(NotFound):
            await self.backend.delete(marks.etag_key(key))

    async def mark(self, key: str) -> tuple[Mark, str] | None:
        """The mark on `key`, and its etag. Raises Corrupted for one that cannot be read."""
        return await self._mark_at(marks.mark_key(key))

    async def mark_at(self, mark_key: str) -> Mark | None:
        """The mark kept under `mark_key`, as a listing of marks tells it."""
        found = await self._mark_at(mark_key)
        return None if found is None else found[0]

    async def _mark_at(self, mark_key: str) -> tuple[Mark, str] | None:
        try:
            async with self.backend.get(mark_key) as reading:
                return marks.load(await read_all(reading)), reading.info.etag
        except (NotFound, InvalidKey):  # where there can be no such key, there was never a mark
            return None

    async def put_mark(self, mark: Mark, over: str | None) -> str:
        """Put the mark in the place of the one with the etag `over`, or where there is none; its etag.

        Raises PreconditionFailed when somebody else was faster, if this child can tell.
        """
        conditions = UNCONDITIONAL
        if self.backend.capabilities.conditions:
            conditions = ONLY_IF_ABSENT if over is None else Conditions(if_match=(over,))
        options = PutOptions(conditions=conditions)
        return (await self.backend.put(marks.mark_key(mark.key), marks.dump(mark), options)).etag

    async def remove_mark(self, key: str, etag: str) -> None:
        """Raises NotFound, PreconditionFailed when it is not that mark any more, if this child can tell."""
        conditions = Conditions(if_match=(etag,)) if self.backend.capabilities.conditions else UNCONDITIONAL
        await self.backend.delete(marks.mark_key(key), conditions)

    def told(self, error: ObjectStoreError, consequence: str) -> ObjectStoreError:
        """`error` as one of the mirror, with the name of this child where it is about the store, not the request."""
        if isinstance(error, InvalidKey | StorageFull):
            return type(error)(self._message(error, consequence))
        return self.unavailable(error, consequence) if isinstance(error, AWAY) else error

    def unavailable(self, error: ObjectStoreError, consequence: str) -> Unavailable:
        return Unavailable(self._message(error, consequence), retry_after=getattr(error, "retry_after", None))

    def _message(self, error: ObjectStoreError, consequence: str) -> str:
        return f"{self.name}: {error}; {consequence}"
