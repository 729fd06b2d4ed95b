"""A proxy on loopback between a store and its server, that misbehaves when it is told to."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, Literal, Self, TypeAlias
from urllib.parse import urlsplit

Trouble: TypeAlias = Literal["none", "throttled", "garbage", "silent", "cut", "short", "html", "away"]

_BUSY: Final = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


def _answer(status: str, body: bytes, *fields: bytes) -> bytes:
    head = [b"HTTP/1.1 " + status.encode(), b"content-length: %d" % len(body), b"connection: close", *fields]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


_ANSWERS: Final = {
    "throttled": _answer("503 Slow Down", _BUSY, b"retry-after: 7"),
    "garbage": b"\x16\x03\x01 this is not HTTP\r\n\r\n",
    "html": _answer("200 OK", b"<html><body>Welcome to the captive portal</body>"),
    "cut": b"",
}


_TURNS: Final = 10


class Proxy:
    """Passes bytes on, one request a connection; `trouble` is what befalls requests. Opened by `async with`."""

    def __init__(self, server: str) -> None:
        self._target = urlsplit(server)
        self._server: asyncio.Server | None = None
        self._port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[asyncio.Task[None]] = set()  # that have not ended to the last
        self.trouble: Trouble = "none"
        self.after = 0  # bytes of an answer that are passed on before a "short" one ends
        self.asked = asyncio.Event()  # a request came while there was trouble
        self.idle = asyncio.Event()  # no connection is open

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *told: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen, after `stop` on the same port again."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def make(self, trouble: Trouble) -> None:
        """From now on; "away" is a server that refuses connections."""
        if trouble == "away":
            await self.stop()
        elif self.trouble == "away":
            await self.start()
        self.trouble = trouble

    async def stop(self) -> None:
        """Refuse connections, and cut those that are open."""
        if self._server is not None:
            self._server.close()
        # What was accepted a moment ago comes to be a connection within a few turns of the loop.
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        # Those of asyncio's own making too: before Python 3.12, one that the end of the loop cancels is a traceback.
        while self._connections:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._connections)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        assert connection is not None  # a handler is one
        self._connections.add(connection)
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        self.idle.clear()
        await asyncio.wait([task])
        self._tasks.discard(task)
        if task.cancelled():
            writer.transport.abort()  # what the other side does not read would hold it up
        await _close(writer)
        if not self._tasks:
            self.idle.set()
        self._connections.discard(connection)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await _pass(self, reader, writer, str(self._target.hostname), int(self._target.port or 80))


async def _pass(proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    trouble = proxy.trouble
    if trouble != "none":
        proxy.asked.set()
    if trouble == "silent":
        await reader.read()
    if trouble in _ANSWERS:
        await _relay_body(reader, None, _length(head))
        writer.write(_ANSWERS[trouble])
        await writer.drain()
        return
    behind, ahead = await _connected(host, port)
    sending = asyncio.create_task(_relay_body(reader, ahead, _length(head)))
    try:
        ahead.write(head.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n"))
        await _relay_answer(behind, writer, proxy.after if trouble == "short" else None)
    finally:
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await _close(ahead)


async def _connected(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    connecting = asyncio.ensure_future(asyncio.open_connection(host, port))
    try:
        return await asyncio.shield(connecting)
    except asyncio.CancelledError:
        # It would be made all the same, and nobody left to close it.
        _, writer = await connecting
        await _close(writer)
        raise


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


def _length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def _relay_body(reader: asyncio.StreamReader, ahead: asyncio.StreamWriter | None, left: int) -> None:
    while left > 0 and (block := await reader.read(min(left, 65536))):
        left -= len(block)
        if ahead is not None:
            ahead.write(block)
            await ahead.drain()


async def _relay_answer(behind: asyncio.StreamReader, writer: asyncio.StreamWriter, most: int | None) -> None:
    passed = 0
    while block := await behind.read(65536):
        if most is not None and passed + len(block) > most:
            writer.write(block[: most - passed])
            await writer.drain()
            return
        passed += len(block)
        writer.write(block)
        await writer.drain()
