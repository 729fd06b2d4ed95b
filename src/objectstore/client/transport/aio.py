"""Straight to the server, on the sockets of an event loop."""

from __future__ import annotations

import asyncio
import select
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from typing import Any, Final, cast

from objectstore.client.transport.contract import AsyncOutgoing, AsyncResponse
from objectstore.client.transport.forks import renew_in_children
from objectstore.client.transport.http1 import Answer, Malformed, announced, format_head
from objectstore.client.transport.way import IDLE, Way
from objectstore.errors import IncompleteBody
from objectstore.wire.headers import FieldList

_READ: Final = 256 * 1024  # bytes
_HELD: Final = 1024 * 1024  # bytes of a body that nobody has taken yet; more is not read
_JOINED: Final = 64 * 1024  # bytes; sending copies less than another system call costs
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


class _Connection(asyncio.BufferedProtocol):
    """A socket with what has come over it. One task at a time waits for something to happen to it."""

    def __init__(self, way: Way, loop: asyncio.AbstractEventLoop) -> None:
        self.chunks: Final[deque[bytes]] = deque()  # of the body, not taken yet
        self.gone: Final[asyncio.Future[None]] = loop.create_future()
        self.idle_since = 0.0
        # One for all that comes, as in the transport that blocks.
        self._buffer = memoryview(bytearray(_READ))
        self._way = way
        self._loop = loop
        self._answer: Answer | None = None
        self._held = 0  # bytes in the chunks
        self._failure: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._deadline = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._full = False  # no more is to be written
        self._halted = False  # no more is read
        self._poll = select.poll()

    # What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  there is one size
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        answer = self._answer
        if answer is None or answer.done:
            self.close()  # nobody asked for it
            return
        try:
            chunk = answer.feed(bytes(self._buffer[:nbytes]))
        except Malformed as error:
            self._fail(error)
            return
        if chunk:
            self.chunks.append(chunk)
            self._held += len(chunk)
            if self._held > _HELD and not answer.done:
                self._halted = True
                self._transport.pause_reading()
        elif not answer.status:
            return
        self._wake()

    def eof_received(self) -> None:
        if self._answer is not None:
            try:
                self._answer.end()
            except Malformed as error:
                self._fail(error)
            else:
                self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.gone.done():
            self.gone.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
        if self._answer is not None and not self._answer.done:
            self._fail(exc or Malformed("it was closed"))

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._wake()

    # What a task calls

    def is_quiet(self) -> bool:
        """Whether nothing has come while it was idle: the end, or bytes that nobody asked for."""
        # The loop may not have had its turn yet to tell.
        return not self.gone.done() and not self._transport.is_closing() and not self._poll.poll(0)

    def begin(self, method: str) -> Answer:
        self._answer = Answer(method)
        return self._answer

    def write(self, data: bytes | memoryview) -> None:
        self._transport.write(data)

    async def send(self, head: bytes, body: AsyncIterable[bytes | memoryview], size: int | None) -> None:
        """`size` bytes, or in chunks (RFC 9112 §7.1). It ends early when the server refuses to take them."""
        pending = head  # goes out with what comes next
        sent = 0
        async with AsyncExitStack() as held:
            if isinstance(body, AsyncGenerator):
                await held.enter_async_context(aclosing(body))
            async for chunk in body:
                if not chunk:
                    continue
                if self._is_refused():
                    return
                sent += len(chunk)
                if size is None:
                    pending += b"%x\r\n" % len(chunk)
                if len(chunk) > _JOINED:
                    self.write(pending)
                    self.write(chunk)
                else:
                    self.write(b"".join((pending, chunk)))
                pending = b"\r\n" if size is None else b""
                while self._full and not self._is_refused():
                    await self.wait()
        if size is not None and sent != size:
            raise IncompleteBody(size, sent)
        if size is None:
            pending += b"0\r\n\r\n"
        if pending:
            self.write(pending)

    async def wait(self) -> None:
        """Until something has happened. Raises ConnectionFailed: nothing did in time, or the connection is lost."""
        if self._failure is None:
            self._deadline = self._loop.time() + self._way.timeout
            if self._timer is None:
                self._timer = self._loop.call_at(self._deadline, self._tick)
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._failure is not None and not self.chunks:
            raise self._way.lost(self._failure) from self._failure

    def take(self) -> bytes:
        """A chunk of the body."""
        chunk = self.chunks.popleft()
        self._held -= len(chunk)
        if self._halted and not self._held:
            self._halted = False
            self._transport.resume_reading()
        return chunk

    def take_all(self) -> bytes:
        """All that there is of the body."""
        if len(self.chunks) == 1:
            return self.take()
        return b"".join([self.take() for _ in range(len(self.chunks))])

    def is_over(self) -> bool:
        """Whether nothing is left of its exchange, so that another may begin."""
        return self._transport.get_write_buffer_size() == 0

    def close(self) -> None:
        self._answer = None
        self._transport.close()

    def hang_up(self) -> None:
        """Close it under the hands of the task that uses it, which is told that it is lost."""
        if self._answer is not None and not self._answer.done:
            self._transport.abort()

    def cut(self) -> None:
        """Close it without sending what is left to be sent."""
        self._answer = None
        self._transport.abort()

    def _is_refused(self) -> bool:
        """Whether the server has answered already, with an error; or is gone, which is told where it is waited for."""
        if self._failure is not None:
            return True
        answer = self._answer
        if answer is None or answer.status < 300:
            return False
        answer.reusable = False
        return True

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, error: Exception) -> None:
        if self._failure is None:
            self._failure = error
        self._wake()

    def _tick(self) -> None:
        # One timer serves many requests: setting one for each costs more than looking again when it has run out.
        self._timer = None
        if self._waiter is None:
            return
        if self._loop.time() >= self._deadline:
            self._fail(TimeoutError())
        else:
            self._timer = self._loop.call_at(self._deadline, self._tick)


class _Pool:
    """As that of `DirectTransport`."""

    def __init__(self, way: Way, loop: asyncio.AbstractEventLoop) -> None:
        self.loop: Final = loop
        self._way = way
        self._slots = asyncio.Semaphore(way.max_connections)
        self._idle: deque[_Connection] = deque()
        self._open: set[_Connection] = set()  # idle or in use
        self._closed = False
        self._unwanted: set[asyncio.Task[tuple[asyncio.Transport, _Connection]]] = set()  # being connected for nobody

    async def take(self) -> _Connection:
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

    def give(self, connection: _Connection) -> None:
        if self._closed:
            self._end(connection)
        else:
            connection.idle_since = self.loop.time()
            self._idle.append(connection)
        self._slots.release()

    def drop(self, connection: _Connection) -> None:
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

    def _youngest(self) -> _Connection | None:
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

    def _end(self, connection: _Connection) -> None:
        self._open.discard(connection)
        connection.close()

    async def _connect(self) -> _Connection:
        way = self._way
        connection = _Connection(way, self.loop)
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

    def _turned_away(self, connecting: asyncio.Task[tuple[asyncio.Transport, _Connection]]) -> None:
        self._unwanted.discard(connecting)
        if not connecting.cancelled() and connecting.exception() is None:
            connecting.result()[1].cut()


class _Response:
    def __init__(self, pool: _Pool, connection: _Connection, answer: Answer) -> None:
        self.status = answer.status
        self.fields = answer.fields
        self.whole: bytes | None = None
        self._pool = pool
        self._connection: _Connection | None = connection
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

    def _release(self, connection: _Connection) -> None:
        self._connection = None
        if self._answer.reusable and connection.is_over():
            self._pool.give(connection)
        else:
            self._pool.drop(connection)
