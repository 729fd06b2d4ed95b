"""The client that awaits. What its methods do, and raise, is told by those of `RestStore`."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from types import TracebackType
from typing import Self, Unpack

from objectstore.client.drivers import AsyncDriver
from objectstore.client.place import chosen_place
from objectstore.client.readers import AsyncReader
from objectstore.client.site import parse_site
from objectstore.client.sources import AsyncData, Kept, aopened
from objectstore.client.transfers.aio import AsyncTransfers
from objectstore.client.transport import async_transport_to
from objectstore.errors import NotFound
from objectstore.values import NO_ATTRIBUTES, UNCONDITIONAL, Attributes, ByteRange, Conditions, ObjectInfo
from objectstore.wire import flows
from objectstore.wire.links import DEFAULT_LIFETIME, LinkMethod, SignedLink, sign_link
from objectstore.wire.replies import BegunUpload, Deleted, Page, UnfinishedUpload, UploadedPart
from objectstore.wire.requests import MAX_BATCH, list_objects
from objectstore.wire.retries import Retries
from objectstore.wire.usage import QuotaUsage


class AsyncRestStore(AsyncTransfers):
    """As `RestStore`, with `await`, `async for` and `async with`. May be used in one event loop after another."""

    def __init__(self, driver: AsyncDriver) -> None:
        """Over a driver of the caller's making; `create` is what users call."""
        self._driver = driver
        self._retries = driver.retries

    @classmethod
    def create(
        cls,
        base_url: str | None = None,
        api_key: str | None = None,
        timeout: float = 30.0,
        max_retries: int = 3,
        retry_delay: float = 1.0,
        *,
        max_connections: int = 100,
        ca_file: str | os.PathLike[str] | None = None,
        profile: str | None = None,
    ) -> Self:
        """A client of the server at `base_url`; nothing is connected yet. Arguments as for `RestStore.create`."""
        place = chosen_place(base_url, api_key, profile)
        site = parse_site(place.url, place.token)
        retries = Retries(limit=max_retries, delay=retry_delay)
        transport = async_transport_to(site.origin, timeout=timeout, max_connections=max_connections, ca_file=ca_file)
        return cls(AsyncDriver(site, transport, retries))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<AsyncRestStore {self._driver.site}>"

    async def aclose(self) -> None:
        """Close the connections. May be called again; other calls raise RuntimeError from then on."""
        await self._driver.aclose()

    async def put(
        self, key: str, data: AsyncData, *, conditions: Conditions = UNCONDITIONAL, **kept: Unpack[Kept]
    ) -> ObjectInfo:
        """As `RestStore.put`; `data` may also be an async iterable of bytes."""
        attributes = Attributes(**kept) if kept else NO_ATTRIBUTES
        async with aopened(data) as source:
            return await self._driver.run(flows.put(key, source, attributes, conditions, self._retries))

    async def get(
        self,
        key: str,
        *,
        range: ByteRange | None = None,  # noqa: A002  its name everywhere
        conditions: Conditions = UNCONDITIONAL,
    ) -> bytes:
        """As `RestStore.get`."""
        found = await self._driver.run(flows.get_or_open(key, range, conditions, self._retries))
        if isinstance(found, bytes):
            return found
        async with aclosing(AsyncReader(self._driver, *found)) as reader:
            return await reader.read()

    @asynccontextmanager
    async def stream(
        self,
        key: str,
        *,
        range: ByteRange | None = None,  # noqa: A002  its name everywhere
        conditions: Conditions = UNCONDITIONAL,
    ) -> AsyncGenerator[AsyncReader, None]:
        """As `RestStore.stream`, in an `async with`."""
        found = await self._driver.run(flows.open_object(key, range, conditions, self._retries))
        async with aclosing(AsyncReader(self._driver, *found)) as reader:
            yield reader

    async def head(self, key: str) -> ObjectInfo:
        """As `RestStore.head`."""
        return await self._driver.run(flows.head(key, self._retries))

    async def exists(self, key: str) -> bool:
        """As `RestStore.exists`."""
        try:
            await self.head(key)
        except NotFound:
            return False
        return True

    async def delete(self, key: str, *, conditions: Conditions = UNCONDITIONAL) -> None:
        """As `RestStore.delete`."""
        await self._driver.run(flows.delete(key, conditions, self._retries))

    async def delete_many(self, keys: Iterable[str]) -> Deleted:
        """As `RestStore.delete_many`."""
        return await self._driver.run(flows.delete_many(keys, self._retries))

    async def copy(
        self, source: str, target: str, *, conditions: Conditions = UNCONDITIONAL, **kept: Unpack[Kept]
    ) -> ObjectInfo:
        """As `RestStore.copy`."""
        attributes = Attributes(**kept) if kept else NO_ATTRIBUTES
        return await self._driver.run(flows.copy(source, target, attributes, conditions, self._retries))

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
        request = list_objects(
            prefix=prefix, delimiter=delimiter, limit=limit, cursor=cursor, start_after=start_after, details=details
        )
        return await self._driver.run(flows.list_page(request, cursor, self._retries))

    async def sign(
        self,
        key: str,
        *,
        expires: float | timedelta = DEFAULT_LIFETIME,
        method: LinkMethod = "GET",
        max_bytes: int | None = None,
        content_type: str | None = None,
        filename: str | None = None,
    ) -> SignedLink:
        """As `RestStore.sign`."""
        request = sign_link(
            key, expires=expires, method=method, max_bytes=max_bytes, content_type=content_type, filename=filename
        )
        return await self._driver.run(flows.sign(request, str(self._driver.site), self._retries))

    async def usage(self) -> Sequence[QuotaUsage]:
        """As `RestStore.usage`."""
        return await self._driver.run(flows.usage(self._retries))

    async def begin_upload(
        self, key: str, *, conditions: Conditions = UNCONDITIONAL, **kept: Unpack[Kept]
    ) -> BegunUpload:
        """As `RestStore.begin_upload`."""
        attributes = Attributes(**kept) if kept else NO_ATTRIBUTES
        return await self._driver.run(flows.begin_upload(key, attributes, conditions, self._retries))

    async def put_part(self, upload_id: str, number: int, data: AsyncData) -> UploadedPart:
        """As `RestStore.put_part`; `data` may also be an async iterable of bytes."""
        async with aopened(data) as source:
            return await self._driver.run(flows.put_part(upload_id, number, source, self._retries))

    async def complete_upload(self, upload_id: str, parts: Iterable[UploadedPart]) -> ObjectInfo:
        """As `RestStore.complete_upload`."""
        return await self._driver.run(flows.complete_upload(upload_id, parts, self._retries))

    async def abort_upload(self, upload_id: str) -> None:
        """As `RestStore.abort_upload`."""
        await self._driver.run(flows.abort_upload(upload_id, self._retries))

    async def get_upload(self, upload_id: str) -> UnfinishedUpload:
        """As `RestStore.get_upload`."""
        return await self._driver.run(flows.get_upload(upload_id, self._retries))

    async def uploads(self) -> AsyncIterator[UnfinishedUpload]:
        """As `RestStore.uploads`, with `async for`."""
        cursor = None
        while True:
            found, cursor = await self._driver.run(flows.list_uploads(cursor, self._retries))
            for one in found:
                yield one
            if cursor is None:
                return

    async def _pages(self, prefix: str, *, details: bool) -> AsyncIterator[Page]:
        page = await self.list(prefix, details=details)
        while page.next_cursor is not None:
            yield page
            page = await self.list(prefix, cursor=page.next_cursor, details=details)
        yield page
