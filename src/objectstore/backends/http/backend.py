"""Objects that any web server serves, for reading."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import httpx2

from objectstore.backends.contract import Uploads
from objectstore.backends.http.addresses import parse_base, url_of
from objectstore.backends.http.answers import OURS, read_info, read_span, unsatisfied_size
from objectstore.backends.http.bodies import cut
from objectstore.backends.http.clients import new_client
from objectstore.backends.http.failures import error_of, translated
from objectstore.backends.memory import MemoryBackend
from objectstore.backends.staged import StagedUploads
from objectstore.core.conditions import check_read
from objectstore.core.ranges import resolve
from objectstore.errors import (
    ConfigurationError,
    Corrupted,
    InvalidRange,
    MethodNotAllowed,
    NotModified,
    ObjectStoreError,
    PreconditionFailed,
    Unavailable,
)
from objectstore.values import (
    UNCONDITIONAL,
    Body,
    Capabilities,
    Conditions,
    CopyOptions,
    Etags,
    FileSpan,
    GetOptions,
    Last,
    ListPage,
    ListQuery,
    ObjectInfo,
    PutOptions,
    Reading,
    Streamed,
)
from objectstore.wire.conditions import format_conditions
from objectstore.wire.ranges import format_range

_CAPABILITIES: Final = Capabilities(
    name="HttpStore",
    write=False,
    delete=False,
    listing=False,
    conditions=False,
    digests=False,
    notes=(
        "Only for reading; keys cannot be listed.",
        "Etags and times are what the server tells, digests are not known.",
    ),
)
_GET: Final = GetOptions()
_PUT: Final = PutOptions()
_COPY: Final = CopyOptions()
_BLOCK: Final = 256 * 1024  # bytes
_READS: Final = ("GET", "HEAD")


def _now() -> datetime:
    return datetime.now(UTC)


class HttpBackend:
    """With a `base_url`, keys are paths below it, and nothing outside is asked for; without one they are URLs.

    Redirects are followed to http(s) addresses only, ten in a row at most.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        follow_redirects: bool = True,
        timeout: float = 30.0,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._base_url = base_url
        self._base: str | None = None
        self._follow = follow_redirects
        self._timeout = timeout  # seconds without a byte
        self._clock = clock
        self._client: httpx2.AsyncClient | None = None
        # Refuses to begin any, and knows none.
        self._uploads = StagedUploads(self, MemoryBackend(), clock=clock, new_id=secrets.token_hex)

    @property
    def capabilities(self) -> Capabilities:
        return _CAPABILITIES

    @property
    def uploads(self) -> Uploads:
        return self._uploads

    async def __aenter__(self) -> Self:
        self._base = None if self._base_url is None else parse_base(self._base_url)
        self._client = new_client(timeout=self._timeout, follow_redirects=self._follow)
        try:
            await self.check()
        except Unavailable as error:
            await self._client.aclose()
            raise ConfigurationError(f"base_url: {error}") from error
        except BaseException:
            await self._client.aclose()
            raise
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    @asynccontextmanager
    async def get(self, key: str, options: GetOptions = _GET) -> AsyncIterator[Reading]:
        async with AsyncExitStack() as stack:
            yield await self._open(stack, key, options)

    async def head(self, key: str) -> ObjectInfo:
        async with self._asked("HEAD", key, _GET) as response:
            # Some servers know no HEAD, and some do not tell the length of what they make up as they go.
            span = read_span(response) if response.status_code == 200 else None
            if span is not None:
                return read_info(key, response, span.size, self._clock())
            if response.status_code not in {200, 405, 501}:
                raise error_of(response, key)
        async with self.get(key) as reading:
            return reading.info

    async def list(self, query: ListQuery) -> ListPage:  # noqa: ARG002  the contract's, as all below
        raise MethodNotAllowed("HttpStore cannot list: web servers do not tell their keys", _READS)

    async def check(self) -> None:
        if self._base is None:
            return
        client = self._opened()
        with translated(_host(self._base)):
            # Whatever it answers, somebody is there.
            await client.head(self._base, follow_redirects=False)

    async def put(self, key: str, body: Body, options: PutOptions = _PUT) -> ObjectInfo:  # noqa: ARG002  as above
        raise _read_only()

    async def delete(self, key: str, conditions: Conditions = UNCONDITIONAL) -> None:  # noqa: ARG002  as above
        raise _read_only()

    async def delete_many(self, keys: Sequence[str]) -> Sequence[ObjectStoreError | None]:
        return [_read_only() for _ in keys]

    async def copy(self, source: str, target: str, options: CopyOptions = _COPY) -> ObjectInfo:  # noqa: ARG002  as above
        raise _read_only()

    def _opened(self) -> httpx2.AsyncClient:
        if self._client is None:
            raise Unavailable("this store is closed")
        return self._client

    @asynccontextmanager
    async def _asked(self, method: str, key: str, options: GetOptions) -> AsyncIterator[httpx2.Response]:
        client = self._opened()
        url = url_of(key, self._base)
        fields = format_conditions(_known_there(options.conditions))
        if options.range is not None:
            fields.append((b"range", format_range(options.range)))
        with translated(_host(url)):
            request = client.build_request(method, url, headers=fields)
            response = await client.send(request, stream=True)
        try:
            yield response
        finally:
            await response.aclose()

    async def _open(self, stack: AsyncExitStack, key: str, options: GetOptions) -> Reading:
        if options.range == Last(0):
            await self._refuse(key, options)
        response = await stack.enter_async_context(self._asked("GET", key, options))
        match response.status_code:
            case 200 | 206:
                pass
            case 304:
                raise NotModified((await self.head(key)).etag)
            case 412:
                raise PreconditionFailed(key)
            case 416 if options.range is not None:
                raise InvalidRange(unsatisfied_size(response) or (await self.head(key)).size)
            case _:
                raise error_of(response, key)
        span = read_span(response)
        if span is None:
            return await self._collected(stack, response, key, options)
        info = read_info(key, response, span.size, self._clock())
        # Servers may pass over conditions and ranges.
        check_read(options.conditions, info)
        start, stop = resolve(options.range, span.size)
        if not span.start <= start <= stop <= span.stop:
            raise Corrupted(f"{response.url.host} sent other bytes of {key!r} than it was asked for")
        arriving = await stack.enter_async_context(aclosing(cut(response, span, start, stop)))
        return Reading(info, start, stop, Streamed(arriving))

    async def _refuse(self, key: str, options: GetOptions) -> None:
        # Servers differ on the last no bytes.
        info = await self.head(key)
        check_read(options.conditions, info)
        resolve(options.range, info.size)

    async def _collected(
        self, stack: AsyncExitStack, response: httpx2.Response, key: str, options: GetOptions
    ) -> Reading:
        """A body whose length is not told is taken in first: a reading says how long it is."""
        file = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  the stack is one
        size = 0
        with translated(response.url.host):
            async for chunk in response.aiter_raw(_BLOCK):
                await asyncio.to_thread(file.write, chunk)
                size += len(chunk)
        await asyncio.to_thread(file.flush)
        info = read_info(key, response, size, self._clock())
        check_read(options.conditions, info)
        start, stop = resolve(options.range, size)
        return Reading(info, start, stop, FileSpan(file.fileno(), start, stop))


def _known_there(conditions: Conditions) -> Conditions:
    """The conditions that the server can judge: those on etags of our making are for us alone."""
    match, none_match = conditions.if_match, conditions.if_none_match
    return Conditions(
        if_match=None if _made_up(match) else match,
        if_none_match=None if _made_up(none_match) else none_match,
        # Beside an etag a time does not count (RFC 9110 §13.1), but some servers count it.
        if_modified_since=conditions.if_modified_since if none_match is None else None,
        if_unmodified_since=conditions.if_unmodified_since if match is None else None,
    )


def _made_up(etags: Etags | None) -> bool:
    return isinstance(etags, tuple) and any(etag.startswith(OURS) for etag in etags)


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _read_only() -> MethodNotAllowed:
    return MethodNotAllowed("HttpStore is for reading only", _READS)
