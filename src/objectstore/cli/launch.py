"""Runs the application in a server: uvicorn or Granian, one process or several, until a signal ends it."""

from __future__ import annotations

import _thread
import http.client
import math
import multiprocessing
import resource
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import FrameType
from typing import Any, Final, Literal, TypeAlias

from objectstore.cli.forking import BEING_COPIED, Method, lives, start_method, starting_processes
from objectstore.errors import ConfigurationError
from objectstore.server.accepting import room
from objectstore.server.allocator import share_one_arena
from objectstore.server.observation.logs import form_of, logging_config

ServerName: TypeAlias = Literal["granian", "uvicorn"]
DEFAULT_SERVER: Final[ServerName] = "granian"
_APPLICATION: Final = "objectstore.app:app"
# Bytes of a connection that Granian holds, a third of its default. Each time that it hands some on, several threads
# wake: a large upload costs a third more with half as many.
_READ_AHEAD: Final = 128 * 1024
_HEAD: Final = 64 * 1024  # bytes of the fields of a request by HTTP/2
_BACKLOG: Final = 4096  # connections not yet accepted; the kernel loses those that find no room, and takes no more
_FOREVER: Final = 10 * 365 * 86400  # seconds
_HEALTH_CHECK: Final = 30  # seconds for a worker to answer uvicorn, also while it starts on a busy machine
_POLL: Final = 0.01  # seconds between two looks whether the server answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """A certificate, its chain included, and its key, both PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where to listen, held by a socket that is bound and does not listen yet."""

    socket: socket.socket
    address: str  # in numbers
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a server is started with."""

    place: Place
    workers: int  # processes
    log_level: str
    log_format: Literal["auto", "human", "json"]
    shutdown_timeout: int  # seconds that requests under way are given at the end
    idle_timeout: float  # seconds that a connection may be without a request, and a head take; 0: any
    tls: Tls | None = None


def bind(host: str, port: int) -> Place:
    """Take the place; port 0 is any free one.

    Raises:
        ConfigurationError: there is no such host here, or the port is taken or not allowed.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        # Granian's workers share the port by SO_REUSEPORT, with which they would share it with another
        # server, too. So the first socket goes without, which fails when anybody listens there.
        with socket.socket(family, kind) as first:
            first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            first.bind(address)
            found = first.getsockname()
        holder = socket.socket(family, kind)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind(found)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return Place(socket=holder, address=found[0], port=found[1])


def check_tls(tls: Tls) -> None:
    """Raises ConfigurationError when certificate and key cannot be used."""

    def refuse_to_ask() -> str:
        raise ConfigurationError(f"{tls.key} is protected by a password; use a key without one")

    for path in (tls.certificate, tls.key):
        try:
            path.open("rb").close()
        except OSError as error:
            raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.certificate, tls.key, refuse_to_ask)
    except ssl.SSLError as error:
        reason = error.reason or "not PEM"
        raise ConfigurationError(
            f"{tls.certificate} and {tls.key} are no certificate with its key: {reason}"
        ) from error


def run(server: ServerName, launch: Launch, *, on_ready: Callable[[], None]) -> bool:
    """Serve until SIGTERM or SIGINT, then finish what is under way; whether it ended because it was told to.

    `on_ready` is called once, from another thread, when the server answers.
    """
    _allow_connections()
    share_one_arena()
    method = start_method()  # asked, as the allocator is told, before there is another thread
    with _announced(launch, on_ready):
        return _run_granian(launch, method) if server == "granian" else _run_uvicorn(launch)


def _allow_connections() -> None:
    # Each is a file, and 1024 of them, what most systems start with, are soon used up by clients that do nothing.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # some systems name a limit that they do not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _run_uvicorn(launch: Launch) -> bool:
    from uvicorn import Config, Server
    from uvicorn.config import STARTUP_FAILURE
    from uvicorn.supervisors import Multiprocess

    class Processes(Multiprocess):
        def init_processes(self) -> None:
            with starting_processes("spawn"):
                super().init_processes()

        def keep_subprocess_alive(self) -> None:
            with starting_processes("spawn"):
                super().keep_subprocess_alive()

        def terminate_all(self) -> None:
            # As long as this process has it open, the kernel would take connections that nobody answers.
            launch.place.socket.close()
            super().terminate_all()

    config = Config(
        _APPLICATION,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        workers=launch.workers,
        log_config=_logging(launch),
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_worker_healthcheck=_HEALTH_CHECK,
        timeout_keep_alive=max(1, math.ceil(launch.idle_timeout)) if launch.idle_timeout else _FOREVER,
        timeout_graceful_shutdown=launch.shutdown_timeout,
        ssl_certfile=None if launch.tls is None else launch.tls.certificate,
        ssl_keyfile=None if launch.tls is None else str(launch.tls.key),
    )
    if launch.workers > 1:
        processes = Processes(config, [launch.place.socket])
        processes.run()
        return all(process.exitcode != STARTUP_FAILURE for process in processes.processes)
    server = Server(config)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    # The server has handlers of its own while it runs, and raises the signal again when it is done.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    server.run([launch.place.socket])
    return server.started


