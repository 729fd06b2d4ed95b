"""A real server for tests: in a thread of this process, on a free port, with troubles on demand."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from objectstore.auth.links import mark_of
from objectstore.auth.scopes import EVERY_KEY, SCOPES, Credential, Scope
from objectstore.auth.signing import Links
from objectstore.auth.tokens import digest_of
from objectstore.backends.contract import Backend
from objectstore.backends.engine.backend import EngineBackend
from objectstore.backends.memory import MemoryBackend
from objectstore.client import AsyncRestStore, RestStore
from objectstore.core.rates import UNLIMITED, parse_rate
from objectstore.errors import Unauthenticated
from objectstore.server.application import Application
from objectstore.server.limits import Limits
from objectstore.server.service import Service
from objectstore.testing.running import Running
from objectstore.testing.troubled import TRANSPORT, Troubled
from objectstore.testing.troubles import Rule, Script, SeenRequest, Trouble

if TYPE_CHECKING:
    from asyncio import Transport

Certificate: TypeAlias = tuple[str | Path, str | Path]
"""The files of a certificate and of its key."""

_TTL: Final = timedelta(days=1)
_STARTING: Final = 60.0  # seconds; a machine may be very busy
_ENDING: Final = 10.0  # seconds for requests whose connection is gone
_RETRY_DELAY: Final = 0.01  # seconds: nobody wants to wait in a test


class _Tokens:
    """Who is known to the server; tokens may be added while it runs."""

    def __init__(self) -> None:
        self._known: dict[bytes, Credential] = {}
        self._makers: dict[str, tuple[bytes, Credential]] = {}

    def add(self, token: str, credential: Credential) -> None:
        digest = digest_of(token.encode())
        credential = replace(credential, mark=mark_of(digest))
        self._known[b"Bearer " + token.encode()] = credential
        self._makers[credential.mark] = (digest, credential)

    @property
    def complaint(self) -> str:
        return ""

    def load(self) -> None:
        pass

    def authenticate(self, authorization: bytes | None, now: datetime) -> Credential:
        credential = self._known.get(authorization or b"")
        if credential is None or (credential.expires is not None and credential.expires <= now):
            raise Unauthenticated
        return credential

    def why_not(self, authorization: bytes) -> str:
        return "its token has expired" if authorization in self._known else "its token is not known"

    def bounded(self) -> Sequence[str]:
        return ()

    def maker(self, mark: str) -> tuple[bytes, Credential] | None:
        return self._makers.get(mark)


class _Secret:
    """For signed links; ends with the server."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes()

    def load(self) -> None:
        pass

    def known(self) -> bytes:
        return self._secret

    def needed(self) -> bytes:
        return self._secret


