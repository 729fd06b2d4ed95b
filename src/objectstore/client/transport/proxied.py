"""Through a proxy, by httpx2, which knows their kinds: plain, tunnels for TLS, with TLS of their own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Final, cast

import httpx2

from objectstore.client.transport.contract import AsyncOutgoing, AsyncResponse, Outgoing, Response
from objectstore.client.transport.forks import renew_in_children
from objectstore.client.transport.way import IDLE, Way
from objectstore.wire.headers import FieldList, Fields

_NOT_SENT: Final = (httpx2.ConnectError, httpx2.ProxyError, httpx2.UnsupportedProtocol)


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


class _Proxied:
    """What both transports make of the way."""

    def __init__(self, way: Way) -> None:
        self.way = way
        self.url = httpx2.URL(way.origin)
        self._timeouts = dict.fromkeys(("connect", "read", "write", "pool"), way.timeout)
        self._limits = httpx2.Limits(
            max_connections=way.max_connections,
            max_keepalive_connections=way.max_connections,
            keepalive_expiry=IDLE,
        )

    def request(
        self, method: str, target: str, fields: FieldList, stream: httpx2.SyncByteStream | httpx2.AsyncByteStream
    ) -> httpx2.Request:
        # The target goes as an extension, so that nothing parses, tidies or encodes it again.
        extensions = {"timeout": self._timeouts, "target": target.encode()}
        headers = [(b"host", self.way.host.encode()), *fields]
        return httpx2.Request(method, self.url, headers=headers, stream=stream, extensions=extensions)

    def pool(self) -> httpx2.HTTPTransport:
        return httpx2.HTTPTransport(verify=self._tls(), proxy=self.way.proxy, limits=self._limits)

    def async_pool(self) -> httpx2.AsyncHTTPTransport:
        return httpx2.AsyncHTTPTransport(verify=self._tls(), proxy=self.way.proxy, limits=self._limits)

    def _tls(self) -> ssl.SSLContext:
        return cast("ssl.SSLContext", self.way.tls)  # there is one wherever there is a proxy

    @contextmanager
    def translated(self) -> Generator[None]:
        """Foreign errors as ours; what a body raises while it is sent passes."""
        try:
            yield
        except httpx2.PoolTimeout as error:
            raise self.way.no_connection_free() from error
        except httpx2.TimeoutException as error:
            raise self.way.late(sent=not isinstance(error, httpx2.ConnectTimeout)) from error
        except _NOT_SENT as error:
            raise self.way.unreached(error) from error
        except httpx2.TransportError as error:
            raise self.way.lost(error) from error


class _ProxiedResponse:
    def __init__(self, way: _Proxied, response: httpx2.Response) -> None:
        self.whole: bytes | None = None
        self._way = way
        self._response = response
        self.status = response.status_code
        self.fields = _fields(response)

    def __iter__(self) -> Iterator[bytes]:
        with self._way.translated():
            yield from cast("httpx2.SyncByteStream", self._response.stream)  # from a sync transport

    def close(self) -> None:
        self._response.stream.close()  # type: ignore[union-attr]  # from a sync transport


class _AsyncProxiedResponse:
    def __init__(self, way: _Proxied, response: httpx2.Response) -> None:
        self.whole: bytes | None = None
        self._way = way
        self._response = response
        self.status = response.status_code
        self.fields = _fields(response)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with self._way.translated():
            async for chunk in cast("httpx2.AsyncByteStream", self._response.stream):  # from an async transport
                yield chunk

    async def aclose(self) -> None:
        await self._response.stream.aclose()  # type: ignore[union-attr]  # from an async transport


class ProxiedTransport:
    """A pool of connections kept by httpx2."""

    def __init__(self, way: Way) -> None:
        self._way = _Proxied(way)
        self._pool = self._way.pool()
        self._inherited: list[httpx2.HTTPTransport] = []
        renew_in_children(self)

    def send(self, method: str, target: str, fields: FieldList, body: Outgoing | None) -> Response:
        stream = httpx2.ByteStream(body or b"") if body is None or isinstance(body, bytes) else _Stream(body)
        request = self._way.request(method, target, fields, stream)
        with self._way.translated():
            return _ProxiedResponse(self._way, self._pool.handle_request(request))

    def close(self) -> None:
        self._pool.close()

    def leave_to_parent(self) -> None:
        # The sockets are the parent's, and a lock of the pool may be held by a thread that does not exist here.
        # Kept, since even the garbage collector would close them.
        self._inherited.append(self._pool)
        self._pool = self._way.pool()


class AsyncProxiedTransport:
    """As `ProxiedTransport`, with a pool for the event loop that runs."""

    def __init__(self, way: Way) -> None:
        self._way = _Proxied(way)
        self._pool: httpx2.AsyncHTTPTransport | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inherited: list[httpx2.AsyncHTTPTransport | None] = []
        renew_in_children(self)

    async def send(self, method: str, target: str, fields: FieldList, body: AsyncOutgoing | None) -> AsyncResponse:
        stream = httpx2.ByteStream(body or b"") if body is None or isinstance(body, bytes) else _AsyncStream(body)
        request = self._way.request(method, target, fields, stream)
        with self._way.translated():
            return _AsyncProxiedResponse(self._way, await self._of_this_loop().handle_async_request(request))

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
