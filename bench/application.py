"""The application called in process, as a server calls it but without one: what is left of a request is ours."""

from __future__ import annotations

import asyncio
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal

import uvloop

from objectstore.auth.scopes import SCOPES
from objectstore.auth.store import TokenFile, TokenStore
from objectstore.backends.engine.backend import EngineBackend
from objectstore.server.application import Application
from objectstore.server.exchange import Message
from objectstore.server.service import Service
from objectstore.wire.headers import FieldList

_KEYS: Final = 1000  # that are read again and again
_REFUSED: Final = 400
_LARGEST: Final = 1 << 40  # bytes


def requests(method: Literal["GET", "PUT"], folder: Path, size: int, at_once: int, seconds: int) -> float:
    """Requests in a second, by so many tasks at once, for objects of `size` bytes in an engine in `folder`."""
    return uvloop.run(_requests(method, folder, size, at_once, seconds))


async def _requests(method: str, folder: Path, size: int, at_once: int, seconds: int) -> float:
    backend, tokens = EngineBackend(folder / "data"), folder / "tokens.json"
    token = TokenFile(tokens).add("bench", scopes=SCOPES, now=datetime.now(UTC), ttl=None)
    service = Service(
        backend=backend, tokens=TokenStore(tokens), max_object_size=_LARGEST, upload_ttl=timedelta(days=1)
    )
    service.tokens.load()
    application = Application(service)
    fields = [
        (b"host", b"127.0.0.1:8000"),
        (b"authorization", f"Bearer {token}".encode()),
        (b"content-length", b"%d" % (0 if method == "GET" else size)),
    ]
    body = os.urandom(size)
    async with backend:
        for number in range(_KEYS):
            await backend.put(f"read/{number:09}", body)
        counts = [0] * at_once
        ended = time.perf_counter() + seconds

        async def connection(client: int) -> None:
            while time.perf_counter() < ended:
                number = counts[client] * at_once + client
                path = b"/objects/read/%09d" % (number % _KEYS) if method == "GET" else b"/objects/put/%09d" % number
                await _request(application, method, path, fields, b"" if method == "GET" else body)
                counts[client] += 1

        began = time.perf_counter()
        await asyncio.gather(*(connection(client) for client in range(at_once)))
        return sum(counts) / (time.perf_counter() - began)


async def _request(application: Application, method: str, path: bytes, fields: FieldList, body: bytes) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message.get("status", 0) >= _REFUSED:
            raise RuntimeError(f"{method} {path!r} was refused with {message['status']}")

    scope = {
        "type": "http",
        "method": method,
        "path": path.decode(),
        "raw_path": path,
        "query_string": b"",
        "root_path": "",
        "headers": list(fields),
    }
    await application(scope, receive, send)
