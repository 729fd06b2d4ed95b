"""An ASGI application around another one, whose requests meet with troubles."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, assert_never

from objectstore.errors import InternalError, ObjectStoreError, RateLimited, Unavailable
from objectstore.server.exchange import Exchange, Message, Receive, Scope, Send, raw_path_of
from objectstore.sockets import drop_unsent
from objectstore.testing.faults import After, Before
from objectstore.testing.troubles import Cut, Delay, Received, Refuse, Script, SeenRequest, Sent
from objectstore.wire.errors import format_error

App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
TRANSPORT: Final = "objectstore.transport"  # where in scope["state"] the connection is found
_DISCONNECTED: Final = {"type": "http.disconnect"}
_WORDS: Final = "the test asked for this refusal"


class Troubled:
    """Serves `app` as the script says. `stopping` ends all delays."""

    def __init__(self, app: App, script: Script, stopping: asyncio.Event) -> None:
        self._app = app
        self._script = script
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        cut: Cut | None = None
        for trouble in self._script.arrived(_request(scope)):
            match trouble:
                case Delay():
                    await self._wait(trouble.drawn(random.random()))  # noqa: S311  not a secret
                case Refuse():
                    await _refuse(trouble, Exchange(scope, receive, send, raw_path_of(scope)))
                    return
                case Cut():
                    cut = trouble
                case _:
                    assert_never(trouble)
        if cut is None:
            await self._app(scope, receive, send)
        else:
            await self._cut(cut, scope, receive, send)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def _cut(self, cut: Cut, scope: Scope, receive: Receive, send: Send) -> None:
        connection: asyncio.Transport = scope["state"][TRANSPORT]
        if cut.reset:
            drop_unsent(connection.get_extra_info("socket"))
        match cut.at:
            case Before():
                connection.abort()
            case After():
                await self._app(scope, receive, _nowhere)
                connection.abort()
            case Received(size):
                await self._app(scope, _Incoming(receive, connection, size), send)
            case Sent(size):
                await self._app(scope, receive, _Outgoing(send, connection, size))
            case _:
                assert_never(cut.at)
        if connection.is_closing():
            # The server takes an application that returns without an answer for a broken one, unless the client left.
            while (await receive())["type"] != "http.disconnect":
                pass


class _Incoming:
    """What is received, until the connection is cut."""

    def __init__(self, receive: Receive, connection: asyncio.Transport, size: int) -> None:
        self._receive = receive
        self._connection = connection
        self._left = size

    async def __call__(self) -> Message:
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left > 0 or message["type"] != "http.request":
            return message
        self._connection.abort()
        return dict(_DISCONNECTED)


class _Outgoing:
    """What is sent, until the connection is cut."""

    def __init__(self, send: Send, connection: asyncio.Transport, size: int) -> None:
        self._send = send
        self._connection = connection
        self._left = size

    async def __call__(self, message: Message) -> None:
        if self._connection.is_closing():
            return
        body: bytes = message.get("body", b"")
        if message["type"] != "http.response.body" or len(body) < self._left:
            self._left -= len(body)
            await self._send(message)
            return
        await self._send({"type": "http.response.body", "body": body[: self._left], "more_body": True})
        self._connection.close()  # what was sent still goes out


async def _nowhere(message: Message) -> None:
    pass


async def _refuse(refusal: Refuse, exchange: Exchange) -> None:
    exchange.parse_fields()
    _, fields, body = format_error(_error(refusal))
    if refusal.retry_after is not None and all(name != b"retry-after" for name, _ in fields):
        fields.append((b"retry-after", b"%d" % math.ceil(refusal.retry_after)))
    await exchange.respond(refusal.status, fields, body)
    await exchange.drain()


def _error(refusal: Refuse) -> ObjectStoreError:
    match refusal.status:
        case 429:
            return RateLimited(_WORDS, retry_after=refusal.retry_after)
        case 503:
            return Unavailable(_WORDS, retry_after=refusal.retry_after)
        case _:
            return InternalError(_WORDS)


def _request(scope: Scope) -> SeenRequest:
    query: bytes = scope["query_string"]
    target = raw_path_of(scope) + (b"?" + query if query else b"")
    return SeenRequest(scope["method"], target.decode("latin-1"))
