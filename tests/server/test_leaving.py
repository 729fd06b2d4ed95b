"""A server that is told to end answers what has come, also what it has not read yet."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from contextlib import ExitStack, closing, suppress
from http.client import BadStatusLine, HTTPResponse
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from cli.served import Served, environment, serving
from objectstore.server import leaving
from objectstore.server.connections import supported
from objectstore.server.exchange import Exchange, Message
from objectstore.server.leaving import Leaving

REQUEST = b"GET /objects/none HTTP/1.1\r\nHost: x\r\n\r\n"


def connected(served: Served) -> socket.socket:
    place = urlsplit(served.url)
    return socket.create_connection((place.hostname, place.port), timeout=30)


def answer(connection: socket.socket) -> int:
    """The status of an answer, which is read to its end; 0: there is none."""
    with closing(HTTPResponse(connection)) as response, suppress(ConnectionError, BadStatusLine):
        response.begin()
        response.read()
        return response.status
    return 0


@pytest.mark.parametrize(("server", "workers"), [("uvicorn", "1"), ("uvicorn", "2"), ("granian", "1")])
def test_requests_that_nobody_has_read_yet_are_answered(server: str, workers: str, tmp_path: Path) -> None:
    with (
        serving("--data", str(tmp_path / "data"), "--server", server, "--workers", workers) as served,
        ExitStack() as held,
    ):
        kept = [held.enter_context(connected(served)) for _ in range(20)]
        for connection in kept:
            connection.sendall(REQUEST)
            assert answer(connection) == 401
        # Asleep it reads nothing, and accepts nobody.
        os.killpg(served.process.pid, signal.SIGSTOP)
        try:
            fresh = [held.enter_context(connected(served)) for _ in range(40)]
            for connection in (*kept, *fresh):
                connection.sendall(REQUEST)
            served.process.terminate()
        finally:
            os.killpg(served.process.pid, signal.SIGCONT)
        answers = [answer(connection) for connection in (*kept, *fresh)]
        assert answers == [401] * 60
        assert served.process.wait(30) == 0


@pytest.mark.skipif(not supported(), reason="only Linux tells what went over a connection")
def test_half_a_head_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    env = environment() | {"IDLE_TIMEOUT": "0", "SHUTDOWN_TIMEOUT": "600"}
    with (
        serving("--data", str(tmp_path / "data"), "--server", "granian", env=env) as served,
        connected(served) as never,
        connected(served) as again,
    ):
        again.sendall(REQUEST)
        assert answer(again) == 401
        for connection in (never, again):
            connection.sendall(REQUEST[:20])
        served.process.terminate()
        assert served.process.wait(120) == 0


async def nobody(_message: Message) -> None:
    """Nobody is told anything."""


def exchange(version: str) -> Exchange:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    return Exchange({"method": "GET", "http_version": version}, receive, nobody, b"/")


@pytest.mark.parametrize(("version", "told"), [("1.1", True), ("1.0", True), ("2", False)])
def test_an_answer_says_that_it_is_the_last_where_it_may(version: str, told: bool) -> None:
    one = exchange(version)
    Leaving().take_in(one)
    assert bool(one.added) is told


def test_it_waits_until_nothing_comes_any_more_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "_PAUSE", 0.0)

    async def run() -> None:
        one = Leaving()
        stopped: list[int] = []
        ending = asyncio.create_task(one.run(lambda: stopped.append(1)))
        for _ in range(50):
            await asyncio.sleep(0)
            one.take_in(exchange("1.1"))
            assert not ending.done()
        await ending
        assert stopped == [1]
        monkeypatch.setattr(leaving, "_PATIENCE", 0.0)
        await one.run(lambda: None)

    asyncio.run(run())
