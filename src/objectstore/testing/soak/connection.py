"""One connection of a client: requests over it one after the other, and bodies looked at as they arrive."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Final, cast

from objectstore.client.transport.http1 import Answer, Malformed, format_head
from objectstore.wire.headers import FieldList

HOST: Final = "127.0.0.1"
_NO_PORT: Final = 24  # IP_BIND_ADDRESS_NO_PORT of Linux, which Python has no name for
_JOINED: Final = 64 * 1024  # bytes of a body that go along with the head


class Lost(Exception):
    """The connection ended before the answer was whole."""


def _drop(_data: bytes) -> None:
    """Nobody wants the body."""


class Connection(asyncio.Protocol):
    """A socket with one request under way at most. `on_end` is called when it ends, with whatever it was about."""

    def __init__(self, epoch: int) -> None:
        self.epoch: Final = epoch  # which life of the server it is to
        self._active = asyncio.get_running_loop().time()
        self.ended = False
        self.on_end: Callable[[], None] | None = None
        self._given = self._came = 0  # bytes: of bodies that are sent, and of answers
        self._answer: Answer | None = None
        self._take: Callable[[bytes], None] = _drop
        self._done: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None  # while no more is to be written

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.place: tuple[str, int] = transport.get_extra_info("sockname")

    def data_received(self, data: bytes) -> None:
        self._came += len(data)
        try:
            self._feed(data)
        except Malformed as error:
            self._fail(error)
            self.close()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        self._fail(Lost(str(exc) if exc else "the server hung up"))
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        if self.on_end is not None:
            self.on_end()

    def pause_writing(self) -> None:
        self._room = asyncio.get_running_loop().create_future()

    def resume_writing(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None

    def close(self) -> None:
        self.ended = True
        self._transport.abort()

    @property
    def silence(self) -> float:
        """Seconds since it was opened, or since the last answer."""
        return asyncio.get_running_loop().time() - self._active

    @property
    def moved(self) -> tuple[int, int]:
        """Bytes that were given to the kernel, or are to be next, and bytes that came."""
        return self._given, self._came

    @property
    def status(self) -> int:
        """Of the last answer; 0 before there is one."""
        return 0 if self._answer is None else self._answer.status

    @property
    def waiting(self) -> bool:
        """Whether an answer is to come."""
        return self._done is not None and not self._done.done()

    def begin(
        self, method: str, target: str, fields: FieldList, take: Callable[[bytes], None] = _drop, first: bytes = b""
    ) -> asyncio.Future[None]:
        """Send a request, with `first` of its body; what is done when its answer is whole. Fails: Lost, Malformed."""
        self._answer, self._take = Answer(method), take
        self._done = asyncio.get_running_loop().create_future()
        if self.ended:
            self._fail(Lost("the server has hung up"))
        else:
            self._transport.write(format_head(method, target, HOST, fields) + first)
        return self._done

    async def ask(
        self,
        method: str,
        target: str,
        fields: FieldList,
        body: Iterable[bytes] = (),
        take: Callable[[bytes], None] = _drop,
    ) -> Answer:
        """Send a request and wait for its answer. Raises Lost, Malformed."""
        pieces = iter(body)
        first = next(pieces, b"")
        joined = len(first) <= _JOINED
        done = self.begin(method, target, fields, take, first if joined else b"")
        sent = await self._send(pieces if joined else chain((first,), pieces), done)
        await done
        answer = self._answer
        assert answer is not None
        if not (answer.reusable and sent):
            self.close()
        return answer

    async def _send(self, pieces: Iterable[bytes], done: asyncio.Future[None]) -> bool:
        """The rest of a body, unless the answer comes before that; whether it was all sent."""
        for piece in pieces:
            while (room := self._no_room()) is not None and not done.done():
                await asyncio.wait([room, done], return_when=asyncio.FIRST_COMPLETED)
            if done.done():
                return False
            self._transport.write(piece)
            self._given += len(piece)
        return True

    def _no_room(self) -> asyncio.Future[None] | None:
        return self._room

    def _feed(self, data: bytes) -> None:
        if self._whole():
            raise Malformed(f"bytes that nobody asked for: {data[:40]!r}")
        body = b"" if self._answer is None else self._answer.feed(data)
        if body:
            self._take(body)
        if self._whole():
            self._finish()

    def _whole(self) -> bool:
        """Whether there is no answer to come."""
        return self._answer is None or self._answer.done

    def _finish(self) -> None:
        self._active = asyncio.get_running_loop().time()
        if self._done is not None and not self._done.done():
            self._done.set_result(None)

    def _fail(self, error: Exception) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)


def sources(number: int) -> Sequence[str]:
    """Addresses to connect from: of one there are about 28 000 connections to one port, on Linux."""
    return [f"127.0.0.{last}" for last in range(1, number + 1)] if sys.platform == "linux" else [HOST]


async def connect(port: int, source: str, epoch: int) -> Connection:
    """Open one to the server on this machine. Raises OSError."""
    loop = asyncio.get_running_loop()
    opened = socket.socket()
    try:
        opened.setblocking(False)
        if source != HOST:
            opened.setsockopt(socket.IPPROTO_IP, _NO_PORT, 1)  # else a port is taken for all servers at once
            opened.bind((source, 0))
        await loop.sock_connect(opened, (HOST, port))
        _, connection = await loop.create_connection(lambda: Connection(epoch), sock=opened)
    except BaseException:
        opened.close()
        raise
    return connection
