from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from objectstore.errors import RequestTimeout
from objectstore.server.exchange import Message
from objectstore.server.senders import SLOWEST, Sender, patience


def test_the_next_bytes_are_waited_for_as_long_as_the_timeout_says() -> None:
    assert patience(30, 0, 0) == 30
    assert patience(30, 10, 10**9) == 30


def test_drops_do_not_buy_time_for_ever() -> None:
    waited, received = 0.0, 0
    while patience(30, waited, received) >= 1:  # a byte a second, though one in 30 would do to be never late
        waited += 1
        received += 1
    assert 30 <= waited < 31


def test_the_slowest_rate_is_waited_for_however_long_it_takes() -> None:
    assert patience(30, 10**6, SLOWEST * 10**6) == 30


class Client:
    """What it sends, it sends when it is told to."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[Message] = asyncio.Queue()

    async def receive(self) -> Message:
        return await self.messages.get()

    def send(self, body: bytes, *, more: bool = True) -> None:
        self.messages.put_nowait({"type": "http.request", "body": body, "more_body": more})


def run(scenario: Callable[[Client, Sender], object]) -> None:
    async def play() -> None:
        client = Client()
        await scenario(client, Sender(client.receive, 1))  # type: ignore[misc]  # a coroutine function

    asyncio.run(play())


async def waiting(sender: Sender) -> asyncio.Task[Message]:
    task = asyncio.create_task(sender())
    while not sender.overdue(float("inf")):  # noqa: ASYNC110  until it has begun, which nobody tells
        await asyncio.sleep(0)
    return task


def test_what_comes_is_passed_on() -> None:
    async def scenario(client: Client, sender: Sender) -> None:
        client.send(b"one")
        client.send(b"two", more=False)
        assert [(await sender())["body"], (await sender())["body"]] == [b"one", b"two"]

    run(scenario)


def test_only_a_sender_that_is_waited_for_is_overdue() -> None:
    async def scenario(client: Client, sender: Sender) -> None:
        assert not sender.overdue(float("inf"))
        task = await waiting(sender)
        client.send(b"one")
        await task
        assert not sender.overdue(float("inf"))

    run(scenario)


def test_one_that_is_cut_times_out_then_and_from_then_on() -> None:
    async def scenario(client: Client, sender: Sender) -> None:
        task = await waiting(sender)
        sender.cut()
        sender.cut()  # as the next look would, when the task has not run meanwhile
        with pytest.raises(RequestTimeout):
            await task
        assert task.cancelling() == 0
        client.send(b"late")
        with pytest.raises(RequestTimeout):
            await sender()

    run(scenario)


def test_a_cancellation_by_somebody_else_goes_on() -> None:
    async def scenario(_: Client, sender: Sender) -> None:
        task = await waiting(sender)
        task.cancel()
        sender.cut()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(scenario)


def test_after_the_end_of_the_body_nobody_is_late() -> None:
    async def scenario(client: Client, sender: Sender) -> None:
        client.send(b"all", more=False)
        await sender()
        task = asyncio.create_task(sender())  # which waits for the connection to end
        for _ in range(5):
            await asyncio.sleep(0)
        assert not sender.overdue(float("inf"))
        sender.cut()
        client.messages.put_nowait({"type": "http.disconnect"})
        assert (await task)["type"] == "http.disconnect"

    run(scenario)
