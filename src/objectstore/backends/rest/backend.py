"""Another server of this kind as a store, spoken to as its clients do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from types import TracebackType
from typing import Final, Self, TypeVar

from objectstore.backends.contract import Uploads
from objectstore.backends.reading import chunks
from objectstore.backends.rest.records import TYPELESS, told
from objectstore.backends.rest.sources import source_of
from objectstore.backends.rest.uploads import RestUploads
from objectstore.client.drivers import AsyncDriver
from objectstore.client.readers import AsyncReader
from objectstore.client.site import Site, parse_site
from objectstore.client.transport import async_transport_to
from objectstore.core.listing import decode_cursor, encode_cursor
from objectstore.errors import (
    ConfigurationError,
    Forbidden,
    InternalError,
    MethodNotAllowed,
    NotFound,
    NotModified,
    ObjectStoreError,
    PreconditionFailed,
    Unauthenticated,
    Unavailable,
    Unsupported,
)
from objectstore.values import (
    NO_ATTRIBUTES,
    UNCONDITIONAL,
    Attributes,
    Body,
    Capabilities,
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
from objectstore.wire import flows
from objectstore.wire.flows import Flow
from objectstore.wire.requests import MAX_BATCH, Request, list_objects
from objectstore.wire.retries import Retries

T = TypeVar("T")
_CAPABILITIES: Final = Capabilities(
    name="RestStore",
    notes=(
        "What cannot be done there cannot be done here.",
        "Of digests SHA-256 is kept; etags are of the other server's choosing.",
    ),
)
_PUT: Final = PutOptions()
_GET: Final = GetOptions()
_COPY: Final = CopyOptions()
_AT_ONCE: Final = 64 * 1024  # bytes up to which a body is read when it is opened


class RestBackend:
    """The store of the server at `base_url`, as far as `api_key` may use it.

    Requests that can be sent again are, `max_retries` times, after `retry_delay` seconds at most, doubled each time.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None = None,
        *,
        timeout: float = 30.0,
        max_retries: int = 2,
        retry_delay: float = 0.2,
        max_connections: int = 100,
    ) -> None:
        self._base_url = base_url
        self._api_key = api_key
        self._timeout = timeout  # seconds without a byte
        self._max_connections = max_connections
        self._retries = Retries(limit=max_retries, delay=retry_delay)
        self._driver: AsyncDriver | None = None
        self._uploads = RestUploads(self.run, self._retries, self.head)

    @property
    def capabilities(self) -> Capabilities:
        return _CAPABILITIES

    @property
    def uploads(self) -> Uploads:
        return self._uploads

    async def __aenter__(self) -> Self:
        try:
            site = parse_site(self._base_url, self._api_key)
        except ValueError as error:
            raise ConfigurationError(str(error)) from None
        transport = async_transport_to(site.origin, timeout=self._timeout, max_connections=self._max_connections)
        self._driver = AsyncDriver(site, transport, self._retries)
        try:
            await self._knock(site)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._close()

    async def put(self, key: str, body: Body, options: PutOptions = _PUT) -> ObjectInfo:
        source = await source_of(body, options)
        return told(await self.run(flows.put(key, source, options.attributes, options.conditions, self._retries)))

    @asynccontextmanager
    async def get(self, key: str, options: GetOptions = _GET) -> AsyncIterator[Reading]:
        found = await self.run(flows.open_object(key, options.range, options.conditions, self._retries))
        async with aclosing(AsyncReader(self._opened(), *found)) as reader:
            if reader.stop - reader.start <= _AT_ONCE:
                # Read now, so that the connection is free while the caller takes its time.
                content: Inline | Streamed = Inline(await reader.read())
            else:
                content = Streamed(aiter(reader))
            yield Reading(told(reader.info), reader.start, reader.stop, content)

    async def head(self, key: str) -> ObjectInfo:
        return told(await self.run(flows.head(key, self._retries)))

    async def delete(self, key: str, conditions: Conditions = UNCONDITIONAL) -> None:
        await self.run(flows.delete(key, conditions, self._retries))

    async def delete_many(self, keys: Sequence[str]) -> Sequence[ObjectStoreError | None]:
        done = await self.run(flows.delete_many(keys, self._retries))
        deleted = set(done.deleted)
        results: list[ObjectStoreError | None] = []
        for key in keys:
            if key in deleted:
                deleted.remove(key)  # named again, it is absent
                results.append(None)
            else:
                results.append(done.failed.get(key) or NotFound(key))
        return results

    async def copy(self, source: str, target: str, options: CopyOptions = _COPY) -> ObjectInfo:
        if options.source != UNCONDITIONAL:
            return await self._copy_through(source, target, options)
        # Named attributes replace those of the source, so that there are none has to be said.
        attributes = NO_ATTRIBUTES if options.attributes is None else _said(options.attributes)
        return told(await self.run(flows.copy(source, target, attributes, options.conditions, self._retries)))

    async def list(self, query: ListQuery) -> ListPage:
        cursor = encode_cursor(query.start) if query.start else None
        request = list_objects(
            prefix=query.prefix,
            delimiter=query.delimiter,
            limit=min(query.limit, MAX_BATCH),
            cursor=cursor,
            start_after=None,
            details=query.details,
        )
        page = await self.run(flows.list_page(request, cursor, self._retries))
        return ListPage(
            keys=page.keys,
            prefixes=page.prefixes,
            objects=tuple(map(told, page.objects)),
            next_start=None if page.next_cursor is None else decode_cursor(page.next_cursor),
        )

    async def check(self) -> None:
        await self.run(flows.send(Request("GET", "/health/ready"), Retries(limit=0)))

    async def run(self, flow: Flow[T]) -> T:
        """What the flow returns. Raises Unavailable: the other server does not take our api_key any more."""
        driver = self._opened()
        try:
            return await driver.run(flow)
        except Unauthenticated as error:
            # It is not our caller's credential that is refused.
            raise Unavailable(f"the server at {driver.site} does not accept the api_key") from error

    def _opened(self) -> AsyncDriver:
        if self._driver is None:
            raise Unavailable("this store is closed")
        return self._driver

    async def _close(self) -> None:
        driver, self._driver = self._driver, None
        if driver is not None:
            await driver.aclose()

    async def _knock(self, site: Site) -> None:
        """Raises ConfigurationError: nobody is there, or not one of us, or it does not know the api_key."""
        request = list_objects(prefix="", delimiter="", limit=1, cursor=None, start_after=None, details=False)
        try:
            await self._opened().run(flows.list_page(request, None, Retries(limit=0)))
        except Unauthenticated:
            raise ConfigurationError(f"the server at {site} does not accept the api_key") from None
        except InternalError as error:
            raise ConfigurationError(f"base_url {site}: {error}") from error
        except Unavailable as error:
            raise ConfigurationError(f"base_url {site}: {error}") from error
        except (Forbidden, MethodNotAllowed, Unsupported):
            pass  # a credential, or a store, for other things than listing

    async def _copy_through(self, source: str, target: str, options: CopyOptions) -> ObjectInfo:
        """The protocol has no conditions on the source: whoever reads it has one version that meets them."""
        try:
            async with self.get(source, GetOptions(conditions=options.source)) as reading:
                info = reading.info
                attributes = info.attributes if options.attributes is None else options.attributes
                put = PutOptions(
                    attributes=attributes, conditions=options.conditions, size=info.size, expected=info.digests
                )
                return await self.put(target, chunks(reading), put)
        except NotModified:
            raise PreconditionFailed(source) from None


def _said(attributes: Attributes) -> Attributes:
    return TYPELESS if attributes == NO_ATTRIBUTES else attributes
