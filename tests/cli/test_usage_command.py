"""`objectstore usage`: of a token, asked of a server, and of all tokens, read from the data folder."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from cli.served import Served, invoke, token_with
from objectstore.backends.engine.backend import EngineBackend


def _add(folder: Path, name: str, *options: str) -> None:
    file = folder / "data" / "tokens.json"
    command = ("token", "add", name, "--ttl", "1", "--scope", "write", "--file", str(file), *options)
    assert invoke(*command).returncode == 0


def test_what_is_kept_is_shown_with_what_may_be(tmp_path: Path) -> None:
    async def fill() -> None:
        async with EngineBackend(tmp_path / "data") as backend:
            await backend.put("lab-7/a", bytes(1500))
            await backend.put("other", bytes(100))

    asyncio.run(fill())
    _add(tmp_path, "lab", "--prefix", "lab-7/", "--quota", "2kB")
    _add(tmp_path, "all", "--quota-objects", "10")
    _add(tmp_path, "free")
    # Without a server, and before anything is counted.
    shown = invoke("usage", "--data", "data", cwd=tmp_path)
    assert shown.stdout.decode().splitlines() == [
        "TOKEN  PREFIX     KEPT     OF       OBJECTS  OF",
        "lab    'lab-7/'   1.5 KiB  2.0 KiB  1        -",
        "all    every key  1.6 KiB  -        2        10",
    ]
    told = invoke("usage", "--data", "data", "--json", cwd=tmp_path).stdout.splitlines()
    assert json.loads(told[0]) == {
        "token": "lab",
        "prefix": "lab-7/",
        "bytes": 1500,
        "parts_bytes": 0,
        "objects": 1,
        "limits": {"bytes": 2000, "objects": None},
    }
    answer = invoke("usage", "--data", "nowhere", cwd=tmp_path)
    assert answer.returncode == 2


def test_a_server_shows_what_is_kept_under_the_prefix_of_the_token(server: Served, data: Path) -> None:
    token = token_with(server, data / "tokens.json", "lab", "--prefix", "lab-7/", "--scope", "write", "--quota", "2kB")
    assert server.command("put", "-", "lab-7/a", stdin=bytes(1500)).returncode == 0
    env = server.environment() | {"OBJECTSTORE_TOKEN": token}
    assert invoke("usage", env=env).stdout.decode().splitlines() == [
        "PREFIX    KEPT     OF       OBJECTS  OF",
        "'lab-7/'  1.5 KiB  2.0 KiB  1        -",
    ]
    (told,) = invoke("usage", "--json", env=env).stdout.splitlines()
    assert json.loads(told)["limits"] == {"bytes": 2000, "objects": None}
    answer = invoke("put", "-", "lab-7/b", "--json", stdin=bytes(501), env=env)
    assert answer.returncode == 1
    assert json.loads(answer.stderr)["error"]["code"] == "quota_exceeded"
    assert b"there is no quota" in server.command("usage").stderr
