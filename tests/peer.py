"""A plain HTTP client that sends paths and headers just as they are given, and real servers to talk to."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPMessage
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cli.served import invoke

SCOPES = ("read", "write", "delete", "metrics")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        code: str = self.json["error"]["code"]
        return code


@dataclass(frozen=True)
class Server:
    """A running server; `token` may do everything."""

    port: int
    token: str = field(repr=False)
    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | Iterable[bytes] | None = None,
        headers: Mapping[str, str | bytes] | None = None,
        *,
        token: str | None = "",
    ) -> Answer:
        """One request on a connection of its own. `token`: "" for the server's, None for no header."""
        sent: dict[str, str | bytes] = {}
        if token is not None:
            sent["Authorization"] = f"Bearer {token or self.token}"
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, sent | dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    def json(self, method: str, path: str, value: object, *, token: str | None = "") -> Answer:
        return self.ask(method, path, json.dumps(value).encode(), {"Content-Type": "application/json"}, token=token)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def peak_memory(self) -> int:
        """Bytes of memory that the largest of the processes has held at most."""
        pid = self.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return max(_peak_memory(one) for one in (str(pid), *children))


def ask_url(url: str, token: str) -> Answer:
    """GET it."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=60)
    with contextlib.closing(connection):
        connection.request("GET", parts.path, headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())


def _peak_memory(pid: str) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split(maxsplit=1)[0]) * 1024


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def add_token(file: Path, name: str, *, scopes: Iterable[str] = SCOPES, prefixes: Iterable[str] = ()) -> str:
    """A token made by the command that users have."""
    options = ["--ttl", "1", "--file", str(file)]
    for scope in scopes:
        options += ["--scope", scope]
    for prefix in prefixes:
        options += ["--prefix", prefix]
    told = invoke("token", "add", name, *options)
    assert not told.returncode, told.stderr
    return next(word for word in told.stdout.decode().split() if word.startswith("os_"))


def wait_until_healthy(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 120  # it is of no use to give up a server early: one that fails to start ends
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the server ended with {process.returncode}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
            probe.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            if probe.recv(64).startswith(b"HTTP/1.1 200"):
                return
        time.sleep(0.02)
    raise AssertionError("the server did not come up")


def command_for(kind: str, port: int, workers: int = 1) -> list[str]:
    if kind == "uvicorn":
        server = ["uvicorn", "objectstore.app:app", "--log-level", "warning", "--timeout-graceful-shutdown", "10"]
    else:
        server = ["granian", "--interface", "asgi", "objectstore.app:app", "--log-level", "warning"]
    return [sys.executable, "-m", *server, "--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)]


@contextlib.contextmanager
def running(
    folder: Path, kind: str = "uvicorn", *, workers: int = 1, environment: Mapping[str, str] | None = None
) -> Iterator[Server]:
    """A server over the data in `folder`, ended when the block is left."""
    tokens = folder / "tokens.json"
    tokens.unlink(missing_ok=True)
    token = add_token(tokens, "all")
    port = free_port()
    settings = {"DATA_DIR": str(folder / "data"), "AUTH_TOKENS_FILE": str(tokens), "WORKERS": str(workers)}
    # All tests share an address, and some try many tokens.
    settings["RATE_LIMIT_ADDRESS"] = "none"
    settings |= environment or {}
    settings = {name: value for name, value in settings.items() if value}
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            command_for(kind, port, workers),
            env=os.environ | settings,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        wait_until_healthy(process, port)
        yield Server(port, token, process, folder)
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """Ask a server that leads a session of its own to end; what is left of it after 20 seconds is killed."""
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(20)
    # Plain Granian forgets a worker that was told to end before it could hear.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
