"""What a server does not import before it serves: every tenth of a second of it delays the first answer."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from objectstore import __version__
from objectstore.auth.store import TokenStore
from objectstore.backends.memory import MemoryBackend
from objectstore.server.application import Application
from objectstore.server.service import Service

RARELY_NEEDED = {
    "objectstore.app": {
        "aiohttp",
        "fastapi",
        "httpx2",
        "obstore",
        "opentelemetry",
        "prometheus_client",
        "pyreqwest",
        "redis",
        "rich",
        "starlette",
        "structlog",
        "typer",
        "yaml",
    },
    "objectstore": {"fastapi", "httpx2", "pydantic", "pydantic_settings", "sqlite3", "starlette", "structlog", "typer"},
}


@pytest.mark.parametrize("module", RARELY_NEEDED)
def test_what_is_rarely_needed_is_not_imported_at_the_start(module: str, tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-c", f"import json, sys, {module}; print(json.dumps(list(sys.modules)))"],
        env={"DATA_DIR": str(tmp_path / "data"), "AUTH_TOKENS_FILE": str(tmp_path / "tokens.json")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert not RARELY_NEEDED[module] & set(json.loads(told))


def asked(application: Application, path: str) -> tuple[int, dict[str, Any]]:
    told: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        told.append(message)

    async def ask() -> None:
        scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b""}
        await application({**scope, "headers": [], "root_path": ""}, receive, send)

    asyncio.run(ask())
    return told[0]["status"], json.loads(b"".join(message["body"] for message in told[1:]))


def test_whoever_asks_first_has_the_framework_built(tmp_path: Path) -> None:
    service = Service(
        backend=MemoryBackend(),
        tokens=TokenStore(tmp_path / "tokens.json"),
        max_object_size=1,
        upload_ttl=timedelta(days=1),
    )
    application = Application(service)
    assert asked(application, "/health") == (
        200,
        {"status": "healthy", "service": "objectstore", "version": __version__},
    )
    status, described = asked(application, "/openapi.json")
    assert status == 200
    assert {"/objects", "/health"} <= described["paths"].keys()
