"""A store for zarr that asks the server no more than it has to.

`zarr.storage.FsspecStore` works too, over `objectstore.fsspec`, and takes as many requests for chunks. It has no words
for conditions, for the sizes of many objects and for their removal, and so takes more for the rest.
"""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from typing import Any, Final, Self, cast

try:
    from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
except ModuleNotFoundError as missing:
    raise ModuleNotFoundError("ZarrStore needs zarr: pip install 'objectstore[zarr]'", name=missing.name) from missing

from objectstore.client import AsyncRestStore, Page, RestStore
from objectstore.client.place import Place, join_url, look_up, split_url
from objectstore.core.coalescing import Span, coalesce
from objectstore.errors import AlreadyExists, InvalidRange, NotFound
from objectstore.values import ONLY_IF_ABSENT, Bounded, ByteRange, From, Last

_GAP: Final = 64 * 1024  # bytes that are read for nothing rather than with a request of their own
_SPAN: Final = 16 * 1024 * 1024  # bytes; larger reads are better made side by side


_CLIENTS: Final[dict[tuple[object, ...], tuple[AsyncRestStore, RestStore]]] = {}


def _clients(
    place: Place, timeout: float, max_retries: int, retry_delay: float, max_connections: int
) -> tuple[AsyncRestStore, RestStore]:
    # Zarr makes a store of the same place for every group that it opens.
    key = (place, timeout, max_retries, retry_delay, max_connections)
    if key not in _CLIENTS:
        how = (place.url, place.token, timeout, max_retries, retry_delay)
        _CLIENTS[key] = (
            AsyncRestStore.create(*how, max_connections=max_connections),
            RestStore.create(*how, max_connections=max_connections),
        )
    return _CLIENTS[key]


@atexit.register
def _hang_up() -> None:
    # Nobody closes the stores of zarr. The loop of the other clients has ended by now.
    for _, blocking in _CLIENTS.values():
        blocking.close()


