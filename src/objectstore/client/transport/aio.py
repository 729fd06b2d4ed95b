"""Straight to the server, on the sockets of an event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final

from objectstore.client.transport.aconnection import AsyncConnection
from objectstore.client.transport.contract import AsyncOutgoing, AsyncResponse
from objectstore.client.transport.forks import renew_in_children
from objectstore.client.transport.http1 import Answer, announced, format_head
from objectstore.client.transport.way import IDLE, Way
from objectstore.wire.headers import FieldList

_READ: Final = 256 * 1024  # bytes
_ATTEMPT: Final = 0.25  # seconds before the next address of a host is tried beside the one before (RFC 8305)
_FAREWELL: Final = 2.0  # seconds; TLS takes leave of the other side


class AsyncDirectTransport:
    """As `DirectTransport`, with a pool for the event loop that runs."""

    def __init__(self, way: Way) -> None:
        self._way = way
        self._pool: _Pool | None = None
        self._inherited: list[_Pool | None] = []
        renew_in_children(self)

    async def send(self, method: str, target: str, fields: FieldList, body: AsyncOutgoing | None) -> AsyncResponse:
        head = format_head(method, target, self._way.host, fields)
        pool = self._of_this_loop()
        connection = await pool.take()
        try:
            answer = connection.begin(method)
            if body is None or isinstance(body, bytes):
                connection.write(head + body if body else head)
            else:
                await connection.send(head, body, announced(fields))
            while not answer.status:
                await connection.wait()
        except BaseException:
            pool.drop(connection)
            raise
        return _Response(pool, connection, answer)

    async def aclose(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None and pool.loop is asyncio.get_running_loop():
            await pool.aclose()

    def leave_to_parent(self) -> None:
        # Kept, since even the garbage collector would close them, and what the loop is told of that is shared too.
        self._inherited.append(self._pool)
        self._pool = None

    def _of_this_loop(self) -> _Pool:
        loop = asyncio.get_running_loop()
        pool = self._pool
        if pool is None or pool.loop is not loop:
            # Connections are bound to the loop that opened them; one that has ended took its connections along.
            pool = self._pool = _Pool(self._way, loop)
        return pool


class _Pool:
    """As that of `DirectTransport`."""

    def __init__(self, way: Way, loop: asyncio.AbstractEventLoop) -> None:
        self.loop: Final = loop
        self._way = way
        self._slots = asyncio.Semaphore(way.max_connections)
        self._idle: deque[AsyncConnection] = deque()
        self._open: set[AsyncConnection] = set()  # idle or in use
        self._closed = False
        # The loop reads into it, and has us copy what came, without anything in between.
        self._buffer = memoryview(bytearray(_READ))
        self._unwanted: set[asyncio.Task[tuple[asyncio.Transport, AsyncConnection]]] = (
            set()
        )  # being connected for nobody

    async def take(self) -> AsyncConnection:
        """One to be given back, or dropped."""
        if self._slots.locked():
            try:
                async with asyncio.timeout(self._way.timeout):
                    await self._slots.acquire()
            except TimeoutError as error:
                raise self._way.no_connection_free() from error
        else:
            await self._slots.acquire()
        try:
            return self._youngest() or await self._connect()
        except BaseException:
            self._slots.release()
            raise

    def give(self, connection: AsyncConnection) -> None:
        if self._closed:
            self._end(connection)
        else:
            connection.idle_since = self.loop.time()
            self._idle.append(connection)
        self._slots.release()

    def drop(self, connection: AsyncConnection) -> None:
        self._open.discard(connection)
        connection.cut()
        self._slots.release()

    async def aclose(self) -> None:
        """All of them, those in use too."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()
        leaving: list[asyncio.Future[Any]] = [connection.gone for connection in self._open]
        leaving += self._unwanted
        for connection in self._open:
            connection.hang_up()
        if leaving:
            await asyncio.wait(leaving, timeout=_FAREWELL)

    def _youngest(self) -> AsyncConnection | None:
        fresh = self.loop.time() - IDLE
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.idle_since > fresh and connection.is_quiet():
                while idle and idle[0].idle_since <= fresh:
                    self._end(idle.popleft())
                return connection
            self._end(connection)
        return None

    def _end(self, connection: AsyncConnection) -> None:
        self._open.discard(connection)
        connection.close()

    async def _connect(self) -> AsyncConnection:
        way = self._way
        connection = AsyncConnection(way, self.loop, self._buffer)
        # uvloop, which servers run on, tries one address after the other.
        racing: dict[str, Any] = {}
        if isinstance(self.loop, asyncio.BaseEventLoop):
            racing["happy_eyeballs_delay"] = _ATTEMPT
        connecting = self.loop.create_task(
            self.loop.create_connection(lambda: connection, way.name, way.port, ssl=way.tls, **racing)
        )
        try:
            async with asyncio.timeout(way.timeout):
                await asyncio.shield(connecting)
        except (OSError, UnicodeError) as error:  # TimeoutError is one
            connecting.cancel()
            raise way.unreached(error) from error
        except asyncio.CancelledError:
            # Cancelled while it races for an address, asyncio forgets a socket that has just been connected.
            self._unwanted.add(connecting)
            connecting.add_done_callback(self._turned_away)
            self.loop.call_later(_FAREWELL, connecting.cancel)
            raise
        self._open.add(connection)
        return connection

    def _turned_away(self, connecting: asyncio.Task[tuple[asyncio.Transport, AsyncConnection]]) -> None:
        self._unwanted.discard(connecting)
        if not connecting.cancelled() and connecting.exception() is None:
            connecting.result()[1].cut()


class _Response:
    def __init__(self, pool: _Pool, connection: AsyncConnection, answer: Answer) -> None:
        self.status = answer.status
        self.fields = answer.fields
        self.whole: bytes | None = None
        self._pool = pool
        self._connection: AsyncConnection | None = connection
        self._answer = answer
        if answer.done:
            self.whole = connection.take_all()
            self._release(connection)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self.whole:
            yield self.whole
        while (connection := self._connection) is not None:
            while not connection.chunks and not self._answer.done:
                await connection.wait()
            if connection.chunks:
                chunk = connection.take()
                if self._answer.done and not connection.chunks:
                    self._release(connection)
                yield chunk
            else:
                self._release(connection)

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.drop(connection)

    def _release(self, connection: AsyncConnection) -> None:
        self._connection = None
        if self._answer.reusable and connection.is_over():
            self._pool.give(connection)
        else:
            self._pool.drop(connection)
