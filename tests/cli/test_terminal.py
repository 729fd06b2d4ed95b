"""What only a terminal, or somebody at one, brings about: the bar, questions, and signals."""

from __future__ import annotations

import os
import pty
import select
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cli.served import PROGRAM, Served, environment

CHUNK = bytes(256 * 1024)  # what a transfer reads at once


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """The end that a person has, and the end that a program has."""
    person, program = pty.openpty()
    try:
        yield person, program
    finally:
        os.close(person)
        os.close(program)


def read_until(person: int, wanted: bytes) -> bytes:
    """What the program shows, up to where `wanted` has appeared."""
    shown = b""
    while wanted not in shown:
        shown += os.read(person, 4096)
    return shown


def test_a_long_transfer_shows_a_bar(server: Served) -> None:
    with (
        terminal() as (person, program),
        subprocess.Popen(
            [*PROGRAM, "put", "-", "barred"], stdin=subprocess.PIPE, stderr=program, env=server.environment()
        ) as process,
    ):
        stdin, seen = process.stdin, threading.Event()
        assert stdin is not None

        def feed() -> None:
            with stdin:
                for _ in range(100):
                    stdin.write(CHUNK)
                    stdin.flush()
                    if seen.wait(0.1):
                        break

        # Slowly, until the rate shows: it is known from the second look at the bar on.
        feeder = threading.Thread(target=feed)
        feeder.start()
        shown = b""
        while b"stored barred" not in shown:
            shown += os.read(person, 4096)
            if b"/s" in shown:
                seen.set()
        feeder.join()
        assert process.wait(30) == 0
    assert b"MiB" in shown or b"KiB" in shown
    assert b"/s" in shown


def test_a_quiet_transfer_shows_nothing(server: Served, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(CHUNK)
    with terminal() as (person, program):
        ended = subprocess.run(
            [*PROGRAM, "put", "--quiet", "file"], stderr=program, env=server.environment(), cwd=tmp_path, check=True
        )
        assert ended.returncode == 0
        assert not select.select([person], [], [], 0)[0]


@pytest.mark.parametrize(("answer", "code", "left"), [(b"n\n", 1, 0), (b"y\n", 0, 4)])
def test_deleting_a_prefix_asks(server: Served, answer: bytes, code: int, left: int) -> None:
    for key in ("question/a", "question/b"):
        assert server.command("put", "-", key).returncode == 0
    with (
        terminal() as (person, program),
        subprocess.Popen(
            [*PROGRAM, "rm", "-r", "question/"], stdin=program, stderr=program, env=server.environment()
        ) as process,
    ):
        shown = read_until(person, b"[y/N]")
        os.write(person, answer)
        assert process.wait(30) == code
    assert b"Delete 2 objects" in shown
    assert server.command("exists", "question/a").returncode == left


def test_keys_cannot_steer_the_terminal(server: Served) -> None:
    assert server.command("put", "-", "steer/\x1b[2J").returncode == 0
    with (
        terminal() as (person, program),
        subprocess.Popen([*PROGRAM, "ls", "steer/"], stdout=program, env=server.environment()) as process,
    ):
        assert process.wait(30) == 0
        assert os.read(person, 4096) == b"steer/\\x1b[2J\r\n"
    assert server.command("ls", "steer/").stdout == b"steer/\x1b[2J\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_download_that_is_stopped_leaves_nothing_half_written(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def send_half() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n"
                    b'ETag: "a"\r\nLast-Modified: Mon, 01 Jan 2024 00:00:00 GMT\r\n\r\n' + bytes(1000000)
                )
                ended.wait(60)

        half = threading.Thread(target=send_half)
        half.start()
        env = environment(OBJECTSTORE_URL=f"http://127.0.0.1:{listener.getsockname()[1]}")
        with subprocess.Popen([*PROGRAM, "get", "a", "file"], stderr=subprocess.PIPE, cwd=tmp_path, env=env) as process:
            pause = threading.Event()
            while not any(path.stat().st_size for path in tmp_path.iterdir()):
                assert process.poll() is None
                pause.wait(0.02)
            process.send_signal(number)
            _, told = process.communicate(timeout=30)
        ended.set()
        half.join()
    assert process.returncode == code
    assert told == b""
    assert list(tmp_path.iterdir()) == []
