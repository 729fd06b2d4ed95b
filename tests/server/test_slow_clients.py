"""Clients that hold a server up on purpose, over raw sockets: each is let go of."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from objectstore import RestStore
from objectstore.server.connections import supported
from peer import Server, running

MIB = 1024 * 1024
MOST = 40  # requests at once
ESTABLISHED = 1


@pytest.fixture(scope="module", params=["uvicorn", "granian"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp(request.param)
    limits = {
        "REQUEST_TIMEOUT": "1",
        "IDLE_TIMEOUT": "1",
        "MAX_CONCURRENT_REQUESTS": str(MOST),
        "METRICS_PUBLIC": "true",
    }
    with running(folder, request.param, environment=limits) as running_server:
        assert running_server.ask("PUT", "/objects/large", bytes(24 * MIB)).status == 200
        yield running_server


def head(server: Server, line: str, *fields: str) -> bytes:
    return "\r\n".join(
        [f"{line} HTTP/1.1", "Host: x", f"Authorization: Bearer {server.token}", *fields, "", ""]
    ).encode()


def rest(connection: socket.socket) -> bytes:
    """All that comes until the connection ends, which it has to."""
    got = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(MIB):
            got += piece
    return got


def drip(connection: socket.socket, drop: bytes) -> bool:
    """Send a drop at a time; whether the connection ends for all that."""
    deadline = time.monotonic() + 60
    connection.settimeout(0.05)
    with contextlib.suppress(ConnectionError):
        while time.monotonic() < deadline:
            connection.sendall(drop)
            with contextlib.suppress(TimeoutError):
                if not connection.recv(MIB):
                    return True
        return False
    return True


def cut(connection: socket.socket) -> bool:
    """Whether the connection ends although nothing is read, or next to nothing."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[0] != ESTABLISHED:
            return True
        connection.recv(1)
        time.sleep(0.02)  # so that it is next to nothing
    return False


def silence(server: Server) -> bool:
    with server.connect() as connection:
        return rest(connection) == b""


def silence_after_an_answer(server: Server) -> bool:
    with server.connect() as connection:
        connection.sendall(head(server, "GET /health"))
        return rest(connection).startswith(b"HTTP/1.1 200")


def half_a_head(server: Server) -> bool:
    with server.connect() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHo")
        return rest(connection) == b""


def a_head_in_drops(server: Server) -> bool:
    with server.connect() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")
        return drip(connection, b"X-Drop: 1\r\n")


def half_a_body(server: Server) -> bool:
    with server.connect() as connection:
        connection.sendall(head(server, "PUT /objects/half", "Content-Length: 100000") + b"some")
        answer = rest(connection)
        return answer.startswith(b"HTTP/1.1 408") and b'"request_timeout"' in answer


def half_a_body_in_chunks(server: Server) -> bool:
    with server.connect() as connection:
        connection.sendall(head(server, "PUT /objects/half", "Transfer-Encoding: chunked") + b"4\r\nsome\r\n")
        return rest(connection).startswith(b"HTTP/1.1 408")


def a_body_in_drops(server: Server) -> bool:
    with server.connect() as connection:
        connection.sendall(head(server, "PUT /objects/half", "Content-Length: 100000"))
        return drip(connection, b"x")


def half_a_json(server: Server) -> bool:
    fields = ("Content-Type: application/json", "Content-Length: 100")
    with server.connect() as connection:
        connection.sendall(head(server, "POST /uploads", *fields) + b'{"key":')
        return rest(connection).startswith(b"HTTP/1.1 408")


def half_a_body_that_nobody_wants(server: Server) -> bool:
    with server.connect() as connection:
        connection.sendall(b"PUT /objects/half HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nsome")
        return rest(connection).startswith(b"HTTP/1.1 401")


def an_object_that_is_not_read(server: Server) -> bool:
    with server.connect() as connection:
        connection.sendall(head(server, "GET /objects/large"))
        return cut(connection)


def a_range_that_is_not_read(server: Server) -> bool:
    with server.connect() as connection:
        connection.sendall(head(server, "GET /objects/large", "Range: bytes=1-"))
        return cut(connection)


@pytest.mark.skipif(not supported(), reason="only Linux tells what went over a connection")
def test_nobody_holds_a_connection_by_being_slow(server: Server) -> None:
    slow: list[Callable[[Server], bool]] = [silence, silence_after_an_answer, half_a_head, a_head_in_drops]
    slow += [half_a_body, half_a_body_in_chunks, a_body_in_drops, half_a_json, half_a_body_that_nobody_wants]
    slow += [an_object_that_is_not_read, a_range_that_is_not_read]
    with ThreadPoolExecutor(len(slow)) as threads:
        ended = dict(zip([one.__name__ for one in slow], threads.map(lambda one: one(server), slow), strict=True))
    assert ended == dict.fromkeys(ended, True)
    assert server.ask("HEAD", "/objects/half").status == 404
    assert "Traceback" not in (server.folder / "server.log").read_text()


@pytest.mark.skipif(not supported(), reason="only Linux tells what went over a connection")
def test_a_reader_that_was_cut_goes_on_where_it_was(server: Server) -> None:
    def cuts() -> bytes:
        lines = server.ask("GET", "/metrics", token=None).body.splitlines()
        return next((line for line in lines if b'limit="slow_reader"' in line), b"")

    before = cuts()
    with RestStore.create(server.url, server.token) as store, store.stream("large") as reader:
        size = len(next(iter(reader)))
        deadline = time.monotonic() + 60
        while cuts() == before:  # as when each piece takes long to work on
            assert time.monotonic() < deadline
        size += sum(map(len, reader))
    assert size == 24 * MIB


def test_a_request_that_takes_its_time_is_waited_for(server: Server) -> None:
    """Longer than both timeouts, and never idle."""
    size = 30
    with server.connect() as connection:
        connection.sendall(head(server, "PUT /objects/slowly", f"Content-Length: {size * 1000}"))
        for _ in range(size):
            connection.sendall(bytes(1000))
            time.sleep(0.05)
        connection.settimeout(20)
        assert connection.recv(MIB).startswith(b"HTTP/1.1 200")


def test_beyond_so_many_requests_at_once_the_next_are_sent_away(server: Server) -> None:
    deadline = time.monotonic() + 60
    refused = None
    while refused is None:
        assert time.monotonic() < deadline
        with contextlib.ExitStack() as held:
            waiting = [held.enter_context(server.connect()) for _ in range(MOST)]
            for number, connection in enumerate(waiting):
                connection.sendall(
                    head(server, f"PUT /objects/held/{number}", "Content-Length: 100000") + bytes(50_000)
                )
            # They are held for a second; on a busy machine some may be over before the last one has begun.
            answer = server.ask("PUT", "/objects/one-more", bytes(300_000))
            if answer.status == 503:
                refused = answer
                assert server.ask("GET", "/health", token=None).status == 200
                assert server.ask("GET", "/health/ready", token=None).status == 200
    assert refused.code == "overloaded"
    assert refused.headers["Retry-After"] == "1"
