"""The way to the server: one seam, behind which an HTTP library does the work.

A transport sends one request to its server and gives the head of the answer and its body as it comes. It knows
neither keys nor retries. What goes wrong on the way is a `ConnectionFailed`.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol, TypeAlias, cast
from urllib.request import getproxies, proxy_bypass
from weakref import WeakSet

import httpx2

from objectstore.wire.headers import FieldList, Fields
from objectstore.wire.retries import ConnectionFailed

Outgoing: TypeAlias = bytes | Iterable[bytes | memoryview]
AsyncOutgoing: TypeAlias = bytes | AsyncIterable[bytes | memoryview]

# Servers close idle connections too, uvicorn after 5 s: one that is about to be closed is not to be used.
_IDLE: Final = 4.0  # seconds
_NOT_SENT: Final = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
)


class Response(Protocol):
    """An answer whose body has not been read."""

    status: int
    fields: Fields

    def __iter__(self) -> Iterator[bytes]:
        """The body, once. Raises ConnectionFailed: it ended before its announced end."""
        ...

    def close(self) -> None:
        """Give the connection back; it is cut when the body was not read to its end."""
        ...


class AsyncResponse(Protocol):
    """As `Response`."""

    status: int
    fields: Fields

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def aclose(self) -> None: ...


class Transport(Protocol):
    """Safe to use from several threads, and in the child after a fork."""

    def send(self, method: str, target: str, fields: FieldList, body: Outgoing | None) -> Response:
        """The answer to a request. Raises ConnectionFailed, or what iterating over the body raises."""
        ...

    def close(self) -> None: ...


class AsyncTransport(Protocol):
    """As `Transport`; usable from one event loop after another."""

    async def send(self, method: str, target: str, fields: FieldList, body: AsyncOutgoing | None) -> AsyncResponse: ...

    async def aclose(self) -> None: ...


def _fields(response: httpx2.Response) -> Fields:
    pairs = [(name.lower(), value) for name, value in response.headers.raw]
    found = dict(pairs)
    if len(found) < len(pairs):
        # Lines of one name are one field (RFC 9110 §5.3); of those that are not, as Set-Cookie, none is read here.
        for name in found:
            found[name] = b", ".join([value for other, value in pairs if other == name])
    return found


class _Stream(httpx2.SyncByteStream):
    def __init__(self, chunks: Iterable[bytes | memoryview]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return cast("Iterator[bytes]", iter(self._chunks))  # h11 takes any buffer


class _AsyncStream(httpx2.AsyncByteStream):
    def __init__(self, chunks: AsyncIterable[bytes | memoryview]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> AsyncIterator[bytes]:
        return cast("AsyncIterator[bytes]", aiter(self._chunks))  # h11 takes any buffer


class _Way:
    """What both transports know of the way to `origin`."""

    def __init__(self, origin: str, timeout: float, max_connections: int) -> None:
        if not timeout > 0:
            raise ValueError("the timeout is a number of seconds above 0")
        if max_connections < 1:
            raise ValueError("the connections are a number from 1 on")
        self.url = httpx2.URL(origin)
        self.host = self.url.netloc.decode()
        self.timeout = timeout
        self._timeouts = {"connect": timeout, "read": timeout, "write": timeout, "pool": timeout}
        self._proxy = self._find_proxy()
        self._tls = self._make_tls()
        self._limits = httpx2.Limits(
            max_connections=max_connections, max_keepalive_connections=max_connections, keepalive_expiry=_IDLE
        )

    def request(
        self, method: str, target: str, fields: FieldList, stream: httpx2.SyncByteStream | httpx2.AsyncByteStream
    ) -> httpx2.Request:
        # The target goes as an extension, so that nothing parses, tidies or encodes it again.
        extensions = {"timeout": self._timeouts, "target": target.encode()}
        headers = [(b"host", self.host.encode()), *fields]
        return httpx2.Request(method, self.url, headers=headers, stream=stream, extensions=extensions)

    def pool(self) -> httpx2.HTTPTransport:
        return httpx2.HTTPTransport(verify=self._tls, proxy=self._proxy, limits=self._limits)

    def async_pool(self) -> httpx2.AsyncHTTPTransport:
        return httpx2.AsyncHTTPTransport(verify=self._tls, proxy=self._proxy, limits=self._limits)

    def _make_tls(self) -> ssl.SSLContext:
        # Loading the certificates of all authorities takes a quarter of a second: once for all pools to come, and not
        # at all for plain HTTP.
        if self.url.scheme == "https" or self._proxy:
            return httpx2.create_ssl_context()
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    def _find_proxy(self) -> str | None:
        if proxy_bypass(self.host):
            return None
        proxies = getproxies()
        proxy = proxies.get(self.url.scheme) or proxies.get("all")
        return f"http://{proxy}" if proxy and "://" not in proxy else proxy

    @contextmanager
    def translated(self) -> Generator[None]:
        """Foreign errors as ours; what a body raises while it is sent passes."""
        try:
            yield
        except httpx2.TransportError as error:
            raise ConnectionFailed(self._reason(error), sent=not isinstance(error, _NOT_SENT)) from error

    def _reason(self, error: httpx2.TransportError) -> str:
        if isinstance(error, httpx2.PoolTimeout):
            return f"no connection to {self.host} became free within {self.timeout:g} s: all are in use"
        if isinstance(error, httpx2.TimeoutException):
            return f"{self.host} did not answer within {self.timeout:g} s"
        what = "cannot connect to" if isinstance(error, _NOT_SENT) else "the connection was lost to"
        return f"{what} {self.host}: {str(error) or type(error).__name__}"


class _HttpxResponse:
    def __init__(self, way: _Way, response: httpx2.Response) -> None:
        self._way = way
        self._response = response
        self.status = response.status_code
        self.fields = _fields(response)

    def __iter__(self) -> Iterator[bytes]:
        with self._way.translated():
            yield from cast("httpx2.SyncByteStream", self._response.stream)  # from a sync transport

    def close(self) -> None:
        self._response.stream.close()  # type: ignore[union-attr]


class _AsyncHttpxResponse:
    def __init__(self, way: _Way, response: httpx2.Response) -> None:
        self._way = way
        self._response = response
        self.status = response.status_code
        self.fields = _fields(response)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with self._way.translated():
            async for chunk in cast("httpx2.AsyncByteStream", self._response.stream):  # from an async transport
                yield chunk

    async def aclose(self) -> None:
        await self._response.stream.aclose()  # type: ignore[union-attr]


class HttpxTransport:
    """A pool of connections kept by httpx2. Proxies are those of the environment (`HTTP_PROXY`, `NO_PROXY`, …)."""

    def __init__(self, origin: str, *, timeout: float, max_connections: int) -> None:
        self._way = _Way(origin, timeout, max_connections)
        self._pool = self._way.pool()
        self._inherited: list[httpx2.HTTPTransport] = []
        _LIVING.add(self)

    def send(self, method: str, target: str, fields: FieldList, body: Outgoing | None) -> Response:
        stream = httpx2.ByteStream(body or b"") if body is None or isinstance(body, bytes) else _Stream(body)
        request = self._way.request(method, target, fields, stream)
        with self._way.translated():
            return _HttpxResponse(self._way, self._pool.handle_request(request))

    def close(self) -> None:
        self._pool.close()

    def leave_to_parent(self) -> None:
        # The sockets are the parent's, and a lock of the pool may be held by a thread that does not exist here.
        # Kept, since even the garbage collector would close them.
        self._inherited.append(self._pool)
        self._pool = self._way.pool()


class AsyncHttpxTransport:
    """As `HttpxTransport`, with a pool for the event loop that runs."""

    def __init__(self, origin: str, *, timeout: float, max_connections: int) -> None:
        self._way = _Way(origin, timeout, max_connections)
        self._pool: httpx2.AsyncHTTPTransport | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inherited: list[httpx2.AsyncHTTPTransport | None] = []
        _LIVING.add(self)

    async def send(self, method: str, target: str, fields: FieldList, body: AsyncOutgoing | None) -> AsyncResponse:
        stream = httpx2.ByteStream(body or b"") if body is None or isinstance(body, bytes) else _AsyncStream(body)
        request = self._way.request(method, target, fields, stream)
        with self._way.translated():
            return _AsyncHttpxResponse(self._way, await self._of_this_loop().handle_async_request(request))

    async def aclose(self) -> None:
        if self._pool is not None and self._loop is asyncio.get_running_loop():
            await self._pool.aclose()
        self._pool = None

    def _of_this_loop(self) -> httpx2.AsyncHTTPTransport:
        loop = asyncio.get_running_loop()
        if self._pool is None or self._loop is not loop:
            # Connections are bound to the loop that opened them; one that has ended took its connections along.
            self._pool, self._loop = self._way.async_pool(), loop
        return self._pool

    def leave_to_parent(self) -> None:
        self._inherited.append(self._pool)
        self._pool = None


_LIVING: Final[WeakSet[HttpxTransport | AsyncHttpxTransport]] = WeakSet()


def _after_fork() -> None:
    for transport in list(_LIVING):
        transport.leave_to_parent()


os.register_at_fork(after_in_child=_after_fork)
