"""A real redis-server for tests, on a socket or a port of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import redis

from peer import free_port


@dataclass
class RedisServer:
    """`url` leads to it; databases 0 to 63."""

    folder: Path
    port: int
    arguments: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        command += ["--databases", "64", "--save", "", "--logfile", str(self.folder / "log"), *self.arguments]
        self.process = subprocess.Popen(command)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5) as probe:
                probe.sendall(b"PING\r\n")
                if probe.recv(100).startswith((b"+PONG", b"-NOAUTH")):
                    return
            time.sleep(0.02)
        raise AssertionError("redis-server did not come up")

    def client(self, database: int = 0) -> redis.Redis:
        """As another program has it."""
        return redis.Redis(port=self.port, db=database)

    def pause(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def running_redis(*arguments: str) -> Iterator[RedisServer]:
    """A server with these arguments, killed when the block is left; the test is skipped where there is none."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        server = RedisServer(Path(folder), free_port(), arguments)
        server.start()
        try:
            yield server
        finally:
            server.kill()
