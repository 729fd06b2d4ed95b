"""A server whose store fails to open, in whatever way, does not start."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

import pytest

from objectstore.auth.store import TokenStore
from objectstore.backends.memory import MemoryBackend
from objectstore.errors import ConfigurationError
from objectstore.server.application import Application
from objectstore.server.service import Service


class Broken(MemoryBackend):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def __aenter__(self) -> Self:
        raise self._error


@pytest.mark.parametrize("error", [ConfigurationError("no such bucket"), TypeError("unexpected argument")])
def test_what_goes_wrong_at_the_start_is_told_to_the_server_software(error: Exception, tmp_path: Path) -> None:
    tokens = TokenStore(tmp_path / "tokens.json")
    service = Service(backend=Broken(error), tokens=tokens, max_object_size=1, upload_ttl=timedelta(days=1))
    told: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        told.append(message)

    asyncio.run(Application(service)({"type": "lifespan"}, receive, send))
    (message,) = told
    assert message["type"] == "lifespan.startup.failed"
    assert str(error) in message["message"]
