"""Runs the application in a server: uvicorn or Granian, one process or several, until a signal ends it."""

from __future__ import annotations

import http.client
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import FrameType
from typing import Any, Final, Literal, TypeAlias

from objectstore.errors import ConfigurationError

ServerName: TypeAlias = Literal["granian", "uvicorn"]
DEFAULT_SERVER: Final[ServerName] = "granian"
_APPLICATION: Final = "objectstore.app:app"
_KEEP_ALIVE: Final = 30  # seconds that an idle connection is kept; clients pool theirs
_BACKLOG: Final = 1024  # connections not yet accepted
_POLL: Final = 0.05  # seconds between two looks whether the server answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """A certificate, its chain included, and its key, both PEM."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a server is started with."""

    place: socket.socket  # bound, not listening: holds the port until the server does
    workers: int  # processes
    log_level: str
    shutdown_timeout: int  # seconds that requests under way are given at the end
    tls: Tls | None = None

    @property
    def address(self) -> str:
        found: str = self.place.getsockname()[0]
        return found

    @property
    def port(self) -> int:
        found: int = self.place.getsockname()[1]
        return found


def bind(host: str, port: int) -> socket.socket:
    """A socket that holds the place; port 0 is any free one.

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
        place = socket.socket(family, kind)
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        place.bind(found)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return place


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
    with launch.place, _announced(launch, on_ready):
        return _RUNNERS[server](launch)


def _run_uvicorn(launch: Launch) -> bool:
    from uvicorn import Config, Server
    from uvicorn.config import STARTUP_FAILURE
    from uvicorn.supervisors import Multiprocess

    class Processes(Multiprocess):
        def terminate_all(self) -> None:
            # As long as this process has it open, the kernel would take connections that nobody answers.
            launch.place.close()
            super().terminate_all()

    config = Config(
        _APPLICATION,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        workers=launch.workers,
        log_config=_logging(launch.log_level),
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=launch.shutdown_timeout,
        ssl_certfile=None if launch.tls is None else launch.tls.certificate,
        ssl_keyfile=None if launch.tls is None else str(launch.tls.key),
    )
    if launch.workers > 1:
        processes = Processes(config, [launch.place])
        processes.run()
        return all(process.exitcode != STARTUP_FAILURE for process in processes.processes)
    server = Server(config)

    def stop(_signal: int, _frame: FrameType | None) -> None:
        server.should_exit = True

    # The server has handlers of its own while it runs, and raises the signal again when it is done.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    server.run([launch.place])
    return server.started


def _run_granian(launch: Launch) -> bool:
    from granian.constants import HTTPModes, Interfaces, Loops, SSLProtocols
    from granian.log import LogLevels
    from granian.server import Server

    server = Server(
        _APPLICATION,
        address=launch.address,
        port=launch.port,
        interface=Interfaces.ASGI,
        workers=launch.workers,
        loop=Loops.uvloop,
        http=HTTPModes.auto,
        websockets=False,
        backlog=_BACKLOG,
        log_level=LogLevels(launch.log_level),
        log_dictconfig=_logging(launch.log_level),
        log_access=False,
        ssl_cert=None if launch.tls is None else launch.tls.certificate,
        ssl_key=None if launch.tls is None else launch.tls.key,
        ssl_protocol_min=SSLProtocols.tls12,
        respawn_failed_workers=True,
        workers_kill_timeout=launch.shutdown_timeout,
    )
    try:
        server.serve(target_loader=_load, wrap_loader=False)
    except SystemExit:
        # A worker that leaves by itself on Ctrl-C, before it is told to, is no failure.
        return bool(server.interrupt_signal)
    return True


def _load() -> Callable[..., Any]:
    # Granian's own loader would put the current folder in front of the import path.
    from objectstore.app import app

    return app


_RUNNERS: Final[Mapping[ServerName, Callable[[Launch], bool]]] = {"granian": _run_granian, "uvicorn": _run_uvicorn}


def _logging(level: str) -> dict[str, Any]:
    """A `logging.config` dictionary for both servers: everything to stderr, nothing of single requests."""
    logger = {"handlers": ["stderr"], "level": level.upper(), "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(message)s"}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "loggers": {"objectstore": logger, "uvicorn": logger, "_granian": dict(logger)},
    }


@contextmanager
def _announced(launch: Launch, on_ready: Callable[[], None]) -> Iterator[None]:
    ended = threading.Event()

    def wait() -> None:
        while not ended.wait(_POLL):
            if _answers(launch):
                on_ready()
                return

    watcher = threading.Thread(target=wait, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _answers(launch: Launch) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(launch.address, launch.address)  # noqa: S104  compared, not bound
    if launch.tls is None:
        connection = http.client.HTTPConnection(host, launch.port, timeout=1)
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        # It is ourselves that we talk to, and nothing is said.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, launch.port, timeout=1, context=context)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
