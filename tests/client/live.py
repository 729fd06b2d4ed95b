"""A real server in this process: uvicorn in a thread, the application over a backend in memory."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import uvicorn

from objectstore.auth.scopes import SCOPES, Credential
from objectstore.backends.contract import Backend
from objectstore.backends.memory import MemoryBackend
from objectstore.errors import Unauthenticated
from objectstore.server.application import Application
from objectstore.server.service import Service

TOKEN = "os_live_token"
_EVERYTHING = Credential(name="test", scopes=frozenset(SCOPES))


class OneToken:
    def load(self) -> None:
        pass

    def authenticate(self, authorization: bytes | None, now: datetime) -> Credential:  # noqa: ARG002  never expires
        if authorization != b"Bearer " + TOKEN.encode():
            raise Unauthenticated
        return _EVERYTHING


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@contextlib.contextmanager
def serving(backend: Backend | None = None, **options: Any) -> Iterator[str]:
    """The base URL of a server, which ends with the block. `options` are those of uvicorn."""
    service = Service(
        backend=backend or MemoryBackend(),
        tokens=OneToken(),
        max_object_size=1 << 40,
        upload_ttl=timedelta(days=1),
    )
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as listener:
        config = uvicorn.Config(Application(service), log_level="warning", lifespan="on", **options)
        server = _Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        assert server.ready.wait(20)
        try:
            yield f"{'https' if options else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
