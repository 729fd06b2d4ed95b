"""A store in this process, for code that blocks. What its methods do, and raise, is told by those of `RestStore`."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Unpack

from objectstore.client.sources import Data, Kept
from objectstore.library.aio import AsyncStore
from objectstore.library.calls import Calls
from objectstore.library.readers import StoreReader
from objectstore.values import UNCONDITIONAL, ByteRange, Conditions, ObjectInfo
from objectstore.wire.flows import PART_SIZE
from objectstore.wire.replies import BegunUpload, Deleted, Page, UnfinishedUpload, UploadedPart
from objectstore.wire.requests import MAX_BATCH


class Store:
    """The methods of `RestStore` over a backend in this process. May be shared by threads, which take turns.

    What the backend does beside the calls, it does while one of them runs.
    """

    def __init__(self, store: AsyncStore, runner: asyncio.Runner) -> None:
        self._store = store
        self._calls = Calls(runner)

    def __repr__(self) -> str:
        return repr(self._store).replace("AsyncStore", "Store", 1)

    def put(self, key: str, data: Data, *, conditions: Conditions = UNCONDITIONAL, **kept: Unpack[Kept]) -> ObjectInfo:
        """As `RestStore.put`."""
        return self._calls.run(self._store.put(key, data, conditions=conditions, **kept))

    def get(self, key: str, *, range: ByteRange | None = None, conditions: Conditions = UNCONDITIONAL) -> bytes:  # noqa: A002  its name everywhere
        """As `RestStore.get`."""
        return self._calls.run(self._store.get(key, range=range, conditions=conditions))

    @contextmanager
    def stream(
        self,
        key: str,
        *,
        range: ByteRange | None = None,  # noqa: A002  its name everywhere
        conditions: Conditions = UNCONDITIONAL,
    ) -> Generator[StoreReader]:
        """As `RestStore.stream`."""
        opening = self._store.stream(key, range=range, conditions=conditions)
        reader = self._calls.run(opening.__aenter__())
        try:
            yield StoreReader(reader, self._calls)
        finally:
            self._calls.run(opening.__aexit__(None, None, None))

    def head(self, key: str) -> ObjectInfo:
        """As `RestStore.head`."""
        return self._calls.run(self._store.head(key))

    def exists(self, key: str) -> bool:
        """As `RestStore.exists`."""
        return self._calls.run(self._store.exists(key))

    def delete(self, key: str, *, conditions: Conditions = UNCONDITIONAL) -> None:
        """As `RestStore.delete`."""
        self._calls.run(self._store.delete(key, conditions=conditions))

    def delete_many(self, keys: Iterable[str]) -> Deleted:
        """As `RestStore.delete_many`."""
        return self._calls.run(self._store.delete_many(keys))

    def copy(
        self, source: str, target: str, *, conditions: Conditions = UNCONDITIONAL, **kept: Unpack[Kept]
    ) -> ObjectInfo:
        """As `RestStore.copy`."""
        return self._calls.run(self._store.copy(source, target, conditions=conditions, **kept))

    def keys(self, prefix: str = "") -> Iterator[str]:
        """As `RestStore.keys`."""
        for page in self._pages(prefix, details=False):
            yield from page.keys

    def objects(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """As `RestStore.objects`."""
        for page in self._pages(prefix, details=True):
            yield from page.objects

    def list(
        self,
        prefix: str = "",
        *,
        delimiter: str = "",
        limit: int = MAX_BATCH,
        cursor: str | None = None,
        start_after: str | None = None,
        details: bool = False,
    ) -> Page:
        """As `RestStore.list`."""
        return self._calls.run(
            self._store.list(
                prefix, delimiter=delimiter, limit=limit, cursor=cursor, start_after=start_after, details=details
            )
        )

    def upload(
        self,
        source: Data | str,
        key: str,
        *,
        part_size: int = PART_SIZE,
        conditions: Conditions = UNCONDITIONAL,
        **kept: Unpack[Kept],
    ) -> ObjectInfo:
        """As `put`: there is no connection here to be lost, and so nothing to gain from parts."""
        return self._calls.run(self._store.upload(source, key, part_size=part_size, conditions=conditions, **kept))

    def begin_upload(self, key: str, *, conditions: Conditions = UNCONDITIONAL, **kept: Unpack[Kept]) -> BegunUpload:
        """As `RestStore.begin_upload`; it is a server of the same data that lets uploads expire."""
        return self._calls.run(self._store.begin_upload(key, conditions=conditions, **kept))

    def put_part(self, upload_id: str, number: int, data: Data) -> UploadedPart:
        """As `RestStore.put_part`."""
        return self._calls.run(self._store.put_part(upload_id, number, data))

    def complete_upload(self, upload_id: str, parts: Iterable[UploadedPart]) -> ObjectInfo:
        """As `RestStore.complete_upload`."""
        return self._calls.run(self._store.complete_upload(upload_id, parts))

    def abort_upload(self, upload_id: str) -> None:
        """As `RestStore.abort_upload`."""
        self._calls.run(self._store.abort_upload(upload_id))

    def get_upload(self, upload_id: str) -> UnfinishedUpload:
        """As `RestStore.get_upload`."""
        return self._calls.run(self._store.get_upload(upload_id))

    def uploads(self) -> Iterator[UnfinishedUpload]:
        """As `RestStore.uploads`."""
        yield from self._calls.run(_all(self._store))

    def _pages(self, prefix: str, *, details: bool) -> Iterator[Page]:
        page = self.list(prefix, details=details)
        while page.next_cursor is not None:
            yield page
            page = self.list(prefix, cursor=page.next_cursor, details=details)
        yield page


async def _all(store: AsyncStore) -> tuple[UnfinishedUpload, ...]:
    return tuple([one async for one in store.uploads()])