class ZarrStore(Store):
    """Arrays and groups under a prefix of an object store.

    May be used from any thread, goes through pickle with its token, and may be used after a fork. Stores of one place
    share their connections. A key that is absent is None or no error, as zarr has it; all else is raised as the errors
    of `objectstore.errors`.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        read_only: bool = False,
        timeout: float = 30.0,
        max_retries: int = 3,
        retry_delay: float = 1.0,
        max_connections: int = 100,
    ) -> None:
        """The store at `url`; nothing is connected yet.

        Args:
            url: as in `objectstore://host:port/prefix`, or `objectstore:///prefix` for the server of `OBJECTSTORE_URL`.
            token: by default `OBJECTSTORE_TOKEN`.
            read_only: refuse to write.
            timeout: as for `RestStore.create`, like the next three.
            max_retries: tries after the first.
            retry_delay: seconds before the first retry at most.
            max_connections: requests under way at once.
        """
        super().__init__(read_only=read_only)
        base, prefix = split_url(url)
        if base is None and "://" not in url:
            raise ValueError(f"{url!r} is not where a store is: say objectstore://host:port/prefix")
        self._place = look_up(base, token)
        self._given: dict[str, Any] = {
            "url": url,
            "token": token,
            "timeout": timeout,
            "max_retries": max_retries,
            "retry_delay": retry_delay,
            "max_connections": max_connections,
        }
        self.path = prefix.removesuffix("/")
        self._how = (self._place, timeout, max_retries, retry_delay, max_connections)
        self._client, self._blocking = _clients(*self._how)

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (self._given, self.read_only)

    def __repr__(self) -> str:
        return f"<ZarrStore {join_url(self._place.url, self.path)}>"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ZarrStore) and (self._place, self.path, self.read_only) == (
            other._place,
            other.path,
            other.read_only,
        )

    def __hash__(self) -> int:
        return hash((self._place, self.path, self.read_only))

    def with_read_only(self, read_only: bool = False) -> Self:
        return type(self)(**self._given, read_only=read_only)

    async def aclose(self) -> None:
        """Close the connections. `close` leaves them open, since zarr goes on using stores that it closed."""
        _CLIENTS.pop(self._how, None)
        await self._client.aclose()
        self._blocking.close()

    @property
    def supports_writes(self) -> bool:
        return True

    @property
    def supports_deletes(self) -> bool:
        return True

    @property
    def supports_listing(self) -> bool:
        return True

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        try:
            data = await self._client.get(self._key(key), range=_range(byte_range))
        except NotFound:
            return None
        except InvalidRange:
            data = b""
        return prototype.buffer.from_bytes(data)

    def get_sync(
        self, key: str, *, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        try:
            data = self._blocking.get(self._key(key), range=_range(byte_range))
        except NotFound:
            return None
        except InvalidRange:
            data = b""
        return (prototype or default_buffer_prototype()).buffer.from_bytes(data)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Ranges of one key that are near each other come with one request."""
        asked = list(key_ranges)
        found: list[Buffer | None] = [None] * len(asked)
        near: dict[str, list[int]] = {}
        async with asyncio.TaskGroup() as group:
            for number, (key, wanted) in enumerate(asked):
                if isinstance(wanted, RangeByteRequest) and wanted.start < wanted.end:
                    near.setdefault(key, []).append(number)
                else:
                    group.create_task(self._fill(found, number, key, prototype, wanted))
            for key, numbers in near.items():
                reads = [asked[number][1] for number in numbers]
                pairs = [(read.start, read.end) for read in reads if isinstance(read, RangeByteRequest)]
                for span in coalesce(pairs, _GAP, _SPAN):
                    places = {numbers[at]: pairs[at] for at in span.wanted}
                    group.create_task(self._fill_span(found, key, prototype, span, places))
        return found

    async def _fill(
        self, found: list[Buffer | None], number: int, key: str, prototype: BufferPrototype, wanted: ByteRequest | None
    ) -> None:
        found[number] = await self.get(key, prototype, wanted)

    async def _fill_span(
        self,
        found: list[Buffer | None],
        key: str,
        prototype: BufferPrototype,
        span: Span,
        places: dict[int, tuple[int, int]],
    ) -> None:
        data = await self.get(key, prototype, RangeByteRequest(span.start, span.stop))
        for number, (start, stop) in places.items():
            found[number] = None if data is None else data[start - span.start : stop - span.start]

    async def exists(self, key: str) -> bool:
        return await self._client.exists(self._key(key))

    async def getsize(self, key: str) -> int:
        try:
            return (await self._client.head(self._key(key))).size
        except NotFound as error:
            raise FileNotFoundError(key) from error

    async def getsize_prefix(self, prefix: str) -> int:
        pages = self._pages(_folder(prefix), details=True)
        return sum([info.size async for page in pages for info in page.objects])

    async def set(self, key: str, value: Buffer) -> None:
        self._check_writable()
        await self._client.put(self._key(key), _bytes_of(value))

    def set_sync(self, key: str, value: Buffer) -> None:
        self._check_writable()
        self._blocking.put(self._key(key), _bytes_of(value))

    async def set_if_not_exists(self, key: str, value: Buffer) -> None:
        """Of many writers one wins, and the others change nothing."""
        self._check_writable()
        with suppress(AlreadyExists):
            await self._client.put(self._key(key), _bytes_of(value), conditions=ONLY_IF_ABSENT)

    async def delete(self, key: str) -> None:
        self._check_writable()
        with suppress(NotFound):
            await self._client.delete(self._key(key))

    def delete_sync(self, key: str) -> None:
        self._check_writable()
        with suppress(NotFound):
            self._blocking.delete(self._key(key))

    async def delete_dir(self, prefix: str) -> None:
        self._check_writable()
        async for page in self._pages(_folder(prefix)):
            result = await self._client.delete_many(page.keys)
            for error in result.failed.values():
                raise error

    async def clear(self) -> None:
        await self.delete_dir("")

    async def is_empty(self, prefix: str) -> bool:
        return not (await self._client.list(self._key(_folder(prefix)), limit=1)).keys

    async def list(self) -> AsyncIterator[str]:
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        start = len(self._key(""))
        async for page in self._pages(prefix):
            for key in page.keys:
                yield key[start:]

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        folder = _folder(prefix)
        start = len(self._key(folder))
        async for page in self._pages(folder, delimiter="/"):
            for name in (*page.keys, *page.prefixes):
                yield name[start:].removesuffix("/")

    async def _pages(self, prefix: str, *, delimiter: str = "", details: bool = False) -> AsyncIterator[Page]:
        cursor: str | None = None
        while True:
            page = await self._client.list(self._key(prefix), delimiter=delimiter, cursor=cursor, details=details)
            yield page
            cursor = page.next_cursor
            if cursor is None:
                return

    def _key(self, key: str) -> str:
        return f"{self.path}/{key}" if self.path else key


def _made(given: dict[str, Any], read_only: bool) -> ZarrStore:
    return ZarrStore(**given, read_only=read_only)


def _folder(prefix: str) -> str:
    return f"{prefix}/" if prefix and not prefix.endswith("/") else prefix


def _bytes_of(value: Buffer) -> memoryview:
    if not isinstance(value, Buffer):
        raise TypeError(f"what zarr stores is a Buffer, not {type(value).__name__}")
    return memoryview(cast("Any", value.as_numpy_array()))


def _range(wanted: ByteRequest | None) -> ByteRange | None:
    match wanted:
        case None:
            return None
        case RangeByteRequest(start, end):
            return Bounded(start, end) if start < end else Last(0)  # nothing, of an object that has to be there
        case OffsetByteRequest(offset):
            return From(offset)
        case SuffixByteRequest(suffix):
            return Last(suffix)
        case _:
            raise TypeError(f"Unexpected byte_range, got {wanted!r}")
