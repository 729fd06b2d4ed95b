"""The rest of a body that nobody wants is read, so that the client gets the answer, and its next request one, too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from objectstore.server import exchange
from objectstore.server.exchange import Exchange, Message

PIECE = 64 * 1024


def drained(pieces: AsyncIterator[Message]) -> int:
    """Bytes that are read of them, when no time is given for it but that for what comes."""

    async def receive() -> Message:
        return await anext(pieces)

    async def send(_message: Message) -> None:
        raise AssertionError("nothing is to be sent")

    async def run() -> int:
        request = Exchange({"type": "http", "method": "PUT"}, receive, send, b"/objects/k")
        await request.drain()
        return request.received

    return asyncio.run(run())


def test_what_has_come_is_read_however_long_the_server_takes_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_DRAIN_TIME", 0.0)

    async def pieces() -> AsyncIterator[Message]:
        for left in reversed(range(5)):
            yield {"type": "http.request", "body": bytes(PIECE), "more_body": left > 0}
            await asyncio.sleep(0.001)  # in which a timer that is due is called

    assert drained(pieces()) == 5 * PIECE


def test_a_client_that_does_not_go_on_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "_DRAIN_TIME", 0.0)
    monkeypatch.setattr(exchange, "_DRAIN_RATE", PIECE * 1000)

    async def pieces() -> AsyncIterator[Message]:
        yield {"type": "http.request", "body": bytes(PIECE), "more_body": True}
        await asyncio.Event().wait()

    assert drained(pieces()) == PIECE
