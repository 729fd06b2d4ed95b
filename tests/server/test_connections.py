from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from objectstore.backends.engine.backend import EngineBackend
from objectstore.server.connections import Connections, Counts, Cut, History, judge, supported
from objectstore.server.senders import SLOWEST

IDLE, TIMEOUT = 10.0, 20.0


def first_cut(*looks: tuple[float, int, int, bool]) -> tuple[float, Cut] | None:
    """When a connection that is seen so is cut: looks are times, bytes acked, bytes unsent, and whether it is busy."""
    history = History(acked=looks[0][1], active=looks[0][0])
    for now, acked, unsent, busy in looks:
        cut = judge(history, Counts(acked, unsent), now, busy=busy, idle=IDLE, timeout=TIMEOUT)
        if cut is not None:
            return now, cut
    return None


def test_one_without_any_request_is_idle() -> None:
    assert first_cut(*((now, 0, 0, False) for now in range(30))) == (11, "idle")


def test_one_with_a_request_under_way_is_of_use_however_long_that_takes() -> None:
    looks = [(now, 0, 0, now < 1000) for now in range(1030)]
    assert first_cut(*looks) == (1010, "idle")


def test_one_whose_request_was_not_read_yet_is_of_use() -> None:
    history = History(acked=0, active=0)
    for now, unread, cut in ((1000, 1, None), (1010, 0, None), (1011, 0, "idle")):
        assert judge(history, Counts(0, 0, unread), now, busy=False, idle=IDLE, timeout=TIMEOUT) == cut


def test_an_answer_renews_it_even_if_its_request_was_never_seen() -> None:
    looks = [(now, 100 * (now // 8), 0, False) for now in range(100)]
    assert first_cut(*looks) is None
    assert first_cut(*looks, *((now, looks[-1][1], 0, False) for now in range(100, 120))) == (107, "idle")


def test_one_that_takes_nothing_of_what_is_there_is_slow_also_while_its_request_is_under_way() -> None:
    assert first_cut(*((now, 0, 1000, True) for now in range(30))) == (20, "slow_reader")


@pytest.mark.parametrize(("rate", "cut"), [(SLOWEST - 1, (20, "slow_reader")), (SLOWEST, None)])
def test_one_that_takes_the_slowest_bytes_is_not_too_slow(rate: int, cut: tuple[float, Cut] | None) -> None:
    assert first_cut(*((now, rate * now, 10**9, True) for now in range(200))) == cut


def test_a_fast_beginning_does_not_make_up_for_a_stop() -> None:
    looks = [(now, min(now, 5) * 10**9, 10**9, True) for now in range(60)]
    assert first_cut(*looks) == (40, "slow_reader")


def test_one_that_took_everything_begins_anew() -> None:
    looks = [(now, 0, int(now % 15 != 14), True) for now in range(200)]
    assert first_cut(*looks) is None


def test_zero_seconds_are_for_ever() -> None:
    history = History(acked=0, active=0)
    assert judge(history, Counts(0, 0), 1e9, busy=False, idle=0, timeout=0) is None
    assert judge(history, Counts(0, 5), 2e9, busy=False, idle=0, timeout=0) is None
    assert judge(history, Counts(0, 5), 3e9, busy=False, idle=0, timeout=0) is None


def fill(connection: socket.socket) -> None:
    """Send until there is no room."""
    with contextlib.suppress(BlockingIOError):
        while True:
            connection.send(bytes(65536))


@pytest.mark.skipif(not supported(), reason="only Linux tells what went over a connection")
class TestOfThisProcess:
    def test_one_that_was_accepted_is_cut_at_both_ends_and_one_that_was_made_is_not(self) -> None:
        connections = Connections(idle=10, timeout=10)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            made = socket.create_connection(listener.getsockname(), timeout=20)
            accepted, peer = listener.accept()
            with made, accepted:
                assert connections.look(0, (), all_busy=False) == []  # which finds out where is listened
                assert connections.look(0, {peer}, all_busy=False) == []
                assert connections.look(100, {peer}, all_busy=False) == []
                assert connections.look(105, (), all_busy=False) == []
                # That somebody else has a request under way from the same port says nothing.
                assert connections.look(108, {("127.0.0.2", peer[1])}, all_busy=False) == []
                assert connections.look(111, (), all_busy=True) == []
                made.sendall(b"GET")
                assert select.select([accepted], [], [], 20)[0]
                assert connections.look(122, (), all_busy=False) == []
                assert accepted.recv(3) == b"GET"
                assert connections.look(133, (), all_busy=False) == ["idle"]
                assert accepted.recv(1) == b""
                accepted.close()
                assert made.recv(1) == b""

    def test_a_process_that_is_about_to_end_does_not_wait_long(self) -> None:
        connections = Connections(idle=0, timeout=0)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            made = socket.create_connection(listener.getsockname(), timeout=20)
            accepted, peer = listener.accept()
            with made, accepted:
                assert connections.look(0, (), all_busy=False) == []
                assert connections.look(1000, (), all_busy=False) == []
                assert connections.look(1001, (), all_busy=False, leaving_from=1000) == []
                assert connections.look(1010, {peer}, all_busy=False, leaving_from=1000) == []
                assert connections.look(1012, (), all_busy=False, leaving_from=1000) == []
                assert connections.look(1015, (), all_busy=False, leaving_from=1000) == ["idle"]

    def test_one_that_does_not_read_is_cut_and_nothing_is_kept_for_it(self) -> None:
        connections = Connections(idle=0, timeout=10)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            made = socket.create_connection(listener.getsockname(), timeout=20)
            accepted, _ = listener.accept()
            with made, accepted:
                accepted.setblocking(False)
                fill(accepted)
                cuts, now = connections.look(0, (), all_busy=False), 0
                deadline = time.monotonic() + 60
                while not cuts and time.monotonic() < deadline:
                    # The first bytes may still be on their way into the buffer at the other end.
                    now += 11
                    cuts = connections.look(now, (), all_busy=False)
                assert cuts == ["slow_reader"]
                with pytest.raises(OSError, match=r"."):
                    accepted.send(b"more")


@pytest.mark.skipif(not supported(), reason="only Linux tells")
def test_looking_at_connections_leaves_the_locks_of_the_index_alone(tmp_path: Path) -> None:
    """To close any copy of a file ends the locks of SQLite on it, and then the log goes under an open store."""

    async def run() -> None:
        async with EngineBackend(tmp_path) as backend:
            await backend.put("key", b"body")
            Connections(idle=1, timeout=1).look(0.0, (), all_busy=False)
            # Another process opens it, and is not the last to close it.
            program = (
                "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM sequence'); c.close()"
            )
            index = tmp_path / "index.sqlite3"
            await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program, str(index)], check=True)
            assert await asyncio.to_thread(Path(f"{index}-wal").exists)

    asyncio.run(run())
