"""A store in this process, for code that awaits. What its methods do, and raise, is told by those of `RestStore`."""

from __future__ import annotations

from builtins import list as List  # noqa: N812  the method of that name hides it in annotations
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Final, Unpack

from objectstore.backends.contract import Backend
from objectstore.client.sources import AsyncData, Kept, aopened
from objectstore.core.attributes import check_attributes
from objectstore.core.keys import check_key
from objectstore.core.listing import after, decode_cursor, encode_cursor
from objectstore.errors import InvalidParameter, NotFound, ObjectStoreError
from objectstore.library.readers import AsyncStoreReader
from objectstore.values import (
    UNCONDITIONAL,
    Attributes,
    Body,
    ByteRange,
    Conditions,
    CopyOptions,
    GetOptions,
    ListQuery,
    ObjectInfo,
    Part,
    PutOptions,
    Upload,
)
from objectstore.wire.flows import PART_SIZE
from objectstore.wire.replies import BegunUpload, Deleted, Page, UnfinishedUpload, UploadedPart
from objectstore.wire.requests import MAX_BATCH

_LIFETIME: Final = timedelta(days=7)  # of an upload that nobody completes, where a server serves the store


class AsyncStore:
    """The methods of `AsyncRestStore` over a backend in this process, which is open."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def __repr__(self) -> str:
        return f"<AsyncStore {self._backend.capabilities.name}>"

    async def put(
        self, key: str, data: AsyncData, *, conditions: Conditions = UNCONDITIONAL, **kept: Unpack[Kept]
    ) -> ObjectInfo:
        """As `RestStore.put`; `data` may also be an async iterable of bytes."""
        attributes = check_attributes(Attributes(**kept))
        async with _body(data) as (body, size):
            options = PutOptions(attributes=attributes, conditions=conditions, size=size)
            return await self._backend.put(_key(key), body, options)

    async def get(
        self,
        key: str,
        *,
        range: ByteRange | None = None,  # noqa: A002  its name everywhere
        conditions: Conditions = UNCONDITIONAL,
    ) -> bytes:
        """As `RestStore.get`."""
        async with self.stream(key, range=range, conditions=conditions) as reader:
            return await reader.read()

    @asynccontextmanager
    async def stream(
        self,
        key: str,
        *,
        range: ByteRange | None = None,  # noqa: A002  its name everywhere
        conditions: Conditions = UNCONDITIONAL,
    ) -> AsyncGenerator[AsyncStoreReader, None]:
        """As `RestStore.stream`, in an `async with`."""
        options = GetOptions(range=range, conditions=conditions)
        async with self._backend.get(_key(key), options) as reading, aclosing(AsyncStoreReader(reading)) as reader:
            yield reader

    async def head(self, key: str) -> ObjectInfo:
        """As `RestStore.head`."""
        return await self._backend.head(_key(key))

    async def exists(self, key: str) -> bool:
        """As `RestStore.exists`."""
        try:
            await self.head(key)
        except NotFound:
            return False
        return True

    async def delete(self, key: str, *, conditions: Conditions = UNCONDITIONAL) -> None:
        """As `RestStore.delete`."""
        await self._backend.delete(_key(key), conditions)

    async def delete_many(self, keys: Iterable[str]) -> Deleted:
        """As `RestStore.delete_many`."""
        if isinstance(keys, str):
            raise TypeError("delete_many takes several keys, as in [key]; a single one is for delete")
        deleted: List[str] = []
        absent: List[str] = []
        failed: dict[str, ObjectStoreError] = {}
        left = iter(dict.fromkeys(keys))
        while batch := [_key(key) for key in islice(left, MAX_BATCH)]:
            for key, error in zip(batch, await self._backend.delete_many(batch), strict=True):
                if error is None:
                    deleted.append(key)
                elif isinstance(error, NotFound):
                    absent.append(key)
                else:
                    failed[key] = error
        return Deleted(deleted=tuple(deleted), absent=tuple(absent), failed=failed)

    async def copy(
        self, source: str, target: str, *, conditions: Conditions = UNCONDITIONAL, **kept: Unpack[Kept]
    ) -> ObjectInfo:
        """As `RestStore.copy`."""
        attributes = check_attributes(Attributes(**kept)) if kept else None
        options = CopyOptions(attributes=attributes, conditions=conditions)
        return await self._backend.copy(_key(source), _key(target), options)

    async def keys(self, prefix: str = "") -> AsyncIterator[str]:
        """As `RestStore.keys`, with `async for`."""
        async for page in self._pages(prefix, details=False):
            for key in page.keys:
                yield key

    async def objects(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        """As `RestStore.objects`, with `async for`."""
        async for page in self._pages(prefix, details=True):
            for info in page.objects:
                yield info

    async def list(
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
        if not 1 <= limit <= MAX_BATCH:
            raise InvalidParameter(f"a page has a limit of 1 to {MAX_BATCH} keys, not {limit}")
        start = max(
            "" if start_after is None else after(start_after),
            "" if cursor is None else decode_cursor(cursor),
        )
        found = await self._backend.list(
            ListQuery(prefix=prefix, delimiter=delimiter, start=start, limit=limit, details=details)
        )
        return Page(
            keys=found.keys,
            prefixes=found.prefixes,
            objects=found.objects,
            next_cursor=None if found.next_start is None else encode_cursor(found.next_start),
        )

    async def upload(
        self,
        source: AsyncData | str,
        key: str,
        *,
        part_size: int = PART_SIZE,
        conditions: Conditions = UNCONDITIONAL,
        **kept: Unpack[Kept],
    ) -> ObjectInfo:
        """As `put`: there is no connection here to be lost, and so nothing to gain from parts."""
        if part_size < 1:
            raise InvalidParameter(f"a part has at least 1 byte, not {part_size}")
        data = Path(source) if isinstance(source, str) else source
        return await self.put(key, data, conditions=conditions, **kept)

    async def begin_upload(
        self, key: str, *, conditions: Conditions = UNCONDITIONAL, **kept: Unpack[Kept]
    ) -> BegunUpload:
        """As `RestStore.begin_upload`; it is a server of the same data that lets uploads expire."""
        if conditions.if_modified_since is not None or conditions.if_unmodified_since is not None:
            raise InvalidParameter("an upload in parts takes conditions on etags only, not on times")
        options = PutOptions(attributes=check_attributes(Attributes(**kept)), conditions=conditions)
        begun = await self._backend.uploads.begin(_key(key), options)
        return BegunUpload(upload_id=begun.upload_id, part_size=PART_SIZE, expires=begun.begun + _LIFETIME)

    async def put_part(self, upload_id: str, number: int, data: AsyncData) -> UploadedPart:
        """As `RestStore.put_part`; `data` may also be an async iterable of bytes."""
        async with _body(data) as (body, size):
            return _part(await self._backend.uploads.put_part(upload_id, number, body, PutOptions(size=size)))

    async def complete_upload(self, upload_id: str, parts: Iterable[UploadedPart]) -> ObjectInfo:
        """As `RestStore.complete_upload`."""
        return await self._backend.uploads.complete(upload_id, [(part.number, part.etag) for part in parts])

    async def abort_upload(self, upload_id: str) -> None:
        """As `RestStore.abort_upload`."""
        await self._backend.uploads.abort(upload_id)

    async def get_upload(self, upload_id: str) -> UnfinishedUpload:
        """As `RestStore.get_upload`."""
        return _upload(await self._backend.uploads.get(upload_id))

    async def uploads(self) -> AsyncIterator[UnfinishedUpload]:
        """As `RestStore.uploads`, with `async for`."""
        start: str | None = ""
        while start is not None:
            page = await self._backend.uploads.list(start=start, limit=MAX_BATCH)
            for one in page.uploads:
                yield _upload(one)
            start = page.next_start

    async def _pages(self, prefix: str, *, details: bool) -> AsyncIterator[Page]:
        page = await self.list(prefix, details=details)
        while page.next_cursor is not None:
            yield page
            page = await self.list(prefix, cursor=page.next_cursor, details=details)
        yield page


def _key(key: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a key is a str, not {type(key).__name__}")
    return check_key(key)


@asynccontextmanager
async def _body(data: AsyncData) -> AsyncGenerator[tuple[Body, int | None], None]:
    """What a backend takes, and its size in bytes, when that is known."""
    if isinstance(data, bytes | bytearray | memoryview):
        whole = bytes(data)
        yield whole, len(whole)
        return
    async with aopened(data) as source:
        yield (bytes(chunk) async for chunk in source.achunks()), source.size


def _part(part: Part) -> UploadedPart:
    return UploadedPart(number=part.number, size=part.size, etag=part.etag)


def _upload(upload: Upload) -> UnfinishedUpload:
    return UnfinishedUpload(
        upload_id=upload.upload_id, key=upload.key, begun=upload.begun, parts=tuple(map(_part, upload.parts))
    )