class _Protocol(HttpToolsProtocol):
    """Tells the application its connection, so that it can be cut."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["state"][TRANSPORT] = self.transport


class _Uvicorn(uvicorn.Server):
    """Uvicorn that stops at once, whatever is under way."""

    def __init__(self, config: uvicorn.Config, service: Service, stopping: asyncio.Event) -> None:
        super().__init__(config)
        self._service = service
        self._stopping = stopping
        self.ready = threading.Event()
        self.loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # Not by the lifespan of the application: that takes all objects of the process for its own, and has the
        # garbage collector leave them alone from then on.
        await self._service.open()
        self.loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.ready.set()

    async def main_loop(self) -> None:
        seconds = 0
        while not self._stopping.is_set():
            await self.on_tick(seconds * 10)  # uvicorn counts tenths; the time in `Date` goes by seconds
            seconds += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await self._stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002  its owner closes them
        for server in self.servers:
            server.close()
        self.hang_up()
        if tasks := list(self.server_state.tasks):
            _, late = await asyncio.wait(tasks, timeout=_ENDING)
            for task in late:
                task.cancel()
        await self._service.close()

    def hang_up(self) -> None:
        """Cut every connection."""
        for connection in list(self.server_state.connections):
            transport: Transport = connection.transport
            transport.abort()


class ObjectStoreServer(Running):
    """A server over real sockets; `serve` makes it, `with` or `async with` starts and ends it."""

    def __init__(
        self, backend: Backend, token: str, max_object_size: int, limits: Limits, certificate: Certificate | None
    ) -> None:
        self._tokens = _Tokens()
        self._service = Service(
            backend=backend,
            tokens=self._tokens,
            max_object_size=max_object_size,
            upload_ttl=_TTL,
            links=Links(self._tokens, _Secret()),
            limits=limits,
        )
        self._certificate = certificate
        self._script = Script()
        self._running: _Running | None = None
        self._store: RestStore | None = None
        self._port = 0
        self.token = token
        self._tokens.add(token, Credential(name="test", scopes=frozenset(SCOPES)))

    def __repr__(self) -> str:
        return f"<ObjectStoreServer {self.url if self._port else 'not started'}>"

    def start(self) -> None:
        """Listen, and answer from now on; after `stop`, on the same port again. Raises ConfigurationError."""
        if self._running is not None:
            raise RuntimeError("this server is running already")
        self._running = _Running(self._service, self._script, self._port, self._certificate)
        self._port = self._running.port

    def stop(self) -> None:
        """Cut all connections and answer no more. Objects stay, those in memory too."""
        if self._store is not None:
            self._store.close()
            self._store = None
        if self._running is not None:
            self._running.stop()
            self._running = None

    @property
    def url(self) -> str:
        """As in `http://127.0.0.1:40123`."""
        if not self._port:
            raise RuntimeError("this server was not started: say `with serve() as server:`")
        return f"{'https' if self._certificate else 'http'}://127.0.0.1:{self._port}"

    @property
    def store(self) -> RestStore:
        """A client that may do everything, and does not wait long between its tries; closed with the server."""
        if self._store is None:
            self._store = RestStore.create(self.url, self.token, retry_delay=_RETRY_DELAY)
        return self._store

    def async_store(self) -> AsyncRestStore:
        """As `store`, for `async with`: who asks for it closes it."""
        return AsyncRestStore.create(self.url, self.token, retry_delay=_RETRY_DELAY)

    def add_token(
        self,
        name: str = "other",
        *,
        scopes: tuple[Scope, ...] = ("read",),
        prefixes: Iterable[str] = EVERY_KEY,
        lifetime: timedelta | None = None,
    ) -> str:
        """A token that may do less than `token`: of these scopes, under these prefixes, for so long."""
        expires = None if lifetime is None else datetime.now(UTC) + lifetime
        token = _new_token()
        credential = Credential(name=name, scopes=frozenset(scopes), prefixes=tuple(prefixes), expires=expires)
        self._tokens.add(token, credential)
        return token

    def disturb(
        self,
        trouble: Trouble,
        *,
        method: str | None = None,
        key: str | None = None,
        path: str = "",
        skip: int = 0,
        every: int = 1,
        times: int | None = None,
    ) -> Rule:
        """From now on let `trouble` happen to requests: all of them, or those that are meant.

        Args:
            trouble: as in `Delay(0.2)`, `Refuse(503, retry_after=1)` or `Cut(Sent(1000))`.
            method: only requests with this method.
            key: only requests for the object under this key.
            path: only requests whose path begins so, as in `/uploads`.
            skip: leave the first ones of these alone.
            every: of those that follow only every second, third, …
            times: then it is over; None: until `calm`, or the end of a `with` around this.
        """
        rule = Rule(trouble, method=method, key=key, path=path, skip=skip, every=every, times=times)
        self._script.add(rule)
        return rule

    def calm(self) -> None:
        """End all troubles."""
        self._script.clear()

    @property
    def requests(self) -> tuple[SeenRequest, ...]:
        """Those that came, in the order in which they did, since the start or `forget_requests`."""
        return self._script.seen

    def forget_requests(self) -> None:
        """Begin `requests` anew."""
        self._script.forget()

    def hang_up(self) -> None:
        """Cut every connection that is open now; new ones are taken."""
        if self._running is not None:
            self._running.hang_up()


class _Running:
    """The thread, its loop and its socket."""

    def __init__(self, service: Service, script: Script, port: int, certificate: Certificate | None) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._stopping = asyncio.Event()
        application = Troubled(Application(service), script, self._stopping)
        tls: dict[str, Any] = {}
        if certificate is not None:
            tls = {"ssl_certfile": certificate[0], "ssl_keyfile": certificate[1]}
        config = uvicorn.Config(
            application, http=_Protocol, ws="none", lifespan="off", log_config=None, access_log=False, **tls
        )
        self._server = _Uvicorn(config, service, self._stopping)
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="objectstore-server", daemon=True)
        self._thread.start()
        if not self._server.ready.wait(_STARTING):
            raise RuntimeError(f"the server did not start within {_STARTING:g} s")
        self._raise_failure()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listener])
        except BaseException as error:  # noqa: BLE001  told to who starts and stops the server
            self._failure = error
            self._listener.close()
        finally:
            self._server.ready.set()

    def stop(self) -> None:
        self._soon(self._stopping.set)
        self._thread.join()
        self._listener.close()
        self._raise_failure()

    def hang_up(self) -> None:
        self._soon(self._server.hang_up)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _soon(self, call: Callable[[], object]) -> None:
        loop = self._server.loop
        # A loop that has ended has no connections left.
        if loop is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(call)


def serve(
    data: str | Path | None = None,
    *,
    backend: Backend | None = None,
    token: str | None = None,
    max_object_size: int = 1 << 40,
    rate_limit: str | None = None,
    certificate: Certificate | None = None,
) -> ObjectStoreServer:
    """The real server, on a free port of 127.0.0.1, for a `with` or an `async with`.

        with serve() as server:
            store = RestStore.create(server.url, server.token)

    It runs in a thread of this process, and ends at once with the block.

    Args:
        data: the folder of the embedded engine, as `objectstore serve --data` has it; None keeps objects in memory.
        backend: a backend to serve instead.
        token: the token that may do everything; None makes one.
        max_object_size: bytes; larger objects are refused.
        rate_limit: of each token, as in `RATE_LIMIT`: "100/second".
        certificate: files of the certificate and its key, for TLS.

    Raises (when it starts):
        ConfigurationError: the folder cannot be used.
    """
    if data is not None and backend is not None:
        raise TypeError("data and backend both say what is served: give one of them")
    if backend is None:
        backend = MemoryBackend() if data is None else EngineBackend(Path(data))
    limits = Limits(rate=UNLIMITED if rate_limit is None else parse_rate(rate_limit))
    return ObjectStoreServer(backend, token or _new_token(), max_object_size, limits, certificate)


def _new_token() -> str:
    return f"os_test_{secrets.token_urlsafe(24)}"
