"""The proxy between real sockets: a server that sends back what it gets."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from objectstore.sockets import drop_unsent
from objectstore.testing import (
    After,
    Before,
    BlackHole,
    Corrupt,
    Cut,
    Delay,
    Pieces,
    Proxy,
    Received,
    Reorder,
    Sent,
    Stall,
    Throttle,
    proxied,
)

DATA = bytes(range(256)) * 4096


class Echo(socketserver.ThreadingTCPServer):
    """Sends back what it gets; `got` is all of it, in order."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.got = bytearray()
        self.begun = 0
        self.open = 0
        self.lock = threading.Lock()


class _Handler(socketserver.BaseRequestHandler):
    server: Echo

    def handle(self) -> None:
        with self.server.lock:
            self.server.begun += 1
            self.server.open += 1
        try:
            while data := self.request.recv(65536):
                with self.server.lock:
                    self.server.got += data
                self.request.sendall(data)
        except OSError:
            pass
        finally:
            with self.server.lock:
                self.server.open -= 1


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with proxied(f"127.0.0.1:{echo.server_address[1]}") as started:
        yield started


def connect(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=20)


def receive(connection: socket.socket, size: int) -> bytes:
    """So many bytes; fewer, when the connection ends."""
    got = b""
    while len(got) < size and (data := connection.recv(size - len(got))):
        got += data
    return got


