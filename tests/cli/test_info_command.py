"""`objectstore info` of a data folder and of a server."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from cli.served import Served, invoke, token_with
from objectstore.backends.engine.backend import EngineBackend
from objectstore.values import PutOptions

LARGE = bytes(100_000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    async def fill() -> None:
        async with EngineBackend(tmp_path / "data") as backend:
            await backend.put("a/b/1", bytes(10))
            await backend.put("a/c/2", bytes(20))
            await backend.put("top", b"")
            await backend.put("large/1", LARGE)
            await backend.copy("large/1", "large/2")
            await backend.put("gone", LARGE)
            await backend.delete("gone")
            upload = await backend.uploads.begin("a/later", PutOptions())
            await backend.uploads.put_part(upload.upload_id, 1, bytes(7), PutOptions())

    asyncio.run(fill())
    return tmp_path / "data"


def test_a_folder_is_counted(folder: Path) -> None:
    told = json.loads(invoke("info", "--data", str(folder), "--json").stdout)
    assert told.pop("index_bytes") == (folder / "index.sqlite3").stat().st_size
    assert told == {
        "format": 1,
        "changes": 9,
        "objects": 5,
        "bytes": 200_030,
        "inline": 3,
        "inline_bytes": 30,
        "files": 1,
        "file_bytes": 100_000,
        "uploads": 1,
        "parts": 1,
        "part_bytes": 7,
        "garbage": 1,
        "garbage_bytes": 100_000,
        "log_bytes": 0,
        "largest": [
            {"prefix": "large/", "objects": 2, "bytes": 200_000},
            {"prefix": "a/", "objects": 2, "bytes": 30},
            {"prefix": "", "objects": 1, "bytes": 0},
        ],
    }


def test_people_are_told_too(folder: Path) -> None:
    lines = invoke("info", "--data", str(folder), "--depth", "2", "--top", "2").stdout.decode().splitlines()
    assert "objects:    5, 195 KiB" in lines
    assert "garbage:    1, 98 KiB" in lines
    assert [line.split() for line in lines[-3:]] == [
        ["SIZE", "OBJECTS", "PREFIX"],
        ["195", "KiB", "2", "large/"],
        ["20", "B", "1", "a/c/"],
    ]


def test_a_server_tells_what_the_token_covers(server: Served, data: Path) -> None:
    token = token_with(server, data / "tokens.json", "info", "--prefix", "info/", "--scope", "read")
    for key in ("info/a/1", "info/a/2", "info/b"):
        assert server.command("put", "-", key, stdin=b"12345").returncode == 0
    env = server.environment() | {"OBJECTSTORE_TOKEN": token}
    told = json.loads(invoke("info", "--json", "--top", "1", "--depth", "2", env=env).stdout)
    assert told == {
        "store": "EngineStore",
        "ready": "yes",
        "durability": "full",
        "objects": 3,
        "bytes": 15,
        "largest": [{"prefix": "info/a/", "objects": 2, "bytes": 10}],
    }


def test_who_may_write_is_told_of_uploads(server: Served) -> None:
    assert "uploads" in json.loads(server.command("info", "--json").stdout)


def test_a_folder_is_counted_beside_its_server(folder: Path) -> None:
    async def count() -> None:
        async with EngineBackend(folder) as backend:
            await backend.put("a/more", b"x")
            told = json.loads(invoke("info", "--data", str(folder), "--json").stdout)
            assert (told["objects"], told["log_bytes"] > 0) == (6, True)

    asyncio.run(count())


def test_what_is_no_data_folder_is_told(tmp_path: Path) -> None:
    answer = invoke("info", "--data", str(tmp_path))
    assert answer.returncode == 2
    assert b"not a data directory" in answer.stderr
