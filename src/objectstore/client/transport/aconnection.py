"""One connection of the event loop: what the loop calls, and what a task calls."""

from __future__ import annotations

import asyncio
import select
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import AsyncExitStack, aclosing
from typing import Final, cast

from objectstore.client.transport.http1 import Answer, Malformed
from objectstore.client.transport.way import Way
from objectstore.core.streams import check_size

_HELD: Final = 1024 * 1024  # bytes of a body that nobody has taken yet; more is not read
_JOINED: Final = 64 * 1024  # bytes; sending copies less than another system call costs


class AsyncConnection(asyncio.BufferedProtocol):
    """A socket with what has come over it. One task at a time waits for something to happen to it."""

    def __init__(self, way: Way, loop: asyncio.AbstractEventLoop, buffer: memoryview) -> None:
        """`buffer` is what is read into; connections of one loop may share it, since none holds on to it."""
        self.chunks: Final[deque[bytes]] = deque()  # of the body, not taken yet
        self.gone: Final[asyncio.Future[None]] = loop.create_future()
        self.idle_since = 0.0
        self._buffer = buffer
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
        check_size(size, sent)
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
        # Of a write that failed the loop tells when it has its turn, which it might not have before the body ends.
        if self._failure is not None or self._transport.is_closing():
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