def said(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    return receive(connection, len(data))


def ends(connection: socket.socket) -> str:
    try:
        return "closed" if not connection.recv(1) else "open"
    except ConnectionResetError:
        return "reset"


def silent(connection: socket.socket, seconds: float = 0.1) -> bool:
    connection.settimeout(seconds)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(20)
    return False


def wait_until(what: str, proxy: Proxy, echo: Echo) -> None:
    deadline = time.monotonic() + 60
    while not eval(what, {"proxy": proxy, "echo": echo}):  # noqa: S307  ours
        assert time.monotonic() < deadline, (what, proxy.connections, echo.open)
        time.sleep(0.005)


def test_it_passes_on_what_both_sides_say_and_their_ends(proxy: Proxy, echo: Echo) -> None:
    with connect(proxy) as connection, ThreadPoolExecutor() as threads:
        got = threads.submit(receive, connection, len(DATA))
        connection.sendall(DATA)
        assert got.result() == DATA
        assert proxy.connections == 1
        assert not proxy.wait_idle(0.01)
        connection.shutdown(socket.SHUT_WR)
        assert ends(connection) == "closed"
        assert proxy.wait_idle()
    wait_until("not proxy.connections and not echo.open", proxy, echo)


def test_a_client_that_breaks_off_is_told_to_the_server(proxy: Proxy, echo: Echo) -> None:
    with connect(proxy) as connection:
        assert said(connection, b"abc") == b"abc"
        drop_unsent(connection)
    wait_until("not proxy.connections and not echo.open", proxy, echo)


@pytest.mark.parametrize("reset", [False, True])
def test_a_connection_ends_where_it_is_cut(proxy: Proxy, echo: Echo, reset: bool) -> None:
    cuts: dict[Before | Received | After | Sent, tuple[int, int]]
    cuts = {Before(): (0, 0), Received(3): (3, 0), After(): (5, 0), Sent(3): (5, 3)}
    for at, (arrived, returned) in cuts.items():
        echo.got.clear()
        echo.begun = 0
        with connect(proxy) as connection, proxy.disturb(Cut(at, reset=reset), times=1) as rule:
            connection.sendall(b"abcde")
            assert receive(connection, returned) == b"abcde"[:returned]
            assert ends(connection) == ("reset" if reset else "closed"), at
            # The server may hear of a connection when it is over already.
            wait_until("not proxy.connections and echo.begun and not echo.open", proxy, echo)
            assert bytes(echo.got) == b"abcde"[:arrived], at
            assert rule.hits == 1
            with connect(proxy) as next_one:
                assert said(next_one, b"next") == b"next"
        wait_until("not echo.open", proxy, echo)


def test_what_passed_before_a_reset_arrives_however_slowly_it_is_read(proxy: Proxy) -> None:
    with socket.socket() as connection, proxy.disturb(Cut(Sent(300_000), reset=True)):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(20)
        connection.connect(("127.0.0.1", proxy.port))
        connection.sendall(DATA[:300_001])
        assert receive(connection, 300_000) == DATA[:300_000]
        assert ends(connection) == "reset"


def test_what_is_stalled_goes_on_when_it_is_over(proxy: Proxy, echo: Echo) -> None:
    with connect(proxy) as connection:
        with proxy.disturb(Stall(3), toward="client"):
            connection.sendall(b"abcdef")
            assert receive(connection, 3) == b"abc"
            assert silent(connection)
            assert bytes(echo.got) == b"abcdef"
        assert receive(connection, 3) == b"def"


def test_a_server_that_ends_is_not_heard_of_behind_a_stall(proxy: Proxy, echo: Echo) -> None:
    with connect(proxy) as connection, proxy.disturb(Stall(), toward="client"):
        connection.sendall(b"abc")
        connection.shutdown(socket.SHUT_WR)
        wait_until("len(echo.got) == 3 and not echo.open", proxy, echo)
        assert silent(connection)


def test_what_has_vanished_is_a_reset_when_it_is_over(proxy: Proxy, echo: Echo) -> None:
    with connect(proxy) as old, connect(proxy) as quiet:
        assert said(old, b"abc") == b"abc"
        with proxy.disturb(BlackHole()):
            old.sendall(b"def")
            with connect(proxy) as new:
                new.sendall(b"ghi")
                assert silent(old)
                assert silent(new)
                proxy.calm()
                assert ends(old) == ends(new) == "reset"
        assert said(quiet, b"jkl") == b"jkl"
    assert bytes(echo.got) == b"abcjkl"


def test_delays_keep_the_order_and_hold_up_what_was_asked_for(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        proxy.disturb(Delay(0.02, jitter=0.02))
        began = time.monotonic()
        for number in range(20):
            connection.sendall(b"%02d" % number)
        assert receive(connection, 40) == b"".join(b"%02d" % number for number in range(20))
        proxy.calm()
        with proxy.disturb(Delay(0.1), toward="client"):
            began = time.monotonic()
            assert said(connection, b"abc") == b"abc"
            assert time.monotonic() - began >= 0.1


def test_a_long_delay_ends_with_its_rule(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        with proxy.disturb(Delay(1000)):
            connection.sendall(b"abc")
            assert silent(connection)
        assert receive(connection, 3) == b"abc"


def test_no_more_passes_than_the_rate_allows(proxy: Proxy) -> None:
    with connect(proxy) as connection, proxy.disturb(Throttle(100_000), toward="client"):
        began = time.monotonic()
        assert said(connection, DATA[:20_000]) == DATA[:20_000]
        assert time.monotonic() - began >= 0.15


def test_pieces_come_whole(proxy: Proxy, echo: Echo) -> None:
    with connect(proxy) as connection, proxy.disturb(Pieces(7)):
        assert said(connection, DATA[:5000]) == DATA[:5000]
    assert bytes(echo.got) == DATA[:5000]


def test_one_bit_is_flipped(proxy: Proxy, echo: Echo) -> None:
    with connect(proxy) as connection, proxy.disturb(Corrupt(2, bit=1), toward="client"):
        assert said(connection, b"abcd") == b"abad"
        assert said(connection, b"abcd") == b"abcd"
    assert bytes(echo.got) == b"abcdabcd"


def test_what_several_connections_say_arrives_in_another_order(proxy: Proxy, echo: Echo) -> None:
    connections = [connect(proxy) for _ in range(3)]
    with proxy.disturb(Reorder(3, patience=10), toward="server"):
        for number, connection in enumerate(connections):
            connection.sendall(b"%d" % number)
            if number < 2:
                assert silent(connection, 0.05)  # it is held before the next one comes
        assert [receive(connection, 1) for connection in connections] == [b"0", b"1", b"2"]
        assert bytes(echo.got) == b"210"
    with proxy.disturb(Reorder(3, patience=0.05), toward="client"):
        assert said(connections[0], b"x") == b"x"  # alone, it waits no longer
    for connection in connections:
        connection.close()


def test_a_trouble_happens_to_those_that_are_meant(proxy: Proxy) -> None:
    rule = proxy.disturb(Cut(Before(), reset=True), skip=1, every=2, times=2)
    seen = []
    for _ in range(8):
        with connect(proxy) as connection:
            connection.sendall(b"a")
            seen.append(ends(connection))
    assert seen == ["open", "open", "reset", "open", "reset", "open", "open", "open"]
    assert rule.hits == 2


@pytest.mark.parametrize("reset", [False, True])
def test_all_connections_can_be_ended(proxy: Proxy, reset: bool) -> None:
    with connect(proxy) as connection:
        assert said(connection, b"abc") == b"abc"
        proxy.hang_up(reset=reset)
        assert ends(connection) == ("reset" if reset else "closed")
    with connect(proxy) as connection:
        assert said(connection, b"abc") == b"abc"


def test_stopped_it_refuses_and_comes_back_on_the_same_port(proxy: Proxy) -> None:
    with connect(proxy) as connection:
        assert said(connection, b"abc") == b"abc"
        proxy.disturb(Stall())
        connection.sendall(b"def")
        proxy.stop()
        assert ends(connection) == "reset"
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
    proxy.calm()
    proxy.start()
    with connect(proxy) as connection:
        assert said(connection, b"abc") == b"abc"


def test_before_nobody_it_resets(proxy: Proxy, echo: Echo) -> None:
    echo.socket.close()
    with connect(proxy) as connection:
        assert ends(connection) == "reset"


def test_it_leaves_no_thread() -> None:
    before = threading.active_count()
    with proxied("localhost:9"):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


@pytest.mark.parametrize(
    ("server", "url"),
    [
        ("localhost:9", "127.0.0.1:{}"),
        ("redis://u:p@localhost/3?x=1", "redis://u:p@127.0.0.1:{}/3?x=1"),
        ("http://[::1]:9/a", "http://127.0.0.1:{}/a"),
    ],
)
def test_its_url_is_that_of_the_server_by_way_of_it(server: str, url: str) -> None:
    with proxied(server) as proxy:
        assert proxy.url == url.format(proxy.port)


def test_what_leads_nowhere_is_refused() -> None:
    for server in ("localhost", "ftp://localhost", "http://", ":9"):
        with pytest.raises(ValueError, match="HOST:PORT"):
            proxied(server)
    with pytest.raises(RuntimeError, match="was not started"):
        _ = proxied("localhost:9").url