def _run_granian(launch: Launch, method: Method) -> bool:
    from granian.constants import HTTPModes, Interfaces, Loops, SSLProtocols
    from granian.http import HTTP1Settings, HTTP2Settings
    from granian.log import LogLevels
    from granian.server import Server

    from objectstore.cli import worker

    class Workers(Server):  # type: ignore[misc,valid-type]  # one of two classes, chosen when granian is imported
        def _spawn_worker(self, idx: int, target: Any, callback_loader: Any) -> Any:
            made = super()._spawn_worker(idx, target, callback_loader)
            start = made.start

            def start_deaf() -> None:
                with starting_processes(method):
                    start()

            made.start = start_deaf
            if isinstance(made.inner, BaseProcess):
                # Else it says at the end, on a busy machine, that it kills workers which "refused to gracefully stop".
                made.is_alive = lambda: lives(made.inner)
            return made

        def signal_handler_interrupt(self, *_: Any) -> None:
            # From a thread: here it would wait for ever if the signal came while the event's lock is held.
            self.interrupt_signal = True
            _thread.start_new_thread(self.main_loop_interrupt.set, ())

    multiprocessing.set_start_method(method, force=True)
    server = Workers(
        _APPLICATION,
        address=launch.place.address,
        port=launch.place.port,
        interface=Interfaces.ASGI,
        workers=launch.workers,
        loop=Loops.uvloop,
        http=HTTPModes.auto,
        http1_settings=HTTP1Settings(
            max_buffer_size=_READ_AHEAD,
            # From one request to the end of the next one's head.
            header_read_timeout=math.ceil((launch.idle_timeout or _FOREVER) * 1000),
        ),
        # Its default is 16 MiB for each of the requests of a connection, before it is known whose they are.
        http2_settings=HTTP2Settings(max_headers_size=_HEAD),
        websockets=False,
        backlog=_BACKLOG,
        backpressure=room(),  # by default it takes no more than wait to be accepted
        log_level=LogLevels(launch.log_level),
        log_dictconfig=_logging(launch),
        log_access=False,
        ssl_cert=None if launch.tls is None else launch.tls.certificate,
        ssl_key=None if launch.tls is None else launch.tls.key,
        ssl_protocol_min=SSLProtocols.tls12,
        respawn_failed_workers=True,
        workers_kill_timeout=launch.shutdown_timeout,
    )
    try:
        server.serve(worker.work, target_loader=worker.load, wrap_loader=False)
    except SystemExit:
        # A worker that was told to end before this process was is no failure.
        return bool(server.interrupt_signal)
    return True


def _logging(launch: Launch) -> dict[str, Any]:
    return logging_config(launch.log_level, form_of(launch.log_format, sys.stderr))


@contextmanager
def _announced(launch: Launch, on_ready: Callable[[], None]) -> Iterator[None]:
    def look() -> bool:
        with BEING_COPIED:
            answers = _answers(launch)
        if answers:
            on_ready()
        return answers

    with _repeatedly(look, _POLL):
        yield


@contextmanager
def _repeatedly(action: Callable[[], bool], pause: float) -> Iterator[None]:
    """While the block runs, `action` is called in another thread after each `pause` seconds, until it says True."""
    ended = threading.Event()

    def repeat() -> None:
        while not ended.wait(pause) and not action():
            pass

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _answers(launch: Launch) -> bool:
    address, port = launch.place.address, launch.place.port
    address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104  compared, not bound
    if launch.tls is None:
        connection = http.client.HTTPConnection(address, port, timeout=1)
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # It is ourselves that we talk to, and nothing is said.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(address, port, timeout=1, context=context)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
